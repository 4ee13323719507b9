"""`roost export` and `roost import` against PyMongo's view of the collections.

    transfer.py ROOST [--documents N] [--seed S]

Round trips of random documents of all BSON types in every format, gzipped or not; CSV with types;
records that can't be stored; an import that is killed at random moments, also with its server, and
resumed; memory of a large file.
"""

import argparse
import csv
import datetime
import gzip
import json
import os
import random
import signal
import subprocess
import tempfile
import time

import bson
import bson.raw_bson
import pymongo
from bson import Binary, Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp

from server import free_port


class Roost:
    """The binary, a server, and a folder for files."""

    def __init__(self, binary, folder):
        self.binary, self.folder = binary, folder
        self.port = free_port()
        self.uri = f"mongodb://127.0.0.1:{self.port}/test"
        self.start()
        self.client = pymongo.MongoClient(self.uri, serverSelectionTimeoutMS=20_000)
        self.db = self.client.test
        self.client.admin.command("ping")

    def start(self):
        self.server = subprocess.Popen([
            self.binary, "serve", os.path.join(self.folder, "data"), "--listen",
            f"127.0.0.1:{self.port}", "--log-level", "error"])

    def path(self, name):
        return os.path.join(self.folder, name)

    def run(self, *arguments, status=0, stdin=None):
        """Runs a subcommand; its standard output and error."""
        done = subprocess.run(
            [self.binary, *arguments, "--uri", self.uri], input=stdin, capture_output=True,
            timeout=120, cwd=self.folder)
        assert done.returncode == status, (arguments, done.returncode, done.stderr.decode())
        return done.stdout, done.stderr.decode()

    def raw(self, collection):
        """The bytes of all documents, by `_id`."""
        documents = self.db.get_collection(
            collection, codec_options=bson.CodecOptions(bson.raw_bson.RawBSONDocument))
        return [document.raw for document in documents.find().sort("_id")]


def value(rng, depth=0):
    """A random value of a random type."""
    scalars = [
        lambda: rng.randint(-2**31, 2**31 - 1),
        lambda: Int64(rng.randint(-2**63, 2**63 - 1)),
        lambda: rng.choice([0.0, -0.0, 1.5, 1e300, float("inf"), float("-inf")]) * rng.random(),
        lambda: rng.choice(["", "ä,\"\n;'{}[]", "a" * rng.randint(0, 50), "1", "null", "€𝄞\u0000"]),
        lambda: Decimal128(rng.choice(["1.10", "-Infinity", "0E-6176", "12345678901234567890"])),
        lambda: datetime.datetime(2020, 1, 1) + datetime.timedelta(
            milliseconds=rng.randint(-10**13, 10**13)),
        lambda: rng.choice([True, False, None]),
        ObjectId,
        lambda: Binary(rng.randbytes(rng.randint(0, 20)), rng.choice([0, 4, 128])
                       if rng.random() < 0.7 else 0),
        lambda: Regex(rng.choice(["a.*", "/x\\"]), "i"),
        lambda: Timestamp(rng.randint(0, 2**32 - 1), rng.randint(0, 2**32 - 1)),
        lambda: rng.choice([MinKey(), MaxKey()]),
        lambda: Code("f()"),
        lambda: Code("f()", {"x": 1}),
    ]
    if depth < 3 and rng.random() < 0.3:
        if rng.random() < 0.5:
            return [value(rng, depth + 1) for _ in range(rng.randint(0, 4))]
        return {name: value(rng, depth + 1) for name in rng.sample("abcdeü.", rng.randint(0, 4))
                if name != "."}
    return rng.choice(scalars)()


