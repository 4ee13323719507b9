"""Transactions, retryable writes and snapshot reads with PyMongo, over restarts of the server.

    transactions.py ROOST [--seconds N]

Starts the server as a replica set of one on a temporary folder. Conflicts must end as MongoDB says
and be retried by the driver's own with_transaction; a bank's sum must stay what it is while clients
transfer and the server is killed; repeated writes and commits must answer as the first time, also
after a restart.
"""

import argparse
import contextlib
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
from bson import Int64
from pymongo.errors import ConnectionFailure, DuplicateKeyError, OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern

ACCOUNTS, CLIENTS = 20, 16


class Server:
    def __init__(self, binary, *options):
        self.options = options
        self.binary, self.folder = binary, tempfile.mkdtemp(prefix="transactions-")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = "127.0.0.1:%d" % probe.getsockname()[1]

    def start(self):
        self.process = subprocess.Popen(
            [self.binary, "serve", self.folder, "--listen", self.address, "--test-commands",
             "--replica-set", "rs0", "--advertise", self.address, *self.options], stderr=subprocess.DEVNULL)
        self.client().admin.command("ping")

    def client(self, **options):
        return pymongo.MongoClient(f"mongodb://{self.address}/?replicaSet=rs0", **options)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def remove(self):
        self.process.kill()
        self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)


def kill_now_and_then(server, end):
    """Kills and starts the server until two seconds before the end; how often."""
    kills = 0
    while time.monotonic() < end - 2:
        time.sleep(random.uniform(0.5, 1.5))
        server.kill()
        server.start()
        kills += 1
    return kills


def beside(action, *arguments, **options):
    """Runs a write beside a transaction that it must wait for; returns what waits for its end."""
    thread = threading.Thread(target=action, args=arguments, kwargs=options)
    thread.start()
    thread.join(0.3)
    assert thread.is_alive(), "the write should wait for the transaction"
    return thread


@contextlib.contextmanager
def refused(code, label="TransientTransactionError"):
    try:
        yield
    except OperationFailure as error:
        assert error.code == code, error
        assert label is None or error.has_error_label(label), error
    else:
        raise AssertionError(f"should be refused with code {code}")


def conflicts(client):
    db = client.conflicts
    db.a.insert_many([{"_id": i, "n": 0} for i in range(4)])
    db.a.create_index("u", unique=True, sparse=True)
    one, other = client.start_session(), client.start_session()

    # A commit in between, met by the next write.
    one.start_transaction()
    assert db.a.find_one({"_id": 1}, session=one)["n"] == 0
    db.a.update_one({"_id": 1}, {"$inc": {"n": 1}})
    assert db.a.find_one({"_id": 1}, session=one)["n"] == 0
    with refused(112):
        db.a.update_one({"_id": 1}, {"$inc": {"n": 1}}, session=one)
    with refused(251):
        db.a.find_one({}, session=one)
    one.abort_transaction()

    # Writes outside of transactions wait for those that are open, as long as they may.
    one.start_transaction()
    db.a.update_one({"_id": 1}, {"$inc": {"n": 1}}, session=one)
    with refused(50, None):
        db.command("update", "a", updates=[{"q": {"_id": 1}, "u": {"$inc": {"n": 1}}}],
                   maxTimeMS=50)
    waiting = [beside(db.a.update_one, {"_id": 1}, {"$inc": {"n": 1}}),
               beside(db.a.find_one_and_update, {"_id": 1}, {"$inc": {"n": 1}}),
               beside(db.a.update_many, {"_id": {"$gte": 1}}, {"$inc": {"n": 1}})]
    one.commit_transaction()
    for thread in waiting:
        thread.join()
    assert db.a.find_one({"_id": 1})["n"] == 5

    # Two transactions: the second writer fails, the first one's commit can be repeated.
    one.start_transaction()
    other.start_transaction()
    db.a.update_one({"_id": 2}, {"$inc": {"n": 1}}, session=one)
    with refused(112):
        db.a.delete_one({"_id": 2}, session=other)
    one.commit_transaction()
    one.commit_transaction()
    other.abort_transaction()

    # A unique key that was put since is a conflict, at once; one in the own snapshot a duplicate.
    one.start_transaction()
    db.a.find_one({}, session=one)
    db.a.insert_one({"_id": "y", "u": 7})
    with refused(112):
        db.a.insert_one({"_id": "x", "u": 7}, session=one)
    one.abort_transaction()
    one.start_transaction()
    other.start_transaction()
    db.a.insert_one({"_id": "x", "u": 8}, session=one)
    with refused(112):
        db.a.insert_one({"_id": "z", "u": 8}, session=other)
    one.abort_transaction()
    other.abort_transaction()
    one.start_transaction()
    try:
        db.a.insert_one({"_id": "x", "u": 7}, session=one)
        raise AssertionError("should be a duplicate")
    except DuplicateKeyError:
        one.abort_transaction()

    # The catalog changed.
    one.start_transaction()
    db.a.insert_one({"_id": "z"}, session=one)
    db.a.create_index("later")
    with refused(112):
        one.commit_transaction()

    # Collections and indexes made in a transaction.
    with one.start_transaction():
        db.create_collection("made", session=one)
        db.made.create_index("k", unique=True, session=one)
        db.made.insert_many([{"k": k} for k in range(100)], session=one)
        assert db.made.count_documents({"k": {"$lt": 10}}, session=one) == 10
        assert "made" not in db.list_collection_names()
    assert db.made.count_documents({"k": {"$gte": 90}}) == 10
    with refused(263, None), one.start_transaction():
        db.command("count", "a", session=one)

    # A session with snapshot reads.
    with client.start_session(snapshot=True) as still:
        count = len(list(db.made.find({}, session=still)))
        db.made.delete_many({"k": {"$lt": 50}})
        assert len(list(db.made.find({}, session=still, batch_size=7))) == count
        assert len(db.made.distinct("k", session=still)) == count
    assert db.made.count_documents({}) == 50


