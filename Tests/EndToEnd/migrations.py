"""Migrations through the command line, over kills of the client and of the server.

    migrations.py ROOST [--documents N] [--kills N] [--stride N] [--load DOCUMENTS] [--seed S]

Walks through what a person does with migrations, and bad input. Then it runs one group of migrations
again and again, killing (SIGKILL) the client or the server behind every batch and in between, goes on,
and compares the state by hash with that of a run without kills: of a group that is done, and of one
that fails and is taken back. Then the server ends itself (the fail point killAtMigrationCommit) just
before and just behind each commit of groups that go up, fail, go down and are redone: at
each --stride of these points; the run that goes on is killed at a random one too. With --load N it
converts N documents while a client works, and tells the client's p99 without and with the migration.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import pymongo

from server import free_port, wait_until

INTERNAL = ("roost.migrations", "roost.migrations.batches")


class Server:
    def __init__(self, roost, *options):
        self.roost, self.options = roost, options
        self.folder = tempfile.mkdtemp(prefix="roost-migrations-")
        # One port and one client: closing a client whose server is gone takes its time.
        self.port = free_port()
        self.client = pymongo.MongoClient(
            f"mongodb://127.0.0.1:{self.port}/?directConnection=true",
            serverSelectionTimeoutMS=30_000)
        self.start()

    def start(self):
        self.process = subprocess.Popen([
            self.roost, "serve", self.folder, "--listen", f"127.0.0.1:{self.port}",
            "--log-level", "error", *self.options])
        wait_until(self.answers, 120, "the server does not answer")

    def answers(self):
        try:
            return self.client.admin.command("ping")["ok"] == 1
        except pymongo.errors.AutoReconnect:
            return False

    def kill(self):
        self.process.kill()
        self.process.wait()

    def close(self):
        self.client.close()
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def uri(self, database):
        return f"mongodb://127.0.0.1:{self.port}/{database}"


def command(server, database, directory, *arguments):
    return [server.roost, "migrate", *arguments, "--dir", directory,
            "--uri", server.uri(database)]


def migrate(server, database, directory, *arguments, status=0):
    done = subprocess.run(
        command(server, database, directory, *arguments), capture_output=True, text=True,
        timeout=300)
    assert done.returncode == status, (arguments, done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr


def folder(**files):
    directory = tempfile.mkdtemp(prefix="roost-migration-files-")
    for name, text in files.items():
        suffix = "" if "." in name else ".roost"
        with open(os.path.join(directory, name + suffix), "w", encoding="utf-8") as file:
            file.write(text)
    return directory


def state(client, database):
    """Hashes of all collections but the records, with their options and indexes."""
    db = client[database]
    result = {}
    hashes = db.command("dbHash")["collections"]
    for entry in db.list_collections():
        name = entry["name"]
        if name in INTERNAL:
            continue
        indexes = sorted(
            (index["name"], str(sorted(index["key"].items()))) for index in db[name].list_indexes())
        result[name] = (hashes.get(name), str(sorted(entry["options"].items())), indexes)
    return result


# A person's day.

def walk_through(server):
    db = server.client.walk
    db.client_list.insert_many([{"_id": n, "name": f"n{n} m{n}", "total": str(n)} for n in range(5)])
    directory = folder(**{
        "0001_names": """
            up {
              rename collection client_list to customers;
              create index byName on customers (name);
              update customers where true
                set first = split(name, " ")[0], last = split(name, " ")[1], unset name,
                convert total to decimal;
            }
            down {
              update customers where true
                set name = first + " " + last, unset first, unset last, convert total to string;
              drop index byName on customers;
              rename collection customers to client_list;
            }""",
        "0002_orders": """
            up {
              create collection orders softDelete "30d" validator where total >= 0;
              create index on orders (total);
              alter collection customers validator jsonSchema { required: ["first"] } action warn;
            }""",
        "0003_copies": """
            up { insert into archive from customers | where _id > 2 | select { _id, first }; }
            down { drop collection archive; }""",
    })
    before = state(server.client, "walk")
    assert "pending   0001_names" in migrate(server, "walk", directory, "status", status=1)
    plan = migrate(server, "walk", directory, "plan")
    assert "5 documents" in plan and '"first"' in plan, plan
    assert state(server.client, "walk") == before
    migrate(server, "walk", directory, "up", "--to", "1")
    assert db.customers.find_one({"_id": 3})["last"] == "m3"
    migrate(server, "walk", directory, "up")
    assert "pending" not in migrate(server, "walk", directory, "status")
    assert db.archive.count_documents({}) == 2
    assert "nothing to do" in migrate(server, "walk", directory, "up")
    after = state(server.client, "walk")
    migrate(server, "walk", directory, "redo")
    assert state(server.client, "walk") == after
    migrate(server, "walk", directory, "down", "--to", "1")
    assert "orders" not in db.list_collection_names()
    assert "archive" not in db.list_collection_names()
    migrate(server, "walk", directory, "down")
    fields = {"_id": 3, "name": "n3 m3", "total": "3"}
    assert db.client_list.find_one({"_id": 3}) == fields, db.client_list.find_one({"_id": 3})
    shutil.rmtree(directory)

    made = tempfile.mkdtemp()
    migrate(server, "walk", made, "status")
    subprocess.run(
        [server.roost, "migrate", "new", "add", "x", "--dir", made], check=True,
        capture_output=True)
    assert os.listdir(made) == ["0001_add_x.roost"]
    shutil.rmtree(made)


def bad_input(server):
    one = "up { create collection a; }"
    cases = [
        ({"0001_a": one, "0003_b": one}, "no migration 2"),
        ({"0001_a": one, "01_b": one}, "two migrations have the number 1"),
        ({"0001_a": "up {\n  create nothing a;\n}"}, "line 2, column 10"),
        ({"0001_a": "up {\n  from a;\n}"}, "can't hold this statement"),
        ({"0001_a": "down { }"}, "no section 'up"),
        ({"x_a": one}, "begins with a number"),
    ]
    for files, wanted in cases:
        directory = folder(**files)
        text = migrate(server, "bad", directory, "up", status=1)
        assert wanted in text, text
        shutil.rmtree(directory)
    assert server.client.bad.list_collection_names() in ([], ["roost.migrations"])

    directory = folder(**{"0001_a": "up { create collection a; }"})
    migrate(server, "bad", directory, "up")
    with open(os.path.join(directory, "0001_a.roost"), "a", encoding="utf-8") as file:
        file.write("// edited")
    assert "edited" in migrate(server, "bad", directory, "status", status=1)
    assert "was edited" in migrate(server, "bad", directory, "up", status=1)
    os.remove(os.path.join(directory, "0001_a.roost"))
    assert "missing" in migrate(server, "bad", directory, "status", status=1)
    shutil.rmtree(directory)

    server.client.noway.a.insert_one({"_id": 1, "x": 1})
    directory = folder(**{"0001_a": "up { update a where true set x = 2; }"})
    migrate(server, "noway", directory, "up")
    assert "'down'" in migrate(server, "noway", directory, "down", status=1)
    shutil.rmtree(directory)


def two_at_once(server):
    db = server.client.two
    db.a.insert_many([{"_id": n} for n in range(3_000)])
    directory = folder(**{"0001_a": "up { update a where true set x = _id; }"})
    first = subprocess.Popen(
        command(server, "two", directory, "up", "--batch", "10", "--rate", "2000", "--lease", "2"),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    while not db.a.find_one({"x": {"$exists": True}}):
        time.sleep(0.01)
    assert "are run by" in migrate(server, "two", directory, "up", status=1)
    first.kill()
    first.communicate()
    # The dead owner's lock is taken over when its lease has ended.
    migrate(server, "two", directory, "up", "--wait", "20")
    assert db.a.count_documents({"x": {"$exists": True}}) == 3_000
    shutil.rmtree(directory)


# Kills.

GROUP = {
    "0001_convert": """
        up {
          create collection extra;
          insert into extra { _id: 1, a: 1 }, { _id: 2 };
          rename collection items to things;
          create index byTotal on things (total);
          update things where true convert total to int, rename name to title;
          drop index byOld on things;
        }""",
    "0002_more": """
        up {
          insert into copies from things | where total % 3 == 0 | select { _id, total };
          delete from things where total % 7 == 0;
          drop collection waste;
        }
        down { }""",
}


def fill(client, database, documents):
    client.drop_database(database)
    db = client[database]
    db.items.insert_many(
        [{"_id": n, "name": f"n{n}", "total": str(n), "old": n} for n in range(documents)])
    db.items.create_index("old", name="byOld")
    db.waste.insert_many([{"_id": n} for n in range(5)])


def run_with_kills(server, database, directory, kills, rng, fails):
    """Runs a group, killing so often; answers how many kills came in time."""
    in_time = 0
    for _ in range(kills):
        run = subprocess.Popen(
            command(server, database, directory, "up", "--batch", "40", "--lease", "1",
                    "--wait", "10", "--quiet"),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        # Not the time of the start alone: something must have gone on.
        records = server.client[database]["roost.migrations"]
        end = time.monotonic() + rng.random() * 0.4
        before = records.find_one({"_id": "run"})
        while time.monotonic() < end or (
                run.poll() is None and records.find_one({"_id": "run"}) == before):
            time.sleep(0.002)
        if run.poll() is not None:
            run.communicate()
            break
        in_time += 1
        if rng.random() < 0.5:
            run.kill()
        else:
            server.kill()
            server.start()
        run.kill()
        run.communicate()
    end = migrate(server, database, directory, "up", "--batch", "40", "--lease", "1",
                  "--wait", "10", status=1 if fails else 0) \
        if not is_over(server, database, fails) else ""
    assert not fails or not end or "taken back" in end, end
    return in_time


def is_over(server, database, fails):
    records = server.client[database]["roost.migrations"]
    if records.find_one({"_id": "run"}):
        return False
    return bool(records.find_one({"_id": "failure"} if fails else {"_id": 2}))


def kill_runs(server, documents, kills, rng, fails):
    files = dict(GROUP)
    if fails:
        files["0003_fails"] = "up { update things where true set x = 1 / (_id - 20); }"
    directory = folder(**files)
    database = "fails" if fails else "kills"
    fill(server.client, database, documents)
    start = state(server.client, database)
    migrate(server, database, directory, "up", "--batch", "40", status=1 if fails else 0)
    wanted = state(server.client, database)
    if fails:
        assert wanted == start, (start, wanted)
    else:
        assert wanted != start
    fill(server.client, database, documents)
    count = run_with_kills(server, database, directory, kills, rng, fails)
    got = state(server.client, database)
    assert got == wanted, (got, wanted)
    left = [name for name in server.client[database].list_collection_names()
            if name.startswith("roost.dropped")]
    assert not left, left
    shutil.rmtree(directory)
    return count


# The server's end at each commit.

DOWN = {
    "0001_convert": GROUP["0001_convert"] + """
        down {
          create index byOld on things (old);
          update things where true convert total to string, rename title to name;
          drop index byTotal on things;
          rename collection things to items;
          drop collection extra;
        }""",
    "0002_more": """
        up {
          insert into copies from items2 | where n % 3 == 0 | select { _id, n };
          create index byN on items2 (n);
        }
        down {
          delete from copies where n < 1000000;
          drop index byN on items2;
        }""",
}
FAILING = {**GROUP, "0003_fails": "up { update things where true set x = 1 / (_id - 20); }"}
# What a group is given, what was run before it, how it is run, and its status.
GROUPS = [
    ("up", GROUP, None, ("up",), 0),
    ("fails", FAILING, None, ("up",), 1),
    ("down", DOWN, ("up",), ("down", "--to", "0"), 0),
    ("redo", DOWN, ("up",), ("redo", "--to", "1"), 0),
]


def prepare(server, database, directory, first, documents):
    fill(server.client, database, documents)
    server.client[database].items2.insert_many([{"_id": n, "n": n} for n in range(documents)])
    if first:
        migrate(server, database, directory, *first, "--batch", "40")


def arm(server, skip):
    server.client.admin.command(
        "configureFailPoint", "killAtMigrationCommit",
        mode="off" if skip is None else {"skip": skip})


def run_until_end(server, database, directory, arguments, status):
    """Runs a group; answers whether the server ended itself meanwhile."""
    run = subprocess.run(
        command(server, database, directory, *arguments, "--batch", "40", "--lease", "1",
                "--wait", "10", "--quiet"), capture_output=True, text=True, timeout=300)
    try:
        server.process.wait(timeout=0.05 if run.returncode == status else 5)
    except subprocess.TimeoutExpired:
        assert run.returncode == status, (arguments, run.returncode, run.stdout, run.stderr)
        return False
    server.start()
    # Its lease ends by itself, as the other kills show; here it would be most of the time.
    server.client[database]["roost.migrations"].delete_one({"_id": "lock"})
    return True


def kill_points(server, documents, stride, rng):
    """Ends the server at every point of each group, or each so many; answers how often."""
    total = 0
    for name, files, first, arguments, status in GROUPS:
        directory = folder(**files)
        database = f"points_{name}"
        group = database, directory, arguments, status
        prepare(server, database, directory, first, documents)
        assert not run_until_end(server, *group)
        wanted = state(server.client, database)
        count, point = 0, rng.randrange(stride)
        while True:
            prepare(server, database, directory, first, documents)
            arm(server, point)
            if not run_until_end(server, *group):
                arm(server, None)
                break
            count += 1
            # A second end, of the run that goes on.
            if rng.random() < 0.3:
                arm(server, rng.randrange(8))
            while run_until_end(server, *group):
                count += 1
            arm(server, None)
            got = state(server.client, database)
            assert got == wanted, (name, point, got, wanted)
            left = [c for c in server.client[database].list_collection_names()
                    if c.startswith("roost.dropped")]
            assert not left, (name, point, left)
            point += stride
        print(f"{name}: {count} ends of the server before and behind its {point} commits, each "
              f"{stride}: states are equal", flush=True)
        shutil.rmtree(directory)
        server.client.drop_database(database)
        total += count
    return total


# Clients meanwhile.

def p99(client, seconds, stop):
    """The p99 of a read and an update, in milliseconds."""
    times, n = [], 0
    end = time.monotonic() + seconds
    while time.monotonic() < end and not stop():
        start = time.perf_counter()
        client.load.clients.find_one({"_id": n % 1_000})
        client.load.clients.update_one({"_id": n % 1_000}, {"$inc": {"n": 1}})
        times.append(time.perf_counter() - start)
        n += 1
    times.sort()
    return times[int(len(times) * 0.99)] * 1_000, len(times)


def load(server, documents):
    db = server.client.load
    filler = "x" * 400
    for start in range(0, documents, 10_000):
        db.items.insert_many(
            [{"_id": n, "total": str(n), "text": filler}
             for n in range(start, min(documents, start + 10_000))])
    db.clients.insert_many([{"_id": n, "n": 0} for n in range(1_000)])
    calm, _ = p99(server.client, 10, lambda: False)
    directory = folder(**{
        "0001_convert": "up { update items where true convert total to int; }"})
    begin = time.monotonic()
    run = subprocess.Popen(command(server, "load", directory, "up", "--quiet"))
    busy, operations = p99(server.client, 3_600, lambda: run.poll() is not None)
    assert run.returncode == 0
    seconds = time.monotonic() - begin
    assert db.items.count_documents({"total": {"$type": "int"}}) == documents
    print(f"{documents} documents in {seconds:.0f} s; a client's read and update: "
          f"p99 {calm:.2f} ms before, {busy:.2f} ms meanwhile ({operations} times)")
    shutil.rmtree(directory)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("roost")
    parser.add_argument("--documents", type=int, default=1_500)
    parser.add_argument("--kills", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--points", type=int, default=90, help="documents of these groups")
    parser.add_argument("--stride", type=int, default=1)
    parser.add_argument("--load", type=int, default=0)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    options = parser.parse_args()
    rng = random.Random(options.seed)
    print(f"seed {options.seed}")
    server = Server(options.roost, "--test-commands")
    try:
        if options.load:
            return load(server, options.load)
        walk_through(server)
        bad_input(server)
        two_at_once(server)
        print("walk-through, bad input, locks: as they should be")
        count = 0
        for _ in range(options.rounds):
            for fails in (False, True):
                count += kill_runs(server, options.documents, options.kills, rng, fails)
        print(f"{count} kills: states are equal")
        kill_points(server, options.points, options.stride, rng)
        server.kill()
        verified = subprocess.run([options.roost, "verify", server.folder], capture_output=True)
        assert verified.returncode == 0, verified.stdout
        server.start()
    finally:
        server.close()
    return None


if __name__ == "__main__":
    sys.exit(main())