def round_trips(roost, rng):
    """Every format but CSV keeps every bit."""
    roost.db.all.insert_many(
        [{"_id": n, **{f"f{i}": value(rng) for i in range(rng.randint(0, 8))}}
         for n in range(500)])
    before = roost.raw("all")
    for number, name in enumerate(
            ["a.bson", "a.bson.gz", "a.ndjson", "a.ndjson.gz", "a.json", "a.json.gz"]):
        roost.run("export", "all", name, "--canonical")
        assert not os.path.exists(roost.path(name + ".part"))
        if name.endswith(".gz"):
            gzip.open(roost.path(name)).read()
        _, said = roost.run("import", f"copy{number}", name)
        assert said.startswith("500 imported"), said
        assert roost.raw(f"copy{number}") == before, name
    assert open(roost.path("a.bson"), "rb").read() == b"".join(before)
    assert len(json.load(open(roost.path("a.json")))) == 500
    # Through pipes, over a pretty-printed array, and concatenated.
    out, _ = roost.run("export", "all", "--canonical")
    roost.run("import", "piped", "-", stdin=out)
    assert roost.raw("piped") == before
    pretty = json.dumps([json.loads(line) for line in out.splitlines()], indent=3)
    open(roost.path("pretty.json"), "w").write(pretty)
    roost.run("import", "pretty", "pretty.json")
    assert roost.raw("pretty") == before
    apart = "\n".join(json.dumps(json.loads(line), indent=1) for line in out.splitlines())
    roost.run("import", "apart", "-", "--format", "json", stdin=apart.encode())
    assert roost.raw("apart") == before
    out, _ = roost.run("export", "all", "--filter", "{_id: {$lt: 3}}", "--sort", "{_id: -1}",
                       "--fields", "_id")
    assert [json.loads(line) for line in out.splitlines()] == [{"_id": 2}, {"_id": 1}, {"_id": 0}]
    out, _ = roost.run("export", "-", "--query", "from all | where _id < 2 | sort _id | select { n: _id }")
    assert [json.loads(line) for line in out.splitlines()] == [{"n": 0}, {"n": 1}]


def typed_csv(roost, rng):
    """CSV keeps what its header's types say."""
    day = datetime.datetime(2024, 5, 6, 7, 8, 9, 123000)
    documents = [
        {"_id": n, "s": rng.choice(["", "a,b", "x\"y", "l\nm", "5", "true"]), "i": n,
         "l": Int64(n * 2**40), "d": n / 3, "m": Decimal128(f"{n}.50"), "b": n % 2 == 0,
         "t": day + datetime.timedelta(days=n), "o": ObjectId(), "y": bytes([n % 256, 255]),
         "j": [n, {"k": None}], "at": {"city": f"c{n}", "zip": n}} for n in range(300)]
    roost.db.typed.insert_many(documents)
    fields = ("_id.int32(),s.string(),i.int32(),l.int64(),d.double(),m.decimal(),b.boolean(),"
              "t.date(),o.objectId(),y.binary(),j.json(),at.city.string(),at.zip.int32()")
    for name, more in (("t.csv", ()), ("t.csv.gz", ("--separator", "tab"))):
        roost.run("export", "typed", name, "--fields", fields, "--columns-have-types", *more)
        roost.run("import", name.replace(".", ""), name, "--columns-have-types", *more)
        assert roost.raw(name.replace(".", "")) == roost.raw("typed"), name
    rows = list(csv.reader(open(roost.path("t.csv"), newline="")))
    assert rows[0] == fields.split(",") and len(rows) == 301
    # Without types numbers are numbers, and the rest is text.
    open(roost.path("plain.csv"), "w").write(
        "\ufeffa,b.c,d\r\n1,2.5,x\r\n\"1\",,\"\"\r\n3000000000,-1e3,\"p\nq\"\r\n")
    roost.run("import", "plain", "plain.csv")
    got = [{k: v for k, v in d.items() if k != "_id"} for d in roost.db.plain.find().sort("_id")]
    assert got == [{"a": 1, "b": {"c": 2.5}, "d": "x"}, {"a": "1", "b": {"c": ""}, "d": ""},
                   {"a": 3000000000, "b": {"c": -1000.0}, "d": "p\nq"}], got
    roost.run("import", "blank", "plain.csv", "--ignore-blanks")
    assert roost.db.blank.find_one({"a": "1"}).keys() == {"_id", "a", "d"}
    # A value that isn't of its column's type ends the export, and no file is left.
    roost.db.typed.insert_one({"_id": 999, "i": "text"})
    _, said = roost.run("export", "typed", "bad.csv", "--fields", "i.int32()",
                        "--columns-have-types", status=1)
    assert "999" in said and "i.json()" in said, said
    assert not os.path.exists(roost.path("bad.csv"))
    assert not os.path.exists(roost.path("bad.csv.part"))


