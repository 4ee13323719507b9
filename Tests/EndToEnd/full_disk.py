"""A full disk, a full quota and room again, on a file system of 64 MiB.

    full_disk.py ROOST [--cycles N] [--seed S]

Runs as root, or where user namespaces allow it: the file system is mounted in a namespace of its
own. Writes must be refused with OutOfDiskSpace and nothing that was acknowledged lost; reads and
deletes must go on; the server and `roost verify` must open a folder on a disk with no byte left;
and with room again writes must go on without a restart. Imports and migrations that meet a disk that
another program fills say so, and go on to the same end when there is room.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

from pymongo.errors import BulkWriteError, OperationFailure

from server import Server, wait_until

MEGABYTE = 1 << 20


def refused(write):
    """Runs a write that must be refused for want of space; answers the message."""
    try:
        write()
    except BulkWriteError as error:
        code, text = error.details["writeErrors"][0]["code"], str(error.details)
    except OperationFailure as error:
        code, text = error.code, str(error)
    else:
        raise AssertionError("the write should be refused")
    assert code == 14031, (code, text)
    return text


def fill(collection, batch, size):
    """Inserts until there is no room; answers how many documents were acknowledged."""
    acknowledged = 0
    while True:
        documents = [{"_id": f"{batch}-{acknowledged + i}", "k": (acknowledged + i) % 1000,
                      "x": os.urandom(size // 2).hex()} for i in range(200)]
        try:
            collection.insert_many(documents)
            acknowledged += len(documents)
        except BulkWriteError as error:
            assert error.details["writeErrors"][0]["code"] == 14031, error.details
            return acknowledged + error.details["nInserted"]
        except OperationFailure as error:
            assert error.code == 14031, error
            return acknowledged
        batch, acknowledged = batch, acknowledged


def cycles(client, count):
    """Fill, delete everything, fill again: no space is lost."""
    collection = client.full.cycles
    collection.create_index("k")
    filled = []
    for cycle in range(count):
        acknowledged = fill(collection, cycle, 1_000)
        assert collection.count_documents({}) >= acknowledged, "acknowledged documents are missing"
        assert collection.find_one({"_id": f"{cycle}-0"}) or not acknowledged
        filled.append(collection.count_documents({}))
        # Deletes work when nothing else does.
        deleted = collection.delete_many({}).deleted_count
        assert deleted == filled[-1], (deleted, filled[-1])
        wait_until(lambda: room_again(client), 20, f"no room after cycle {cycle}: {filled}")
    assert min(filled) > 0.5 * filled[0], f"space was lost from cycle to cycle: {filled}"
    return filled


def room_again(client):
    try:
        client.full.probe.replace_one({"_id": 1}, {"x": 1}, upsert=True)
        return True
    except OperationFailure as error:
        assert error.code == 14031, error
        return False


def no_byte_left(binary, mount):
    """Another program takes all of the disk: reads, verify and opening work; then room comes back."""
    server = Server(binary, folder=os.path.join(mount, "strange"))
    ballast = os.path.join(mount, "ballast")
    try:
        server.start()
        client = server.client()
        client.full.a.insert_many([{"_id": i, "x": "y" * 500} for i in range(5_000)])
        with open(ballast, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(65_536))
            except OSError:
                pass
            try:
                while True:
                    file.write(b"x")
            except OSError:
                pass
        assert os.statvfs(mount).f_bavail == 0
        time.sleep(1.1)
        message = refused(lambda: client.full.a.insert_one({"x": "y" * 100_000}))
        assert "disk is full" in message, message
        assert client.full.a.count_documents({"x": "y" * 500}) == 5_000
        assert client.full.a.find_one({"_id": 4_999})
        client.close()
        # As it stands: stop, verify, open, read.
        assert server.stop() == 0, server.log()
        found = subprocess.run([binary, "verify", server.folder], capture_output=True, text=True)
        assert found.returncode == 0, (found.stdout, found.stderr)
        server.start()
        client = server.client()
        assert client.full.a.count_documents({}) == 5_000
        refused(lambda: client.full.a.insert_many(
            [{"x": "y" * 1_000_000} for _ in range(5)]))
        # Killed, and opened again.
        server.kill()
        server.start()
        client = server.client()
        assert client.full.a.count_documents({}) == 5_000
        os.unlink(ballast)
        wait_until(lambda: room_again(client), 5, "writes should go on when there is room")
        client.full.a.insert_many([{"x": "y" * 500} for _ in range(1_000)])
        assert client.full.a.count_documents({}) == 6_000
        client.full.drop_collection("a")
        client.close()
        assert server.stop() == 0
        found = subprocess.run([binary, "verify", server.folder], capture_output=True, text=True)
        assert found.returncode == 0, (found.stdout, found.stderr)
    finally:
        server.remove()


class Ballast:
    """What another program puts on the disk."""

    def __init__(self, mount):
        self.mount, self.path = mount, os.path.join(mount, "ballast")

    def leave(self, room):
        """Takes the disk but for so many bytes."""
        with open(self.path, "ab") as file:
            found = os.statvfs(self.mount)
            taken = found.f_bavail * found.f_frsize - room
            assert taken > 0, f"the disk has no {room} bytes to leave"
            os.posix_fallocate(file.fileno(), 0, taken)

    def go(self):
        if os.path.exists(self.path):
            os.unlink(self.path)


def run_tool(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    return done.returncode, done.stdout + done.stderr


def imports(binary, server, ballast, files, rng):
    """An import that meets a full disk says so and is resumed when there is room."""
    name, count = os.path.join(files, "rows.ndjson"), 12_000
    with open(name, "w", encoding="utf-8") as file:
        for n in range(count):
            file.write(json.dumps({"n": n, "text": "x" * 700}) + "\n")
    uri = f"mongodb://{server.address}/full"
    client = server.client()
    client.full.drop_collection("rows")
    client.full.rows.create_index("n")
    ballast.leave(rng.randrange(4 << 20, 24 << 20))
    code, said = run_tool(binary, "import", "rows", name, "--uri", uri)
    assert code == 1 and "disk is full" in said, (code, said)
    assert not os.path.exists(name + ".errors.ndjson"), "a full disk is no document's fault"
    resume = ["--resume"] if os.path.exists(name + ".import") else []
    noted = 0
    if resume:
        assert "--resume" in said, said
        with open(name + ".import", encoding="utf-8") as file:
            noted = int(json.load(file)["records"]["$numberLong"])
    stored = client.full.rows.count_documents({"n": {"$lt": noted}})
    assert stored == noted, f"{stored} of {noted} that were acknowledged"
    assert resume or client.full.rows.count_documents({}) == 0
    # Still full: nothing is lost by trying.
    code, said = run_tool(binary, "import", "rows", name, "--uri", uri, *resume)
    assert code == 1 and "disk is full" in said, (code, said)
    ballast.go()
    wait_until(lambda: room_again(client), 20, "no room again")
    resume = ["--resume"] if os.path.exists(name + ".import") else []
    code, said = run_tool(binary, "import", "rows", name, "--uri", uri, *resume)
    assert code == 0, said
    assert sorted(d["n"] for d in client.full.rows.find({}, {"n": 1})) == list(range(count))
    client.full.drop_collection("rows")
    client.close()


def migrations(binary, server, ballast, files, rng):
    """A migration that meets a full disk stays where it is, and goes on when there is room."""
    folder = os.path.join(files, "migrations")
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "0001_a.roost"), "w", encoding="utf-8") as file:
        file.write("""up {
            update things where true convert total to int, set text = text + "y";
            create index on things (total);
            insert into copies from things | where total % 2 == 0;
            drop collection waste;
        }
        down { drop collection copies; }""")
    client = server.client()
    for name in "things", "copies", "waste", "roost.migrations", "roost.migrations.batches":
        client.full.drop_collection(name)
    client.full.things.insert_many(
        [{"_id": n, "total": str(n), "text": "x" * 700} for n in range(10_000)])
    client.full.waste.insert_one({})
    command = [binary, "migrate", "up", "--dir", folder, "--lease", "1", "--wait", "10",
               "--uri", f"mongodb://{server.address}/full"]
    ballast.leave(rng.randrange(1 << 20, 5 << 20))
    code, said = run_tool(*command)
    assert code == 1 and "disk" in said, (code, said)
    found = list(client.full.things.find())
    assert len(found) == 10_000, len(found)
    for row in found:
        assert int(row["total"]) == row["_id"], row
        assert row["text"] == "x" * 700 + ("y" if isinstance(row["total"], int) else "")
    ballast.go()
    wait_until(lambda: room_again(client), 20, "no room again")
    code, said = run_tool(*command)
    assert code == 0, said
    assert client.full.things.count_documents({"total": {"$type": "int"}}) == 10_000
    assert client.full.copies.count_documents({}) == 5_000
    names = client.full.list_collection_names()
    assert "waste" not in names and not [n for n in names if "dropped" in n], names
    client.close()


def tools(binary, mount, rounds, rng):
    ballast = Ballast(mount)
    for test in [imports, migrations] * rounds:
        server = Server(binary, folder=os.path.join(mount, "tools"))
        try:
            with tempfile.TemporaryDirectory(dir="/var/tmp") as files:
                server.start()
                test(binary, server, ballast, files, rng)
            assert server.stop() == 0
            code, said = run_tool(binary, "verify", server.folder)
            assert code == 0, said
        finally:
            server.remove()
            ballast.go()
            shutil.rmtree(os.path.join(mount, "tools"), ignore_errors=True)
    print(f"{rounds} imports and {rounds} migrations met a full disk, and went on with room again")


def quota(binary, base):
    """A quota is kept to the byte, and deletes make room."""
    limit = 50_000_000
    server = Server(binary, "--quota", "50MB")
    try:
        server.start()
        client = server.client()
        data = os.path.join(server.folder, "data.mdb")
        for cycle in range(3):
            count = fill(client.full.a, cycle, 700)
            assert count > 1_000, count
            assert os.path.getsize(data) <= limit, os.path.getsize(data)
            message = refused(lambda: client.full.a.insert_one({"x": "y" * 1_000_000}))
            assert "quota" in message and "delete" in message, message
            assert client.full.a.count_documents({"k": 5}) > 0
            stats = client.full.command("dbStats")
            assert stats["fsTotalSize"] <= limit and stats["fsUsedSize"] <= limit
            client.full.a.delete_many({"k": {"$lt": 900}})
            client.full.a.delete_many({})
            assert client.full.a.count_documents({}) == 0
            assert os.path.getsize(data) <= limit, os.path.getsize(data)
            wait_until(lambda: room_again(client), 20, "no room after deleting all")
        client.close()
        assert server.stop() == 0
        found = subprocess.run([binary, "verify", server.folder], capture_output=True, text=True)
        assert found.returncode == 0, (found.stdout, found.stderr)
    finally:
        server.remove()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("roost")
    parser.add_argument("--cycles", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3, help="of imports and migrations")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--mounted", help="the file system, mounted by the first call of this")
    options = parser.parse_args()
    binary = os.path.abspath(options.roost)
    if not options.mounted:
        with tempfile.TemporaryDirectory() as base:
            quota(binary, base)
            # The mount lives in a namespace of its own and goes with it.
            namespace = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
            script = 'mount -t tmpfs -o size=64m tmpfs "$1" && shift && exec "$@"'
            found = subprocess.run([
                *namespace, "sh", "-c", script, "sh", base, sys.executable, __file__, binary,
                "--cycles", str(options.cycles), "--rounds", str(options.rounds),
                "--seed", str(options.seed), "--mounted", base])
            sys.exit(found.returncode)
    rng = random.Random(options.seed)
    print(f"seed {options.seed}", flush=True)
    tools(binary, options.mounted, options.rounds, rng)
    no_byte_left(binary, options.mounted)
    server = Server(binary, folder=os.path.join(options.mounted, "cycles"))
    try:
        server.start()
        client = server.client()
        filled = cycles(client, options.cycles)
        client.close()
        assert server.stop() == 0
        found = subprocess.run([binary, "verify", server.folder], capture_output=True, text=True)
        assert found.returncode == 0, (found.stdout, found.stderr)
    finally:
        server.remove()
    print(f"a full disk, a full quota: reads and deletes went on; {options.cycles} cycles of "
          f"{min(filled)} to {max(filled)} documents")


if __name__ == "__main__":
    main()
