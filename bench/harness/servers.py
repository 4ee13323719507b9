"""The servers that are compared: how each is started, pinned, made durable, emptied, indexed.

All have the same methods. `durability` is "none" (reads: whatever is fastest), "full" (a write is
acknowledged after its sync) or "relaxed".
"""

import glob
import os
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

from . import wire
from .processes import BenchError, Process, cores, free_port

SERVER, CLIENT, BOTH = cores()
INDEXES = [{"key": {"score": 1}, "name": "score_1"},
           {"key": {"createdAt": 1}, "name": "createdAt_1"}]


class Server:
    name = label = protocol = ""
    documents = True  # has collections and indexes, not only keys

    def __init__(self, folder):
        self.folder = Path(folder) / self.name
        self.port = free_port()
        self.cores = SERVER
        self.durability = "full"
        self.process = None

    def set_up(self):
        """Makes the data folder and starts the server."""
        self.folder.mkdir(parents=True)
        self.start()

    def start(self):
        self.process = Process(self.name, self.command(), self.folder, self.cores)
        self.process.wait_until(self.ready)

    def restart(self):
        self.process.stop()
        self.start()

    @property
    def pid(self):
        return self.process.pid

    def pin(self, cores):
        self.cores = cores
        self.process.pin(cores)

    def set_durability(self, durability):
        self.durability = durability

    def clear(self, indexed):
        """An empty collection, with the two secondary indexes or without."""

    def build_indexes(self):
        """Builds both on what is there; returns the seconds it took."""
        return 0.0

    def settle(self):
        """Leaves nothing from loading to be done in the background."""
        os.sync()

    def version(self):
        return ""

    def commit_groups(self):
        """(transactions, commands in them) since the start, or None when it doesn't say."""
        return None


class Pong(Server):
    name, label, protocol, documents = "ping", "ceiling", "ping", False

    def __init__(self, folder, load):
        super().__init__(folder)
        self.load = load

    def command(self):
        return [self.load, "pong", "--port", str(self.port)]

    def ready(self):
        socket.create_connection(("127.0.0.1", self.port), 1).close()
        return True


class Redis(Server):
    name, label, protocol, documents = "redis", "Redis", "redis", False

    def command(self):
        return ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
                "--appendonly", "no", "--auto-aof-rewrite-percentage", "0",
                "--dir", str(self.folder)]

    def ask(self, text):
        with socket.create_connection(("127.0.0.1", self.port), 60) as connection:
            connection.sendall(text.encode() + b"\r\n")
            return connection.recv(65536).decode()

    def ready(self):
        return self.ask("PING").startswith("+PONG")

    def set_durability(self, durability):
        if durability == "none":
            self.ask("CONFIG SET appendonly no")
        else:
            self.ask("CONFIG SET appendfsync "
                     + ("always" if durability == "full" else "everysec"))
            self.ask("CONFIG SET appendonly yes")
            while "aof_rewrite_in_progress:1" in self.ask("INFO persistence"):
                time.sleep(0.05)
        self.durability = durability

    def clear(self, indexed):
        self.ask("FLUSHALL")

    def version(self):
        return subprocess.run(["redis-server", "--version"], capture_output=True,
                              text=True).stdout.split("v=")[1].split()[0]


