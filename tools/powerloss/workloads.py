"""What is done to a database while its file calls are recorded: a function for each workload.

Each takes a `Setup` and leaves a finished run in its recording. Documents of client n have an _id
that begins with `n-`; collections of its own are called `wn_…`.
"""

import random
import time

from history import doc
from recording import run_together


class Setup:
    """What a workload works with."""

    def __init__(self, recording, binary, old_binary, seed):
        self.recording, self.binary, self.old_binary = recording, binary, old_binary
        self.random = random.Random(seed)

    def clients(self, count):
        return [self.recording.client() for _ in range(count)]


class Writer:
    """Random changes of documents that belong to one client, in one collection."""

    SIZES = (0, 20, 200, 700, 1_500, 3_000, 9_000)

    def __init__(self, client, collection, seed, documents=40):
        self.client, self.name = client, collection
        self.namespace = client.namespace(collection)
        self.random = random.Random(f"{seed}/{client.number}")
        self.documents, self.made, self.live = documents, 0, {}

    def document(self, key):
        self.made += 1
        return {"_id": key, "n": self.made, "unique": f"{self.client.number}/{self.made}",
                "tags": [f"t{self.made % 5}", f"u{self.made % 3}"],
                "filler": "x" * self.random.choice(self.SIZES)}

    def line(self, document):
        return doc(self.namespace, document)

    def all_lines(self, *indexes):
        """What a folder says of the collection."""
        return {f"collection {self.namespace}", *map(self.line, self.live.values()),
                *(f"index {self.namespace} {name}" for name in indexes)}

    def step(self):
        """One write of one document; False once the server is gone."""
        collection = self.client.db[self.name]
        key = f"{self.client.number}-{self.random.randrange(self.documents)}"
        old = self.live.get(key)
        choice = self.random.random()
        if old is None:
            new = self.live[key] = self.document(key)
            return self.client.do(f"insert {key}", [((), (self.line(new),))],
                                  lambda: collection.insert_one(new))
        if choice < 0.08:
            return self.insert_many()
        if choice < 0.25:
            del self.live[key]
            return self.client.do(f"delete {key}", [((self.line(old),), ())],
                                  lambda: collection.delete_one({"_id": key}))
        if choice < 0.6:
            new = self.live[key] = self.document(key)
            call = lambda: collection.replace_one({"_id": key}, new)  # noqa: E731
        else:
            self.made += 1
            new = self.live[key] = {**old, "n": self.made}
            call = lambda: collection.update_one(  # noqa: E731
                {"_id": key}, {"$set": {"n": self.made}})
        return self.client.do(f"change {key}", [((self.line(old),), (self.line(new),))], call)

    def insert_many(self):
        """Inserts of one command: each is a step."""
        free = [key for number in range(self.documents)
                if (key := f"{self.client.number}-{number}") not in self.live]
        new = [self.document(key) for key in free[:4]]
        self.live.update((document["_id"], document) for document in new)
        return not new or self.client.do(
            f"insert {free[:4]}", [((), (self.line(document),)) for document in new],
            lambda: self.client.db[self.name].insert_many(new))

    def steps(self, count):
        return all(self.step() for _ in range(count))


def make_collection(client, name, *indexes, **options):
    """Makes a collection of a client's own with indexes, a step each."""
    namespace = client.namespace(name)
    client.do(f"create {name}", [((), (f"collection {namespace}",))],
              lambda: client.db.create_collection(name, **options))
    for field in indexes:
        client.do(f"index {name} {field}", [((), (f"index {namespace} {field}_1",))],
                  lambda field=field: client.db[name].create_index(
                      field, unique=field == "unique"))


def creation(setup):
    """A new folder, its first collection, its first documents, killed soon."""
    recording = setup.recording
    recording.begin(is_new=True)
    recording.start(setup.binary)
    client = recording.client()
    namespace = client.namespace("w0_first")
    first = {"_id": "0-first", "n": 1}
    client.do("first insert", [
        ((), (f"collection {namespace}",)),
        ((), (doc(namespace, first),))], lambda: client.db.w0_first.insert_one(first))
    Writer(client, "w0_first", setup.random.random()).steps(setup.random.randrange(30))
    recording.end(kill=setup.random.random() < 0.5)


