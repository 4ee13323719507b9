"""What is measured, in which order, and how one measurement is made."""

import json
import subprocess
from dataclasses import dataclass, field

from .processes import BenchError
from .wire import CommandError
from .servers import BOTH, CLIENT, SERVER

DOCUMENTS = 100_000
# What ends one measurement but not the run: it is reported, and the others go on.
TROUBLE = (BenchError, CommandError, OSError, EOFError)
LMDB_GROUPS = (1, 2, 4, 8, 16, 32)


@dataclass(frozen=True)
class Item:
    """One line of the results. `place`: "alike" (server and client on one core), "apart" (a core
    each) or "free" (both on both cores)."""

    workload: str
    connections: int
    place: str = "apart"

    def title(self):
        return self.workload, self.connections, self.place


@dataclass(frozen=True)
class Section:
    name: str
    durability: str
    items: tuple
    servers: tuple


ALL = ("ping", "redis", "postgres", "secantus", "roost")
KEYED = ("redis", "postgres", "secantus", "roost")
QUERIED = ("postgres", "secantus", "roost")

SECTIONS = (
    Section("read", "none", (Item("read", 1, "alike"), Item("read", 1), Item("read", 8),
                             Item("read", 32)), ALL),
    Section("equal", "none", (Item("equal", 1), Item("equal", 8), Item("equal", 32)), QUERIED),
    Section("range", "none", (Item("range", 1), Item("range", 8), Item("range", 32)), QUERIED),
    Section("update", "full", (Item("update", 1, "alike"), Item("update", 8),
                               Item("update", 32), Item("update", 32, "free")), KEYED),
    Section("ycsb", "full", (Item("ycsb-a", 8), Item("ycsb-a", 32), Item("ycsb-b", 8),
                             Item("ycsb-b", 32)), KEYED),
    Section("relaxed", "relaxed", (Item("update", 8), Item("update", 32)), KEYED),
    # PostgreSQL is a process a connection: what it can do with both cores is asked too.
    Section("free", "none", (Item("read", 8, "free"), Item("equal", 8, "free"),
                             Item("range", 8, "free")), KEYED),
    Section("analytic", "none", (Item("count", 1, "free"), Item("group", 1, "free"),
                                 Item("lookup", 1, "free")), QUERIED),
    Section("scan", "none", (Item("scan", 2, "free"), Item("nothing", 2, "free")), QUERIED),
)
SECTION_NAMES = ("bulk",) + tuple(section.name for section in SECTIONS)


