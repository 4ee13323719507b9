"""Kills the server while clients write, and checks that every acknowledged write is there.

    kill_loop.py ROOST [--loops N]

Each loop starts the server on the same folder, checks all that earlier loops acknowledged, writes
with four threads (inserts, updates, deletes, with a unique and a multikey index), kills the server
with SIGKILL at a random moment, and runs `roost verify` on the folder.
"""

import argparse
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

import pymongo

THREADS = 4


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Writer(threading.Thread):
    """Writes documents of its own and remembers what was acknowledged.

    `state` maps _id to the acknowledged revision, None for deleted; `doubt` is the one operation
    whose answer was not seen, which may or may not have happened.
    """

    def __init__(self, number, uri, state, doubt, seed):
        super().__init__()
        self.uri, self.state, self.doubt = uri, state, doubt
        self.number, self.random = number, random.Random(seed)

    def run(self):
        client = pymongo.MongoClient(self.uri, retryWrites=False, serverSelectionTimeoutMS=5_000)
        collection = client.kill.documents
        try:
            while True:
                self.step(collection)
        except pymongo.errors.PyMongoError:
            pass
        finally:
            client.close()

    def step(self, collection):
        live = [k for k, v in self.state.items() if v is not None]
        choice = self.random.random()
        if choice < 0.5 or not live:
            key = f"{self.number}-{len(self.state)}"
            self.doubt.clear()
            self.doubt[key] = 1
            collection.insert_one(document(key, 1))
            self.state[key] = 1
        elif choice < 0.85:
            key = self.random.choice(live)
            revision = self.state[key] + 1
            self.doubt.clear()
            self.doubt[key] = revision
            collection.replace_one({"_id": key}, document(key, revision))
            self.state[key] = revision
        else:
            key = self.random.choice(live)
            self.doubt.clear()
            self.doubt[key] = None
            collection.delete_one({"_id": key})
            self.state[key] = None
        self.doubt.clear()


def document(key, revision):
    return {"_id": key, "revision": revision, "unique": f"{key}/{revision}",
            "tags": [f"t{revision % 3}", f"t{revision % 5}"], "filler": "x" * (revision * 37 % 900)}


def check(collection, states, doubts):
    stored = {d["_id"]: d for d in collection.find()}
    problems = []
    for state, doubt in zip(states, doubts):
        for key, revision in state.items():
            allowed = {revision} | ({doubt[key]} if key in doubt else set())
            found = stored.get(key, {}).get("revision")
            if found not in allowed:
                problems.append(f"{key}: acknowledged {revision}, found {found}")
            elif found != revision:
                state[key] = found
        for key, revision in doubt.items():
            if key not in state and key in stored:
                state[key] = stored[key]["revision"]
        doubt.clear()
    for key, found in stored.items():
        if found != document(key, found["revision"]):
            problems.append(f"{key}: half a document")
    for tag in ("t0", "t1", "t4"):
        wanted = sorted(k for k, d in stored.items() if tag in d["tags"])
        got = sorted(d["_id"] for d in collection.find({"tags": tag}).hint("tags_1"))
        if wanted != got:
            problems.append(f"index tags_1 differs from the documents for {tag}")
    return problems


def start(roost, folder):
    port = free_port()
    process = subprocess.Popen([roost, "serve", folder, "--listen", f"127.0.0.1:{port}",
                                "--log-level", "error"])
    uri = f"mongodb://127.0.0.1:{port}"
    client = pymongo.MongoClient(uri, serverSelectionTimeoutMS=20_000)
    client.admin.command("ping")
    return process, uri, client


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("roost")
    parser.add_argument("--loops", type=int, default=100)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    print(f"seed {options.seed}")
    moments = random.Random(options.seed)
    folder = tempfile.mkdtemp(prefix="kill-")
    states, doubts = [{} for _ in range(THREADS)], [{} for _ in range(THREADS)]
    for loop in range(options.loops):
        process, uri, client = start(options.roost, folder)
        collection = client.kill.documents
        collection.create_indexes([pymongo.IndexModel([("unique", 1)], unique=True),
                                   pymongo.IndexModel([("tags", 1)])])
        problems = check(collection, states, doubts)
        client.close()
        writers = [Writer(n, uri, states[n], doubts[n], moments.random()) for n in range(THREADS)]
        for writer in writers:
            writer.start()
        time.sleep(moments.uniform(0.05, 0.6))
        process.send_signal(signal.SIGKILL)
        process.wait()
        for writer in writers:
            writer.join()
        verified = subprocess.run([options.roost, "verify", folder], capture_output=True, text=True)
        if verified.returncode != 0:
            problems.append(f"roost verify: {verified.stdout[-2000:]}{verified.stderr[-500:]}")
        if problems:
            print(f"loop {loop}: {len(problems)} problems; folder {folder}")
            print("\n".join(problems[:20]))
            sys.exit(1)
    writes = sum(len(s) for s in states)
    print(f"{options.loops} kills, {writes:,} documents acknowledged, none lost")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
