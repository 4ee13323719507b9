"""Medians over the rounds, and the figures that Roost has to reach."""

from dataclasses import dataclass
from statistics import median


class Results:
    """Looks up what was measured: of several rounds the one with the median rate."""

    def __init__(self, records):
        self.records = records

    def rounds(self, server, workload, connections, place, durability=None):
        return [r for r in self.records
                if r["server"] == server and r["section"] != "lmdb"
                and r["workload"] == workload and r["connections"] == connections
                and r["place"] == place and not r["errors"]
                and (durability is None or r["durability"] == durability)]

    def find(self, server, workload, connections, place="apart", durability=None):
        rounds = sorted(self.rounds(server, workload, connections, place, durability),
                        key=lambda r: r["rate"])
        return rounds[len(rounds) // 2] if rounds else None

    def rate(self, *arguments, **named):
        found = self.find(*arguments, **named)
        return found["rate"] if found else None

    def spread(self):
        """(median, worst) over all measurements of how far the rounds' rates lie apart, as a
        share of their median; None with a single round."""
        rounds = {}
        for r in self.records:
            key = [r.get(name) for name in ("server", "section", "workload", "connections",
                                            "place", "group", "logged")]
            rounds.setdefault(tuple(key), []).append(r["rate"])
        spreads = [(max(rates) - min(rates)) / median(rates)
                   for rates in rounds.values() if len(rates) > 1]
        return (median(spreads), max(spreads)) if spreads else None

    def lmdb_rate(self, group, logged):
        """Documents a second in groups of this size, between the sizes measured."""
        times = {}
        for record in self.records:
            if record["section"] == "lmdb" and record["logged"] == logged:
                times.setdefault(record["group"], []).append(record["group"] / record["rate"])
        if not times:
            return None
        points = sorted((size, median(values)) for size, values in times.items())
        below = max((p for p in points if p[0] <= group), default=points[0])
        above = min((p for p in points if p[0] >= group), default=points[-1])
        if below[0] == above[0]:
            return below[0] / below[1]
        share = (group - below[0]) / (above[0] - below[0])
        return group / (below[1] + share * (above[1] - below[1]))

    def peak_memory_mib(self, server):
        peaks = [r["anonymous_kib"] for r in self.records
                 if r["server"] == server and r.get("anonymous_kib")]
        return max(peaks) / 1024 if peaks else None


def ratio(value, base):
    return value / base if value is not None and base else None


@dataclass
class Target:
    """`value` is None when something it needs wasn't measured."""

    text: str
    value: float | None
    limit: float
    at_most: bool = False
    aim: bool = False  # named by the design, not by the issue
    ceiling: bool = False  # a share of what is possible at all: far above 1 can't be true
    unit: str = ""

    @property
    def state(self):
        if self.value is None:
            return "not measured"
        if self.ceiling and self.value > 1.25:
            return "doubtful"  # something disturbed the measurement of the ceiling
        met = self.value <= self.limit if self.at_most else self.value >= self.limit
        return "met" if met else "MISSED"


def durable_share(results, connections, place, logged):
    """Roost's durable updates as a share of bare LMDB in groups of the same size, with or without
    a log, after the ping-pong's time is taken off. Also says which group size was compared, and whether Roost
    told it or it was assumed to be the number of connections."""
    roost = results.find("roost", "update", connections, place, durability="full")
    ping = results.rate("ping", "read", connections, place)
    if not roost or not ping:
        return None, ""
    told = roost.get("group_size")
    group = told or connections
    lmdb = results.lmdb_rate(group, logged)
    own = 1 / roost["rate"] - 1 / ping
    note = f"groups of {group:.1f}" + ("" if told else ", assumed")
    return (1 / lmdb) / own if lmdb and own > 0 else None, note


def targets(results):
    rate = results.rate
    listed = []

    def add(text, value, limit, **more):
        listed.append(Target(text, value, limit, **more))

    def against(text, workload, connections, place, peer, limit, durability=None, **more):
        add(text, ratio(rate("roost", workload, connections, place, durability),
                        rate(peer, workload, connections, place, durability)), limit, **more)

    def against_postgres(text, workload, connections, limit, durability=None, **more):
        """The worse of server and client on a core each, and both on both cores."""
        ratios = [ratio(rate("roost", workload, connections, place, durability),
                        rate("postgres", workload, connections, place, durability))
                  for place in ("apart", "free")]
        worse = None if None in ratios else min(ratios)
        add(f"{text} / PostgreSQL, pinned or not", worse, limit, **more)

    against("point read at 8 / Redis GET", "read", 8, "apart", "redis", 1)
    against_postgres("point read at 8", "read", 8, 2)
    share8 = ratio(rate("roost", "read", 8), rate("ping", "read", 8))
    share32 = ratio(rate("roost", "read", 32), rate("ping", "read", 32))
    add("point read: share of the ceiling at 32 / share at 8 (5 % allowed for noise)",
        ratio(share32, share8), 0.95)
    against("point read at 1, on one core / ceiling", "read", 1, "alike", "ping", 0.7,
            ceiling=True)
    for connections, place in ((1, "alike"), (32, "apart")):
        for logged, doing in ((True, "with a log as well"), (False, "without a log")):
            value, note = durable_share(results, connections, place, logged)
            add(f"durable update at {connections} / bare LMDB {doing}, ping-pong taken off"
                + (f" ({note})" if note else ""), value, 0.8, ceiling=True)
    against_postgres("durable update at 32", "update", 32, 1, "full")
    against("bulk load with two indexes / PostgreSQL", "load", 1, "apart", "postgres", 0.5)
    against("load, then build the indexes / PostgreSQL", "load-then-index", 1, "apart",
            "postgres", 1)
    add("memory without file-backed pages, peak", results.peak_memory_mib("roost"), 200,
        at_most=True, unit=" MiB")
    for workload, what in (("scan", "a cursor reads everything"),
                           ("nothing", "an unindexed filter runs")):
        found = results.find("roost", workload, 2, "free")
        add(f"point read p99 while {what}", found and found["p99_us"] / 1000, 2, at_most=True,
            unit=" ms")
    found = results.find("roost", "read", 8)
    add("server CPU of a point read at 8", found and found["server_cpu_us"], 8, at_most=True,
        aim=True, unit=" us")
    against_postgres("index equality at 8", "equal", 8, 2, aim=True)
    against_postgres("range, sort, limit 20 at 8", "range", 8, 2, aim=True)
    against("count, unindexed / PostgreSQL", "count", 1, "free", "postgres", 1, aim=True)
    against("group by status / PostgreSQL", "group", 1, "free", "postgres", 4, aim=True)
    against("join of 10,000 by an index / PostgreSQL", "lookup", 1, "free", "postgres", 1, aim=True)
    return listed