@dataclass
class Bench:
    """One run: its servers, settings, and what has been measured so far."""

    load: str
    lmdb: str
    folder: str
    servers: dict
    rounds: int
    seconds: float
    quick: bool
    extra: tuple = ()
    results: list = field(default_factory=list)
    failures: list = field(default_factory=list)
    seed: int = 1

    # ---- one measurement ----

    def run_load(self, server, workload, connections, place, seconds=None):
        server.pin(BOTH if place == "free" else SERVER)
        client = {"alike": SERVER, "apart": CLIENT, "free": BOTH}[place]
        command = ["taskset", "-c", ",".join(map(str, sorted(client))), self.load,
                   server.protocol, workload, "--port", str(server.port),
                   "--connections", str(connections), "--label", server.name,
                   "--seconds", str(seconds or self.seconds),
                   "--warmup", str(0.2 * self.seconds),
                   "--server-pid", str(server.pid), "--documents", str(DOCUMENTS),
                   "--seed", str(self.seed),
                   *(self.extra if server.protocol == "mongo" else ())]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=900)
        except subprocess.TimeoutExpired:
            raise BenchError(f"{server.name} {workload}: no end after 15 minutes") from None
        if not done.stdout:
            raise BenchError(f"{server.name} {workload}: {done.stderr.strip()}")
        result = json.loads(done.stdout)
        if result["errors"]:
            self.fail(f"{server.name} {workload} at {connections}: {result['errors']} replies were "
                      f"wrong: {done.stderr.splitlines()[0]}")
        return result

    def fail(self, text):
        self.failures.append(text)
        print(f"  ! {text}", flush=True)

    def keep(self, section, item, server, result, **more):
        result |= {"workload": item.workload, "section": section, "server": server.name,
                   "place": item.place,
                   "durability": server.durability, **more}
        self.results.append(result)
        print(f"  {server.label:<11} {item.workload:<8} {item.connections:>2} {item.place:<6}"
              f"{result['rate']:>12,.0f}/s   p50 {result['p50_us']:>8,.0f} us"
              f"   p99 {result['p99_us']:>8,.0f} us   CPU/op: server"
              f" {result['server_cpu_us']:>8,.1f} us, client {result['client_cpu_us']:>5,.1f} us",
              flush=True)

    # ---- loading ----

    def bulk(self, measured):
        """Fills every server; the last load of each is what the other workloads read."""
        print("bulk load, inserts of 1,000", flush=True)
        for server in self.servers.values():
            if server.name == "ping":
                continue
            try:
                self.fill(server, measured)
            except TROUBLE as error:
                self.fail(f"{server.name}: {error}")

    def fill(self, server, measured):
        slow = server.name == "secantus"
        # Redis is only filled: it has neither documents nor indexes to compare.
        measured = measured and server.documents
        rounds = self.rounds if measured and not slow else 1
        for _ in range(rounds):
            if measured and not (slow and self.quick):
                self.load_once(server, Item("load", 8), indexed=True)
                self.load_once(server, Item("load-then-index", 1), indexed=False)
            self.load_once(server, Item("load", 1), indexed=True, kept=server.documents)
        server.settle()

    def load_once(self, server, item, indexed, kept=True):
        server.clear(indexed)
        result = self.run_load(server, "load", item.connections, item.place)
        if not indexed:
            result["load_seconds"] = result["seconds"]
            result["index_seconds"] = server.build_indexes()
            result["seconds"] += result["index_seconds"]
            result["rate"] = DOCUMENTS / result["seconds"]
        if kept:
            self.keep("bulk", item, server, result)

    # ---- the sections ----

    def section(self, section):
        servers = [self.servers[name] for name in section.servers if name in self.servers]
        print(f"{section.name} (durability: {section.durability})", flush=True)
        for server in list(servers):
            try:
                server.set_durability(section.durability)
            except TROUBLE as error:
                self.fail(f"{server.name}: {error}")
                servers.remove(server)
        for _ in range(self.rounds):
            for item in section.items:
                self.seed += 1  # the same keys for each server, other ones for each item
                for server in servers:
                    if not server.documents and item.workload in ("equal", "range"):
                        continue
                    try:
                        self.measure(section, item, server)
                    except TROUBLE as error:
                        self.fail(f"{server.name}: {error}")
            if section.name == "update":
                self.bare_lmdb()

    def measure(self, section, item, server):
        server.pin(BOTH if item.place == "free" else SERVER)  # may restart it: before counting
        before = server.commit_groups() if section.durability != "none" else None
        result = self.run_load(server, item.workload, item.connections, item.place)
        after = server.commit_groups() if before else None
        more = {}
        if after and after[0] > before[0]:
            more["group_size"] = (after[1] - before[1]) / (after[0] - before[0])
        self.keep(section.name, item, server, result, **more)

    def bare_lmdb(self):
        command = ["taskset", "-c", str(min(SERVER)), self.lmdb, f"{self.folder}/lmdb",
                   str(self.seconds / 2), *map(str, LMDB_GROUPS)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            self.fail(done.stderr.strip())
            return
        for line in done.stdout.splitlines():
            result = json.loads(line)
            self.results.append(result | {"section": "lmdb", "server": "lmdb"})
            print(f"  bare LMDB   update   groups of {result['group']:>2}"
                  f"{result['rate']:>10,.0f}/s" + ("  with a log" if result["logged"] else ""),
                  flush=True)
        subprocess.run(["rm", "-rf", f"{self.folder}/lmdb"], check=False)
