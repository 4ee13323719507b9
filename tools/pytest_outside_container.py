"""A pytest plugin for PyMongo's suite: its tests of client metadata assume that they don't run in a
container, and fail in one whatever the server does. So the client is not told that it is in one."""

import pymongo.pool_options

pymongo.pool_options.DOCKER_ENV_PATH = "/nonexistent"
