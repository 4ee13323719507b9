"""Capped collections, TTL indexes and counters under load, over kills of the server.

    special_collections.py ROOST [--seconds N] [--kills N] [--seed S]

- Capped: many clients insert while others follow with tailable cursors. Never more documents than
  `max` or bytes than `size`; all readers see one order, each client's documents in the order of its
  inserts, without gaps or repetitions; who can't keep up is told (136), not given a gap.
- TTL: what is over goes within a pass or two, nothing else does, while clients write; a document
  whose time is put off in time stays.
- Counters: numbers taken with findAndModify, updates and upserts by many clients are each given
  once, without gaps; after kills -9 no acknowledged number is given again.
"""

import argparse
import datetime
import random
import subprocess
import sys
import threading
import time

import pymongo
from pymongo.errors import OperationFailure, PyMongoError

from server import Server, wait_until


def run_threads(targets):
    """Runs functions beside each other; the first error of any is raised."""
    failures = []

    def guarded(target):
        try:
            target()
        except BaseException as error:  # pylint: disable=broad-except
            failures.append(error)
    threads = [threading.Thread(target=guarded, args=(target,)) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


# Capped collections.

WRITERS = 6


def capped(server, seconds):
    client = server.client()
    db = client.capped
    db.create_collection("ring", capped=True, size=4 << 20, max=2_000)
    db.ring.create_index("writer")
    db.ring.insert_one({"writer": -1, "n": 0})
    ended = threading.Event()
    seen = [[] for _ in range(3)]
    written = [0] * WRITERS

    def write(number):
        own = server.client().capped.ring
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            count = 1 + number % 3
            own.insert_many([
                {"writer": number, "n": written[number] + i, "pad": "x" * (number * 50)}
                for i in range(count)])
            written[number] += count

    def follow(number):
        cursor = server.client().capped.ring.find(
            cursor_type=pymongo.CursorType.TAILABLE_AWAIT).max_await_time_ms(200)
        quiet = 0
        while cursor.alive and quiet < 3:
            document = next(cursor, None)
            if document is None:
                quiet += ended.is_set()
                continue
            seen[number].append((document["writer"], document["n"]))

    def write_all():
        run_threads([lambda n=n: write(n) for n in range(WRITERS)])
        ended.set()

    def bounds():
        while not ended.is_set():
            stats = db.command("collStats", "ring")
            assert stats["count"] <= 2_000 and stats["size"] <= 4 << 20, stats
            assert stats["capped"] and stats["max"] == 2_000
            time.sleep(0.05)
    run_threads([write_all, bounds, *[lambda n=n: follow(n) for n in range(3)]])
    total = sum(written) + 1
    for reader in seen:
        assert len(reader) == total, (len(reader), total)
        assert reader == seen[0], "two readers saw two orders"
        for number in range(WRITERS):
            own = [n for writer, n in reader if writer == number]
            assert own == list(range(written[number])), f"writer {number} out of order"
    # What is there are the last ones, by any way of reading.
    wanted = seen[0][-2_000:]
    found = [(d["writer"], d["n"]) for d in db.ring.find()]
    assert found == wanted[-len(found):], "not the newest documents are left"
    assert total < 2_000 or len(found) == 2_000, len(found)
    backwards = [(d["writer"], d["n"]) for d in db.ring.find().sort("$natural", -1)]
    assert backwards == found[::-1]
    for number in range(WRITERS):
        assert db.ring.count_documents({"writer": number}) == \
            sum(writer == number for writer, _ in found), "the index holds others"
    # By size alone.
    db.create_collection("bytes", capped=True, size=100_000)
    for n in range(500):
        db.bytes.insert_one({"_id": n, "pad": "x" * 1_000})
        stats = db.command("collStats", "bytes")
        assert stats["size"] <= stats["maxSize"], stats
    left = [d["_id"] for d in db.bytes.find()]
    assert left == list(range(left[0], 500)) and 50 < len(left) < 120, left
    # Who is overtaken is told. (PyMongo's cursors end silently at this error.)
    cursor = db.command("find", "bytes", tailable=True, batchSize=2)["cursor"]["id"]
    db.bytes.insert_many([{"_id": n, "pad": "x" * 1_000} for n in range(500, 900)])
    try:
        more = db.command("getMore", cursor, collection="bytes")
        raise AssertionError(f"a reader that was overtaken read on: {str(more)[:200]}")
    except OperationFailure as error:
        assert error.code == 136, error
    print(f"capped: {total} inserts by {WRITERS} clients, three readers saw all in one order")


# TTL.

def expiry(server, seconds):
    client = server.client()
    client.admin.command("setParameter", 1, ttlMonitorSleepSecs=1)
    ttl = client.ttl.sessions
    ttl.create_index("at", expireAfterSeconds=3)
    stays, goes = set(), set()
    lock = threading.Lock()

    def write(number):
        own, rng = server.client().ttl.sessions, random.Random(number)
        end = time.monotonic() + seconds
        n = 0
        while time.monotonic() < end:
            now = datetime.datetime.now(datetime.timezone.utc)
            rows = []
            for _ in range(10):
                n += 1
                kind = rng.randrange(5)
                at = [now - datetime.timedelta(seconds=60), now + datetime.timedelta(hours=1),
                      "text", None, [now - datetime.timedelta(days=1), now]][kind]
                key = f"{number}-{n}"
                rows.append({"_id": key, "at": at})
                with lock:
                    (goes if kind in (0, 4) else stays).add(key)
            own.insert_many(rows)
            # One that is soon over is kept alive again and again.
            own.update_one({"_id": f"alive{number}"}, {"$set": {"at": now}}, upsert=True)

    def kept_alive():
        end = time.monotonic() + seconds
        time.sleep(1)
        while time.monotonic() < end:
            assert ttl.count_documents({"_id": {"$regex": "^alive"}}) == 3, "deleted too early"
            time.sleep(0.05)
    run_threads([*[lambda n=n: write(n) for n in range(3)], kept_alive])

    def left():
        return {d["_id"] for d in ttl.find({}, {"_id": 1})}
    wait_until(lambda: not left() & goes, 30, "expired documents stay")
    assert stays <= left(), f"{len(stays - left())} documents went that should stay"
    wait_until(lambda: left() == stays, 30, "what is kept alive no longer does not go")
    # Over a kill, and put off by collMod.
    soon = datetime.datetime.now(datetime.timezone.utc)
    ttl.insert_many([{"_id": f"soon{n}", "at": soon} for n in range(100)])
    client.ttl.command("collMod", "sessions",
                       index={"keyPattern": {"at": 1}, "expireAfterSeconds": 100_000})
    server.kill()
    server.start()
    client = server.client()
    client.admin.command("setParameter", 1, ttlMonitorSleepSecs=1)
    ttl = client.ttl.sessions
    time.sleep(5)
    assert ttl.count_documents({"_id": {"$regex": "^soon"}}) == 100, "gone before their time"
    client.ttl.command("collMod", "sessions",
                       index={"keyPattern": {"at": 1}, "expireAfterSeconds": 1})
    wait_until(lambda: left() == stays, 30, "what collMod made old stays")
    print(f"TTL: {len(goes)} went, {len(stays)} stayed")


# Counters.

def counters(server, seconds, kills, rng):
    given = {}  # number -> how it was taken
    lock = threading.Lock()
    added = [0, 0]  # acknowledged, without an answer

    def note(number, how):
        with lock:
            assert number not in given, f"{number} was given twice: {given[number]}, {how}"
            given[number] = how

    def take(number, stop):
        client = server.client(serverSelectionTimeoutMS=2_000)
        db = client.counters
        try:
            while not stop.is_set():
                found = db.sequences.find_one_and_update(
                    {"_id": "orders"}, {"$inc": {"next": 1}}, upsert=True,
                    return_document=pymongo.ReturnDocument.AFTER)
                note(found["next"], number)
                with lock:
                    added[1] += 1
                db.totals.update_one({"_id": number % 2}, {"$inc": {"n": 1}}, upsert=True)
                with lock:
                    added[0] += 1
                    added[1] -= 1
        except (PyMongoError, OSError):
            # The server was killed; the number that was being taken may be lost.
            assert stop.is_set()
        finally:
            client.close()

    lost = 0
    for round_ in range(kills + 1):
        stop = threading.Event()

        def end(stop=stop, round_=round_):
            time.sleep(seconds if round_ == kills else rng.uniform(0.2, 0.6))
            stop.set()
            if round_ < kills:
                server.kill()
        run_threads([*[lambda n=n: take(n, stop) for n in range(8)], end])
        if round_ < kills:
            server.start()
        db = server.client().counters
        highest = db.sequences.find_one({"_id": "orders"})["next"]
        assert highest >= max(given), f"{max(given)} was given, the counter is at {highest}"
        lost = highest - len(given)
        # Each client may have had one number on its way at each kill.
        assert 0 <= lost <= 8 * (round_ + 1), (lost, round_)
        total = sum(d["n"] for d in db.totals.find())
        assert added[0] <= total <= added[0] + added[1], (total, added)
        assert db.totals.count_documents({}) == 2, "an upsert made a second counter"
    if kills == 0:
        assert lost == 0
    print(f"counters: {len(given)} numbers, each given once; {lost} lost in {kills} kills")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("roost")
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--kills", type=int, default=4)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    options = parser.parse_args()
    print(f"seed {options.seed}")
    server = Server(options.roost)
    try:
        server.start()
        capped(server, options.seconds)
        expiry(server, options.seconds)
        counters(server, options.seconds, options.kills, random.Random(options.seed))
        assert server.stop() == 0
        found = subprocess.run(
            [options.roost, "verify", server.folder], capture_output=True, text=True, check=False)
        assert found.returncode == 0, found.stdout
    finally:
        server.remove()


if __name__ == "__main__":
    sys.exit(main())