def updates(setup):
    """Four clients change documents, with a unique and a multikey index."""
    recording = setup.recording
    recording.begin()
    recording.start(setup.binary)
    clients = setup.clients(4)
    seed = setup.random.random()

    def work(client):
        name = f"w{client.number}_docs"
        make_collection(client, name, "unique", "tags")
        Writer(client, name, seed).steps(120)

    run_together(clients, work)
    recording.end(kill=setup.random.random() < 0.5)


def indexes(setup):
    """Indexes are built and dropped while others write to the same collections."""
    recording = setup.recording
    recording.begin()
    recording.start(setup.binary)
    clients = setup.clients(3)
    seed = setup.random.random()
    make_collection(clients[0], "w0_docs", "tags")

    def work(client):
        if client.number:
            Writer(client, "w0_docs", seed, documents=80).steps(120)
            return
        namespace = client.namespace("w0_docs")
        for _ in range(4):
            for field in ("n", "filler", "unique"):
                line = f"index {namespace} {field}_1"
                client.do(f"index {field}", [((), (line,))],
                          lambda field=field: client.db.w0_docs.create_index(field))
            for field in ("unique", "n", "filler"):
                line = f"index {namespace} {field}_1"
                client.do(f"drop index {field}", [((line,), ())],
                          lambda field=field: client.db.w0_docs.drop_index(f"{field}_1"))

    run_together(clients, work)
    recording.end(kill=setup.random.random() < 0.5)


def drops(setup):
    """Collections are made, filled, renamed and dropped."""
    recording = setup.recording
    recording.begin()
    recording.start(setup.binary)
    seed = setup.random.random()

    def work(client):
        for turn in range(4):
            name = f"w{client.number}_turn{turn % 2}"
            make_collection(client, name, "tags")
            writer = Writer(client, name, f"{seed}/{turn}", documents=60)
            writer.steps(40)
            lines = writer.all_lines("tags_1")
            if turn % 2:
                writer.name = f"w{client.number}_moved"
                writer.namespace = client.namespace(writer.name)
                moved = writer.all_lines("tags_1")
                client.do(f"rename {name}", [(lines, moved)],
                          lambda name=name: client.db[name].rename(writer.name))
                lines = moved
            client.do(f"drop {writer.name}", [(lines, ())], client.db[writer.name].drop)

    run_together(setup.clients(3), work)
    recording.end(kill=setup.random.random() < 0.5)


def transactions(setup):
    """Transactions over two collections, some of them aborted."""
    recording = setup.recording
    recording.begin()
    recording.start(setup.binary, replica_set=True)
    seed = setup.random.random()

    def work(client):
        names = [f"w{client.number}_a", f"w{client.number}_b"]
        for name in names:
            make_collection(client, name, "unique")
        writers = [Writer(client, name, f"{seed}/{name}", documents=25) for name in names]
        for _ in range(25):
            transaction(client, writers)

    run_together(setup.clients(3), work)
    recording.end(kill=setup.random.random() < 0.5)


def transaction(client, writers):
    """One transaction: its changes are one step."""
    aborts = writers[0].random.random() < 0.2
    plan, gone, come = [], set(), set()
    for writer in writers:
        for number in writer.random.sample(range(writer.documents), 3):
            key = f"{client.number}-{number}"
            old, new = writer.live.get(key), writer.document(key)
            plan.append((writer, key, new, old is None))
            if aborts:
                continue
            if old:
                gone.add(writer.line(old))
            come.add(writer.line(new))
            writer.live[key] = new

    def call():
        with client.mongo.start_session() as session:
            session.start_transaction()
            for writer, key, new, is_new in plan:
                collection = client.db[writer.name]
                if is_new:
                    collection.insert_one(new, session=session)
                else:
                    collection.replace_one({"_id": key}, new, session=session)
            if aborts:
                session.abort_transaction()
            else:
                session.commit_transaction()

    client.do("aborted transaction" if aborts else f"transaction {sorted(come)}",
              [(gone, come)], call)


