"""Ways around the security rules, each named and tried by an app user: by a driver over TCP, in the
text language, by live queries and change streams, and at the shell.

    rules_adversary.py ROOST

A server holds documents of two users; the attacker is signed in as one of them and wants what the
other has: the string SECRET, the number 4242, or to change `victim`. Each attempt must end without
any of them in an answer, an error or a difference of counts, and without a change.
"""

import argparse
import json
import re
import subprocess
import sys

import pymongo
from bson import Int64, ObjectId, Timestamp
from pymongo.errors import PyMongoError

from rules_adversary_ways import LIVE, PLACES, SHELL, STREAMS, TEXT
from server import Server

RULES = """
rules_version = '2';
service cloud.firestore {
  option mode = '%s';
  match /databases/{db}/documents {
    match /notes/{id} {
      allow read, delete: if resource.data.owner == request.auth.uid;
      allow create: if request.resource.data.owner == request.auth.uid;
      allow update: if resource.data.owner == request.auth.uid
        && request.resource.data.owner == request.auth.uid;
    }
    match /people/{id} {
      allow read, update: if request.auth != null hide ['salary', 'inner.pin'];
      allow create: if request.auth != null;
    }
    match /box/{id} { allow create, update: if request.auth != null; }
    match /users/{uid}/files/{id} { allow read: if uid == request.auth.uid; }
  }
}
"""

# The number stands alone: cursors' ids and tokens may hold its digits by chance.
SECRETS = (re.compile("SECRET"), re.compile("(?<![0-9a-f])4242(?![0-9a-f])"))
attempts = []


def attempt(function):
    attempts.append(function)
    return function


def run(db, **command):
    """A command with its name first, and the batches of its cursor, of a stream until one is empty."""
    reply = db.command(command)
    found = [reply]
    cursor = reply.get("cursor")
    while cursor and cursor.get("id"):
        reply = db.command({"getMore": cursor["id"], "collection": cursor["ns"].split(".", 1)[1]})
        found.append(reply)
        cursor = reply["cursor"]
        if not cursor["nextBatch"]:
            db.command({"killCursors": command[next(iter(command))], "cursors": [cursor["id"]]})
            break
    return found


def find(db, filter=None, collection="notes", **more):
    return run(db, find=collection, filter=filter or {}, **more)


def pipe(db, *stages, collection="notes"):
    return run(db, aggregate=collection, pipeline=list(stages), cursor={})


def simple(name, function):
    function.__name__ = name
    attempts.append(function)


