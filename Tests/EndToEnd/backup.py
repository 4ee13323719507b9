"""Backups of a server under load: what is restored equals the state at its time, by hash.

    backup.py ROOST [--rounds N] [--points N] [--seed N]

A model client writes one collection, a command at a time, and notes for each the cluster time and
the hash of the collection's state; other clients write others beside it all the time. Backups are
taken at random moments, increments too. Then:
- the newest state of each backup equals the model's, and every folder passes `roost verify`;
- restores to random commits and resume tokens equal the model's state there;
- a backup or restore that is killed leaves nothing half-done, and the next run works;
- each flipped bit in a backup's files is found and named;
- what can't be restored is refused, and old resume tokens don't resume on a restored folder.
"""

import argparse
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import bson
import pymongo
from server import Server

PADDING = "x" * 200


def run(*command, code=0):
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == code, (command, done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr


def state_hash(collection):
    return hashlib.sha256(
        b"".join(bson.encode(d) for d in collection.find().sort("_id"))).hexdigest()


class Model:
    """A client that knows what its collection holds after each of its commands."""

    def __init__(self, server, seed):
        self.client = server.client()
        self.collection = self.client.shop.orders
        self.random = random.Random(seed)
        self.documents = {}
        self.commits = []  # (cluster time, hash)
        self.collection.create_index("total")
        self.collection.create_index("tags")
        self.session = self.client.start_session()

    def step(self):
        kind = self.random.random()
        key = self.random.randrange(400)
        if kind < 0.6:
            document = {"_id": key, "total": self.random.randrange(1000), "pad": PADDING,
                        "tags": [self.random.randrange(9) for _ in range(key % 4)]}
            self.collection.replace_one({"_id": key}, document, upsert=True, session=self.session)
            self.documents[key] = document
        elif kind < 0.8:
            self.collection.delete_one({"_id": key}, session=self.session)
            self.documents.pop(key, None)
        else:
            self.collection.update_many(
                {"_id": {"$gte": key, "$lt": key + 8}}, {"$set": {"total": 7}},
                session=self.session)
            for other in range(key, key + 8):
                if other in self.documents:
                    self.documents[other] = {**self.documents[other], "total": 7}
        time_ = self.session.operation_time
        self.commits.append((time_, self.hash()))

    def hash(self):
        return hashlib.sha256(b"".join(
            bson.encode(self.documents[k]) for k in sorted(self.documents))).hexdigest()


class Load:
    """Clients that write other collections, make and drop some, build indexes."""

    def __init__(self, server, threads=3):
        self.stopped = threading.Event()
        self.latencies = []
        self.threads = [threading.Thread(target=self.write, args=(server, n), daemon=True)
                        for n in range(threads)]
        for thread in self.threads:
            thread.start()

    def write(self, server, number):
        client = server.client()
        rng = random.Random(number)
        while not self.stopped.is_set():
            try:
                collection = client.load[f"c{number}_{rng.randrange(3)}"]
                begin = time.monotonic()
                collection.insert_many([{"n": rng.random(), "pad": PADDING} for _ in range(20)])
                self.latencies.append(time.monotonic() - begin)
                if rng.random() < 0.02:
                    collection.create_index("n")
                if rng.random() < 0.02:
                    collection.drop()
            except pymongo.errors.PyMongoError:
                if not self.stopped.is_set():
                    raise

    def stop(self):
        self.stopped.set()
        for thread in self.threads:
            thread.join()


def check_restored(roost, folder, wanted, verify=True):
    if verify:
        assert "no fault" in run(roost, "verify", folder)
    server = Server(roost, folder=folder)
    server.start()
    try:
        collection = server.client().shop.orders
        found = state_hash(collection)
        assert found == wanted, f"{folder} differs from the model"
        # Through each index the same documents.
        for name in "total", "tags":
            assert len(list(collection.find({name: {"$exists": True}}).hint([(name, 1)]))) == \
                collection.count_documents({name: {"$exists": True}}), name
    finally:
        server.stop()
        server.remove()


def latest(destination):
    return sorted(n for n in os.listdir(destination) if n[0].isdigit() and ".part" not in n)[-1]


def under_load(roost, rounds, points, seed):
    rng = random.Random(seed)
    base = tempfile.mkdtemp(prefix="roost-backup-")
    destination = os.path.join(base, "backups")
    server = Server(roost, "--replica-set", "rs0")
    server.options += ["--advertise", server.address]
    server.start()
    model = Model(server, seed)
    stream = model.client.shop.orders.watch()
    for _ in range(200):
        model.step()
    first = len(model.commits)
    load = Load(server)
    uri = f"mongodb://{server.address}"
    worker = threading.Event()

    def work():
        while not worker.is_set():
            model.step()
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    # Backups at random moments; each is restored, and its newest state is one of the model's.
    states = []
    for number in range(rounds):
        time.sleep(rng.random() * 0.3)
        arguments = ["--full"] if number == 0 or rng.random() < 0.3 else []
        before = len(model.commits)
        run(roost, "backup", destination, "--uri", uri, "--quiet", *arguments)
        after = len(model.commits)
        folder = os.path.join(base, f"restored{number}")
        run(roost, "restore", destination, folder)
        states.append((folder, before, after))
    worker.set()
    thread.join()
    run(roost, "backup", destination, "--uri", uri, "--quiet")
    load.stop()
    tokens = []
    while (event := stream.try_next()) is not None:
        tokens.append((event["clusterTime"], event["_id"]["_data"]))
    for folder, before, after in states:
        assert "no fault" in run(roost, "verify", folder)
        copy = Server(roost, folder=folder)
        copy.start()
        found = state_hash(copy.client().shop.orders)
        copy.stop()
        copy.remove()
        # Nothing acknowledged before the backup is missing, nothing is half there.
        assert found in [h for _, h in model.commits[before - 1:after + 1]], folder
        shutil.rmtree(folder, ignore_errors=True)
    print(f"{rounds} backups under load, {len(model.commits)} commits: each equals the model")
    # The first backup's time: nothing before it can be restored.
    run(roost, "restore", destination, os.path.join(base, "early"), "--to", "2001-01-01T00:00:00Z",
        code=1)
    run(roost, "restore", destination, os.path.join(base, "late"), "--to", "2101-01-01T00:00:00Z",
        code=1)
    by_time = dict(tokens)
    covered = [c for c in model.commits[first:]]
    done = 0
    while done < points:
        index = rng.randrange(len(covered))
        time_, wanted = covered[index]
        point = f"{time_.time}:{time_.inc}"
        if time_ in by_time and rng.random() < 0.5:
            point = by_time[time_]
        folder = os.path.join(base, f"point{done}")
        output = subprocess.run([roost, "restore", destination, folder, "--to", point],
                                capture_output=True, text=True)
        if output.returncode != 0:
            # Before the end of the first whole backup.
            assert "no backup covers" in output.stderr and index < len(covered) // 2, output.stderr
            continue
        check_restored(roost, folder, wanted, verify=done % 5 == 0)
        shutil.rmtree(folder, ignore_errors=True)
        done += 1
    print(f"{points} restores to random commits equal the model")
    drill = run(roost, "restore", "--drill", destination)
    assert "verdict      good" in drill, drill
    return base, destination, server, model, stream


def tokens_do_not_resume(roost, base, destination, server, model, stream):
    """A restored folder is another history."""
    token = stream.resume_token
    folder = os.path.join(base, "other")
    run(roost, "restore", destination, folder)
    copy = Server(roost, "--replica-set", "rs0", folder=folder)
    copy.options += ["--advertise", copy.address]
    copy.start()
    try:
        collection = copy.client().shop.orders
        for n in range(3):
            collection.insert_one({"_id": f"new{n}"})
        try:
            with collection.watch(resume_after=token) as resumed:
                resumed.try_next()
            raise AssertionError("an old token resumed on a restored folder")
        except pymongo.errors.OperationFailure as error:
            assert error.code in (260, 286), error
        # Its log can't be added to the backups of what it was restored from.
        output = run(roost, "backup", destination, "--uri", f"mongodb://{copy.address}",
                     "--incremental", code=1)
        assert "backup" in output
    finally:
        copy.stop()
        copy.remove()
    print("a restored folder is a new history")


def restarts_and_retention(roost, destination, server, model):
    """The log is kept over kills and restarts, and old backups go when told."""
    uri = f"mongodb://{server.address}"
    for n in range(3):
        server.kill() if n % 2 else server.stop()
        server.start()
        model.client = server.client()
        model.collection = model.client.shop.orders
        model.session = model.client.start_session()
        for _ in range(40):
            model.step()
        output = run(roost, "backup", destination, "--uri", uri, "--incremental")
        assert "added to" in output, output
    folder = os.path.join(os.path.dirname(destination), "restarted")
    run(roost, "restore", destination, folder)
    check_restored(roost, folder, model.hash())
    run(roost, "backup", destination, "--uri", uri, "--full", "--keep", "1")
    assert len([n for n in os.listdir(destination) if n[0].isdigit()]) == 1
    # Each file goes to the upload command once, the manifest behind what it names.
    uploads = os.path.join(os.path.dirname(destination), "uploads")
    os.mkdir(uploads)
    command = f'mkdir -p {uploads}/$(dirname "$ROOST_NAME") && cp "$ROOST_FILE" ' \
              f'{uploads}/"$ROOST_NAME"'
    for _ in range(2):
        model.step()
        run(roost, "backup", destination, "--uri", uri, "--upload-command", command)
    away = os.path.join(os.path.dirname(destination), "away")
    run(roost, "restore", uploads, away)
    check_restored(roost, away, model.hash())
    # A folder that no server uses.
    server.stop()
    cold = os.path.join(os.path.dirname(destination), "cold")
    run(roost, "backup", cold, "--data", server.folder)
    run(roost, "restore", cold, cold + "-restored")
    check_restored(roost, cold + "-restored", model.hash())
    server.start()
    model.client = server.client()
    model.collection = model.client.shop.orders
    model.session = model.client.start_session()
    print("increments over restarts and kills, retention, uploads, a stopped folder")


def kills(roost, destination, server, model, rounds, rng):
    uri = f"mongodb://{server.address}"
    broken = 0
    for _ in range(rounds):
        for _ in range(20):
            model.step()
        arguments = ["--full"] if rng.random() < 0.6 else []
        process = subprocess.Popen(
            [roost, "backup", destination, "--uri", uri, "--quiet", *arguments],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(rng.random() * 0.4)
        process.send_signal(signal.SIGKILL)
        broken += process.wait() != 0
        # Whatever is there under its name is whole.
        folder = os.path.join(os.path.dirname(destination), "killed")
        run(roost, "restore", destination, folder)
        shutil.rmtree(folder)
        process = subprocess.Popen(
            [roost, "restore", destination, folder], stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL)
        time.sleep(rng.random() * 0.4)
        process.send_signal(signal.SIGKILL)
        broken += process.wait() != 0
        if os.path.exists(folder):
            assert "no fault" in run(roost, "verify", folder)
            shutil.rmtree(folder)
    run(roost, "backup", destination, "--uri", uri, "--quiet")
    assert not [n for n in os.listdir(destination) if n.endswith(".part")]
    run(roost, "restore", destination, folder)
    check_restored(roost, folder, model.hash())
    shutil.rmtree(folder)
    print(f"{broken} backups and restores killed: nothing half-done")


def flips(roost, destination, count, rng):
    name = latest(destination)
    files = [f for f in os.listdir(os.path.join(destination, name)) if not f.startswith(".")]
    folder = os.path.join(os.path.dirname(destination), "flipped")
    for _ in range(count):
        file = rng.choice(files)
        path = os.path.join(destination, name, file)
        place, bit = rng.randrange(os.path.getsize(path)), 1 << rng.randrange(8)
        with open(path, "r+b") as handle:
            handle.seek(place)
            byte = handle.read(1)[0]
            handle.seek(place)
            handle.write(bytes([byte ^ bit]))
        output = run(roost, "restore", destination, folder, code=1)
        assert file in output and "damaged" in output, (file, place, output)
        assert not os.path.exists(folder) and not os.path.exists(folder + ".part")
        with open(path, "r+b") as handle:
            handle.seek(place)
            handle.write(bytes([byte]))
    run(roost, "restore", destination, folder)
    print(f"{count} flipped bits in {len(files)} files: each found and named")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("roost")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--points", type=int, default=5)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}")
    rng = random.Random(arguments.seed)
    base, destination, server, model, stream = under_load(
        arguments.roost, arguments.rounds, arguments.points, arguments.seed)
    try:
        tokens_do_not_resume(arguments.roost, base, destination, server, model, stream)
        restarts_and_retention(arguments.roost, destination, server, model)
        kills(arguments.roost, destination, server, model, max(4, arguments.rounds), rng)
        flips(arguments.roost, destination, 4 * arguments.rounds, rng)
        server.stop()
    finally:
        server.remove()
        shutil.rmtree(base, ignore_errors=True)
    print("passed")


if __name__ == "__main__":
    sys.exit(main())