def trash(setup):
    """Deletes that are kept, restores and purges."""
    recording = setup.recording
    recording.begin()
    recording.start(setup.binary)
    seed = setup.random.random()

    def work(client):
        name = f"w{client.number}_kept"
        make_collection(client, name, "tags", softDelete={})
        writer, kept = Writer(client, name, seed, documents=30), {}
        collection = client.db[name]
        for _ in range(100):
            choice = writer.random.random()
            if kept and choice < 0.3:
                key = writer.random.choice(sorted(kept))
                document = kept.pop(key)
                line = f"trash {writer.namespace} {key}"
                restores = choice < 0.2
                if restores:
                    writer.live[key] = document
                client.do(f"{'restore' if restores else 'purge'} {key}",
                          [((line,), (writer.line(document),) if restores else ())],
                          lambda: client.db.command("restore" if restores else "purge", name,
                                                    filter={"_id": key}))
            elif writer.live and choice < 0.6:
                key = writer.random.choice(sorted(writer.live))
                document = kept[key] = writer.live.pop(key)
                client.do(f"delete {key}", [((writer.line(document),),
                                             (f"trash {writer.namespace} {key}",))],
                          lambda: collection.delete_one({"_id": key}))
            else:
                key = f"{client.number}-{writer.made}"
                document = writer.live[key] = writer.document(key)
                client.do(f"insert {key}", [((), (writer.line(document),))],
                          lambda: collection.insert_one(document))

    run_together(setup.clients(2), work)
    recording.end(kill=setup.random.random() < 0.5)


def restarts(setup):
    """Several lives of one folder, ended by SIGKILL or in order."""
    recording = setup.recording
    recording.begin()
    writers, seed = [], setup.random.random()
    for life in range(5):
        recording.start(setup.binary)
        if life == 0:
            for client in setup.clients(2):
                make_collection(client, f"w{client.number}_docs", "unique", "tags")
                writers.append(Writer(client, f"w{client.number}_docs", seed))
        else:
            for writer in writers:
                writer.client = recording.client(writer.client.number)
        run_together(writers, lambda writer: writer.steps(40))
        recording.end(kill=setup.random.random() < 0.5)


def upgrade(setup):
    """A folder made by an earlier binary is opened, written to, and opened again."""
    recording = setup.recording
    recording.start_unseen(setup.old_binary)
    seed = setup.random.random()
    writers = []
    for client in setup.clients(2):
        make_collection(client, f"w{client.number}_docs", "unique", "tags")
        writers.append(Writer(client, f"w{client.number}_docs", seed))
        writers[-1].steps(60)
    recording.end()
    for life in range(2):
        if life == 0:
            recording.begin()
        recording.start(setup.binary)
        for writer in writers:
            writer.client = recording.client(writer.client.number)
        run_together(writers, lambda writer: writer.steps(30))
        recording.end(kill=setup.random.random() < 0.5)


def relaxed(setup):
    """Writes that are acknowledged before they are durable: the last may go, in order."""
    recording = setup.recording
    recording.may_lose = True
    recording.begin()
    seed, writers = setup.random.random(), []
    for life in range(3):
        recording.start(setup.binary, "--durability", "relaxed")
        for number in range(2):
            client = recording.client(number if life else None)
            if life:
                writers[number].client = client
            else:
                make_collection(client, f"w{number}_docs", "unique", "tags")
                writers.append(Writer(client, f"w{number}_docs", seed))
        run_together(writers, lambda writer: writer.steps(80))
        recording.end(kill=setup.random.random() < 0.5)


def load(setup):
    """Many writes of large documents over some seconds: checkpoints and new segments."""
    recording = setup.recording
    recording.begin()
    recording.start(setup.binary)
    seed, end = setup.random.random(), time.monotonic() + 4

    def work(client):
        name = f"w{client.number}_docs"
        make_collection(client, name)
        writer = Writer(client, name, seed, documents=60)
        writer.SIZES = (100, 3_000, 30_000)
        while time.monotonic() < end and writer.step():
            pass

    run_together(setup.clients(4), work)
    recording.end(kill=setup.random.random() < 0.5)


WORKLOADS = {function.__name__: function for function in (
    creation, updates, indexes, drops, transactions, trash, restarts, upgrade,
    relaxed, load)}
