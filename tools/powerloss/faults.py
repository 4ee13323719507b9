"""Failing system calls: makes the n-th call of each kind fail while clients write.

For each kind of call and each error, first while the server makes or opens its folder (`start`),
then while clients write (`write`): the server acknowledges nothing that failed, goes on, refuses
writes and says why, or ends and says why; it never crashes. Reads go on wherever the server does.
Afterwards the folder opens, `verify` finds no fault and every acknowledged write is there; so it is
when the power is cut, too, after the failure: {cuts} crash states of each trace are opened.

Calls: {calls}.
Errors: EIO, ENOSPC, EINTR, and a half written write.
"""

import argparse
import errno
import os
import pickle
import random
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import zlib

import bson
from pymongo.errors import ConnectionFailure, OperationFailure, PyMongoError

from checker import Checker
from disk import FAULT
from main import make_state
from recording import Recording, Server

# As in recorder.c.
CALLS = {name: 1 << bit for bit, name in enumerate((
    "pwrite", "pwritev", "write", "fdatasync", "fsync", "open", "ftruncate", "fallocate",
    "sync_file_range", "mmap", "rename", "unlink", "mkdir"))}
WRITES = ("pwrite", "pwritev", "write")
HALF = 0
CUTS = 3
OUT_OF_DISK_SPACE = 14031
SLOW_SECONDS = 10
# The exit statuses with which the server says that it can't go on.
SAID = (0, 1, 74)


def name_of(error):
    return "half" if error == HALF else errno.errorcode[error]


class Writer(threading.Thread):
    """Inserts documents, and counts in one; remembers what was acknowledged, sent and refused."""

    AFTER_FAILURE = 12

    def __init__(self, recording, number, is_over):
        super().__init__(daemon=True)
        self.recording, self.number, self.is_over = recording, number, is_over
        self.client = recording.server.client(serverSelectionTimeoutMS=2_000,
                                              socketTimeoutMS=15_000)
        self.sent, self.acknowledged, self.refused = {}, [], {}
        self.counted = [(0, 0)]       # (record, value)
        self.counting = 0
        self.start()

    def run(self):
        docs, left = self.client.faults.docs, self.AFTER_FAILURE
        while left and not self.is_over.is_set():
            left -= self.recording.control.hits > 0
            key = f"{self.number}-{len(self.sent)}"
            document = {"_id": key, "n": len(self.sent), "tags": [self.number, len(self.sent) % 7],
                        "x": "y" * (len(self.sent) % 9 * 700)}
            self.sent[key] = zlib.crc32(bson.encode(document))
            try:
                docs.insert_one(document)
                self.acknowledged.append((self.recording.control.sequence, key))
                key = "counter"
                self.counting += 1
                docs.replace_one({"_id": f"count-{self.number}"}, {"v": self.counting}, upsert=True)
                self.counted.append((self.recording.control.sequence, self.counting))
            except OperationFailure as refusal:
                self.refused[key] = refusal
            except ConnectionFailure:
                return
            except PyMongoError as error:
                self.refused[key] = error
                return

    def missing(self, lines, number):
        """What a folder with these documents lacks, or has too much, by the record `number`."""
        problems = []
        for record, key in self.acknowledged:
            if record <= number and lines.get(key) != self.sent[key]:
                problems.append(f"{key} was acknowledged and is {lines.get(key, 'missing')}")
        least = max(value for record, value in self.counted if record <= number)
        found = lines.get(f"count-{self.number}")
        allowed = {zlib.crc32(bson.encode({"_id": f"count-{self.number}", "v": value}))
                   for value in range(max(least, 1), self.counting + 1)}
        if found not in allowed and (found is not None or least):
            problems.append(f"count-{self.number} is not between {least} and {self.counting}")
        for key, checksum in lines.items():
            if key.startswith(f"{self.number}-") and self.sent.get(key) != checksum:
                problems.append(f"{key} was never sent so")
        return problems


