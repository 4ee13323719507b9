"""Kills the server and cuts connections while a client writes, and checks what change streams tell:
each change exactly once, in order.

    change_streams.py ROOST [--loops N] [--disconnects N]

Each loop starts the server on the same folder. One thread writes; readers of a collection, of its
database and of the whole server go on from the token they had when the server was killed: one by
PyMongo, one that speaks the protocol itself and loses its connection at random. At the end each
reader must have seen every acknowledged write once, in the order of writing; of a write whose answer
was lost, what is stored. A stream of a collection where nothing happens must be able to go on from
its token all the time.
"""

import argparse
import random
import shutil
import signal
import sys
import tempfile
import threading
import time

import pymongo

from follow import Cuts, Follower, Writer, start, uri

PLACES = ("collection", "database", "server")
PIPELINE = [{"$match": {"ns.coll": "documents", "operationType": {"$in": [
    "insert", "update", "replace", "delete"]}}}]


class DriverReader(threading.Thread):
    """Follows a stream with PyMongo until the server is gone."""

    def __init__(self, place, port, token):
        super().__init__()
        self.label, self.place, self.port, self.token = f"{place} (PyMongo)", place, port, token
        self.events, self.problem, self.is_enough = [], None, lambda: False

    def run(self):
        client = pymongo.MongoClient(uri(self.port), serverSelectionTimeoutMS=500)
        target = {"collection": client.follow.documents, "database": client.follow,
                  "server": client}[self.place]
        try:
            with target.watch(PIPELINE, resume_after=self.token, max_await_time_ms=200,
                              batch_size=random.choice([1, 5, 100])) as stream:
                while not self.is_enough():
                    event = stream.try_next()
                    if event is not None:
                        self.events.append(key(event))
                    self.token = stream.resume_token
        except (pymongo.errors.ConnectionFailure, pymongo.errors.WaitQueueTimeoutError):
            pass
        except pymongo.errors.PyMongoError as error:
            self.problem = f"{self.label}: {error!r}"
        finally:
            client.close()


class RawReader(Follower):
    """Follows a stream over a connection that is lost now and then."""

    def __init__(self, place, port, token, cuts):
        super().__init__(f"{place} (raw)", port, cuts, cut_chance=0.3)
        self.place, self.token, self.events = place, token, []
        self.batch_size = random.choice([1, 5, 100])

    def opening(self):
        stage = {"resumeAfter": self.token}
        if self.place == "server":
            stage["allChangesForCluster"] = True
        return {"aggregate": "documents" if self.place == "collection" else 1,
                "pipeline": [{"$changeStream": stage}, *PIPELINE],
                "cursor": {"batchSize": self.batch_size},
                "$db": "admin" if self.place == "server" else "follow"}

    def take(self, batch, token):
        self.events += map(key, batch)
        self.token = token


class QuietReader(Follower):
    """Follows a collection where nothing happens, from a token of the beginning each time."""

    def __init__(self, port, token, cuts):
        super().__init__("quiet", port, cuts, cut_chance=0.3)
        self.token, self.events = token, []

    def opening(self):
        return {"aggregate": "quiet", "pipeline": [{"$changeStream": {"resumeAfter": self.token}}],
                "cursor": {}, "$db": "follow"}

    def take(self, batch, token):
        self.events += batch


def key(event):
    """What identifies a change here: its kind, its document, and the revision it made."""
    kind, name = event["operationType"], event["documentKey"]["_id"]
    if kind == "delete":
        return kind, name, None
    if kind == "update":
        return kind, name, event["updateDescription"]["updatedFields"].get("revision")
    return kind, name, event["fullDocument"]["revision"]


class Seen:
    """What the readers of one kind have seen over all loops."""

    def __init__(self, make, token):
        self.make, self.token, self.events = make, token, []
        self.reader = None

    def begin(self, port):
        self.reader = self.make(port, self.token)
        return self.reader

    def end(self):
        self.reader.join()
        self.events += self.reader.events
        self.token = self.reader.token

    def difference(self, written, is_last):
        """What differs from what was written, or None."""
        events = self.events
        if events == written[:len(events)] and not (is_last and len(events) != len(written)):
            return None
        first = next((i for i, pair in enumerate(zip(events, written)) if pair[0] != pair[1]),
                     min(len(events), len(written)))
        return (f"{self.reader.label}: {len(events)} events, {len(written)} writes; differ at "
                f"{first}: {events[first:first + 3]} {written[first:first + 3]}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("roost")
    parser.add_argument("--loops", type=int, default=30)
    parser.add_argument("--disconnects", type=int, default=300)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    print(f"seed {options.seed}")
    random.seed(options.seed)
    folder = tempfile.mkdtemp(prefix="streams-")
    state, counter, written = {}, [0], []
    process, port, client = start(options.roost, folder)
    with client.watch(max_await_time_ms=1) as stream:
        stream.try_next()
        token = stream.resume_token
    cuts = Cuts(0)
    followed = [Seen(lambda port, token, place=place: DriverReader(place, port, token), token)
                for place in PLACES]
    followed += [Seen(lambda port, token, place=place: RawReader(place, port, token, cuts), token)
                 for place in PLACES]
    for loop in range(options.loops + 1):
        is_last = loop == options.loops
        share = options.disconnects * (loop + 1) // (options.loops + 1)
        cuts.left = share - cuts.made
        readers = [seen.begin(port) for seen in followed]
        quiet = QuietReader(port, token, cuts)
        if is_last:
            deadline = time.time() + 60
            for seen in followed:
                wanted = len(written) - len(seen.events)
                seen.reader.is_enough = lambda reader=seen.reader, wanted=wanted: (
                    len(reader.events) >= wanted or time.time() > deadline)
            quiet.is_enough = lambda: not any(reader.is_alive() for reader in readers)
        for reader in [*readers, quiet]:
            reader.start()
        if not is_last:
            writer = Writer(port, state, counter)
            writer.start()
            # A loop lasts until its share of connections was lost, and a random while.
            time.sleep(random.uniform(0.1, 0.6))
            end = time.time() + 60
            while cuts.left > 0 and time.time() < end:
                time.sleep(0.01)
            client.close()
            process.send_signal(signal.SIGKILL)
            process.wait()
            writer.join()
        quiet.join()
        for seen in followed:
            seen.end()
        problems = [reader.problem for reader in [*readers, quiet] if reader.problem]
        if quiet.events:
            problems.append(f"the quiet collection: {quiet.events[:2]}")
        if not is_last:
            process, port, client = start(options.roost, folder)
            writer.settle_doubt(client.follow.documents)
            written += writer.done
        problems += filter(None, (seen.difference(written, is_last) for seen in followed))
        if problems:
            print(f"loop {loop}; folder {folder}\n" + "\n".join(problems))
            process.kill()
            sys.exit(1)
    client.close()
    process.terminate()
    process.wait()
    print(f"{options.loops} kills, {cuts.made:,} lost connections, {len(written):,} changes, each "
          f"seen once and in order by {len(followed)} streams")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
