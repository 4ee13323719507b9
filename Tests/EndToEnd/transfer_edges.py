"""What an import must take, what it must name, and what is left when it is broken off.

    transfer_edges.py ROOST [--kills N] [--seed S]

- NDJSON with CRLF, blank lines and a byte order mark; a document of 16 MiB and one of a byte more;
  bytes that are no UTF-8, each named by its line; the same gzipped;
- an import that is killed again and again and resumed keeps the file of errors whole: every refused
  record once, by its line, and every good one stored once; also with --upsert-by;
- --drop replaces, and a server that was filled meanwhile is what --upsert-by says;
- exports show live documents only, the trash where it is asked for, and nothing half-written has a
  name; PyMongo's bson reads what --dump writes.
"""

import argparse
import gzip
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time

import bson
from server import Server


class Place:
    """A server and a folder of files."""

    def __init__(self, roost, folder):
        self.roost, self.folder = roost, folder
        self.server = Server(roost)
        self.server.start()

    @property
    def db(self):
        return self.server.client().test

    @property
    def uri(self):
        return f"mongodb://{self.server.address}/test"

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, data):
        with open(self.path(name), "wb") as file:
            file.write(data)

    def command(self, *arguments):
        return [self.roost, *arguments, "--uri", self.uri]

    def run(self, *arguments, status=0):
        done = subprocess.run(self.command(*arguments), capture_output=True, cwd=self.folder,
                              timeout=300)
        said = done.stderr.decode(errors="replace")
        assert done.returncode == status, (arguments, done.returncode, said[-2000:])
        return said

    def errors(self, name):
        with open(self.path(name), encoding="utf-8") as file:
            return [json.loads(line) for line in file]


def texts(place):
    db = place.db
    rows = b'\xef\xbb\xbf{"_id": 1}\r\n\r\n  {"_id": 2, "a": "x\\r\\ny"}  \r\n\t\r\n{"_id": 3}'
    for name, data in (("crlf.ndjson", rows), ("crlf.ndjson.gz", gzip.compress(rows))):
        place.write(name, data)
        said = place.run("import", "crlf", name, "--drop")
        assert said.startswith("3 imported"), said
        assert list(db.crlf.find().sort("_id")) == [{"_id": 1}, {"_id": 2, "a": "x\r\ny"}, {"_id": 3}]
    # Several members of gzip behind each other are one file.
    place.write("two.ndjson.gz", gzip.compress(b'{"_id": 1}\n') + gzip.compress(b'{"_id": 2}\n'))
    place.run("import", "two", "two.ndjson.gz")
    assert db.two.count_documents({}) == 2

    bad = (b'{"_id": 1, "a": "\xff\xfe"}\r\n{"_id": 2, "a": "\xc3\xa4"}\n{"_id": 3, "\xed\xa0\x80": 1}\n'
           b'{"_id": 4, "a": "\\ud800"}\n{"_id": 5, "a": "\\u0000"}\n\x00\n{"_id": 6}\n')
    place.write("bad.ndjson", bad)
    said = place.run("import", "bad", "bad.ndjson", status=1)
    stored = sorted(d["_id"] for d in db.bad.find())
    lines = [e["line"] for e in place.errors("bad.ndjson.errors.ndjson")]
    assert {2, 5, 6} <= set(stored) and 1 not in stored and 3 not in stored, stored
    assert {1, 3, 6} <= set(lines), lines
    assert len(stored) + len(lines) == 7 and f"{len(stored)} imported" in said, (stored, lines)
    whole = bson.encode({"_id": 1, "a": "text"})
    place.write("bad.bson", whole + whole.replace(b"text", b"t\xffxt").replace(
        b"\x10_id\x00\x01", b"\x10_id\x00\x02") + bson.encode({"_id": 3}))
    place.run("import", "badbson", "bad.bson", status=1)
    assert sorted(d["_id"] for d in db.badbson.find()) == [1, 3]
    assert [e["line"] for e in place.errors("bad.bson.errors.ndjson")] == [2]
    print("texts: line ends, marks, members of gzip, bytes that are no UTF-8")