for name, function in {
    "find everything": lambda db: find(db),
    "find by the victim's name": lambda db: find(db, {"owner": "victim"}),
    "find by _id": lambda db: find(db, {"_id": "v1"}),
    "find by _id and a guess": lambda db: find(db, {"_id": "v1", "text": {"$regex": "SEC"}}),
    "find by $expr": lambda db: find(db, {"$expr": {"$eq": ["$owner", "victim"]}}),
    "find with $or of mine and all": lambda db: find(db, {"$or": [{"owner": "me"}, {}]}),
    "find with $nor": lambda db: find(db, {"$nor": [{"owner": "me"}]}),
    "find with a case-blind collation": lambda db: find(
        db, {"owner": "ME"}, collation={"locale": "en", "strength": 1}),
    "find with a hint": lambda db: find(db, hint="_id_"),
    "find by min and max": lambda db: find(db, hint="_id_", min={"_id": "v"}, max={"_id": "w"}),
    "find index keys": lambda db: find(db, returnKey=True, hint="text_1"),
    "find deleted documents": lambda db: find(db, withDeleted=True),
    "find only deleted documents": lambda db: find(db, onlyDeleted=True),
    "find tailing": lambda db: find(db, tailable=True),
    "an error that tells a value": lambda db: find(
        db, {"$expr": {"$eq": [{"$toInt": "$text"}, 1]}}),
    "an error of dividing by a hidden value": lambda db: find(
        db, {"$expr": {"$divide": [1, {"$subtract": ["$salary", 4242]}]}}, "people"),
    "count": lambda db: expect_count(db, {"count": "notes", "query": {"owner": "victim"}}),
    "count all": lambda db: expect_count(db, {"count": "notes"}, 1),
    "distinct": lambda db: run(db, distinct="notes", key="text"),
    "distinct of a hidden field": lambda db: run(db, distinct="people", key="salary"),
    "aggregate": lambda db: pipe(db, {"$match": {"owner": "victim"}}),
    "group": lambda db: pipe(db, {"$group": {"_id": "$text"}}),
    "$lookup": lambda db: pipe(db, {"$match": {"owner": "me"}}, {"$lookup": {
        "from": "notes", "pipeline": [], "as": "all"}}),
    "$lookup by a field": lambda db: pipe(db, {"$match": {"owner": "me"}}, {"$lookup": {
        "from": "notes", "localField": "friend", "foreignField": "owner", "as": "all"}}),
    "$graphLookup": lambda db: pipe(db, {"$match": {"owner": "me"}}, {"$graphLookup": {
        "from": "notes", "startWith": "$friend", "connectFromField": "friend",
        "connectToField": "owner", "as": "all"}}),
    "$unionWith": lambda db: pipe(db, {"$match": {"owner": "me"}}, {"$unionWith": "notes"}),
    "$unionWith in $facet": lambda db: pipe(db, {"$match": {"owner": "me"}}, {"$facet": {
        "a": [{"$lookup": {"from": "notes", "pipeline": [], "as": "x"}}]}}),
    "$unionWith of another collection": lambda db: pipe(
        db, {"$match": {"owner": "me"}}, {"$unionWith": "vault"}),
    "$out": lambda db: pipe(db, {"$match": {"owner": "me"}}, {"$out": "notes"}),
    "$merge": lambda db: pipe(db, {"$match": {"owner": "me"}}, {"$merge": "vault"}),
    "$collStats": lambda db: pipe(db, {"$collStats": {"count": {}}}, collection="vault"),
    "$indexStats": lambda db: pipe(db, {"$indexStats": {}}),
    "$planCacheStats": lambda db: pipe(db, {"$planCacheStats": {}}),
    "$changeStream": lambda db: pipe(db, {"$changeStream": {}}),
    "$currentOp": lambda db: run(
        db.client.admin, aggregate=1, pipeline=[{"$currentOp": {"allUsers": True}}], cursor={}),
    "$listSessions": lambda db: pipe(db, {"$listLocalSessions": {}}),
    "a view over the victim's notes": lambda db: find(db, collection="spy"),
    "making a view": lambda db: run(db, create="mine", viewOn="notes", pipeline=[]),
    "a collection without rules": lambda db: find(db, collection="vault"),
    "another's files": lambda db: find(db, {"_id": "victim/1"}, "users.files"),
    "a slash in an id": lambda db: find(db, {"_id": "me/../victim/1"}, "users.files"),
    "the rules' own collection": lambda db: run(db.client.admin, find="roost.rules"),
    "the log of changes": lambda db: run(db.client.local, find="oplog.rs"),
    "explain": lambda db: run(db, explain={"find": "notes", "filter": {"owner": "victim"}}),
    "explain in aggregate": lambda db: run(db, aggregate="notes", pipeline=[], explain=True),
    "a text query": lambda db: run(db, query="from notes"),
    "a text query by _id": lambda db: run(db, query="from notes | where _id == 'v1'"),
    "a text query of a hidden field": lambda db: expect_none(
        run(db, query="from people | where salary == 4242")),
    "a text query that joins": lambda db: run(
        db, query="from notes | where owner == 'me' | join notes on friend == owner as all"),
    "a text query of deleted documents": lambda db: run(db, query="from deleted notes"),
    "a text query that explains": lambda db: run(
        db, query="explain from notes | where owner == 'victim'"),
    "a text query that inserts as the victim": lambda db: run(
        db, query="insert into notes { _id: 'n', owner: 'victim' }"),
    "a text query that updates": lambda db: run(
        db, query="update notes where _id == 'v1' set text = 'x'"),
    "a text query that updates all": lambda db: run(
        db, query="update notes where true set owner = 'me'"),
    "a text query that copies a hidden field": lambda db: run(
        db, query="update people where _id == 1 set shown = salary"),
    "a text query that deletes": lambda db: run(db, query="delete from notes where _id == 'v1'"),
    "a text query that purges": lambda db: run(db, query="purge from notes where _id == 'v1'"),
    "a text query that makes an index": lambda db: run(
        db, query="create index on notes (owner) unique"),
    "a text query that drops": lambda db: run(db, query="drop collection notes"),
    "$merge over the victim's note": lambda db: pipe(
        db, {"$match": {"owner": "me"}}, {"$set": {"_id": "v1"}}, {"$merge": "notes"}),
    "$merge that replaces": lambda db: pipe(
        db, {"$match": {"owner": "me"}}, {"$set": {"_id": "v1"}},
        {"$merge": {"into": "notes", "whenMatched": "replace"}}),
    "$merge by a pipeline": lambda db: pipe(
        db, {"$match": {"owner": "me"}}, {"$set": {"_id": 1}},
        {"$merge": {"into": "people", "whenMatched": [{"$set": {"shown": "$salary"}}]}}),
    "$merge of a hidden field": lambda db: pipe(
        db, {"$match": {"owner": "me"}}, {"$project": {"_id": {"$literal": 1}, "salary": "7"}},
        {"$merge": {"into": "people", "whenNotMatched": "fail"}}),
    "$merge of the victim's notes": lambda db: pipe(
        db, {"$match": {"owner": "victim"}}, {"$set": {"owner": "me"}}, {"$merge": "notes"}),
    "a live query": lambda db: follow(db, live="notes", filter={}),
    "a live query by the victim's name": lambda db: follow(
        db, live="notes", filter={"owner": "victim"}),
    "a live query of mine and theirs": lambda db: follow(
        db, live="notes", filter={"owner": {"$in": ["me", "victim"]}}),
    "a live query by _id": lambda db: follow(db, live="notes", filter={"_id": "v1"}),
    "a live query of my note, given away": lambda db: follow(
        db, live="notes", filter={"owner": "me"}),
    "a live window": lambda db: follow(
        db, live="notes", filter={"owner": "me"}, sort={"text": -1}, limit=3),
    "a live window of all": lambda db: follow(db, live="notes", sort={"text": 1}, limit=3),
    "a live group": lambda db: follow(
        db, live="notes", pipeline=[{"$group": {"_id": "$text", "n": {"$sum": 1}}}]),
    "a live count": lambda db: follow(db, live="notes", pipeline=[{"$count": "n"}]),
    "a live join": lambda db: follow(db, live="notes", pipeline=[
        {"$match": {"owner": "me"}}, {"$lookup": {
            "from": "notes", "localField": "friend", "foreignField": "owner", "as": "all"}}]),
    "a live union": lambda db: follow(db, live="notes", pipeline=[
        {"$match": {"owner": "me"}}, {"$unionWith": "vault"}]),
    "a live view": lambda db: follow(db, live="spy", pipeline=[]),
    "a live query without rules": lambda db: follow(db, live="vault"),
    "a live query of a hidden field": lambda db: expect_quiet(
        follow(db, live="people", filter={"salary": 4242})),
    "a live order by a hidden field": lambda db: follow(
        db, live="people", sort={"salary": -1}, limit=1),
    "a live query that groups by a hidden field": lambda db: follow(
        db, live="people", pipeline=[{"$group": {"_id": "$salary"}}]),
    "a live query by text": lambda db: follow(db, query="live from notes"),
    "a live query from another's token": lambda db: follow(
        db, live="notes", filter={}, resumeAfter=stolen[2]),
    "another's live cursor": lambda db: run(db, getMore=Int64(stolen[1]), collection="notes"),
    "a live query that writes": lambda db: follow(
        db, live="notes", pipeline=[{"$match": {"owner": "me"}}, {"$merge": "vault"}]),
    "explain of a live query": lambda db: run(db, explain={"live": "notes", "filter": {}}),
    "explain of a text query": lambda db: run(db, explain={"query": "from notes"}),
    "a hidden field by value": lambda db: expect_none(find(db, {"salary": 4242}, "people")),
    "a hidden field by range": lambda db: expect_none(find(
        db, {"salary": {"$gt": 0}}, "people")),
    "a hidden field by type": lambda db: expect_none(find(
        db, {"salary": {"$exists": True}}, "people")),
    "a hidden field by order": lambda db: expect_order(find(
        db, {}, "people", sort={"salary": -1}, limit=1)),
    "a hidden field by its index": lambda db: find(db, {}, "people", hint="salary_1"),
    "a hidden field by $rename": lambda db: update(
        db, "people", {"_id": 1}, {"$rename": {"salary": "shown"}}),
    "a hidden field by a pipeline": lambda db: update(
        db, "people", {"_id": 1}, [{"$set": {"shown": "$salary"}}]),
    "a hidden field by an update's filter": lambda db: expect_unmatched(
        update(db, "people", {"salary": 4242}, {"$set": {"seen": 1}})),
    "a hidden field by no change": lambda db: update(
        db, "people", {"_id": 1}, {"$set": {"salary": 4242}}),
    "a hidden field by findAndModify": lambda db: run(
        db, findAndModify="people", query={"_id": 1}, update={"$set": {"seen": 1}}),
    "a hidden inner field by $getField": lambda db: pipe(
        db, {"$project": {"a": {"$getField": {"field": "pin", "input": "$inner"}}}},
        collection="people"),
    "a hidden field by $$ROOT": lambda db: pipe(
        db, {"$project": {"a": {"$objectToArray": "$$ROOT"}}}, collection="people"),
    "an unreadable document by findAndModify": lambda db: run(
        db, findAndModify="box", query={"_id": 1}, update={"$set": {"a": 1}}),
    "an unreadable document by a pipeline": lambda db: update(
        db, "box", {"_id": 1}, [{"$set": {"copy": "$text"}}]),
    "an unreadable document by its filter": lambda db: expect_unmatched(update(
        db, "box", {"_id": 1, "text": "SECRET"}, {"$set": {"a": 1}})),
    "an error of an update": lambda db: expect_no_word("string", update_error(
        db, "notes", {"_id": "v1"}, {"$inc": {"text": 1}})),
    "an error of an update of a hidden field": lambda db: expect_no_word("object", update_error(
        db, "people", {"_id": 1}, {"$inc": {"inner.pin.x": 1}})),
    "a unique hidden value": lambda db: run(
        db, insert="people", documents=[{"_id": 9, "salary": 4242}]),
    "updating the victim's note": lambda db: update(
        db, "notes", {"_id": "v1"}, {"$set": {"text": "x"}}),
    "updating all notes": lambda db: update(
        db, "notes", {}, {"$set": {"owner": "me"}}, multi=True),
    "replacing the victim's note": lambda db: update(
        db, "notes", {"_id": "v1"}, {"owner": "me"}),
    "an upsert over it": lambda db: update(
        db, "notes", {"_id": "v1", "owner": "me"}, {"$set": {"text": "x"}}, upsert=True),
    "inserting as the victim": lambda db: run(
        db, insert="notes", documents=[{"_id": "n", "owner": "victim"}]),
    "deleting the victim's note": lambda db: run(
        db, delete="notes", deletes=[{"q": {"_id": "v1"}, "limit": 1}]),
    "deleting all notes": lambda db: run(
        db, delete="notes", deletes=[{"q": {"owner": "victim"}, "limit": 0}]),
    "giving a note away": lambda db: update(
        db, "notes", {"_id": "m1"}, {"$set": {"owner": "victim"}}),
    "findAndModify with remove": lambda db: run(
        db, findAndModify="notes", query={"_id": "v1"}, remove=True),
    "bulkWrite": lambda db: run(
        db.client.admin, bulkWrite=1, ops=[{"delete": 0, "filter": {"_id": "v1"}}],
        nsInfo=[{"ns": "app.notes"}]),
    "bulkWrite of updates": lambda db: bulk(
        db, {"update": 0, "filter": {"owner": "victim"}, "updateMods": {"$set": {"text": "x"}},
             "multi": True}),
    "bulkWrite of inserts": lambda db: bulk(
        db, {"insert": 0, "document": {"_id": "n", "owner": "victim"}}),
    "bulkWrite of a hidden field": lambda db: bulk(
        db, {"update": 1, "filter": {"_id": 1}, "updateMods": [{"$set": {"shown": "$salary"}}]}),
    "bulkWrite of another collection": lambda db: bulk(
        db, {"insert": 2, "document": {"_id": 9}}),
    "restoring and purging": lambda db: run(db, purge="notes", deletes=[{"q": {}, "limit": 0}]),
    "deploying rules": lambda db: run(db.client.admin, deployRules=1, source="service a {}"),
    "reading a denial": lambda db: run(db.client.admin, whyDenied="0" * 24),
    "dropping": lambda db: run(db, drop="notes"),
    "renaming": lambda db: run(db.client.admin, renameCollection="app.notes", to="app.mine"),
    "making an index": lambda db: run(db, createIndexes="notes", indexes=[
        {"key": {"owner": 1}, "name": "o", "unique": True}]),
    "listing collections": lambda db: run(db, listCollections=1),
    "listing databases": lambda db: run(db.client.admin, listDatabases=1),
    "statistics": lambda db: run(db, collStats="vault"),
    "a hash of the database": lambda db: run(db, dbHash=1),
    "the profile": lambda db: run(db, profile=2),
    "the log": lambda db: run(db.client.admin, getLog="global"),
    "operations": lambda db: run(db.client.admin, currentOp=1),
    "stepping up": lambda db: run(db, actAs={"uid": "victim"}) and find(db, {"owner": "victim"}),
    "a command in another case": lambda db: run(db, FIND="notes"),
    "an alias": lambda db: run(db, findandmodify="notes", query={"_id": "v1"}, remove=True),
    "the bypass of validators": lambda db: run(
        db, insert="notes", documents=[{"owner": "me"}], bypassDocumentValidation=True),
    "another's cursor": lambda db: run(db, getMore=Int64(stolen[0]), collection="notes"),
    "killing another's cursor": lambda db: expect_alive(
        run(db, killCursors="notes", cursors=[Int64(stolen[0])])),
    "a repeated read": lambda db: [find(db, {"_id": "v1"}) for _ in range(3)],
}.items():
    simple(name, function)

