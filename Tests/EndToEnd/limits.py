"""Time limits, killed clients and stops: whatever runs, it ends when it is told to.

    limits.py ROOST

Commands and expressions that would run for minutes are given 200 ms (maxTimeMS) and must answer
with MaxTimeMSExpired, having left the rest undone; those of clients that go away must end; a server
that is told to stop (SIGTERM, SIGINT) while one runs must be gone within seconds, with status 0 and
a folder that `roost verify` finds sound.
"""

import signal
import subprocess
import sys
import threading
import time

import pymongo
from bson import encode
from pymongo.errors import OperationFailure, PyMongoError

from server import Server, wait_until

LIMIT, SLACK = 0.2, 3
DOCUMENTS = 60_000
# A loop of a hundred million rounds.
ENDLESS = {"$reduce": {
    "input": {"$range": [0, 10_000]}, "initialValue": 0,
    "in": {"$add": ["$$value", {"$size": {"$map": {
        "input": {"$range": [0, 10_000]}, "in": {"$add": ["$$this", 1]}}}}]}}}
MEGABYTES = {"$reduce": {"input": {"$range": [0, 22]}, "initialValue": "ab",
                         "in": {"$concat": ["$$value", "$$value"]}}}
MANY = {"$range": [0, 1_000_000]}


def fill(db):
    db.docs.drop()
    db.one.drop()
    for start in range(0, DOCUMENTS, 10_000):
        db.docs.insert_many(
            [{"_id": i, "n": 0, "k": i * 7919 % DOCUMENTS, "tags": [f"t{i + j}" for j in range(10)]}
             for i in range(start, start + 10_000)])
    db.one.insert_one({"_id": 1, "s": "a" * 2_000_000})


def commands():
    """What must end: a name and the command, on the database `limits`."""
    def pipeline(*stages, collection="one"):
        return {"aggregate": collection, "pipeline": list(stages), "cursor": {}}

    def expression(value):
        return pipeline({"$project": {"x": {"$toString": {"$type": value}}}})

    slow = {"$expr": {"$gt": [ENDLESS, 0]}}
    yield "aggregate", expression(ENDLESS)
    yield "find", {"find": "one", "filter": slow}
    yield "count", {"count": "one", "query": slow}
    yield "distinct", {"distinct": "one", "key": "s", "query": slow}
    yield "update with a slow filter", {
        "update": "one", "updates": [{"q": slow, "u": {"$set": {"x": 1}}, "multi": True}]}
    yield "update of one _id with a slow filter", {
        "update": "one", "updates": [{"q": {"_id": 1, **slow}, "u": {"$set": {"x": 1}}}]}
    yield "update by a slow pipeline", {
        "update": "one", "updates": [{"q": {"_id": 1}, "u": [{"$set": {"x": ENDLESS}}]}]}
    yield "delete with a slow filter", {"delete": "one", "deletes": [{"q": slow, "limit": 0}]}
    yield "bulkWrite", {
        "bulkWrite": 1, "nsInfo": [{"ns": "limits.one"}],
        "ops": [{"update": 0, "filter": slow, "updateMods": {"$set": {"x": 1}}, "multi": True}]}
    yield "findAndModify", {"findAndModify": "one", "query": slow, "update": {"$set": {"x": 1}}}
    yield "findAndModify by a slow pipeline", {
        "findAndModify": "one", "query": {"_id": 1}, "update": [{"$set": {"x": ENDLESS}}]}
    yield "$out", pipeline({"$set": {"x": ENDLESS}}, {"$out": "copy"})
    yield "$merge", pipeline({"$set": {"x": ENDLESS}}, {"$merge": "copy"})
    yield "$lookup", pipeline(
        {"$lookup": {"from": "docs", "let": {"k": "$k"}, "as": "x", "pipeline": [
            {"$match": {"$expr": {"$eq": ["$n", "$$k"]}}}]}}, collection="docs")
    yield "$unwind", pipeline(
        {"$set": {"a": MANY, "b": MANY}}, {"$unwind": "$a"}, {"$unwind": "$b"},
        {"$count": "n"})
    yield "let", {"find": "one", "filter": {}, "let": {"x": ENDLESS}}
    yield "a projection of findAndModify", {
        "findAndModify": "one", "query": {"_id": 1}, "update": {"$set": {"y": 1}},
        "fields": {"x": ENDLESS}}
    yield "$group", pipeline({"$group": {"_id": {"$mod": ["$k", 10]}, "x": {"$sum": ENDLESS}}},
                             collection="docs")
    yield "$indexOfBytes", expression({"$map": {"input": {"$range": [0, 10_000]}, "in": {
        "$indexOfBytes": ["$s", {"$concat": [{"$substrBytes": ["$s", 0, 1_000_000]}, "b"]}]}}})
    yield "$indexOfCP", expression({"$map": {"input": {"$range": [0, 10_000]}, "in": {
        "$indexOfCP": ["$s", {"$concat": [{"$substrBytes": ["$s", 0, 1_000_000]}, "b"]}]}}})
    yield "$regexFindAll", expression({"$map": {"input": {"$range": [0, 10_000]}, "in": {
        "$size": {"$regexFindAll": {"input": "$s", "regex": "(a{1,100}b)|c"}}}}})
    yield "$replaceAll", expression({"$map": {"input": {"$range": [0, 10_000]}, "in": {
        "$strLenBytes": {"$replaceAll": {"input": "$s", "find": "a", "replacement": "b"}}}}})
    yield "$split", expression({"$map": {"input": {"$range": [0, 10_000]}, "in": {
        "$size": {"$split": ["$s", "b"]}}}})
    yield "$toUpper", expression({"$map": {"input": {"$range": [0, 100_000]}, "in": {
        "$strLenCP": {"$toUpper": "$s"}}}})
    yield "$trim", expression({"$map": {"input": {"$range": [0, 100_000]}, "in": {
        "$strLenCP": {"$trim": {"input": "$s", "chars": {
            "$concat": ["b", {"$replaceAll": {"input": "$s", "find": "a", "replacement": "c"}},
                        "a"]}}}}}})
    yield "$sortArray", expression({"$map": {"input": {"$range": [0, 10_000]}, "in": {
        "$size": {"$sortArray": {"input": MANY, "sortBy": -1}}}}})
    yield "$setUnion", expression({"$map": {"input": {"$range": [0, 10_000]}, "in": {
        "$size": {"$setUnion": [MANY, [1]]}}}})
    yield "$in", expression({"$map": {"input": {"$range": [0, 100_000]}, "in": {
        "$in": [-1, MANY]}}})
    yield "$indexOfArray", expression({"$map": {"input": {"$range": [0, 100_000]}, "in": {
        "$indexOfArray": [MANY, -1]}}})
    yield "$sum over an array", expression({"$map": {"input": {"$range": [0, 100_000]}, "in": {
        "$sum": [MANY]}}})
    yield "$eq of large values", expression({"$map": {"input": {"$range": [0, 100_000]}, "in": {
        "$eq": [MANY, MANY]}}})
    yield "createIndexes", {"createIndexes": "docs", "indexes": [
        {"name": "tags", "key": {"tags": 1, "k": 1}}, {"name": "wild", "key": {"$**": 1}}]}
    yield "validate", {"validate": "docs", "full": True}
    # Last: what they change before their limit stays, and would leave the builds less to do.
    yield "multi-update", {
        "update": "docs", "updates": [{"q": {"n": 0}, "u": {"$inc": {"n": 1}}, "multi": True}]}
    yield "many updates", {
        "update": "docs",
        "updates": [{"q": {"k": -i}, "u": {"$inc": {"n": 1}}} for i in range(1, 1000)]}
    yield "multi-delete", {"delete": "docs", "deletes": [{"q": {"n": {"$gte": 0}}, "limit": 0}]}


