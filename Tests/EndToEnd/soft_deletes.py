"""Deletes, restores and purges through PyMongo, over kills of the server.

    soft_deletes.py ROOST [--loops N] [--seed S]

Each loop starts the server on the same folder, checks that every document is in just the place that
the acknowledged operations say (live, deleted, or nowhere), works with three threads on documents of
their own (single deletes and restores, deletes of several, bulk writes, transactions), kills the
server with SIGKILL at a random moment, and runs `roost verify`. Before that it goes once through what
a program does with soft deletes.
"""

import argparse
import datetime
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import pymongo
from bson import Int64
from pymongo.errors import DuplicateKeyError, OperationFailure, PyMongoError

from server import free_port

THREADS = 3
KEYS = 40
LIVE, DELETED, GONE = "live", "deleted", "gone"


def start(roost, folder):
    port = free_port()
    process = subprocess.Popen([
        roost, "serve", folder, "--listen", f"127.0.0.1:{port}", "--log-level", "error",
        "--test-commands", "--replica-set", "rs0", "--advertise", f"127.0.0.1:{port}"])
    uri = f"mongodb://127.0.0.1:{port}/?replicaSet=rs0"
    client = pymongo.MongoClient(uri, serverSelectionTimeoutMS=20_000)
    client.admin.command("ping")
    return process, uri, client


def ids(database, collection, scope=None, **fields):
    command = {"find": collection, "batchSize": 100_000, **fields}
    if scope:
        command[scope] = True
    return [d["_id"] for d in database.command(command)["cursor"]["firstBatch"]]


def walk_through(client, uri):
    """What a program does, once."""
    db = client.walk
    client.drop_database("walk")
    db.create_collection("notes", softDelete={"retention": "30d"})
    assert db.list_collections().next()["options"]["softDelete"] == {"retention": "30d"}
    db.notes.create_index("name", unique=True)
    db.notes.insert_many([{"_id": n, "name": f"n{n}"} for n in range(6)])
    with db.watch() as stream:
        assert db.notes.delete_one({"_id": 0}).deleted_count == 1
        assert db.notes.find_one_and_delete({"_id": 1})["name"] == "n1"
        assert db.notes.bulk_write([pymongo.DeleteMany({"_id": {"$gte": 4}})]).deleted_count == 2
        assert db.command("restore", "notes", filter={"_id": 4})["n"] == 1
        events = [stream.next() for _ in range(5)]
    assert [e["operationType"] for e in events] == ["delete"] * 4 + ["insert"]
    assert all(e["softDeleted"] for e in events[:4]) and events[4]["restored"] is True
    assert ids(db, "notes") == [2, 3, 4] and db.notes.count_documents({}) == 3
    assert ids(db, "notes", "onlyDeleted") == [0, 1, 5]
    assert ids(db, "notes", "withDeleted", sort={"_id": -1}) == [5, 4, 3, 2, 1, 0]
    assert db.command("count", "notes", onlyDeleted=True)["n"] == 3
    assert db.command("distinct", "notes", key="name", onlyDeleted=True)["values"] \
        == ["n0", "n1", "n5"]
    db.notes.insert_one({"_id": 10, "name": "n1"})
    try:
        db.command("restore", "notes", filter={})
        raise AssertionError("a conflict was not told")
    except DuplicateKeyError as error:
        assert error.details["deletedId"] == 1 and error.details["liveId"] == 10, error.details
        assert error.details["n"] == 1 and error.details["keyValue"] == {"name": "n1"}
    with client.start_session() as session, session.start_transaction():
        db.notes.delete_one({"_id": 2}, session=session)
        db.command("restore", "notes", filter={"_id": 5}, session=session)
        db.command("purge", "notes", filter={"_id": 1}, session=session)
        seen = db.command("find", "notes", onlyDeleted=True, session=session)
        assert [d["_id"] for d in seen["cursor"]["firstBatch"]] == [2]
    assert ids(db, "notes", "onlyDeleted") == [2]
    # A client of its own: the number would be ahead of those that the driver gives its sessions.
    with pymongo.MongoClient(uri, retryWrites=False) as other, other.start_session() as session:
        answers = [other.walk.command("restore", "notes", filter={"_id": 2}, txnNumber=Int64(7),
                                      session=session)["n"] for _ in range(2)]
        assert answers == [1, 1], answers
        # One of many documents is made in several steps, whose outcomes can't be kept as one.
        try:
            other.walk.command("purge", "notes", filter={"name": "n2"}, txnNumber=Int64(8),
                               session=session)
            raise AssertionError("a retryable purge of many was not refused")
        except OperationFailure as error:
            assert error.code == 72, error
    moving(db)
    db.notes.create_index("at", expireAfterSeconds=0)
    client.admin.command("setParameter", 1, ttlMonitorSleepSecs=1)
    db.command("collMod", "notes", softDelete={"retention": "2s"})
    db.notes.insert_one({"_id": 20, "name": "old", "at": datetime.datetime(2020, 1, 1)})
    end = time.monotonic() + 30
    while db.notes.find_one({"_id": 20}):
        assert time.monotonic() < end, "the document does not expire"
        time.sleep(0.1)
    while ids(db, "notes", "onlyDeleted"):
        assert time.monotonic() < end, "the deleted document is not purged"
        time.sleep(0.1)
    off = db.command("collMod", "notes", softDelete=False)
    assert off["softDelete_new"] is False and off["trash"]["count"] == 0, off
    db.notes.delete_one({"_id": 3})
    assert ids(db, "notes", "onlyDeleted") == []
    rows = db.command("query", "from notes withDeleted | count")["cursor"]["firstBatch"]
    assert rows == [{"count": db.notes.count_documents({})}], rows