for name, statement in TEXT.items():
    simple(f"text: {name}", lambda db, text=statement, name=name: expect_mine(
        run(db, query=text), "in a condition" in name))
    simple(f"shell: text: {name}", lambda db, text=statement: shell(text))
for name, statement in SHELL.items():
    simple(f"shell: {name}", lambda db, text=statement: shell(text))
for name, filter in LIVE.items():
    simple(f"live: {name}", lambda db, filter=filter: follow(db, live="notes", filter=filter))
    simple(f"live window: {name}", lambda db, filter=filter: follow(
        db, live="notes", filter=filter, sort={"text": -1}, limit=2))
    simple(f"live group: {name}", lambda db, filter=filter: follow(
        db, live="notes", pipeline=[{"$match": filter}, {"$group": {
            "_id": "$text", "n": {"$max": "$n"}}}]))
for name, (argument, stages) in STREAMS.items():
    simple(f"stream: {name}", lambda db, argument=argument, stages=stages: watch(
        db, ("notes", "app"), argument, stages))
for name, place in PLACES.items():
    simple(f"stream of {name}", lambda db, place=place: watch(
        db, place, {"fullDocument": "updateLookup"}, []))

stolen = []
administrators = []
shells = []


class Leak(Exception):
    pass


def shell(statement):
    """What the shell says, with its connection the attacker's."""
    act = json.dumps({"actAs": {"uid": "me", "token": {}}})
    done = subprocess.run(
        shells[0] + ["-e", f"db.runCommand({act})", "-e", statement], capture_output=True,
        text=True, timeout=60)
    return done.stdout + done.stderr