def in_time(client):
    """Each command says 50 soon after its limit; answers how many did their work before it."""
    db = client.limits
    quick = []
    for name, command in commands():
        target = client.admin if "bulkWrite" in command else db
        command = {**command, "maxTimeMS": int(LIMIT * 1000)}
        start = time.monotonic()
        try:
            answer = target.command(command)
            assert "writeErrors" not in answer, (name, answer["writeErrors"][0])
        except OperationFailure as error:
            # 146: values that outgrow their bound end an expression too.
            assert error.code == 50 or (error.code == 146 and "MiB" in str(error)), (name, error)
        else:
            quick.append(name)
        took = time.monotonic() - start
        print(f"    {took:6.2f} s  {name}", flush=True)
        assert took < LIMIT + SLACK, f"{name} took {took:.2f} s"
        assert "tags" not in db.docs.index_information(), name
    changed = db.docs.count_documents({"n": {"$gt": 0}})
    if "multi-update" not in quick:
        assert changed < DOCUMENTS, "a multi-update that timed out changed everything"
    assert db.copy.count_documents({}) == 0
    return quick


def bounded_memory(client):
    """Values that double with each round end with an error that names the bound."""
    doubling = {"$reduce": {
        "input": {"$range": [0, 60]}, "initialValue": [1, 2],
        "in": {"$concatArrays": ["$$value", "$$value"]}}}
    for value in (doubling, {"$concatArrays": [MANY] * 40}):
        for command in (
                {"aggregate": "one", "cursor": {}, "pipeline": [
                    {"$project": {"x": {"$size": value}}}]},
                {"update": "one", "updates": [{"q": {"_id": 1}, "u": [
                    {"$set": {"x": {"$size": value}}}]}]}):
            try:
                answer = client.limits.command({**command, "maxTimeMS": 60_000})
                assert "writeErrors" in answer, (value, answer)
                code, message = answer["writeErrors"][0]["code"], str(answer)
            except OperationFailure as error:
                code, message = error.code, str(error)
            assert code == 146 and "MiB" in message, message