def moving(db):
    """Documents that go to the trash, or come from it, ahead of who reads both, are read once."""
    for removes in (True, False):
        db.create_collection("moving", softDelete={})
        db.moving.insert_many([{"_id": n} for n in range(1_000)])
        if not removes:
            db.moving.delete_many({"_id": {"$mod": [2, 0]}})
        reply = db.command("find", "moving", withDeleted=True, sort={"_id": 1}, batchSize=50)
        found = reply["cursor"]["firstBatch"]
        while reply["cursor"]["id"]:
            ahead = {"_id": {"$gt": found[-1]["_id"] + (100 if removes else 0)}}
            if removes:
                db.moving.delete_many(ahead)
            else:
                db.command("restore", "moving", filter=ahead)
            reply = db.command("getMore", reply["cursor"]["id"], collection="moving", batchSize=50)
            found += reply["cursor"]["nextBatch"]
        assert [d["_id"] for d in found] == list(range(1_000)), (removes, len(found))
        db.moving.drop()


class Worker(threading.Thread):
    """Moves documents of its own between the places, and remembers what was acknowledged.

    `doubt` maps the ids of the one operation without an answer to the place where it would leave
    them; one that is a transaction leaves all of them there or none.
    """

    def __init__(self, number, uri, state, seed):
        super().__init__()
        self.number, self.uri, self.state = number, uri, state
        self.random, self.doubt, self.is_whole, self.failure = random.Random(seed), {}, False, None

    def run(self):
        client = pymongo.MongoClient(self.uri, retryWrites=False, serverSelectionTimeoutMS=3_000)
        try:
            while True:
                self.step(client, client.kill.documents)
        except OperationFailure as error:
            if error.has_error_label("TransientTransactionError") or error.code in (91, 11600):
                return
            self.failure = error
        except PyMongoError:
            pass
        finally:
            client.close()

    def among(self, place, count):
        own = [k for k, v in self.state.items() if v == place]
        return self.random.sample(own, min(count, len(own)))

    def act(self, keys, place, operation, is_whole=False):
        if not keys:
            return
        self.is_whole = is_whole
        self.doubt = {key: place for key in keys}
        operation()
        self.state.update(self.doubt)
        self.doubt = {}

    def step(self, client, documents):
        choice = self.random.random()
        live, deleted = self.among(LIVE, 5), self.among(DELETED, 5)
        one_live, one_deleted = live[:1], deleted[:1]
        db = documents.database
        if choice < 0.2:
            self.act(one_live, DELETED, lambda: documents.delete_one({"_id": one_live[0]}))
        elif choice < 0.35:
            self.act(live, DELETED, lambda: documents.delete_many({"_id": {"$in": live}}))
        elif choice < 0.55:
            self.act(one_deleted, LIVE, lambda: db.command(
                "restore", "documents", filter={"_id": one_deleted[0]}))
        elif choice < 0.7:
            self.act(deleted, LIVE, lambda: db.command(
                "restore", "documents", filter={"_id": {"$in": deleted}}))
        elif choice < 0.75:
            self.act(one_deleted, GONE, lambda: db.command(
                "purge", "documents", filter={"_id": one_deleted[0]}))
        elif choice < 0.85:
            gone = self.among(GONE, 3)
            self.act(gone, LIVE, lambda: documents.insert_many([document(k) for k in gone]))
        else:
            self.act(live, DELETED, lambda: self.transact(client, documents, live), is_whole=True)

    def transact(self, client, documents, keys):
        with client.start_session() as session, session.start_transaction():
            for key in keys:
                documents.delete_one({"_id": key}, session=session)