def cells(place):
    db = place.db
    place.write("t.csv", (
        b'\xef\xbb\xbfn.int32(),"s.string()",d.date(),j.json(),b.boolean()\r\n'
        b'1,"a ""quoted"", text\r\nin two lines",2024-05-06T07:08:09Z,"{""k"": [1, 2]}",true\r\n'
        b'x,bad,2024-05-06T07:08:09Z,1,true\r\n'
        b'3,"",yesterday,1,true\r\n'
        b'4,,2024-05-06T07:08:09Z,{,true\r\n'
        b'5,five,2024-05-06T07:08:09Z,null,maybe\r\n'
        b'6,six,2024-05-06T07:08:09Z,"""text""",false'))
    said = place.run("import", "cells", "t.csv", "--columns-have-types", status=1)
    got = {d["n"]: d for d in db.cells.find()}
    assert set(got) == {1, 6}, (said, got)
    assert got[1]["s"] == 'a "quoted", text\r\nin two lines' and got[1]["j"] == {"k": [1, 2]}
    assert got[6]["j"] == "text" and got[6]["b"] is False
    lines = [e["line"] for e in place.errors("t.csv.errors.ndjson")]
    assert lines == [4, 5, 6, 7], lines
    print("cells: types, quotes, line ends within, errors by line")


def large(place):
    db = place.db
    room = (16 << 20) - len(bson.encode({"_id": 1, "a": ""}))
    for size, status in ((room, 0), (room + 1, 1)):
        place.write("large.ndjson", b'{"_id": 0}\n{"_id": 1, "a": "' + b"x" * size +
                    b'"}\n{"_id": 2}\n')
        place.run("import", "large", "large.ndjson", "--drop", status=status)
        assert sorted(d["_id"] for d in db.large.find({}, {"_id": 1})) == (
            [0, 1, 2] if status == 0 else [0, 2])
        if status == 0:
            for name in "back.bson", "back.ndjson", "back.json.gz":
                place.run("export", "large", name)
                place.run("import", "again", name, "--drop")
                assert len(db.again.find_one({"_id": 1})["a"]) == size
    assert [e["line"] for e in place.errors("large.ndjson.errors.ndjson")] == [2]
    # All of the largest, more than a command holds.
    whole = bson.encode({"a": "x" * (room - 9)})
    place.write("all.bson", whole * 5)
    place.run("import", "five", "all.bson")
    assert db.five.count_documents({}) == 5
    print("a document of 16 MiB goes, and one of a byte more is named")


def drops_and_upserts(place):
    db = place.db
    db.shop.insert_many([{"_id": n, "number": n, "old": True} for n in range(10)])
    place.write("s.ndjson", b"".join(
        json.dumps({"number": n, "new": True}).encode() + b"\n" for n in range(5, 15)))
    place.run("import", "shop", "s.ndjson", "--upsert-by", "number")
    got = {d["number"]: d for d in db.shop.find()}
    assert len(got) == 15 and db.shop.count_documents({}) == 15
    assert all(("new" in got[n]) == (n >= 5) and ("old" in got[n]) == (n < 5) for n in got)
    assert [got[n]["_id"] for n in range(10)] == list(range(10)), "a replaced document's _id changed"
    db.shop.create_index("number", unique=True)
    place.run("import", "shop", "s.ndjson", "--drop")
    assert db.shop.count_documents({}) == 10 and len(list(db.shop.list_indexes())) == 1
    print("--drop and --upsert-by: as they say")


def kills(place, count, rng, records=20_000):
    """Killed at random moments: the errors are whole, and so is the collection."""
    rows, bad = [], []
    for n in range(records):
        if rng.random() < 0.05:
            bad.append(n + 1)
            rows.append(rng.choice([b'{"n": }', b'{"n": "\xff"}', b'nothing', b'{"_id": "taken", "again": true}']))
        else:
            rows.append(json.dumps({"n": n, "pad": "x" * 150}).encode())
    place.write("killed.ndjson", b"\n".join(rows))
    total = 0
    rounds = 0
    while total < count:
        upserts = ["--upsert-by", "n"] if rounds % 3 == 2 else []
        rounds += 1
        db = place.db
        db.killed.drop()
        db.killed.insert_one({"_id": "taken"})
        if upserts:
            db.killed.create_index("n")
        resume, tries = [], 0
        while True:
            tries += 1
            process = subprocess.Popen(
                place.command("import", "killed", "killed.ndjson", *resume, *upserts),
                cwd=place.folder, stderr=subprocess.PIPE)
            try:
                # On a busy machine it takes longer to begin; in the end it is let through.
                limit = rng.uniform(0.02, 0.5) * tries if tries < 12 else 240
                said = process.communicate(timeout=limit)[1].decode()
                broken = process.returncode not in (0, 1) or "broken off" in said
                assert not broken or not resume, said
            except subprocess.TimeoutExpired:
                total += 1
                if rng.random() < 0.2:
                    place.server.kill()
                    process.kill()
                    place.server.start()
                process.send_signal(signal.SIGKILL)
                process.communicate()
                if os.path.exists(place.path("killed.ndjson.import")):
                    resume = ["--resume"]
                    continue
                stored = place.db.killed.count_documents({})
                if stored > 1:
                    break
                resume = []
                continue
            break
        errors = place.errors("killed.ndjson.errors.ndjson")
        wanted = bad if not upserts else [
            n for n in bad if rows[n - 1] != b'{"_id": "taken", "again": true}']
        lines = [e["line"] for e in errors]
        assert lines == wanted, (len(lines), len(wanted), sorted(set(wanted) - set(lines))[:5])
        numbers = sorted(d["n"] for d in place.db.killed.find({"n": {"$exists": True}}, {"n": 1}))
        assert numbers == [n for n in range(records) if n + 1 not in set(bad)], len(numbers)
        os.unlink(place.path("killed.ndjson.errors.ndjson"))
        left = [n for n in os.listdir(place.folder)
                if n.startswith("killed") and n != "killed.ndjson"]
        assert not left, left
    print(f"{total} kills of imports in {rounds} rounds: documents and errors are whole")