def watch(db, place, argument, stages):
    """A change stream while the victim writes."""
    collection, database = place
    starts = {"past": {"startAtOperationTime": stolen[4]}, "token": {"resumeAfter": stolen[3]},
              "startAfter": {"startAfter": stolen[3]}}
    if isinstance(argument, str):
        argument = starts[argument]
    source = db.client[database]
    reply = source.command({"aggregate": collection, "cursor": {},
                            "pipeline": [{"$changeStream": argument}] + stages})
    found = [reply]
    app = administrators[0].app
    app.notes.update_one({"_id": "v1"}, {"$set": {"seen": "SECRET"}})
    app.notes.insert_one({"_id": "v3", "owner": "victim", "text": "SECRET"})
    app.notes.delete_one({"_id": "v3"})
    app.notes.update_one({"_id": "m1"}, {"$set": {"owner": "victim", "text": "SECRET"}})
    app.people.update_one({"_id": 1}, {"$inc": {"salary": 1}})
    app.people.update_one({"_id": 1}, {"$set": {"salary": 4242, "seen": 1}})
    app.vault.update_one({"_id": 1}, {"$set": {"seen": 1}})
    try:
        found += next_batches(source, reply, 100)
    finally:
        app.notes.update_one({"_id": "v1"}, {"$unset": {"seen": 1}})
        app.notes.update_one({"_id": "m1"}, {"$set": {"owner": "me", "text": "mine"}})
        app.people.update_one({"_id": 1}, {"$unset": {"seen": 1}})
        app.vault.update_one({"_id": 1}, {"$unset": {"seen": 1}})
    for reply in found:
        for event in reply["cursor"].get("firstBatch", reply["cursor"].get("nextBatch")):
            if event.get("documentKey", {}).get("_id") in ("v1", "v2", "v3"):
                raise Leak(f"an event of the victim's: {event}")
            if "lsid" in event or "salary" in str(event):
                raise Leak(f"an event that tells more: {event}")
    return found


