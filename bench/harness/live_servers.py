"""The servers of the delivery benchmark: how each is started and gets its documents."""

import json
import subprocess
import urllib.error
import urllib.request

from . import wire
from .build import VENV
from .processes import BenchError
from .servers import Postgres, Redis, Roost, Server

PAYLOAD = "@@" + "0" * 16 + "x" * 200


class LiveRedis(Redis):
    protocol = "redis"
    subscribers_max = 19_000

    def command(self):
        return [*super().command(), "--maxclients", "19500"]

    def fill(self, documents, topics):
        """Channels need no documents."""


class LivePostgres(Postgres):
    """A process for each subscriber, so a thousand of them."""

    subscribers_max = 1_000
    settings = (*Postgres.settings, "max_connections=1100")

    def fill(self, documents, topics):
        self.sql("DROP TABLE IF EXISTS live",
                 "CREATE TABLE live (id int PRIMARY KEY, topic int, body text)",
                 f"INSERT INTO live SELECT n, n % {topics}, '{PAYLOAD}' "
                 f"FROM generate_series(0, {documents - 1}) n")


class LiveRoost(Roost):
    protocol = "mongo"
    subscribers_max = 19_000

    def command(self):
        return [*super().command(), "--max-connections", "19500"]

    def fill(self, documents, topics):
        self.clear(indexed=False)
        for first in range(0, documents, 1_000):
            rows = [{"_id": n, "topic": n % topics, "text": "x" * 200}
                    for n in range(first, min(documents, first + 1_000))]
            wire.command(self.port, {"insert": "docs", "documents": rows, "$db": "bench"})


class PocketBase(Server):
    name, label, protocol = "pocketbase", "PocketBase", "pocketbase"
    # With more of them its writes take seconds: it looks at each subscription for each write.
    subscribers_max = 1_000
    user = ("bench@example.com", "bench-bench")

    def set_up(self):
        self.folder.mkdir(parents=True)
        made = subprocess.run([*self.program(), "superuser", "upsert", *self.user],
                              capture_output=True, text=True)
        if made.returncode:
            raise BenchError("pocketbase: " + made.stdout + made.stderr)
        self.start()
        self.token = self.ask("POST", "collections/_superusers/auth-with-password",
                              {"identity": self.user[0], "password": self.user[1]})["token"]

    def program(self):
        return [str(VENV / "bin/pocketbase"), "--dir", str(self.folder / "data")]

    def command(self):
        return [*self.program(), "serve", "--http", f"127.0.0.1:{self.port}"]

    token = ""

    def ask(self, method, path, body=None):
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/api/{path}", method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json", "Authorization": self.token})
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def ready(self):
        try:
            return self.ask("GET", "health")["code"] == 200
        except urllib.error.URLError as error:
            raise OSError(str(error)) from error

    def fill(self, documents, topics):
        try:
            self.ask("DELETE", "collections/docs")
        except urllib.error.HTTPError as error:
            if error.code != 404:
                raise
        anyone = ""
        self.ask("POST", "collections", {
            "name": "docs", "type": "base", "listRule": anyone, "viewRule": anyone,
            "updateRule": anyone, "fields": [{"name": "topic", "type": "number"},
                                             {"name": "body", "type": "text"}]})
        for number in range(documents):
            self.ask("POST", "collections/docs/records", {
                "id": f"d{number:014}", "topic": number % topics, "body": PAYLOAD})

    def version(self):
        done = subprocess.run([*self.program(), "--version"], capture_output=True, text=True)
        return done.stdout.split()[-1]
