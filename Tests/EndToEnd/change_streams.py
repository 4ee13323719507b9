"""Kills the server while clients write, and checks what change streams tell: each change exactly
once, in order.

    change_streams.py ROOST [--loops N]

Each loop starts the server on the same folder. One thread writes; readers of a collection, of its
database and of the whole server go on from the token they had when the server was killed, as an
application would that stored it with its work. At the end each reader must have seen every
acknowledged write once, in the order of writing; of a write whose answer was lost, what is stored.
"""

import argparse
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import pymongo

PLACES = ("collection", "database", "server")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Reader(threading.Thread):
    """Follows a stream until the server is gone; keeps the events and the token with them."""

    def __init__(self, place, uri, token):
        super().__init__()
        self.place, self.uri, self.token = place, uri, token
        self.events, self.problem, self.is_enough = [], None, lambda events: False

    def run(self):
        client = pymongo.MongoClient(self.uri, serverSelectionTimeoutMS=500)
        target = {"collection": client.streams.documents, "database": client.streams,
                  "server": client}[self.place]
        pipeline = [{"$match": {"ns.coll": "documents", "operationType": {"$in": [
            "insert", "update", "replace", "delete"]}}}]
        try:
            with target.watch(pipeline, resume_after=self.token, max_await_time_ms=200,
                              batch_size=random.choice([1, 5, 100])) as stream:
                while not self.is_enough(self.events):
                    event = stream.try_next()
                    if event is not None:
                        self.events.append(key(event))
                    self.token = stream.resume_token
        except (pymongo.errors.ConnectionFailure, pymongo.errors.WaitQueueTimeoutError):
            pass
        except pymongo.errors.PyMongoError as error:
            self.problem = f"{self.place}: {error!r}"
        finally:
            client.close()


def key(event):
    """What identifies a change here: its kind, its document, and the revision it made."""
    kind, name = event["operationType"], event["documentKey"]["_id"]
    if kind == "delete":
        return kind, name, None
    if kind == "update":
        return kind, name, event["updateDescription"]["updatedFields"].get("revision")
    return kind, name, event["fullDocument"]["revision"]


class Writer(threading.Thread):
    """Writes, and remembers in order what was acknowledged; `doubt` is the write whose answer was
    not seen."""

    def __init__(self, uri, state, counter):
        super().__init__()
        self.uri, self.state, self.counter = uri, state, counter
        self.done, self.doubt = [], None

    def run(self):
        client = pymongo.MongoClient(self.uri, retryWrites=False, serverSelectionTimeoutMS=2_000)
        try:
            while True:
                self.step(client.streams.documents, client.streams.noise)
        except pymongo.errors.PyMongoError:
            pass
        finally:
            client.close()

    def step(self, collection, noise):
        self.counter[0] += 1
        number, live = self.counter[0], sorted(self.state)
        choice = random.random()
        if choice < 0.5 or not live:
            self.doubt = ("insert", number, number)
            collection.insert_one({"_id": number, "revision": number})
        elif choice < 0.8:
            name = random.choice(live)
            self.doubt = ("update", name, number)
            collection.update_one({"_id": name}, {"$set": {"revision": number, "x": "y" * 50}})
        elif choice < 0.9:
            name = random.choice(live)
            self.doubt = ("replace", name, number)
            collection.replace_one({"_id": name}, {"revision": number})
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


def happened(collection, doubt):
    kind, name, revision = doubt
    stored = collection.find_one({"_id": name})
    return stored is None if kind == "delete" else (stored or {}).get("revision") == revision


def start(roost, folder):
    port = free_port()
    process = subprocess.Popen(
        [roost, "serve", folder, "--listen", f"127.0.0.1:{port}", "--replica-set", "rs0",
         "--advertise", f"127.0.0.1:{port}", "--log-level", "error"])
    uri = f"mongodb://127.0.0.1:{port}/?directConnection=true"
    client = pymongo.MongoClient(uri, serverSelectionTimeoutMS=20_000)
    client.admin.command("ping")
    return process, uri, client


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("roost")
    parser.add_argument("--loops", type=int, default=30)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    print(f"seed {options.seed}")
    random.seed(options.seed)
    folder = tempfile.mkdtemp(prefix="streams-")
    state, counter, written = {}, [0], []
    seen = {place: [] for place in PLACES}
    process, uri, client = start(options.roost, folder)
    with client.watch(max_await_time_ms=1) as stream:
        stream.try_next()
        tokens = {place: stream.resume_token for place in PLACES}
    for loop in range(options.loops + 1):
        is_last = loop == options.loops
        readers = [Reader(place, uri, tokens[place]) for place in PLACES]
        if is_last:
            for reader in readers:
                wanted = len(written) - len(seen[reader.place])
                deadline = time.time() + 20
                reader.is_enough = lambda events, n=wanted, end=deadline: (
                    len(events) >= n or time.time() > end)
        for reader in readers:
            reader.start()
        if not is_last:
            writer = Writer(uri, state, counter)
            writer.start()
            time.sleep(random.uniform(0.1, 0.6))
            client.close()
            process.send_signal(signal.SIGKILL)
            process.wait()
            writer.join()
        for reader in readers:
            reader.join()
            seen[reader.place] += reader.events
            tokens[reader.place] = reader.token
        problems = [reader.problem for reader in readers if reader.problem]
        if not is_last:
            process, uri, client = start(options.roost, folder)
            if writer.doubt and happened(client.streams.documents, writer.doubt):
                writer.settle()
            written += writer.done
        for place in PLACES:
            events = seen[place]
            if events != written[:len(events)] or is_last and len(events) != len(written):
                first = next((i for i, pair in enumerate(zip(events, written))
                              if pair[0] != pair[1]), min(len(events), len(written)))
                problems.append(f"{place}: {len(events)} events, {len(written)} writes; differ at "
                                f"{first}: {events[first:first + 3]} {written[first:first + 3]}")
        if problems:
            print(f"loop {loop}; folder {folder}\n" + "\n".join(problems))
            process.kill()
            sys.exit(1)
    client.close()
    process.terminate()
    process.wait()
    print(f"{options.loops} kills, {len(written):,} changes, each seen once and in order by "
          f"{len(PLACES)} streams")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