def expect_mine(replies, tells_hidden=False):
    for reply in replies:
        cursor = reply.get("cursor", {})
        for row in cursor.get("firstBatch", cursor.get("nextBatch", [])):
            if tells_hidden or row.get("_id") in ("v1", "v2"):
                raise Leak(f"matched: {row}")
    return replies


def update(db, collection, filter, change, **more):
    return run(db, update=collection, updates=[{"q": filter, "u": change, **more}])


def next_batches(source, reply, millis):
    """Three more batches of a cursor that waits for what comes."""
    found = []
    for _ in range(3):
        cursor = reply["cursor"]
        if not cursor["id"]:
            break
        reply = source.command({"getMore": cursor["id"], "maxTimeMS": millis,
                                "collection": cursor["ns"].split(".", 1)[1]})
        found.append(reply)
    return found


def follow(db, **command):
    """A live query while the victim writes."""
    reply = db.command(command)
    found = [reply]
    app = administrators[0].app
    app.notes.update_one({"_id": "v1"}, {"$set": {"seen": "SECRET"}})
    app.notes.update_one({"_id": "m1"}, {"$set": {"owner": "victim", "text": "SECRET"}})
    app.people.update_one({"_id": 1}, {"$set": {"seen": 1}})
    try:
        found += next_batches(db, reply, 150)
    finally:
        app.notes.update_one({"_id": "v1"}, {"$unset": {"seen": 1}})
        app.notes.update_one({"_id": "m1"}, {"$set": {"owner": "me", "text": "mine"}})
        app.people.update_one({"_id": 1}, {"$unset": {"seen": 1}})
    for reply in found:
        events = reply["cursor"].get("firstBatch", reply["cursor"].get("nextBatch"))
        for event in events:
            if event.get("id") in ("v1", "v2"):
                raise Leak(f"an event of the victim's: {event}")
    return found