class Case:
    """One failure, and all that must hold then."""

    def __init__(self, options, checker, call, error, phase, skip):
        self.options, self.checker = options, checker
        self.call, self.error, self.phase, self.skip = call, error, phase, skip
        self.random = random.Random(f"{options.seed}/{self}")
        self.problems, self.writers, self.hits, self.answers = [], [], 0, "not reached"

    def __str__(self):
        return f"{self.phase}: {name_of(self.error)} at {self.call} number {self.skip + 1}"

    def run(self, base, template=None):
        """`template` is a folder with data, for `start` with something to open."""
        self.recording = Recording(base, self.options.recorder, sync_micros=0)
        if template:
            shutil.copytree(template, self.recording.data)
        try:
            self.recording.begin(is_new=template is None)
            self.fail()
            if self.hits:
                self.examine()
        finally:
            self.recording.remove()
        return self

    def fail(self):
        recording, control = self.recording, self.recording.control
        if self.phase != "write":
            control.arm(CALLS[self.call], self.error, self.skip)
        recording.server = Server(self.options.roost, folder=recording.data,
                                  environment=recording.environment)
        try:
            recording.server.start()
        except AssertionError:
            self.note_end("did not start")
            self.hits = control.hits
            return
        is_over = threading.Event()
        try:
            if self.phase == "write":
                recording.server.client().faults.docs.create_index("tags")
        except PyMongoError as error:
            self.problems.append(f"the index was refused before anything failed: {error}")
        self.writers = [Writer(recording, number, is_over) for number in range(2)]
        if self.phase == "write":
            time.sleep(self.random.uniform(0, 0.03))
            control.arm(CALLS[self.call], self.error, self.skip)
        end = time.monotonic() + self.options.patience
        while control.hits == 0 and time.monotonic() < end:
            time.sleep(0.002)
        if control.hits == 0:
            is_over.set()
        for writer in self.writers:
            writer.join(timeout=20)
            if writer.is_alive():
                self.problems.append("a write is not answered")
        is_over.set()
        self.hits = control.hits
        if recording.server.process.poll() is None:
            self.read()
            if self.random.random() < 0.5:
                recording.server.kill()
            else:
                recording.server.process.terminate()
                try:
                    recording.server.process.wait(timeout=20)
                except subprocess.TimeoutExpired:
                    self.problems.append("the server does not stop")
                    recording.server.kill()
                self.note_end(None)
        else:
            self.note_end("ended")

    def read(self):
        """Reads go on, and don't show what was refused for good."""
        refused = {key: error for writer in self.writers for key, error in writer.refused.items()}
        self.answers = "refused writes" if refused else "went on"
        for error in refused.values():
            if not str(error).strip():
                self.problems.append("a refusal says nothing")
        try:
            with self.recording.server.client(serverSelectionTimeoutMS=5_000,
                                              socketTimeoutMS=15_000) as client:
                stored = {document["_id"] for document in client.faults.docs.find()}
        except OperationFailure as refusal:
            self.answers = "refused reads"
            if "restart" not in str(refusal):
                self.problems.append(f"reads are refused: {refusal}")
            return
        except PyMongoError as error:
            self.problems.append(f"a read is not answered: {error}")
            return
        for key, error in refused.items():
            if key in stored and getattr(error, "code", None) == OUT_OF_DISK_SPACE:
                self.problems.append(f"{key} was refused ({error}) and is there")
        for writer in self.writers:
            for _, key in writer.acknowledged:
                if key not in stored:
                    self.problems.append(f"{key} was acknowledged and is not read")

    def note_end(self, answer):
        """The server has ended: it must have said why."""
        status = self.recording.server.process.wait(timeout=20)
        log = self.recording.server.log()
        if answer:
            self.answers = answer
        if status not in SAID:
            self.problems.append(f"the server ended with status {status}: {log[-600:]}")
        elif status and not re.search(r"Error|error|roost:", log):
            self.problems.append(f"the server ended with status {status} and says nothing")

    def examine(self):
        """The folder as it was left, and as a power cut would leave it."""
        trace = self.recording.finish()
        copy = os.path.join(self.recording.base, "copy")
        shutil.copytree(self.recording.root, copy)
        self.check(copy, len(trace), "as it was left")
        disk = pickle.loads(self.recording.initial)
        failed = next((number for number, record in enumerate(trace.records, 1)
                       if record[0] == FAULT), 0)
        for point in sorted(self.random.randint(failed, len(trace)) for _ in range(CUTS)):
            disk.follow(trace, point)
            policy = make_state(disk, self.random.random(), copy)
            self.check(copy, point, f"cut at record {point} of {len(trace)}, {policy}")

    def check(self, folder, number, what):
        lines, problems = self.checker.lines(os.path.join(folder, "data"), works=True)
        found = {}
        for line in lines:
            kind, _, *rest = line.split(" ")
            if kind == "doc" and ".docs " in line:
                found[rest[0]] = int(rest[1])
        for writer in self.writers:
            problems += writer.missing(found, number)
        self.problems += [f"{what}: {problem}" for problem in problems[:4]]