def exports(place):
    client = place.server.client()
    db = client.test
    db.create_collection("kept", softDelete={"retention": "30d"})
    db.kept.insert_many([{"_id": n, "v": 1} for n in range(1, 6)])
    db.kept.delete_many({"_id": {"$gte": 2}})
    db.command("restore", "kept", filter={"_id": 3})
    db.command("purge", "kept", filter={"_id": 4})
    db.kept.insert_one({"_id": 5, "new": True})
    live = [1, 3, 5]
    for name, arguments, wanted in (
            ("k.ndjson", (), live), ("k.json", (), live), ("k.bson", (), live),
            ("k.csv", ("--fields", "_id"), live),
            ("f.ndjson", ("--filter", "{v: 1}"), [1, 3]),
            ("l.ndjson", ("--sort", "{_id: -1}", "--limit", "2"), [5, 3])):
        place.run("export", "kept", name, *arguments)
        data = open(place.path(name), "rb").read()
        if name.endswith("bson"):
            got = [d["_id"] for d in bson.decode_all(data)]
        elif name.endswith("csv"):
            got = [int(n) for n in data.split()[1:]]
        elif name.endswith("ndjson"):
            got = [json.loads(line)["_id"] for line in data.splitlines()]
        else:
            got = [d["_id"] for d in json.loads(data)]
        assert got == wanted, (name, got)
    place.run("export", "-", "q.ndjson", "--query", "from kept onlyDeleted | sort _id")
    got = [json.loads(line)["_id"] for line in open(place.path("q.ndjson"), encoding="utf-8")]
    assert got == [2, 5], got
    place.run("export", "--dump", "dump", "--database", "test")
    found = bson.decode_all(open(place.path("dump/test/kept.bson"), "rb").read())
    assert [d["_id"] for d in found] == live, found
    about = json.load(open(place.path("dump/test/kept.metadata.json"), encoding="utf-8"))
    assert about["collectionName"] == "kept" and about["type"] == "collection", about
    assert [i["name"] for i in about["indexes"]] == ["_id_"], about
    # Killed: nothing has the name that isn't whole.
    db.many.insert_many([{"_id": n, "pad": "x" * 500} for n in range(60_000)])
    whole = 0
    for n in range(6):
        process = subprocess.Popen(place.command("export", "many", "many.ndjson"),
                                   cwd=place.folder, stderr=subprocess.DEVNULL)
        time.sleep(0.05 * (n + 1))
        process.kill()
        process.wait()
        if os.path.exists(place.path("many.ndjson")):
            with open(place.path("many.ndjson"), "rb") as file:
                assert sum(1 for _ in file) == 60_000
            os.unlink(place.path("many.ndjson"))
            whole += 1
    print("exports: live documents, the trash when asked for, PyMongo reads dumps, kills")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("roost")
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    options = parser.parse_args()
    print(f"seed {options.seed}")
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="roost-transfer-") as folder:
        place = Place(os.path.abspath(options.roost), folder)
        try:
            texts(place)
            cells(place)
            large(place)
            drops_and_upserts(place)
            exports(place)
            kills(place, options.kills, rng)
            assert place.server.stop() == 0
            found = subprocess.run([options.roost, "verify", place.server.folder],
                                   capture_output=True, text=True, check=False)
            assert found.returncode == 0, found.stdout
        finally:
            place.server.remove()


if __name__ == "__main__":
    sys.exit(main())
