"""What the delivery benchmark measures, and with which targets."""

import json
import subprocess
from dataclasses import dataclass, field

from . import wire
from .processes import BenchError
from .servers import CLIENT, SERVER

COMMITS = 1_000       # a second, by 16 writers
HELD = 100_000        # subscriptions that nothing matches


@dataclass(frozen=True)
class Row:
    """Subscribers over queries; each commit matches one query."""

    name: str
    topics: int
    subscribers: int  # of each
    documents: int = 0
    rate: int = COMMITS
    window: int = 0   # commits on their way to subscribers, where there is no rate
    title: str = ""

    @property
    def count(self):
        return self.topics * self.subscribers

    def fitting(self, most):
        """With no more subscribers than a server bears: fewer queries, as many of each."""
        if self.count <= most:
            return self
        return Row(self.name, max(1, most // self.subscribers), min(self.subscribers, most),
                   self.documents, self.rate, self.window, self.title)


ROWS = (
    Row("growth-100", 10, 10, title="10 each"),
    Row("growth-1000", 100, 10, title="10 each"),
    Row("spread", 1_000, 10, title="10 each"),
    Row("crowd", 100, 100, title="100 each"),
    Row("fan-out", 1, 1_000, documents=1_000, rate=0, window=1,
        title="of one query, the next commit when all were told"),
    Row("fan-out-16", 1, 1_000, documents=1_000, rate=0, window=16,
        title="of one query, 16 commits on their way"),
)


@dataclass
class LiveBench:
    """One run: its servers, settings, and what has been measured so far."""

    program: str
    servers: dict
    rounds: int
    seconds: float
    results: list = field(default_factory=list)
    failures: list = field(default_factory=list)

    def run_live(self, server, topics, subscribers, documents, rate, window=0):
        command = ["taskset", "-c", ",".join(map(str, sorted(CLIENT))), self.program,
                   server.protocol, "--port", str(server.port), "--label", server.name,
                   "--topics", str(topics), "--subscribers", str(subscribers),
                   "--documents", str(documents), "--rate", str(rate),
                   "--window", str(window),
                   "--seconds", str(self.seconds), "--warmup", str(self.seconds / 4),
                   "--server-pid", str(server.pid)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
        if not done.stdout:
            raise BenchError(f"{server.name}: {done.stderr.strip()}")
        result = json.loads(done.stdout)
        if result["disordered"] and server.name == "roost":
            self.failures.append(f"roost: {result['disordered']} deliveries out of order")
        return result

    def row(self, row):
        print(f"{row.name}: {row.topics:,} queries, {row.title}", flush=True)
        for server in self.servers.values():
            fitting = row.fitting(server.subscribers_max)
            documents = fitting.documents or fitting.topics
            for _ in range(self.rounds):
                try:
                    # A fresh server, so that its memory is this row's.
                    server.pin(SERVER)
                    server.restart()
                    server.fill(documents, fitting.topics)
                    result = self.run_live(server, fitting.topics, fitting.subscribers, documents,
                                           fitting.rate, fitting.window)
                except (BenchError, OSError, subprocess.SubprocessError) as error:
                    self.failures.append(f"{server.name}, {row.name}: {error}")
                    print(f"  ! {server.label}: {error}", flush=True)
                    continue
                self.keep(row.name, server, result)

    def keep(self, name, server, result):
        self.results.append(result | {"row": name, "server": server.name})
        print(f"  {server.label:<11} {result['topics'] * result['subscribers']:>7,} subscribers"
              f"{result['commit_rate']:>9,.0f} commits/s {result['delivery_rate']:>10,.0f}/s"
              f"   p50 {result['p50_us'] / 1e3:>7,.1f} ms   p99 {result['p99_us'] / 1e3:>8,.1f} ms"
              f"   CPU: server {result['server_cpu']:>5.0%}, client {result['client_cpu']:>5.0%}"
              f"   {result['anonymous_kib'] / 1024:,.0f} MB"
              + (f"   {result['missing']:,} not told" if result["missing"] else "")
              + (f"   {result['disordered']:,} out of order" if result["disordered"] else ""),
              flush=True)

    def matching(self, roost):
        """Write throughput without and with subscriptions that nothing matches, in turns."""
        print(f"matching: {HELD:,} subscriptions that nothing matches", flush=True)
        for _ in range(max(2, self.rounds)):
            for held in (0, HELD):
                roost.pin(SERVER)
                roost.restart()
                roost.fill(1_000, 1_000)
                holder = self.hold(roost, held) if held else None
                try:
                    result = self.run_live(roost, 1_000, 0, 1_000, 0)
                    live = wire.command(roost.port, {"serverStatus": 1, "$db": "admin"})["live"]
                    result |= {"match_p50_us": live["matchNanosP50"] / 1e3,
                               "match_p99_us": live["matchNanosP99"] / 1e3}
                finally:
                    if holder:
                        holder.kill()
                        holder.wait()
                self.results.append(result | {"row": "matching", "server": "roost", "held": held})
                cpu = result["server_cpu"] / max(1, result["commit_rate"]) * 1e6
                print(f"  {held:>9,} held: {result['commit_rate']:>9,.0f} commits/s"
                      f"   {cpu:.1f} us of CPU each   {result['anonymous_kib'] / 1024:,.0f} MB"
                      f"   matching p50 {result['match_p50_us']:.1f} us"
                      f"   p99 {result['match_p99_us']:.1f} us",
                      flush=True)

    def hold(self, server, count):
        holder = subprocess.Popen(
            ["taskset", "-c", ",".join(map(str, sorted(CLIENT))), self.program, "hold", "--port",
             str(server.port), "--topics", str(count)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if holder.stdout.readline().strip() != "ready":
            raise BenchError(f"{count:,} subscriptions: {holder.stderr.read().strip()}")
        return holder