def running(client):
    operations = client.admin.aggregate([{"$currentOp": {}}])
    return [o["command"] for o in operations if o.get("command", {}).get("comment") == "endless"]


def endless():
    """Commands that run for minutes, and what makes them so."""
    group = [{"$group": {"_id": "$k", "x": {"$sum": ENDLESS}}}]
    yield "aggregate", {"aggregate": "docs", "pipeline": group, "cursor": {}}
    yield "$out", {"aggregate": "docs", "cursor": {}, "pipeline": [
        {"$set": {"x": ENDLESS}}, {"$out": "copy"}]}
    yield "$merge", {"aggregate": "docs", "cursor": {}, "pipeline": [
        {"$set": {"x": ENDLESS}}, {"$merge": "copy"}]}
    yield "multi-update", {"update": "docs", "updates": [
        {"q": {}, "u": [{"$set": {"x": ENDLESS}}], "multi": True}]}
    yield "multi-update with a slow filter", {"update": "docs", "updates": [
        {"q": {"$expr": {"$gt": [ENDLESS, 0]}}, "u": {"$set": {"x": 1}}, "multi": True}]}
    yield "update by _id", {"update": "docs", "updates": [
        {"q": {"_id": 1}, "u": [{"$set": {"x": ENDLESS}}]}]}
    yield "findAndModify", {"findAndModify": "docs", "query": {"_id": 1},
                            "update": [{"$set": {"x": ENDLESS}}]}
    yield "multi-delete", {"delete": "docs", "deletes": [
        {"q": {"$expr": {"$gt": [ENDLESS, 0]}}, "limit": 0}]}
    yield "index build", {"createIndexes": "docs", "indexes": [
        {"name": "slow", "key": {"tags": 1},
         "partialFilterExpression": {"tags": {"$exists": True}}}, {"name": "w", "key": {"$**": 1}}]}


def start_one(server, command):
    """Runs a command on a socket of its own, which the caller closes."""
    connection = server.connect()
    server.send(connection, encode({**command, "comment": "endless", "$db": "limits"}))
    return connection


def gone_clients(server, client):
    """What a client left running ends within a second: the processors rest then."""
    for name, command in endless():
        connection = start_one(server, command)
        if name != "index build":
            wait_until(lambda: running(client), 10, f"{name} should be running")
        else:
            time.sleep(0.1)
        connection.close()
        time.sleep(1)
        busy = server.processor_seconds()
        time.sleep(0.5)
        busy = server.processor_seconds() - busy
        assert busy < 0.25, f"{name} runs on for a client that has gone ({busy:.2f} s in 0.5)"
        wait_until(lambda: "w" not in client.limits.docs.index_information()
                   or name != "index build", 3, "an abandoned index stays")
        start = time.monotonic()
        client.limits.docs.update_one({"_id": 2}, {"$set": {"y": name}})
        took = time.monotonic() - start
        assert took < 2, f"a write waited {took:.1f} s behind an abandoned {name}"
    assert client.limits.copy.count_documents({}) == 0
    # A client that wants no answer may leave: its write is made.
    connection = server.connect()
    server.send(connection, encode({"insert": "left", "documents": [{"_id": 1}],
                                    "writeConcern": {"w": 0}, "$db": "limits"}), flags=2)
    connection.close()
    wait_until(lambda: client.limits.left.count_documents({}) == 1, 2, "an unacknowledged insert")


def stops(server):
    """SIGTERM and SIGINT end the server whatever runs."""
    for number, (name, command) in enumerate(endless()):
        client = server.client()
        connection = start_one(server, command)
        if name != "index build":
            wait_until(lambda: running(client), 10, f"{name} should be running")
        else:
            time.sleep(0.05)
        client.close()
        start = time.monotonic()
        server.process.send_signal(signal.SIGTERM if number % 2 else signal.SIGINT)
        status = server.process.wait(timeout=30)
        took = time.monotonic() - start
        connection.close()
        print(f"    {took:6.2f} s  to stop during {name}", flush=True)
        assert status == 0, f"{name}: status {status}"
        assert took < 4, f"stopping took {took:.1f} s during {name}"
        assert "stopped" in server.log()
        server.start()
    server.stop()
    found = subprocess.run([server.binary, "verify", server.folder], capture_output=True, text=True)
    assert found.returncode == 0, found.stdout


def main():
    server = Server(sys.argv[1])
    try:
        server.start()
        client = server.client()
        fill(client.limits)
        quick = in_time(client)
        bounded_memory(client)
        fill(client.limits)
        gone_clients(server, client)
        client.close()
        stops(server)
        print(f"time limits, gone clients, stops: all ended ({len(quick)} commands were done before "
              f"their limit: {', '.join(quick) or 'none'})")
    finally:
        server.remove()


if __name__ == "__main__":
    main()