def run_live(db, **command):
    return db.command(command)["cursor"]["firstBatch"]


def expect_quiet(replies):
    for reply in replies:
        events = reply["cursor"].get("firstBatch", reply["cursor"].get("nextBatch"))
        if any(event["op"] != "ready" for event in events):
            raise Leak(f"events: {events}")
    return replies


def bulk(db, *ops):
    return run(db.client.admin, bulkWrite=1, ops=list(ops), nsInfo=[
        {"ns": "app.notes"}, {"ns": "app.people"}, {"ns": "app.vault"}])


def expect_count(db, command, most=0):
    reply = db.command(command)
    if reply["n"] > most:
        raise Leak(f"counted {reply['n']}")
    return reply


def expect_none(replies):
    if any(reply["cursor"]["firstBatch"] for reply in replies):
        raise Leak(f"matched: {replies}")
    return replies


def expect_order(replies):
    if replies[0]["cursor"]["firstBatch"][0]["_id"] != 0:
        raise Leak("the order tells the value")
    return replies


def expect_unmatched(replies):
    if any(reply.get("n") for reply in replies):
        raise Leak(f"matched: {replies}")
    return replies


def update_error(db, *arguments):
    try:
        return str(update(db, *arguments))
    except PyMongoError as error:
        return str(error)


