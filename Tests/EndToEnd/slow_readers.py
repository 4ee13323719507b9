"""Clients that stop reading: what they hold of the server's memory, and where they end.

    slow_readers.py ROOST [--clients N]

Each client follows a live query of its own by an exhaust cursor with a small receive buffer, and stops
reading while documents are changed many times over. Then the server's private memory must not have
grown by more than 1 MiB for each of them. Those that read again hold the query's result in the end;
those that don't are disconnected, after 30 s (which is waited for once, and is less by a parameter of
the test commands after that), and their last token goes on. A client that reads slowly, but reads, is not disconnected. The same holds
for a client that asked for a large reply and does not take it.
"""

import argparse
import shutil
import socket
import struct
import sys
import tempfile
import traceback
import time

import bson

from follow import RawClient, start, wait_until
from live_queries import State, resident_kib

EXHAUST_ALLOWED = 1 << 16
DOCUMENTS, ROUNDS = 40, 60
BYTES_MAX = 1 << 20


class Slow:
    """A client that follows documents of one owner and stops reading."""

    def __init__(self, port, owner, before=None, query=None):
        self.query = query or {"filter": {"owner": owner}}
        self.state = State(self.query, is_slow=True)
        self.raw = RawClient(port)
        self.raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self.last_id = 0
        command = {"live": "slow", **self.query, "$db": "follow"}
        if before:
            self.state.rows = before.state.rows
            command["resumeAfter"] = before.token
        self.take(self.raw.run(command))
        while not self.state.is_ready:
            self.take(self.raw.run(self.get_more()))

    def get_more(self):
        return {"getMore": bson.Int64(self.cursor), "collection": "slow", "maxTimeMS": 60_000,
                "$db": "follow"}

    def take(self, reply):
        assert reply.get("ok") == 1, reply
        cursor = reply["cursor"]
        self.cursor = cursor["id"]
        for event in cursor.get("firstBatch", cursor.get("nextBatch")):
            self.state.apply(event)
        self.token = cursor.get("postBatchResumeToken", {}).get("_data")

    def follow(self):
        """Asks for one reply after another."""
        body = bson.encode(self.get_more())
        self.raw.socket.sendall(struct.pack(
            "<iiiiIB", 21 + len(body), 1, 0, 2013, EXHAUST_ALLOWED, 0) + body)

    def read(self):
        """Takes the next reply; each answers the one before, and says that another follows."""
        header = self.raw.exactly(21)
        length, number, answered, _, flags, _ = struct.unpack("<iiiiIB", header)
        assert flags & 2, "no reply follows"
        assert self.last_id in (0, answered), f"answers {answered} instead of {self.last_id}"
        self.last_id = number
        self.take(bson.decode(self.raw.exactly(length - 21)))

    def come_to(self, rows, seconds=60):
        """Reads until it holds `rows`."""
        end = time.monotonic() + seconds
        while not self.state.is_ready or self.state.rows != rows:
            assert time.monotonic() < end, f"holds {len(self.state.rows)} rows, wrong ones"
            self.read()

    def is_cut(self):
        """Whether the server closed the connection: reads what the socket still has."""
        self.raw.socket.settimeout(10)
        try:
            while self.raw.socket.recv(1 << 16):
                pass
        except TimeoutError:
            return False
        except ConnectionError:
            pass
        return True


def rows_of(collection, owner):
    return {row["_id"]: row for row in collection.find({"owner": owner})}


def change(collection, first, last):
    """Changes every document again and again, one command for each round and all owners."""
    for number in range(first, last):
        collection.update_many({}, {"$set": {"n": number, "text": chr(97 + number % 26) * 2_000}})


def subscriptions(client):
    return client.admin.command("serverStatus")["live"]["subscriptions"]


