"""What the tests of change streams and of live queries share: a server that can be killed, a writer
that knows what was acknowledged, and a follower that speaks the wire protocol itself.

Followers lose their connection at random, in the middle of a reply too, and go on from the last
token that came in a whole reply, as an application does that keeps it with its work.
"""

import random
import socket
import struct
import subprocess
import threading
import time

import bson
import pymongo


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(roost, folder, *options):
    """A server on a folder: its process, port, and a client of it."""
    port = free_port()
    process = subprocess.Popen(
        [roost, "serve", folder, "--listen", f"127.0.0.1:{port}", "--replica-set", "rs0",
         "--advertise", f"127.0.0.1:{port}", "--log-level", "error", *options])
    client = pymongo.MongoClient(uri(port), serverSelectionTimeoutMS=120_000)
    client.admin.command("ping")
    return process, port, client


def uri(port):
    return f"mongodb://127.0.0.1:{port}/?directConnection=true"


class RawClient:
    """One connection, without a driver."""

    def __init__(self, port, seconds=30):
        self.socket = socket.create_connection(("127.0.0.1", port), seconds)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, command):
        body = bson.encode(command)
        self.socket.sendall(struct.pack("<iiiiIB", 21 + len(body), 1, 0, 2013, 0, 0) + body)

    def receive(self):
        length = struct.unpack("<i", self.exactly(4))[0]
        return bson.decode(self.exactly(length - 4)[17:])

    def exactly(self, length):
        received = b""
        while len(received) < length:
            part = self.socket.recv(length - len(received))
            if not part:
                raise ConnectionError("closed by the server")
            received += part
        return received

    def run(self, command):
        self.send(command)
        return self.receive()

    def close(self):
        self.socket.close()


class Refused(Exception):
    """The server's error."""


class Follower(threading.Thread):
    """Follows a cursor until the server is gone or it has enough.

    Subclasses say how the cursor is opened behind a token, and take batches. `cuts` is how often
    the connection is to be lost, shared by all.
    """

    def __init__(self, name, port, cuts, cut_chance):
        super().__init__(daemon=True)
        self.label, self.port, self.cuts, self.cut_chance = name, port, cuts, cut_chance
        self.problem, self.is_enough = None, lambda: False
        self.batch_size = None
        self.random = random.Random(random.random())

    def opening(self):
        """The command."""
        raise NotImplementedError

    def take(self, batch, token):
        """Takes a whole reply."""
        raise NotImplementedError

    def run(self):
        try:
            while not self.is_enough():
                if not self.follow():
                    return
        except Exception as error:  # noqa: BLE001  whatever it is, the test must say so
            self.problem = f"{self.label}: {error!r}"

    def follow(self):
        """One connection; false when there is no server."""
        try:
            client = RawClient(self.port)
        except OSError:
            return False
        try:
            cursor = self.batch(client.run(self.opening()))
            while not self.is_enough():
                database, _, collection = cursor["ns"].partition(".")
                command = {"getMore": bson.Int64(cursor["id"]), "$db": database,
                           "collection": collection, "maxTimeMS": 100}
                if self.batch_size:
                    command["batchSize"] = self.batch_size
                if self.is_cut():
                    self.cut(client, command)
                    return True
                cursor = self.batch(client.run(command))
        except OSError:
            return True  # killed, which connecting again tells
        finally:
            client.close()
        return True

    def is_cut(self):
        if self.cuts.left <= 0 or self.random.random() >= self.cut_chance:
            return False
        return self.cuts.take()

    def cut(self, client, command):
        """Loses the connection: before a request, behind it, or in the middle of its answer."""
        choice = self.random.randrange(3)
        if choice > 0:
            client.send(command)
        if choice == 2:
            client.exactly(self.random.randrange(1, 60))

    def batch(self, reply):
        if reply.get("ok") != 1:
            raise Refused(f"{reply.get('code')} {reply.get('errmsg')}")
        cursor = reply["cursor"]
        self.take(cursor.get("firstBatch", cursor.get("nextBatch")),
                  cursor.get("postBatchResumeToken"))
        return cursor


class Cuts:
    """How many connections are still to be lost."""

    def __init__(self, count):
        self.left, self.made = count, 0
        self.lock = threading.Lock()

    def take(self):
        with self.lock:
            if self.left <= 0:
                return False
            self.left -= 1
            self.made += 1
            return True


def fields(revision):
    """What a revision of a document holds."""
    return {"revision": revision, "group": revision % 5, "score": revision * 7_919 % 1_000}


class Writer(threading.Thread):
    """Writes, and remembers in order what was acknowledged; `doubt` is the write whose answer was
    not seen."""

    def __init__(self, port, state, counter):
        super().__init__()
        self.port, self.state, self.counter = port, state, counter
        self.done, self.doubt, self.is_over = [], None, False

    def run(self):
        client = pymongo.MongoClient(uri(self.port), retryWrites=False,
                                     serverSelectionTimeoutMS=2_000)
        try:
            while not self.is_over:
                self.step(client.follow.documents, client.follow.noise)
        except pymongo.errors.PyMongoError:
            pass
        finally:
            client.close()

    def step(self, collection, noise):
        self.counter[0] += 1
        number, live = self.counter[0], sorted(self.state)
        choice = random.random()
        if choice < 0.5 and len(live) < 500 or not live:
            self.doubt = ("insert", number, number)
            collection.insert_one({"_id": number} | fields(number))
        elif choice < 0.8:
            name = random.choice(live)
            self.doubt = ("update", name, number)
            collection.update_one({"_id": name}, {"$set": fields(number) | {"x": "y" * 50}})
        elif choice < 0.9:
            name = random.choice(live)
            self.doubt = ("replace", name, number)
            collection.replace_one({"_id": name}, fields(number))
        else:
            name = random.choice(live)
            self.doubt = ("delete", name, None)
            collection.delete_one({"_id": name})
        self.settle()
        if choice < 0.1:
            noise.insert_one({"n": number})

    def settle(self):
        """The write in doubt has happened."""
        kind, name, revision = self.doubt
        if kind == "delete":
            self.state.pop(name, None)
        else:
            self.state[name] = revision
        self.done.append(self.doubt)
        self.doubt = None

    def settle_doubt(self, collection):
        """After a restart: whether the write in doubt has happened is what is stored."""
        if self.doubt is None:
            return
        kind, name, revision = self.doubt
        stored = collection.find_one({"_id": name})
        if stored is None if kind == "delete" else (stored or {}).get("revision") == revision:
            self.settle()


def wait_until(condition, seconds):
    """Whether it comes true in time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.01)
    return condition()
