"""Damaged data files: cut, flipped, zeroed, exchanged, while the server is down and while it serves.

    damage.py ROOST [--rounds N] [--seed N]

After each damage `roost verify` must find what matters, and the server must refuse to open with a
clear message, or serve: every answer is then either what was stored or an error. It never dies by a
signal, and never answers wrong data.
"""

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time

import pymongo
from pymongo.errors import PyMongoError

from server import Server

PAGE = 4096


def fill(client):
    db = client.shop
    for name in ("orders", "customers"):
        db[name].insert_many([{"_id": i, "n": i % 100, "text": f"{name} {i} " + "x" * 100,
                               "tags": [i % 7, i % 11]} for i in range(3_000)])
        db[name].create_index("n")
        db[name].create_index("tags")
    db.large.insert_many([{"_id": i, "x": os.urandom(50_000)} for i in range(20)])
    db.orders.delete_many({"_id": {"$lt": 500}})


def content(client):
    """What each read answers; an exception's type in place of an answer that is refused."""
    db = client.shop
    reads = {}

    def read(name, body):
        try:
            reads[name] = body()
        except PyMongoError as error:
            reads[name] = error

    for name in ("orders", "customers", "large"):
        read(f"{name} all", lambda: list(db[name].find().sort("_id", 1)))
        read(f"{name} n", lambda: list(db[name].find({"n": 5}).sort("_id", 1)))
        read(f"{name} tags", lambda: db[name].count_documents({"tags": 3}))
        for key in (0, 7, 700, 2_999):
            read(f"{name} {key}", lambda: db[name].find_one({"_id": key}))
        read(f"{name} group", lambda: list(db[name].aggregate([
            {"$group": {"_id": "$n", "c": {"$sum": 1}}}, {"$sort": {"_id": 1}}])))
    return reads


def damage(data, chance):
    """Damages the bytes and says how."""
    pages = len(data) // PAGE
    page = chance.randrange(pages)
    kind = chance.choice(["bit", "bit", "bit", "bit", "zero", "cut", "exchange", "noise"])
    if kind == "bit":
        at = chance.randrange(len(data))
        data[at] ^= 1 << chance.randrange(8)
        return f"bit at {at} (page {at // PAGE})"
    if kind == "zero":
        data[page * PAGE:(page + 1) * PAGE] = bytes(PAGE)
        return f"page {page} zeroed"
    if kind == "cut":
        del data[page * PAGE + chance.choice([0, 0, 1000]):]
        return f"cut at page {page}"
    if kind == "exchange":
        other = chance.randrange(pages)
        one, two = slice(page * PAGE, (page + 1) * PAGE), slice(other * PAGE, (other + 1) * PAGE)
        data[one], data[two] = data[two], data[one]
        return f"pages {page} and {other} exchanged"
    start = page * PAGE + chance.randrange(PAGE - 64)
    data[start:start + 64] = chance.randbytes(64)
    return f"noise at {start} (page {page})"


def one(binary, sound, expected, chance, base, counts):
    data = bytearray(sound)
    what = damage(data, chance)
    folder = os.path.join(base, "damaged")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(os.path.join(base, "sound"), folder)
    with open(os.path.join(folder, "data.mdb"), "wb") as file:
        file.write(data)
    found = subprocess.run([binary, "verify", folder], capture_output=True, text=True, timeout=120)
    assert found.returncode in (0, 1), (what, found.returncode, found.stdout, found.stderr)
    server = Server(binary, folder=folder)
    try:
        server.launch()
        client = server.client(serverSelectionTimeoutMS=200)
        end = time.monotonic() + 30
        while server.process.poll() is None:
            try:
                client.admin.command("ping")
                break
            except PyMongoError:
                assert time.monotonic() < end, (what, server.log())
        if server.process.poll() is not None:
            assert server.process.returncode == 1, (what, server.process.returncode, server.log())
            assert "Error: cannot open" in server.log(), (what, server.log())
            assert found.returncode == 1, (what, "verify finds nothing in what can't be opened")
            counts["refused"] += 1
            return
        reads = content(client)
        assert server.process.poll() is None, (what, server.process.returncode, server.log())
        failed = [name for name, read in reads.items() if isinstance(read, PyMongoError)]
        for name, read in reads.items():
            assert name in failed or read == expected[name], f"{what}: {name} answered wrong data"
        assert not failed or found.returncode == 1, (what, failed, "verify finds no fault")
        counts["partly" if failed else "found" if found.returncode else "harmless"] += 1
        client.close()
        assert server.stop() == 0, (what, server.log())
    finally:
        server.remove()


def inserts(client):
    """Writes alone: the writer's thread is the first to look at the pages."""
    try:
        client.shop.orders.insert_many(
            [{"_id": i + 0.5, "n": i % 100, "tags": [i % 7]} for i in range(3_000)])
    except PyMongoError:
        pass


def cut_while_serving(binary, base, sound, use):
    """The file loses its end under a running server: a clear end, then a clear refusal."""
    folder = os.path.join(base, f"cut-{use.__name__}")
    shutil.copytree(os.path.join(base, "sound"), folder)
    path = os.path.join(folder, "data.mdb")
    server = Server(binary, folder=folder)
    try:
        server.start()
        os.truncate(path, len(sound) // 3 // PAGE * PAGE)
        use(server.client(serverSelectionTimeoutMS=500))
        status = server.process.wait(timeout=10)
        assert status == 74, (status, server.log())
        assert "can't be read" in server.log() and path in server.log(), server.log()
        server.launch()
        status = server.process.wait(timeout=10)
        assert status in (1, 74), status
        assert "damaged" in server.log(), server.log()
        found = subprocess.run([binary, "verify", folder], capture_output=True, text=True)
        assert found.returncode == 1, found.stdout
    finally:
        server.remove()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("roost")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    options = parser.parse_args()
    binary = os.path.abspath(options.roost)
    with tempfile.TemporaryDirectory() as base:
        server = Server(binary, folder=os.path.join(base, "sound"))
        server.start()
        fill(server.client())
        expected = content(server.client())
        assert server.stop() == 0
        with open(os.path.join(base, "sound", "data.mdb"), "rb") as file:
            sound = file.read()
        counts = {"refused": 0, "partly": 0, "found": 0, "harmless": 0}
        for use in (content, inserts):
            cut_while_serving(binary, base, sound, use)
        for number in range(options.rounds):
            chance = random.Random(options.seed * 100_003 + number)
            try:
                one(binary, sound, expected, chance, base, counts)
            except BaseException:
                print(f"seed {options.seed}, round {number} of a file of {len(sound) // PAGE} pages")
                raise
    print(f"{options.rounds} damaged files (seed {options.seed}): {counts['refused']} refused, "
          f"{counts['partly']} read in part, {counts['found']} found by verify alone, "
          f"{counts['harmless']} harmless")


if __name__ == "__main__":
    main()