def document(key):
    return {"_id": key, "unique": key, "tag": len(key) % 3, "filler": "x" * (len(key) * 71 % 700)}


def check(database, states, workers):
    places = {}
    problems = []
    for place, scope in ((LIVE, None), (DELETED, "onlyDeleted")):
        for key in ids(database, "documents", scope):
            if key in places:
                problems.append(f"{key} is both live and deleted")
            places[key] = place
    both = sorted(ids(database, "documents", "withDeleted"))
    if both != sorted(places):
        problems.append("withDeleted shows other documents than both together")
    for state, worker in zip(states, workers):
        doubt = worker.doubt if worker else {}
        moved = {key for key, place in doubt.items() if places.get(key, GONE) == place}
        if worker and worker.is_whole and 0 < len(moved) < len(doubt):
            problems.append(f"half a transaction: {moved} of {doubt}")
        for key, place in state.items():
            found = places.get(key, GONE)
            if found not in {place, doubt.get(key, place)}:
                problems.append(f"{key}: acknowledged {place}, found {found}")
            state[key] = found
    return problems


def kill_rounds(options, folder):
    moments = random.Random(options.seed)
    states = [{f"{n}-{'k' * (k % 7)}{k}": GONE for k in range(KEYS)} for n in range(THREADS)]
    workers = [None] * THREADS
    for loop in range(options.loops):
        process, uri, client = start(options.roost, folder)
        if loop == 0:
            client.kill.create_collection("documents", softDelete={})
            client.kill.documents.create_index("unique", unique=True)
            client.kill.documents.create_index("tag")
        problems = check(client.kill, states, workers)
        client.close()
        workers = [Worker(n, uri, states[n], moments.random()) for n in range(THREADS)]
        for worker in workers:
            worker.start()
        time.sleep(moments.uniform(0.1, 0.8))
        process.send_signal(signal.SIGKILL)
        process.wait()
        for worker in workers:
            worker.join()
            if worker.failure:
                problems.append(f"refused: {worker.failure}")
        verified = subprocess.run(
            [options.roost, "verify", folder], capture_output=True, text=True, check=False)
        if verified.returncode != 0:
            problems.append(f"roost verify: {verified.stdout[-2000:]}{verified.stderr[-500:]}")
        if problems:
            print(f"loop {loop}: {len(problems)} problems; folder {folder}")
            print("\n".join(problems[:20]))
            sys.exit(1)
    print(f"soft deletes: {options.loops} kills, every document in one place")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("roost")
    parser.add_argument("--loops", type=int, default=15)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    print(f"seed {options.seed}")
    folder = tempfile.mkdtemp(prefix="soft-")
    process, uri, client = start(options.roost, folder)
    try:
        walk_through(client, uri)
    finally:
        client.close()
        process.kill()
        process.wait()
    kill_rounds(options, folder)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