def expect_no_word(word, answer):
    if word in answer:
        raise Leak(f"the error tells a type: {answer}")
    return answer


def expect_alive(replies):
    if replies[0]["cursorsKilled"]:
        raise Leak("killed another's cursor")
    return replies


def documents(admin):
    return {name: list(admin.app[name].find().sort("_id", 1))
            for name in ("notes", "vault", "users.files")}


def fill(admin):
    admin.drop_database("app")
    app = admin.app
    past = app.command({"aggregate": "notes", "pipeline": [{"$changeStream": {}}], "cursor": {}})
    app.notes.insert_many([
        {"_id": "m1", "owner": "me", "text": "mine", "friend": "victim"},
        {"_id": "v1", "owner": "victim", "text": "SECRET", "n": 4242},
        {"_id": "v2", "owner": ["me", "victim"], "text": "SECRET"},
        {"_id": ObjectId("0123456789abcdef01234567"), "owner": "victim", "text": "SECRET"}])
    app.notes.create_index("text")
    app.people.insert_many([
        {"_id": 0, "name": "zero", "salary": 1, "inner": {"pin": 1, "b": 2}},
        {"_id": 1, "name": "one", "salary": 4242, "inner": {"pin": 4242, "b": 2}}])
    app.people.create_index("salary", unique=True)
    app.box.insert_one({"_id": 1, "text": "SECRET"})
    app.vault.insert_one({"_id": 1, "text": "SECRET"})
    app["users.files"].insert_many([
        {"_id": "me/1", "t": 1}, {"_id": "victim/1", "text": "SECRET"}])
    admin.app.command({"create": "spy", "viewOn": "notes",
                       "pipeline": [{"$match": {"owner": "victim"}}]})
    cursor = admin.app.command({"find": "notes", "batchSize": 1, "filter": {}})["cursor"]
    live = admin.app.command({"live": "notes", "filter": {}})["cursor"]
    stolen[:] = [cursor["id"], live["id"], live["postBatchResumeToken"]["_data"],
                 past["cursor"]["postBatchResumeToken"], Timestamp(1, 1)]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("roost")
    parser.add_argument("--only", default="", help="ways whose names begin so")
    arguments = parser.parse_args()
    server = Server(arguments.roost, "--test-commands", "--log-level", "error")
    server.start()
    uri = f"mongodb://{server.address}/?directConnection=true&retryWrites=false"
    chosen = [way for way in attempts if way.__name__.startswith(arguments.only)]
    failures = 0
    allowed = 0
    try:
        admin = pymongo.MongoClient(uri)
        administrators[:] = [admin]
        shells[:] = [[arguments.roost, "shell", f"mongodb://{server.address}/app"]]
        for mode in ("strict", "filter"):
            admin.admin.command({"deployRules": 1, "source": RULES % mode})
            fill(admin)
            before = documents(admin)
            for function in chosen:
                # One connection, which the driver doesn't share with its monitoring.
                client = pymongo.MongoClient(uri, maxPoolSize=1)
                db = client.app
                db.command({"actAs": {"uid": "me", "token": {}}})
                try:
                    answer = str(function(db))
                    allowed += 1
                except Leak as leak:
                    print(f"LEAK {mode}: {function.__name__}: {leak}")
                    failures += 1
                    answer = ""
                except PyMongoError as error:
                    answer = str(error)
                for secret in SECRETS:
                    if secret.search(answer):
                        print(f"LEAK {mode}: {function.__name__}: {answer[:300]}")
                        failures += 1
                client.close()
                now = documents(admin)
                victims = [d for d in now["notes"] if d["owner"] != "me"]
                if victims != [d for d in before["notes"] if d["owner"] != "me"] or \
                        {**now, "notes": 0} != {**before, "notes": 0}:
                    print(f"CHANGE {mode}: {function.__name__}")
                    failures += 1
                if now != before:
                    fill(admin)
            # What is allowed still works.
            client = pymongo.MongoClient(uri, maxPoolSize=1)
            client.app.command({"actAs": {"uid": "me", "token": {}}})
            assert client.app.notes.find_one({"_id": "m1"})["text"] == "mine"
            assert len(list(client.app.notes.find({"owner": "me"}))) >= 1
            client.app.notes.insert_one({"owner": "me"})
            rows = run(client.app, query="from notes | where owner == 'me'")
            assert all(row["owner"] == "me" for row in rows[0]["cursor"]["firstBatch"])
            assert any(row["_id"] == "m1" for row in rows[0]["cursor"]["firstBatch"])
            run(client.app, query="insert into notes { _id: 't', owner: 'me' }")
            run(client.app, query="update notes where _id == 't' set text = 'u'")
            assert client.app.notes.find_one({"_id": "t"})["text"] == "u"
            run(client.app, query="delete from notes where _id == 't'")
            reply = bulk(client.app, {"insert": 0, "document": {"_id": "b", "owner": "me"}},
                         {"delete": 0, "filter": {"_id": "b"}})[0]
            assert (reply["nInserted"], reply["nDeleted"], reply["nErrors"]) == (1, 1, 0), reply
            run(client.app, aggregate="notes", cursor={}, pipeline=[
                {"$match": {"owner": "me", "_id": "m1"}}, {"$set": {"_id": "copy"}},
                {"$merge": "notes"}])
            assert client.app.notes.find_one({"_id": "copy"})["text"] == "mine"
            assert "mine" in shell("from notes | where owner == 'me'")
            assert "mine" in shell("db.notes.find({owner: 'me'})")
            stream = client.app.notes.watch(
                [{"$match": {"fullDocument.owner": "me"}}], full_document="updateLookup",
                max_await_time_ms=200)
            client.app.notes.insert_one({"_id": "told", "owner": "me"})
            assert stream.next()["fullDocument"]["_id"] == "told"
            stream.close()
            live = run_live(client.app, live="notes", filter={"owner": "me"})
            assert {"m1", "copy"} <= {event.get("id") for event in live}
            client.close()
    finally:
        server.process.terminate()
        server.process.wait()
    print(f"{len(chosen)} ways in two modes: {failures} got through "
          f"({allowed} were answered, without what is hidden)")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