class Postgres(Server):
    name, label, protocol = "postgres", "PostgreSQL", "postgres"
    binaries = "/usr/lib/postgresql/15/bin"
    indexes = ("CREATE INDEX docs_score ON docs (((doc->>'score')::int))",
               "CREATE INDEX docs_created ON docs ((doc->>'createdAt'))")
    # Larger buffers and a larger log than by default, so that no checkpoint falls into a
    # measurement; what is durable stays as it is by default.
    settings = ("shared_buffers=256MB", "max_wal_size=4GB", "checkpoint_timeout=30min")

    def set_up(self):
        self.folder.mkdir(parents=True)
        # initdb refuses to run as root.
        self.user = "postgres" if os.getuid() == 0 else None
        if self.user:
            shutil.chown(self.folder, self.user, self.user)
        identity = {"user": self.user, "group": self.user, "extra_groups": []} if self.user else {}
        made = subprocess.run(
            [f"{self.binaries}/initdb", "-D", str(self.folder / "data"), "-U", "postgres",
             "-A", "trust", "--locale=C", "--encoding=UTF8"],
            cwd="/", capture_output=True, text=True, **identity)
        if made.returncode:
            raise BenchError("initdb: " + made.stderr)
        self.start()
        self.sql("CREATE DATABASE bench", database="postgres")
        self.sql("CREATE TABLE docs (id bigint PRIMARY KEY, doc jsonb)")

    def start(self):
        command = [f"{self.binaries}/postgres", "-D", str(self.folder / "data"),
                   "-p", str(self.port), "-k", str(self.folder), "-h", "127.0.0.1"]
        for setting in self.settings:
            command += ["-c", setting]
        self.process = Process(self.name, command, self.folder, self.cores, user=self.user,
                               stop_signal=signal.SIGINT)
        self.process.wait_until(self.ready)

    def ready(self):
        return self.psql("SELECT 1", database="postgres").returncode == 0

    def psql(self, *statements, database="bench"):
        command = ["psql", "-qXAt", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres",
                   "-d", database, "-v", "ON_ERROR_STOP=1"]
        for statement in statements:
            command += ["-c", statement]
        return subprocess.run(command, capture_output=True, text=True)

    def sql(self, *statements, database="bench"):
        done = self.psql(*statements, database=database)
        if done.returncode:
            raise BenchError("postgres: " + done.stderr)
        return done.stdout

    def set_durability(self, durability):
        value = "off" if durability == "relaxed" else "on"
        self.sql(f"ALTER DATABASE bench SET synchronous_commit = {value}")  # new connections
        self.durability = durability

    def clear(self, indexed):
        self.sql("DROP TABLE IF EXISTS docs",
                 "CREATE TABLE docs (id bigint PRIMARY KEY, doc jsonb)",
                 *(self.indexes if indexed else ()))

    def build_indexes(self):
        begin = time.monotonic()
        self.sql(*self.indexes)
        return time.monotonic() - begin

    def settle(self):
        self.sql("VACUUM ANALYZE docs", "CHECKPOINT")
        super().settle()

    def version(self):
        return self.sql("SHOW server_version").split()[0]


class MongoServer(Server):
    """What Roost and SecantusDB have in common: MongoDB's protocol."""

    protocol = "mongo"

    def ready(self):
        return wire.command(self.port, {"hello": 1, "$db": "admin"}, seconds=5)["ok"] == 1

    def clear(self, indexed):
        try:
            wire.command(self.port, {"drop": "docs", "$db": "bench"})
        except wire.CommandError as error:
            if "ns not found" not in str(error):
                raise
        if indexed:
            self.build_indexes()

    def build_indexes(self):
        begin = time.monotonic()
        wire.command(self.port, {"createIndexes": "docs", "indexes": INDEXES, "$db": "bench"})
        return time.monotonic() - begin


class Secantus(MongoServer):
    name, label = "secantus", "SecantusDB"

    def __init__(self, folder, program):
        super().__init__(folder)
        self.program = program
        self.durability = "none"

    def command(self):
        # Without the option its log isn't synced on commit: not durable, like "relaxed".
        return [self.program, "--port", str(self.port), "--log-level", "WARNING",
                "--storage-path", str(self.folder / "data"),
                *(["--sync-on-commit"] if self.durability == "full" else [])]

    def set_durability(self, durability):
        durable, self.durability = self.durability == "full", durability
        if durable != (durability == "full"):
            self.restart()

    def version(self):
        python = Path(self.program).parent / "python"
        code = "import importlib.metadata as m; print(m.version('secantusdb'))"
        return subprocess.run([python, "-c", code], capture_output=True, text=True).stdout.strip()


class Roost(MongoServer):
    name, label = "roost", "Roost"

    def __init__(self, folder, binary):
        super().__init__(folder)
        self.binary = binary

    def command(self):
        return [str(self.binary), "serve", str(self.folder / "data"),
                "--listen", f"127.0.0.1:{self.port}", "--log-level", "warning",
                *(["--durability", "relaxed"] if self.durability == "relaxed" else [])]

    def pin(self, cores):
        # The number of its event loops follows from the cores that it may use at the start.
        if cores != self.cores:
            self.cores = cores
            self.restart()

    def set_durability(self, durability):
        relaxed, self.durability = self.durability == "relaxed", durability
        if relaxed != (durability == "relaxed"):
            self.restart()

    def commit_groups(self):
        status = wire.command(self.port, {"serverStatus": 1, "$db": "admin"})
        groups = status.get("store", {}).get("groupSizes", {})
        if "count" in groups and "sum" in groups:
            return groups["count"], groups["sum"]
        return None

    def version(self):
        done = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True,
                              text=True, cwd=Path(self.binary).resolve().parent)
        return done.stdout.strip()


def missing_packages(peers):
    """Debian packages that aren't there yet."""
    needed = {"liblmdb-dev": not os.path.exists("/usr/include/lmdb.h"),
              "gcc": shutil.which("cc") is None,
              "redis-server": "redis" in peers and shutil.which("redis-server") is None,
              "postgresql-15": "postgres" in peers
              and not glob.glob(Postgres.binaries + "/initdb")}
    return [package for package, missing in needed.items() if missing]
