"""Failing system calls: the server acknowledges nothing that failed, says why, and recovers.

    faults.py ROOST

Loads fail_writes.c into the server, lets the n-th write of data, write of the header or sync fail
with EIO, ENOSPC or half done while clients write, kills the server, and opens the folder again:
every acknowledged document must be there, whole; none that was refused alone may be half there; and
`roost verify` finds no fault.
"""

import errno
import mmap
import os
import struct
import subprocess
import sys
import tempfile
import threading
import time

from pymongo.errors import OperationFailure, PyMongoError

from server import Server

DATA, HEADER, SYNC, LOG, LOG_SYNC, CHECKPOINT, CHECKPOINT_SYNC = 1, 2, 4, 8, 16, 32, 64
# Kind, errno (0: half written), calls before the first that fails, and whether writes stop for good.
CASES = [
    (DATA, errno.EIO, 0, True), (DATA, errno.EIO, 7, True), (DATA, errno.ENOSPC, 0, False),
    (DATA, errno.ENOSPC, 5, False), (DATA, 0, 3, True),
    (SYNC, errno.EIO, 0, True), (SYNC, errno.EIO, 3, True), (SYNC, errno.ENOSPC, 2, True),
    (HEADER, errno.EIO, 0, True), (HEADER, errno.ENOSPC, 3, True), (HEADER, 0, 1, True),
    (LOG, errno.EIO, 4, True), (LOG, errno.ENOSPC, 4, False), (LOG, 0, 4, False),
    (LOG_SYNC, errno.EIO, 0, True), (LOG_SYNC, errno.EIO, 7, True),
    (CHECKPOINT, errno.EIO, 1, True), (CHECKPOINT_SYNC, errno.EIO, 0, True),
]


class Faults:
    def __init__(self, path):
        with open(path, "wb") as file:
            file.write(bytes(20))
        self.file = open(path, "r+b")
        self.memory = mmap.mmap(self.file.fileno(), 20)

    def arm(self, kinds, error, skip, times=1):
        self.memory[:] = struct.pack("<5i", kinds, skip, times, error, 0)

    def disarm(self):
        self.arm(0, 0, 0, 0)

    @property
    def hits(self):
        return struct.unpack("<5i", self.memory[:])[4]


class Writer(threading.Thread):
    """Inserts pairs of documents; remembers what was acknowledged and what was refused."""

    def __init__(self, server, number, done):
        super().__init__(daemon=True)
        self.client, self.number, self.done = server.client(), number, done
        self.acknowledged, self.errors, self.count = [], [], 0
        self.start()

    def run(self):
        while not self.done.is_set() and len(self.errors) < 20:
            self.count += 1
            key = f"{self.number}-{self.count}"
            try:
                self.client.faults.docs.insert_one(
                    {"_id": key, "n": self.count, "tags": [self.number, self.count % 50],
                     "x": "y" * 2_000})
                self.acknowledged.append(key)
            except OperationFailure as error:
                self.errors.append(error)
                time.sleep(0.01)
            except PyMongoError:
                return


def read_on(client, kind, what):
    """Reads go on; after a failed header LMDB hands out no snapshot more, which they must say."""
    try:
        assert client.faults.docs.find_one({"_id": 7})["n"] == 7, what
        assert client.faults.docs.count_documents({"tags": 7}) >= 1
    except OperationFailure as refusal:
        assert kind == HEADER and "restart and verify" in str(refusal), (what, refusal)


def case(binary, shim, base, kind, error, skip, stops):
    what = f"kind {kind}, errno {error}, after {skip}"
    faults = Faults(os.path.join(base, "control"))
    environment = {"LD_PRELOAD": shim, "ROOST_FAULTS": os.path.join(base, "control")}
    server = Server(binary, environment=environment)
    try:
        server.start()
        client = server.client()
        client.faults.docs.create_index("tags")
        client.faults.docs.insert_many([{"_id": i, "n": i, "tags": [i]} for i in range(500)])
        done = threading.Event()
        writers = [Writer(server, number, done) for number in range(4)]
        time.sleep(0.2)
        faults.arm(kind, error, skip)
        end = time.monotonic() + 10
        while faults.hits == 0:
            assert time.monotonic() < end, f"{what}: nothing failed"
            time.sleep(0.01)
        time.sleep(0.3)
        faults.disarm()
        read_on(client, kind, what)
        status = client.admin.command("serverStatus")
        if stops:
            try:
                client.faults.docs.insert_one({"_id": "late"})
                raise AssertionError(f"{what}: writes should be refused")
            except OperationFailure as refusal:
                assert "writes are stopped" in str(refusal), refusal
                assert "restart and verify" in str(refusal), refusal
            assert "writesStoppedReason" in str(status), status
            assert "writes are stopped" in server.log() or "stopped" in server.log(), server.log()
        else:
            client.faults.docs.insert_one({"_id": "late"})
        done.set()
        for writer in writers:
            writer.join()
        refused = [error for writer in writers for error in writer.errors]
        assert refused or not stops, f"{what}: nobody was told"
        for refusal in refused:
            assert refusal.code in (14031, 96), refusal
        server.kill()
        server.environment.pop("LD_PRELOAD")
        found = subprocess.run([binary, "verify", server.folder], capture_output=True, text=True)
        assert found.returncode == 0, (what, found.stdout, found.stderr)
        server.start()
        docs = server.client().faults.docs
        stored = {d["_id"]: d for d in docs.find()}
        for writer in writers:
            for key in writer.acknowledged:
                assert key in stored, f"{what}: {key} was acknowledged and is lost"
        assert all(len(d.get("x", "y" * 2_000)) == 2_000 for d in stored.values())
        docs.insert_one({"_id": "after"})
        assert server.stop() == 0
        count = sum(len(writer.acknowledged) for writer in writers)
        print(f"    {what}: {count} acknowledged, {len(refused)} refused", flush=True)
    finally:
        server.remove()


def main():
    binary = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as base:
        shim = os.path.join(base, "fail_writes.so")
        source = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fail_writes.c")
        subprocess.run(["cc", "-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC", "-o", shim,
                        source, "-ldl"], check=True)
        for row in CASES:
            case(binary, shim, base, *row)
    print(f"{len(CASES)} kinds of failing writes and syncs: nothing acknowledged was lost")


if __name__ == "__main__":
    main()