def check_default_cut(process, client, port, collection, count=30):
    """Without any parameter: who takes nothing holds little memory, is cut after 30 s, and its token
    goes on."""
    change(collection, 0, ROUNDS)
    others = subscriptions(client)
    silent = [Slow(port, owner) for owner in range(count)]
    for follower in silent:
        follower.follow()
    change(collection, ROUNDS, ROUNDS + 3)
    for owner, follower in enumerate(silent):
        follower.come_to(rows_of(collection, owner))
    before, start, number, most = resident_kib(process), time.monotonic(), 1_000, 0
    first = None
    while subscriptions(client) > others:
        if first is None and subscriptions(client) < others + count:
            first = time.monotonic() - start
        assert time.monotonic() - start < 90, "who takes nothing is still connected"
        number += 1
        change(collection, number, number + 1)
        most = max(most, resident_kib(process) - before)
        time.sleep(0.5)
    seconds = time.monotonic() - start
    print(f"{count} clients that took nothing were cut after {first or seconds:.0f} to {seconds:.0f} s; "
          f"until then the server grew by {most / count:,.0f} KiB for each at most")
    assert (first or seconds) > 29, "too early"
    assert most * 1024 <= BYTES_MAX * count, "more than 1 MiB for each"
    for owner, follower in enumerate(silent):
        assert follower.is_cut(), "the connection is still there"
        again = Slow(port, owner, follower)
        assert again.state.rows == rows_of(collection, owner), "a token goes on wrongly"
        again.raw.close()


def check_memory(process, port, collection, count):
    # Whatever the writes and matching them need is there before.
    change(collection, 0, ROUNDS)
    clients = [Slow(port, owner) for owner in range(count)]
    for client in clients:
        client.follow()
    change(collection, ROUNDS, ROUNDS + 3)
    for owner, client in enumerate(clients):
        client.come_to(rows_of(collection, owner))
    before = resident_kib(process)
    change(collection, 2 * ROUNDS, 3 * ROUNDS)
    time.sleep(1)
    grown = (resident_kib(process) - before) * 1024 / count
    sent = DOCUMENTS * 2_000 * ROUNDS
    print(f"{count} clients that didn't read {sent / 1e6:.1f} MB each: the server grew by "
          f"{grown / 1024:,.0f} KiB for each")
    assert grown <= BYTES_MAX, "more than 1 MiB for each"
    for owner, client in enumerate(clients):
        client.come_to(rows_of(collection, owner))
    print(f"each ended at its query's result, {sum(c.state.resets for c in clients)} resets")
    for client in clients:
        client.raw.close()


def check_cut(client, port, collection):
    """Those that take nothing are cut, those that take a little are not, and both can go on."""
    client.admin.command("setParameter", 1, unreadReplyMillis=4_000)
    slow, silent = Slow(port, 0), Slow(port, 1)
    slow.follow()
    silent.follow()
    number, end = 3 * ROUNDS, time.monotonic() + 60
    while subscriptions(client) > 2:
        assert time.monotonic() < end, "who takes nothing is still connected"
        number += 1
        change(collection, number, number + 1)
        if number % 4 == 0:
            slow.read()
    slow.come_to(rows_of(collection, 0))
    assert silent.is_cut(), "the connection is still there"
    again = Slow(port, 1, silent)
    assert again.state.rows == rows_of(collection, 1), "a token of a cut connection goes on wrongly"
    slow.raw.close()
    again.raw.close()
    print("who took nothing was disconnected and went on from its token; who read slowly was not")


def check_large_reply(client, port, collection):
    """One commit of several MB, told to a client that asks and then does not read."""
    follower = Slow(port, 0, query={"filter": {}})
    follower.raw.send(follower.get_more())
    time.sleep(0.2)
    change(collection, 1_000, 1_001)
    status = wait_until(
        lambda: subscriptions(client) <= 1, 20)
    assert status, "who asked and did not read is still there"
    assert follower.is_cut(), "who asked and did not read is still connected"
    print("who asked for a large reply and didn't read it was disconnected")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("roost")
    parser.add_argument("--clients", type=int, default=50)
    options = parser.parse_args()
    folder = tempfile.mkdtemp(prefix="slow-")
    process, port, client = start(options.roost, folder, "--test-commands")
    try:
        collection = client.follow.slow
        for owner in range(options.clients):
            collection.insert_many({"_id": f"{owner}/{n}", "owner": owner, "text": "x" * 2_000}
                                   for n in range(DOCUMENTS))
        matched = Slow(port, 0, query={"filter": {"owner": -1}})  # so that writes are matched
        check_default_cut(process, client, port, collection)
        client.admin.command("setParameter", 1, unreadReplyMillis=3_600_000)
        check_memory(process, port, collection, options.clients)
        check_cut(client, port, collection)
        check_large_reply(client, port, collection)
        matched.raw.close()
        client.close()
        process.terminate()
        assert process.wait(30) == 0, "the server did not end well"
    except (AssertionError, OSError) as problem:
        print(f"FAILED: {problem!r}")
        traceback.print_exc()
        sys.exit(1)
    finally:
        process.kill()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
