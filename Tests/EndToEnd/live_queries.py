"""Kills the server and cuts connections while a client writes, and checks that live queries end at
the result that the query has, over no impossible step.

    live_queries.py ROOST [--loops N] [--disconnects N]

Each loop starts the server on the same folder. Readers of live queries of every kind go on from the
token they had. An event must fit what a reader holds: what is added was not there, what is changed
or removed was. In every fourth loop, and at the end, nothing is written until each reader holds what
the query, run at that moment, gives. At the end a client that didn't read for a while, and one whose
collection was quiet, must also come to the right result.
"""

import argparse
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import bson

from follow import Cuts, Follower, RawClient, Writer, start, wait_until

GROUP = {"_id": "$group", "n": {"$sum": 1}, "total": {"$sum": "$score"}, "low": {"$min": "$score"},
         "high": {"$max": "$score"}, "mean": {"$avg": "$score"}}
QUERIES = {
    "all": {"filter": {}},
    "equality": {"filter": {"group": 2}},
    "range, projected": {"filter": {"score": {"$gte": 100, "$lt": 400}},
                         "projection": {"score": 1, "group": 1}},
    "any of": {"filter": {"group": {"$in": [0, 3]}, "score": {"$lt": 700}}},
    "either": {"filter": {"$or": [{"score": {"$gt": 900}}, {"group": 1}]}},
    "nothing": {"filter": {"group": 77}},
    "window": {"filter": {}, "sort": {"score": -1}, "limit": 10},
    "window behind some": {"filter": {"group": {"$ne": 4}}, "sort": {"group": 1, "score": 1},
                           "skip": 3, "limit": 7},
    "large window": {"filter": {"group": {"$gte": 1}}, "sort": {"score": 1}, "limit": 60},
    "count": {"pipeline": [{"$match": {"group": {"$lt": 3}}},
                           {"$group": {"_id": None, "n": {"$sum": 1}}}]},
    "groups": {"pipeline": [{"$group": GROUP}]},
    "sorted groups": {"pipeline": [{"$group": GROUP}, {"$sort": {"n": -1, "_id": 1}},
                                   {"$limit": 3}]},
    "join": {"pipeline": [{"$match": {"score": {"$lt": 200}}},
                          {"$lookup": {"from": "groups", "localField": "group",
                                       "foreignField": "_id", "as": "of"}}]},
}


def is_ordered(query):
    return "sort" in query or "$sort" in str(query.get("pipeline", ""))


def result(collection, query):
    """What the query gives now: rows by _id, or in their order."""
    if "pipeline" in query:
        rows = list(collection.aggregate(query["pipeline"]))
    else:
        cursor = collection.find(query["filter"], query.get("projection"))
        if "sort" in query:
            cursor = cursor.sort([*query["sort"].items(), ("_id", 1)])
        rows = list(cursor.skip(query.get("skip", 0)).limit(query.get("limit", 0)))
    return rows if is_ordered(query) else {row["_id"]: row for row in rows}


class State:
    """What a client of a live query holds."""

    def __init__(self, query, is_slow=False):
        self.query, self.token, self.is_slow = query, None, is_slow
        self.rows, self.is_ready, self.is_between = [] if is_ordered(query) else {}, False, False
        self.events = self.resets = 0

    def forget(self):
        self.rows, self.is_ready = type(self.rows)(), False

    def apply(self, event):
        self.events += 1
        op = event["op"]
        if op == "reset":
            self.resets += 1
            self.forget()
        elif op == "ready":
            # A client that was slow gets one behind the difference; a resumed query has none yet.
            assert self.is_slow or not self.is_ready, "ready twice"
            self.is_ready = True
        elif isinstance(self.rows, list):
            self.apply_ordered(op, event)
        else:
            name = event["id"]
            assert (op == "added") != (name in self.rows), f"impossible: {event}"
            if op == "removed":
                del self.rows[name]
            else:
                self.rows[name] = event["doc"]
        self.is_between = "token" not in event
        self.token = event.get("token", self.token)

    def apply_ordered(self, op, event):
        name = event["id"]
        if op != "added":
            place = event["from" if op == "moved" else "index"]
            assert self.rows[place]["_id"] == name, f"impossible: {event}"
            if op == "changed":
                self.rows[place] = event["doc"]
                return
            del self.rows[place]
        if op != "removed":
            assert 0 <= event["index"] <= len(self.rows), f"impossible: {event}"
            self.rows.insert(event["index"], event["doc"])


class Reader(Follower):
    """Follows a live query."""

    def __init__(self, name, state, port, cuts):
        super().__init__(name, port, cuts, cut_chance=0.2)
        self.state = state

    def opening(self):
        command = {"live": "documents", **self.state.query, "$db": "follow"}
        if self.state.is_between:
            # A result was cut off: it comes anew.
            self.state.forget()
        elif self.state.token:
            self.state.is_ready = False
            command["resumeAfter"] = self.state.token
        return command

    def take(self, batch, token):
        for event in batch:
            self.state.apply(event)
        if token and not self.state.is_between:
            self.state.token = token


