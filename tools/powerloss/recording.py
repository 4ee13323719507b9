"""A server under the recorder, and clients that note what they do."""

import mmap
import os
import pickle
import shutil
import struct
import sys
import threading

from pymongo.errors import AutoReconnect, ConnectionFailure

import history
from disk import Disk, Trace

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "..", "Tests", "EndToEnd"))
from server import Server  # noqa: E402, beside the end-to-end tests


class Control:
    """The memory shared with recorder.c: the number of the last record, faults to inject."""

    FIELDS = struct.Struct("<QIIiiiII")

    def __init__(self, folder, sync_micros=0):
        path = os.path.join(folder, "control")
        with open(path, "wb") as file:
            file.write(self.FIELDS.pack(0, sync_micros, 0, 0, 0, 0, 0, 0).ljust(64, b"\0"))
        with open(path, "r+b") as file:
            self.memory = mmap.mmap(file.fileno(), 64)

    @property
    def sequence(self):
        return struct.unpack_from("<Q", self.memory)[0]

    def arm(self, calls, error, skip, times=1):
        """From now on `times` calls of these kinds fail, after `skip` that don't."""
        struct.pack_into("<Iiii", self.memory, 12, 0, skip, times, error)
        struct.pack_into("<II", self.memory, 28, 0, 0)
        struct.pack_into("<I", self.memory, 12, calls)

    def disarm(self):
        struct.pack_into("<i", self.memory, 20, 0)

    @property
    def hits(self):
        """How many calls have failed since `arm`."""
        return struct.unpack_from("<I", self.memory, 28)[0]

    @property
    def seen(self):
        """How many calls could have, since `arm`."""
        return struct.unpack_from("<I", self.memory, 32)[0]


class Recording:
    """A folder that is watched, with all that happens to it.

    `base` is a folder of the recording's own: `root` in it is watched, `root/data` is the database.
    """

    def __init__(self, base, recorder, sync_micros=150):
        self.base, self.recorder = base, recorder
        self.root = os.path.join(base, "root")
        self.data = os.path.join(self.root, "data")
        os.makedirs(self.root, exist_ok=True)
        self.control = Control(base, sync_micros)
        self.clients, self.server, self.initial = [], None, b""
        # Whether the last acknowledged operations may be lost.
        self.may_lose = False

    @property
    def environment(self):
        return {"LD_PRELOAD": self.recorder, "ROOST_RECORDER": self.base,
                "ROOST_RECORDER_ROOT": self.root}

    def begin(self, is_new=False):
        """Takes what is in the folder for durable: cuts begin there. The database's folder is made
        before, if not `is_new`."""
        if not is_new:
            os.makedirs(self.data, exist_ok=True)
        self.initial = pickle.dumps(Disk(self.root))

    def begin_after_kill(self, disk):
        """Goes on in the folder that a killed process left, where `disk` knows what is durable."""
        self.initial = pickle.dumps(disk.after_kill(self.root))

    def start(self, binary, *options, replica_set=False):
        self.server = Server(binary, *options, folder=self.data, environment=self.environment)
        if replica_set:
            self.server.options += ["--replica-set", "rs0", "--advertise", self.server.address]
        self.server.start()

    def start_unseen(self, binary, *options):
        """Starts a server without the recorder; what it does is durable before `begin`."""
        self.server = Server(binary, *options, folder=self.data)
        self.server.start()

    def end(self, kill=False):
        """Ends the server as an operator does, or by SIGKILL."""
        if kill:
            self.server.kill()
        else:
            status = self.server.stop()
            assert status == 0, f"the server ended with {status}: {self.server.log()}"
        self.server.remove()

    def client(self, number=None):
        """A client; with the number of an earlier one it goes on with that one's operations."""
        known = None if number is None else self.clients[number]
        client = Connection(self, known or history.Client(len(self.clients)))
        if not known:
            self.clients.append(client.history)
        return client

    def finish(self):
        """Reads the trace, which must account for all that is in the folder."""
        trace = Trace(os.path.join(self.base, "trace"))
        disk = pickle.loads(self.initial)
        disk.follow(trace, len(trace))
        difference = disk.difference(self.root)
        assert not difference, f"the recorder has missed something: {difference}"
        names = {id(node): name for name, node in disk.names().items()}
        for inode, what in disk.unseen:
            name = names.get(id(disk.nodes.get(inode)), "lock.mdb")
            assert what == "mmap" and name.endswith("lock.mdb"), \
                f"what is written by {what} into {name} can't be recorded"
        return trace

    def remove(self):
        if self.server:
            self.server.remove()
        shutil.rmtree(self.base, ignore_errors=True)


class Connection:
    """A client's connection and its operations."""

    def __init__(self, recording, past):
        self.history, self.recording = past, recording
        self.number = past.number
        self.lines = set()
        for operation in past.operations:
            for gone, come in operation.steps:
                self.lines = (self.lines - gone) | come
        self.mongo = recording.server.client(maxPoolSize=2, directConnection=True)
        self.db = self.mongo.power

    def do(self, what, steps, call):
        """Runs an operation and notes it; False once the server is gone."""
        operation = history.Operation(steps, self.recording.control.sequence, what)
        self.history.operations.append(operation)
        try:
            call()
        except (AutoReconnect, ConnectionFailure):
            return False
        operation.ended = self.recording.control.sequence
        return True

    def namespace(self, collection):
        return f"power.{collection}"


def run_together(clients, work):
    """Runs `work(client)` in a thread for each; raises what one of them raised."""
    errors = []

    def run(client):
        try:
            work(client)
        except Exception as error:  # told below
            errors.append(error)

    threads = [threading.Thread(target=run, args=(client,)) for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]

