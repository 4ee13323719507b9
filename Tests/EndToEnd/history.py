"""Looks for anomalies in what transactions read and wrote, over kills of the server.

    history.py ROOST [--seconds N] [--level snapshot|serializable] [--kill]

Sixteen clients run transactions that read lists and append to them, each its own number, so that the
final lists tell the order of all writes. From that follows which transaction must come before which:

    ww  its number stands before the other's in a list
    wr  the other has read its number
    rw  it has read the list without the other's number
    so  the same client ran it before

Lists with a number missing or twice are lost or repeated updates; a read that is no beginning of the
final list is of something that was never committed. A cycle means that no order explains the history:
with `serializable` there must be none, with `snapshot` none without two rw in a row (those are write
skew, which snapshots allow; the run says how many it met).
"""

import argparse
import collections
import random
import sys
import threading
import time

from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern

from transactions import Server, kill_now_and_then

KEYS, CLIENTS = 5, 16


class Client(threading.Thread):
    """Runs transactions until the end; `done` has those that may have been committed."""

    def __init__(self, number, server, level, end):
        super().__init__()
        self.number, self.server, self.level, self.end = number, server, level, end
        self.done, self.count, self.attempts = [], 0, 0

    def run(self):
        lists = self.server.client(retryWrites=True).history.lists
        while time.monotonic() < self.end:
            self.count += 1
            mark = self.number * 1_000_000 + self.count
            tries = []

            def body(session):
                self.attempts += 1
                tries.append(self.operations(lists, session, mark))

            is_sure = True
            try:
                with lists.database.client.start_session() as session:
                    session.with_transaction(body, read_concern=ReadConcern(self.level))
            except PyMongoError:
                is_sure = False
                time.sleep(0.05)
            if tries:
                self.done.append((mark, *tries[-1], is_sure))

    def operations(self, lists, session, mark):
        chooser = random.Random(mark)
        reads, writes = {}, set()
        for _ in range(chooser.randint(2, 4)):
            key = chooser.randrange(KEYS)
            if chooser.random() < 0.6:
                found = lists.find_one({"_id": key}, session=session)["list"]
                seen = [n for n in found if n != mark]
                assert (len(seen) < len(found)) == (key in writes), "own writes must show"
                assert reads.setdefault(key, seen) == seen, "a snapshot must not change"
            elif key not in writes:
                lists.update_one({"_id": key}, {"$push": {"list": mark}}, session=session)
                writes.add(key)
        return reads, writes


def check(clients, lists, level):
    """Returns what is wrong, and how many transactions are in write skew."""
    committed, problems = {}, []
    for client in clients:
        before = None
        for mark, reads, writes, is_sure in client.done:
            there = {key for key in writes if mark in lists[key]}
            if there and there != writes:
                problems.append(f"{mark} was committed in part: {there} of {writes}")
            if is_sure and there != writes:
                problems.append(f"{mark} was acknowledged, and is lost in {writes - there}")
            if is_sure or there:
                committed[mark] = (reads, before)
                before = mark
    for key, numbers in lists.items():
        if len(set(numbers)) < len(numbers):
            problems.append(f"list {key} has numbers twice")
        if unknown := set(numbers) - committed.keys():
            problems.append(f"list {key} has {unknown}, which were never committed")
    order, anti = collections.defaultdict(set), collections.defaultdict(set)
    for numbers in lists.values():
        for first, second in zip(numbers, numbers[1:]):
            order[first].add(second)
    for mark, (reads, before) in committed.items():
        if before:
            order[before].add(mark)
        for key, seen in reads.items():
            if lists[key][:len(seen)] != seen:
                problems.append(f"{mark} read {seen[-3:]} of list {key}, which never was there")
                continue
            if seen:
                order[seen[-1]].add(mark)
            following = [n for n in lists[key][len(seen):len(seen) + 2] if n != mark]
            if following:
                anti[mark].add(following[0])
    everything = {mark: order[mark] | anti[mark] for mark in committed}
    behind_order = {mark: order[mark] | {last for next in order[mark] for last in anti[next]}
                    for mark in committed}
    skewed = cyclic(everything)
    wrong = skewed if level == "serializable" else cyclic(behind_order)
    if wrong:
        problems.append(f"{len(wrong)} transactions are in cycles: {sorted(wrong)[:8]}")
    return problems, len(committed), len(skewed)


def cyclic(edges):
    """The nodes that are left when all are taken away which nothing, or nothing left, precedes or
    follows."""
    left = {node: {n for n in targets if n in edges and n != node} for node, targets in edges.items()}
    while True:
        targets = {n for node in left for n in left[node]}
        ends = {node for node in left if node not in targets or not left[node]}
        if not ends:
            return set(left)
        left = {node: left[node] - ends for node in left.keys() - ends}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("roost")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--level", choices=["snapshot", "serializable"], default="serializable")
    parser.add_argument("--kill", action="store_true")
    options = parser.parse_args()
    server = Server(options.roost)
    try:
        server.start()
        lists = server.client().history.lists
        lists.insert_many([{"_id": key, "list": []} for key in range(KEYS)])
        end = time.monotonic() + options.seconds
        clients = [Client(n, server, options.level, end) for n in range(1, CLIENTS + 1)]
        for client in clients:
            client.start()
        kills = kill_now_and_then(server, end) if options.kill else 0
        for client in clients:
            client.join()
        final = {d["_id"]: d["list"] for d in lists.find()}
        problems, count, skewed = check(clients, final, options.level)
        for problem in problems[:20]:
            print(problem)
        retries = sum(client.attempts - client.count for client in clients)
        print(f"history, {options.level}: {count} transactions of {CLIENTS} clients, {retries} run "
              f"again, {kills} kills; {len(problems)} anomalies, {skewed} in write skew")
        return 1 if problems else 0
    finally:
        server.remove()


if __name__ == "__main__":
    sys.exit(main())