def faults(roost):
    """What can't be stored is left out and named; what can't be read at all is refused."""
    open(roost.path("f.ndjson"), "w").write(
        '{"_id": 1}\n\n{broken}\n{"_id": 1, "again": true}\n{"_id": 2}\n[1]\n{"_id": 3}')
    _, said = roost.run("import", "f", "f.ndjson", status=1)
    assert "3 imported" in said and "3 failed, see f.ndjson.errors.ndjson" in said, said
    errors = [json.loads(line) for line in open(roost.path("f.ndjson.errors.ndjson"))]
    assert [e["line"] for e in errors] == [3, 4, 6], errors
    assert errors[1]["code"] == 11000 and errors[0]["record"] == "{broken}"
    assert [d["_id"] for d in roost.db.f.find().sort("_id")] == [1, 2, 3]
    roost.run("import", "f", "f.ndjson", "--drop", "--errors", "elsewhere", status=1)
    assert os.path.exists(roost.path("elsewhere"))
    assert not os.path.exists(roost.path("f.ndjson.import"))

    open(roost.path("u.ndjson"), "w").write(
        '{"key": {"n": 1}, "v": 1}\n{"key": {"n": 2}, "v": 2}\n{"key": {"n": 1}, "v": 3}\n')
    for _ in range(2):
        roost.run("import", "u", "u.ndjson", "--upsert-by", "key.n")
        got = [(d["key"]["n"], d["v"]) for d in roost.db.u.find().sort("key.n")]
        assert got == [(1, 3), (2, 2)], got

    # Without the field there is nothing to replace, and null is a value like others.
    open(roost.path("v.ndjson"), "w").write(
        '{"a": 1}\n{"a": 2}\n{"k": null, "a": 3}\n{"k": 1, "a": 4}\n{"k": null, "a": 5}\n')
    roost.run("import", "v", "v.ndjson", "--upsert-by", "k")
    assert sorted(d["a"] for d in roost.db.v.find()) == [1, 2, 4, 5]

    # More bad rows than go in one command are all named, and the good ones stored.
    rows = ["n.int32()", *map(str, range(10)), *["x"] * 2_500, *map(str, range(10, 20))]
    open(roost.path("bad.csv"), "w").write("\n".join(rows) + "\n")
    _, said = roost.run("import", "rows", "bad.csv", "--columns-have-types", status=1)
    assert "20 imported" in said and "2500 failed" in said, said
    assert roost.db.rows.count_documents({}) == 20
    assert sum(1 for _ in open(roost.path("bad.csv.errors.ndjson"))) == 2_500
    open(roost.path("latin.csv"), "wb").write(b"name\nJ\xfcrgen\nAnn\n")
    _, said = roost.run("import", "latin", "latin.csv", status=1)
    assert "1 imported" in said and [d["name"] for d in roost.db.latin.find()] == ["Ann"], said

    # What stored nothing leaves nothing to go on with.
    open(roost.path("once.ndjson"), "w").write('{"a": 1}\n')
    _, said = roost.run("import", "bad$name", "once.ndjson", status=1)
    roost.run("import", "once", "once.ndjson")

    roost.db.cells.insert_one({"_id": 1, "a": None, "b": [{"c": 7}], "d": "x"})
    roost.run("export", "cells", "cells.csv", "--fields", "_id,a,b.0.c,d")
    assert open(roost.path("cells.csv"), newline="").read() == "_id,a,b.0.c,d\r\n1,,7,x\r\n"
    _, said = roost.run("export", "cells", "-", "--query", "delete from cells where true",
                        status=64)
    assert "a query that reads" in said and roost.db.cells.count_documents({}) == 1, said

    truncated = open(roost.path("a.bson"), "rb").read()[:-3]
    open(roost.path("cut.bson"), "wb").write(truncated)
    for name, content, part in (
            ("cut.bson", None, "ends within a document"), ("w.json", "[1]", "found '1'"),
            ("x.json", '[{"a": 1}', "no closing ]"), ("v.json", '{"a": "x', "ends within"),
            ("y.csv", 'a,a\n1,2\n', "twice"), ("z.csv", 'a,"b\n', "closing quote"),
            ("q.csv", "a,a.b\n1,2\n", "within another"), ("n.bson", "text", "isn't BSON")):
        if content is not None:
            open(roost.path(name), "w").write(content)
        _, said = roost.run("import", "bad", name, status=1)
        assert part in said, (name, said)
    whole = gzip.compress(b'{"a": 1}\n' * 100_000)
    open(roost.path("cut.ndjson.gz"), "wb").write(whole[:len(whole) // 2])
    _, said = roost.run("import", "bad", "cut.ndjson.gz", status=1)
    assert "cannot read" in said, said
    _, said = roost.run("import", "bad", "none.ndjson", status=1)
    assert "No such file" in said, said
    _, said = roost.run("import", "bad", "f.ndjson", "--resume", status=1)
    assert "nothing to resume" in said, said
    _, said = roost.run("export", "f", "/nowhere/x.ndjson", status=1)
    assert "/nowhere/x.ndjson" in said, said
    _, said = roost.run("export", "f", "x.csv", status=64)
    assert "--fields" in said, said


def kills(roost, rng, count):
    """A broken-off import is resumed; each record is there once, with or without `_id`."""
    name = "big.ndjson"
    with open(roost.path(name), "w") as file:
        for n in range(count):
            document = {"n": n, "text": "x" * 100}
            if n % 3 == 0:
                document["_id"] = n
            file.write(json.dumps(document) + "\n")
    kills = 0
    resume = []
    deadline = time.monotonic() + 240
    while True:
        assert time.monotonic() < deadline, "the import does not end"
        process = subprocess.Popen(
            [roost.binary, "import", "big", name, "--uri", roost.uri, *resume],
            cwd=roost.folder, stderr=subprocess.PIPE)
        try:
            said = process.communicate(timeout=rng.uniform(0.05, 0.4) if kills < 12 else 120)[1]
        except subprocess.TimeoutExpired:
            kills += 1
            if rng.random() < 0.3:
                roost.server.kill()
                roost.server.wait()
                process.kill()
                process.communicate()
                roost.start()
            else:
                process.send_signal(signal.SIGKILL)
                process.communicate()
            if os.path.exists(roost.path(name + ".import")):
                resume = ["--resume"]
                continue
            # Killed before the first batch, or when all was done and only the exit was left.
            stored = roost.db.big.count_documents({})
            assert stored in (0, count), (stored, "documents but nothing to resume")
            if stored == count:
                break
            resume = []
            continue
        if process.returncode == 0:
            break
        assert os.path.exists(roost.path(name + ".import")), said
        resume = ["--resume"]
    numbers = sorted(d["n"] for d in roost.db.big.find({}, {"n": 1}))
    assert numbers == list(range(count)), (len(numbers), len(set(numbers)))
    assert not os.path.exists(roost.path(name + ".import"))
    return kills


def memory(roost, count):
    """A large file takes no more memory than a small one."""
    name = "large.ndjson"
    line = json.dumps({"a": 1, "text": "y" * 470, "tags": ["a", "b"]}) + "\n"
    with open(roost.path(name), "w") as file:
        for _ in range(count // 1_000):
            file.write(line * 1_000)
    took = {}
    for command in (["import", "large", name], ["export", "large", "large2.ndjson"]):
        process = subprocess.Popen([roost.binary, *command, "--uri", roost.uri],
                                   cwd=roost.folder, stderr=subprocess.DEVNULL)
        begin = time.monotonic()
        _, status, usage = os.wait4(process.pid, 0)
        assert status == 0
        took[command[0]] = (usage.ru_maxrss / 1024, count / (time.monotonic() - begin))
        assert usage.ru_maxrss < 160 * 1024, (command, usage.ru_maxrss)
    return took


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("roost")
    parser.add_argument("--documents", type=int, default=60_000)
    parser.add_argument("--seed", type=int, default=random.randrange(2**31))
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    print(f"seed {arguments.seed}")
    with tempfile.TemporaryDirectory() as folder:
        roost = Roost(os.path.abspath(arguments.roost), folder)
        try:
            round_trips(roost, rng)
            typed_csv(roost, rng)
            faults(roost)
            killed = kills(roost, rng, arguments.documents)
            took = memory(roost, arguments.documents)
        finally:
            roost.server.kill()
            roost.server.wait()
    figures = ", ".join(f"{verb} {rate:,.0f} documents/s in {mebibytes:.0f} MiB"
                        for verb, (mebibytes, rate) in took.items())
    print(f"round trips, typed CSV, faults; {killed} kills; {figures}")


if __name__ == "__main__":
    main()