def cases(options, base, template):
    """Each call that occurs, with each error, at each of its first numbers."""
    for phase in ("create", "open", "write"):
        for call, bit in CALLS.items():
            if call not in options.calls:
                continue
            count = options.each
            if phase != "write":
                count = min(count, seen(options, bit, base, template if phase == "open" else None))
            errors = [errno.EIO, errno.ENOSPC, errno.EINTR] + [HALF] * (call in WRITES)
            for error in errors:
                for skip in range(count):
                    yield phase, call, error, skip


def seen(options, bit, base, template):
    """How many calls of a kind there are while a server starts."""
    recording = Recording(os.path.join(base, "probe"), options.recorder, sync_micros=0)
    try:
        if template:
            shutil.copytree(template, recording.data)
        recording.control.arm(bit, 0, 0, times=0)
        recording.start(options.roost)
        return recording.control.seen
    finally:
        recording.remove()


def make_template(options, base):
    """A folder with some data, left by a killed server."""
    server = Server(options.roost, folder=os.path.join(base, "template"))
    server.start()
    docs = server.client().other.docs
    docs.create_index("n")
    docs.insert_many([{"_id": number, "n": number, "x": "y" * 300} for number in range(500)])
    server.kill()
    server.remove()
    return os.path.join(base, "template")


def parse():
    parser = argparse.ArgumentParser(
        prog="tools/powerloss/faults", formatter_class=argparse.RawDescriptionHelpFormatter,
        description=__doc__.format(cuts=CUTS, calls=", ".join(CALLS)))
    parser.add_argument("calls", nargs="*", metavar="CALL", help="without one: all")
    parser.add_argument("--each", type=int, default=25,
                        help="numbers of each call that fail with each error (25)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--patience", type=float, default=0.6,
                        help="seconds to wait for a call that may never come (0.6)")
    for name in ("roost", "old-roost", "checker", "recorder", "scratch", "results"):
        parser.add_argument(f"--{name}", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.calls = options.calls or list(CALLS)
    unknown = set(options.calls) - CALLS.keys()
    if unknown:
        parser.error(f"no such call: {', '.join(sorted(unknown))}")
    return options


def main():
    options = parse()
    base = tempfile.mkdtemp(prefix="faults-", dir=options.scratch)
    checker = Checker(options.checker)
    rows, start, idle = {}, time.monotonic(), set()
    try:
        template = make_template(options, base)
        for phase, call, error, skip in cases(options, base, template):
            # A call that does not come while clients write won't come with another error.
            if (phase, call) in idle:
                continue
            case = Case(options, checker, call, error, phase, skip)
            began = time.monotonic()
            case.run(os.path.join(base, "case"), template if phase == "open" else None)
            if time.monotonic() - began > SLOW_SECONDS:
                print(f"    slow: {case} took {time.monotonic() - began:.0f} s", flush=True)
            if not case.hits and phase == "write":
                idle.add((phase, call))
            row = rows.setdefault((phase, call), {"failed": 0, "violations": 0, "answers": {}})
            row["failed"] += case.hits > 0
            row["violations"] += bool(case.problems)
            if case.hits:
                row["answers"][case.answers] = row["answers"].get(case.answers, 0) + 1
            if case.problems:
                print(f"    VIOLATION {case}")
                for problem in case.problems[:5]:
                    print(f"        {problem}", flush=True)
    finally:
        checker.close()
        shutil.rmtree(base, ignore_errors=True)
    layout = "{:<8}{:<18}{:>8}{:>12}   {}"
    print(layout.format("phase", "call", "failures", "violations", "the server"))
    for (phase, call), row in rows.items():
        if row["failed"]:
            answers = ", ".join(f"{what} {count}" for what, count in sorted(row["answers"].items()))
            print(layout.format(phase, call, row["failed"], row["violations"], answers))
    failed = sum(row["failed"] for row in rows.values())
    violations = sum(row["violations"] for row in rows.values())
    print(f"{failed} failures, {failed * CUTS} power cuts behind them, {violations} violations, "
          f"{time.monotonic() - start:.0f} s; seed {options.seed}")
    sys.exit(violations > 0)


if __name__ == "__main__":
    main()