def skew(server):
    """Write skew: two transactions that each read what the other one changes. By name, and by the
    server's option."""
    client = server.client()
    always = "--serializable" in server.options
    for level, is_refused in (("snapshot", always), ("serializable", True)):
        doctors = client.skew[level]
        doctors.insert_many([{"_id": i, "onCall": True} for i in range(2)])
        sessions = [client.start_session() for _ in range(2)]
        for i, session in enumerate(sessions):
            session.start_transaction(read_concern=ReadConcern(level))
            assert doctors.count_documents({"onCall": True}, session=session) == 2
            doctors.update_one({"_id": i}, {"$set": {"onCall": False}}, session=session)
        sessions[0].commit_transaction()
        with refused(112) if is_refused else contextlib.nullcontext():
            sessions[1].commit_transaction()
        assert doctors.count_documents({"onCall": True}) == (1 if is_refused else 0)
    with refused(2, None):
        client.skew.snapshot.with_options(read_concern=ReadConcern("serializable")).find_one()


def crowd(server):
    """More open transactions than there may be: a transient error, and reads go on."""
    client = server.client(maxPoolSize=4)
    client.crowd.c.insert_one({"_id": 0})
    sessions = []
    with refused(365):
        for i in range(600):
            sessions.append(client.start_session())
            sessions[-1].start_transaction()
            client.crowd.c.find_one({}, session=sessions[-1])
    assert len(sessions) > 500 and client.crowd.c.find_one({}) == {"_id": 0}
    for session in sessions:
        session.end_session()
    with client.start_session() as session:
        session.with_transaction(lambda s: client.crowd.c.insert_one({"_id": 1}, session=s))
    # The time that a transaction may last can be set.
    client.admin.command("setParameter", 1, transactionLifetimeLimitSeconds=1)
    with client.start_session() as session:
        session.start_transaction()
        client.crowd.c.insert_one({"_id": 2}, session=session)
        time.sleep(2)
        with refused(246):
            client.crowd.c.find_one({}, session=session)
    client.admin.command("setParameter", 1, transactionLifetimeLimitSeconds=60)