def differences(states, collection, seconds=30):
    """The queries whose readers don't come to hold what the query gives."""
    found = []
    for name, state in states.items():
        def is_same(state=state):
            return state.is_ready and state.rows == result(collection, state.query)
        if not wait_until(is_same, seconds):
            found.append(f"{name}: holds {str(state.rows)[:600]}\n    instead of "
                         f"{str(result(collection, state.query))[:600]}")
            seconds = 1
    return found


def resident_kib(process):
    with open(f"/proc/{process.pid}/status", encoding="ascii") as status:
        return int(next(line for line in status if line.startswith("RssAnon")).split()[1])


def check_sleeper(process, port, client):
    """A client that doesn't read while much is written holds little memory of the server's, and
    ends at the right result."""
    collection = client.follow.sleeping
    collection.insert_many({"_id": n, "text": "x" * 1_000} for n in range(200))
    state = State({"filter": {}}, is_slow=True)
    raw = RawClient(port)
    follower = Reader("sleeper", state, port, Cuts(0))
    cursor = follower.batch(raw.run({"live": "sleeping", "filter": {}, "$db": "follow"}))
    while not state.is_ready:
        cursor = follower.batch(raw.run({"getMore": bson.Int64(cursor["id"]), "$db": "follow",
                                         "collection": "sleeping"}))
    before = resident_kib(process)
    # Answers come without being asked for again: the socket fills up.
    body = bson.encode({"getMore": bson.Int64(cursor["id"]), "collection": "sleeping",
                        "maxTimeMS": 60_000, "$db": "follow"})
    raw.socket.sendall((21 + len(body)).to_bytes(4, "little")
                       + bytes([1, 0, 0, 0, 0, 0, 0, 0]) + (2013).to_bytes(4, "little")
                       + (1 << 16).to_bytes(4, "little") + b"\0" + body)
    for round_number in range(40):
        collection.update_many({}, {"$set": {"n": round_number, "text": "y" * 1_000}})
    grown = resident_kib(process) - before
    time.sleep(0.5)
    final = {row["_id"]: row for row in collection.find()}
    try:
        end = time.monotonic() + 30
        while state.rows != final and time.monotonic() < end:
            follower.batch(raw.receive())
    except OSError as error:
        return [f"the client that didn't read was disconnected: {error}"]
    problems = [] if state.rows == final else ["the client that didn't read: a wrong result"]
    print(f"a client that didn't read 8,000 changes: the server grew by {grown:,} KiB, "
          f"{state.resets} resets")
    return problems


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("roost")
    parser.add_argument("--loops", type=int, default=20)
    parser.add_argument("--disconnects", type=int, default=300)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    print(f"seed {options.seed}")
    random.seed(options.seed)
    folder = tempfile.mkdtemp(prefix="live-")
    documents, counter, cuts = {}, [0], Cuts(0)
    process, port, client = start(options.roost, folder)
    client.follow.groups.insert_many({"_id": n, "name": f"group {n}"} for n in range(4))
    states = {name: State(query) for name, query in QUERIES.items()}
    problems = []
    for loop in range(options.loops + 1):
        is_last = loop == options.loops
        cuts.left = options.disconnects * (loop + 1) // (options.loops + 1) - cuts.made
        readers = [Reader(name, state, port, cuts) for name, state in states.items()]
        is_over = threading.Event()
        for reader in readers:
            reader.is_enough = is_over.is_set
            reader.start()
        if loop % 4 == 3 or is_last:
            problems += differences(states, client.follow.documents)
        writer = Writer(port, documents, counter)
        writer.start()
        time.sleep(random.uniform(0.2, 0.8))
        client.follow.groups.update_one({"_id": loop % 4}, {"$set": {"name": f"loop {loop}"}})
        wait_until(lambda: cuts.left <= 0 or any(r.problem for r in readers), 60)
        if is_last:
            writer.is_over = True
            writer.join()
            problems += differences(states, client.follow.documents)
            problems += check_sleeper(process, port, client)
            is_over.set()
        else:
            client.close()
            process.send_signal(signal.SIGKILL)
            process.wait()
            writer.join()
        for reader in readers:
            reader.join()
        problems += [reader.problem for reader in readers if reader.problem]
        if problems:
            print(f"loop {loop}; folder {folder}\n" + "\n".join(problems))
            process.kill()
            sys.exit(1)
        if not is_last:
            process, port, client = start(options.roost, folder)
            writer.settle_doubt(client.follow.documents)
    client.close()
    process.terminate()
    process.wait()
    subprocess.run([options.roost, "verify", folder], check=True, stdout=subprocess.DEVNULL)
    events, resets = (sum(getattr(s, name) for s in states.values()) for name in
                      ("events", "resets"))
    print(f"{options.loops} kills, {cuts.made:,} lost connections, {events:,} events of "
          f"{len(states)} live queries, {resets:,} resets: each ended at its query's result")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
