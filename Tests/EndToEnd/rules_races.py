"""Rights that are taken away while a live query listens: nothing written behind that reaches it.

    rules_races.py ROOST [--rounds N] [--seed N]

In each round a user follows a room. Somebody writes, takes the user's right away in one of several
ways, and writes on at once. The user must be told `removed` (or the query's end), and must never get
what was written behind the commit that took the right away.
"""

import argparse
import concurrent.futures
import os
import random
import threading
import time

import app_accounts
from app_accounts import App, check, user
from pymongo.errors import OperationFailure

RULES = """rules_version = '2';
service cloud.firestore {
  option mode = 'filter';
  match /databases/{db}/documents {
    match /members/{m} { allow read: if false; }
    match /messages/{id} {
      allow read: if exists(/databases/$(db)/documents/members/$(
        resource.data.room + '-' + request.auth.uid));
    }
    match /news/{id} {
      allow read: if get(/databases/$(db)/documents/members/$(request.auth.uid)).data.role == 'x';
    }
    match /tasks/{id} { allow read: if resource.data.owner == request.auth.uid; }
  }
}
"""
AFTER = "written-after"


class Races:
    def __init__(self, binary, seed):
        self.app = App(binary, "--replica-set", "rs0", mail=False)
        self.random = random.Random(seed)
        path = os.path.join(self.app.server.base, "races.rules")
        with open(path, "w", encoding="ascii") as file:
            file.write(RULES)
        self.rules = {"deployRules": 1, "source": RULES}
        self.app.root.admin.command(self.rules)
        self.root = self.app.root
        self.data = self.root.app
        made = self.app.command("signInAnonymously")
        self.refresh, self.uid = made["refreshToken"], made["userID"]
        self.follower = user(self.app.server, made["accessToken"])
        self.pool = concurrent.futures.ThreadPoolExecutor(1)
        self.stop = threading.Event()
        self.noise = threading.Thread(target=self.make_noise, daemon=True)
        self.told = {}

    def make_noise(self):
        """Other commits, so that several share a group."""
        number = 0
        while not self.stop.is_set():
            number += 1
            self.data.messages.replace_one(
                {"_id": f"noise{number % 50}"}, {"room": "other", "n": number}, upsert=True)
            time.sleep(0.001)

    # Ways to take a right away. Each returns after its commit, and what it writes is behind it.

    def membership(self, room):
        self.data.members.delete_one({"_id": f"{room}-{self.uid}"})
        self.data.messages.insert_one({"_id": f"{room}-z", "room": room, "text": AFTER})
        self.data.messages.update_one({"_id": f"{room}-a"}, {"$set": {"text": AFTER}})

    def membership_at_once(self, room):
        with self.root.start_session() as session, session.start_transaction():
            self.data.messages.insert_one(
                {"_id": f"{room}-z", "room": room, "text": AFTER}, session=session)
            self.data.members.delete_one({"_id": f"{room}-{self.uid}"}, session=session)
            self.data.messages.update_one(
                {"_id": f"{room}-a"}, {"$set": {"text": AFTER}}, session=session)

    def room_moved(self, room):
        self.data.messages.update_one(
            {"_id": f"{room}-a"}, {"$set": {"room": f"{room}-away", "text": AFTER}})
        self.data.messages.update_one({"_id": f"{room}-a"}, {"$set": {"room": room + "x"}})
        self.data.members.delete_one({"_id": f"{room}-{self.uid}"})
        self.data.messages.insert_one({"_id": f"{room}-z", "room": room, "text": AFTER})

    def role(self, room):
        self.data.members.update_one({"_id": self.uid}, {"$set": {"role": "y"}})
        self.data.news.insert_one({"_id": f"{room}-z", "room": room, "text": AFTER})
        self.data.news.update_one({"_id": f"{room}-a"}, {"$set": {"text": AFTER}})

    def owner(self, room):
        self.data.tasks.update_one(
            {"_id": f"{room}-a"}, {"$set": {"owner": "other", "text": AFTER}})
        self.data.tasks.update_one({"_id": f"{room}-a"}, {"$set": {"text": AFTER + "2"}})

    def rules_replaced(self, room):
        self.root.admin.command({"deployRules": 1, "source": RULES.replace(
            "== request.auth.uid; }", "== 'nobody'; }")})
        self.data.tasks.update_one({"_id": f"{room}-a"}, {"$set": {"text": AFTER}})
        self.data.tasks.insert_one(
            {"_id": f"{room}-z", "room": room, "owner": self.uid, "text": AFTER})

    def stolen_token(self, room):
        """A refresh token is used a second time: the session ends, and what it follows."""
        self.app.command("refreshTokens", refreshToken=self.refresh)
        try:
            self.app.command("refreshTokens", refreshToken=self.refresh)
            raise AssertionError("a refresh token served twice")
        except OperationFailure as error:
            check(error.code == 18, error)
        self.data.tasks.update_one({"_id": f"{room}-a"}, {"$set": {"text": AFTER}})

    COLLECTIONS = {"role": "news", "owner": "tasks", "rules_replaced": "tasks",
                   "stolen_token": "tasks"}

    def follow(self, cursor, namespace):
        """What comes until the end, a `removed`, or 3 s."""
        found, end = [], time.monotonic() + 3
        while cursor and time.monotonic() < end:
            try:
                reply = self.follower.app.command(
                    {"getMore": cursor, "collection": namespace, "maxTimeMS": 100})
            except Exception as error:  # its end, in whatever form
                found.append(f"ended: {error}")
                return found
            found.append(str(reply["cursor"]))
            cursor = reply["cursor"]["id"]
            if "removed" in found[-1]:
                end = min(end, time.monotonic() + 0.02)
        return found

    def play(self, number, way):
        room = f"r{number}"
        name = self.COLLECTIONS.get(way, "messages")
        self.data.members.insert_one({"_id": f"{room}-{self.uid}"})
        self.data.members.update_one(
            {"_id": self.uid}, {"$set": {"role": "x"}}, upsert=True)
        self.data[name].insert_one(
            {"_id": f"{room}-a", "room": room, "owner": self.uid, "text": "before"})
        query = {"live": name, "filter": {"room": room}}
        if self.random.random() < 0.3:
            query |= {"sort": {"_id": 1}, "limit": 5}
        reply = self.follower.app.command(query)
        first = str(reply["cursor"])
        check(f"{room}-a" in first or reply["cursor"]["id"], first)
        told = self.pool.submit(
            self.follow, reply["cursor"]["id"], reply["cursor"]["ns"].split(".", 1)[1])
        if self.random.random() < 0.7:
            time.sleep(self.random.random() * 0.004)
        start = time.monotonic()
        getattr(self, way)(room)
        found = told.result()
        spent = time.monotonic() - start
        check(AFTER not in first + "".join(found), f"{way}, round {number}: {found}")
        is_told = any("removed" in text or "ended" in text for text in found)
        check(is_told, f"{way}, round {number}: nothing tells that the right is gone: {found}")
        self.told[way] = max(self.told.get(way, 0), spent)
        if way == "rules_replaced":
            self.root.admin.command(self.rules)
        if way == "stolen_token":
            check(spent < 2.5, f"the session's queries took {spent} s to end")
            self.follower.close()
            made = self.app.command("signInAnonymously")
            self.refresh, self.uid = made["refreshToken"], made["userID"]
            self.follower = user(self.app.server, made["accessToken"])

    def run(self, rounds):
        self.noise.start()
        started = time.monotonic()
        for number in range(rounds):
            # An access token lasts 15 minutes; sessions of an address are counted.
            way = ["membership", "membership_at_once", "room_moved", "role", "owner"][number % 5]
            if number % 100 == 7:
                way = "rules_replaced"
            if number % 1_000 == 11 or time.monotonic() - started > 600:
                way, started = "stolen_token", time.monotonic()
            self.play(number, way)

    def end(self):
        self.stop.set()
        self.pool.shutdown()
        self.app.server.remove()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("roost")
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    races = Races(os.path.abspath(given.roost), given.seed)
    try:
        races.run(given.rounds)
    finally:
        races.end()
    slowest = ", ".join(f"{way} {spent * 1000:.0f} ms" for way, spent in races.told.items())
    print(f"rules over races: {given.rounds} rounds, {app_accounts.checks} checks passed; "
          f"slowest: {slowest}")


if __name__ == "__main__":
    main()