def counters(server):
    """Lost updates: each with_transaction reads a counter and writes it back plus one."""
    client = server.client()
    counter = client.bank.counters
    counter.insert_one({"_id": 0, "n": 0})

    def add(session):
        n = counter.find_one({"_id": 0}, session=session)["n"]
        counter.update_one({"_id": 0}, {"$set": {"n": n + 1}}, session=session)

    def work():
        with client.start_session() as session:
            for _ in range(20):
                session.with_transaction(add)

    threads = [threading.Thread(target=work) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    n = counter.find_one({"_id": 0})["n"]
    assert n == 20 * CLIENTS, f"{20 * CLIENTS - n} updates were lost"


def bank(server, seconds):
    client = server.client()
    accounts = client.bank.accounts
    accounts.insert_many([{"_id": i, "balance": 100} for i in range(ACCOUNTS)])
    end, done = time.monotonic() + seconds, []

    def transfer(session):
        source, target = random.sample(range(ACCOUNTS), 2)
        amount = random.randint(1, 20)
        if accounts.find_one({"_id": source}, session=session)["balance"] < amount:
            return
        accounts.update_one({"_id": source}, {"$inc": {"balance": -amount}}, session=session)
        accounts.update_one({"_id": target}, {"$inc": {"balance": amount}}, session=session)
        total = sum(a["balance"] for a in accounts.find({}, session=session))
        assert total == 100 * ACCOUNTS, total

    def work():
        while time.monotonic() < end:
            try:
                with client.start_session() as session:
                    session.with_transaction(transfer)
                done.append(1)
            except PyMongoError:
                time.sleep(0.05)

    threads = [threading.Thread(target=work) for _ in range(CLIENTS)]
    for thread in threads:
        thread.start()
    kill_now_and_then(server, end)
    for thread in threads:
        thread.join()
    total = sum(a["balance"] for a in accounts.find())
    assert total == 100 * ACCOUNTS, f"the bank has {total}"
    assert min(a["balance"] for a in accounts.find()) >= 0
    return len(done)


def retries(server):
    """Each command is sent three times under one number, the last time after a restart."""
    # One implicit session for all: no other command may use its numbers.
    client = server.client(retryWrites=False)
    db = client.retries
    commands = [
        {"insert": "c", "documents": [{"_id": i, "n": 0} for i in range(3)]},
        {"update": "c", "updates": [
            {"q": {"_id": 1}, "u": {"$inc": {"n": 1}}},
            {"q": {"n": 0}, "u": {"$inc": {"n": 1}}},
            {"q": {"new": 1}, "u": {"$set": {"n": 5}}, "upsert": True}]},
        {"delete": "c", "deletes": [{"q": {"n": 1}, "limit": 1}]},
        {"findAndModify": "c", "query": {}, "sort": {"_id": 1}, "update": {"$inc": {"n": 1}},
         "new": True},
    ]
    with client.start_session() as session:
        for number, command in enumerate(commands, 1):
            answers = []
            for attempt in range(3):
                if attempt == 2:
                    server.kill()
                    server.start()
                answer = send(db, command, session, number)
                repeated = answer.pop("retriedStmtIds", answer.pop("retriedStmtId", None))
                assert (repeated is None) == (attempt == 0), answer
                answers.append({k: v for k, v in answer.items() if "luster" not in k and "oper" not in k})
            assert answers[0] == answers[1] == answers[2], answers
        with refused(225, None):
            send(db, commands[0], session, 1)

        # A commit that is repeated after a restart.
        fields = {"autocommit": False}
        send(db, {"insert": "c", "documents": [{"_id": "t"}], "startTransaction": True} | fields,
             session, 9)
        send(client.admin, {"commitTransaction": 1} | fields, session, 9)
        server.kill()
        server.start()
        send(client.admin, {"commitTransaction": 1} | fields, session, 9)
        with refused(251):
            send(client.admin, {"commitTransaction": 1} | fields, session, 10)
        # Its number, and those before it, begin no other one, neither do they write.
        again = {"insert": "c", "documents": [{"_id": "u"}]}
        for number, code in ((9, 117), (8, 225), (4, 225)):
            with refused(code, None):
                send(db, again | {"startTransaction": True} | fields, session, number)
        with refused(225, None):
            send(db, again, session, 8)
        # Nor does a retryable write's number.
        send(db, {"insert": "c", "documents": [{"_id": "v"}]}, session, 12)
        server.kill()
        server.start()
        with refused(117, None):
            send(db, again | {"startTransaction": True} | fields, session, 12)
    assert db.c.count_documents({"_id": "t"}) == 1
    assert db.c.count_documents({"_id": "u"}) == 0


def send(db, command, session, number):
    while True:
        try:
            return db.command(command | {"txnNumber": Int64(number)}, session=session)
        except ConnectionFailure:
            time.sleep(0.1)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("roost")
    parser.add_argument("--seconds", type=float, default=10, help="how long the bank is open")
    options = parser.parse_args()
    server = Server(options.roost)
    try:
        server.start()
        conflicts(server.client())
        skew(server)
        crowd(server)
        counters(server)
        retries(server)
        transfers = bank(server, options.seconds)
        server.process.terminate()
        assert server.process.wait(20) == 0
        subprocess.run([options.roost, "verify", server.folder], check=True,
                       stdout=subprocess.DEVNULL)
        server.options = ("--serializable",)
        server.start()
        server.client().drop_database("skew")
        skew(server)
        print(f"transactions: conflicts, limits, retries; {transfers} transfers, none lost")
    finally:
        server.remove()


if __name__ == "__main__":
    sys.exit(main())
