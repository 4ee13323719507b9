"""The delivery benchmark's tables and targets, as Markdown."""

import statistics
from datetime import date

from .live_plan import HELD, ROWS
from .report import BUSY

NAMES = {"roost": "Roost", "redis": "Redis pub/sub", "postgres": "PostgreSQL NOTIFY",
         "pocketbase": "PocketBase"}


class Medians:
    """Medians over the rounds."""

    def __init__(self, records):
        self.records = records

    def of(self, row, server, field, **where):
        values = [r[field] for r in self.records if r["row"] == row and r["server"] == server
                  and all(r[name] == value for name, value in where.items())]
        return statistics.median(values) if values else None


def targets(medians):
    """(what, wanted, found, met) for each that could be measured."""
    lines = []

    def add(what, wanted, found, is_met):
        if found is not None:
            lines.append((what, wanted, found, is_met))

    for row in ("spread", "crowd"):
        p99 = medians.of(row, "roost", "p99_us")
        subscribers = "10,000 subscribers, " + ("10" if row == "spread" else "100") + " a commit"
        if p99 is not None:
            add(f"p99 with {subscribers}", "<= 50 ms", f"{p99 / 1e3:.1f} ms", p99 <= 50_000)
    for row, window in (("fan-out", 1), ("fan-out-16", 16)):
        ours = medians.of(row, "roost", "delivery_rate")
        for peer, factor in (("redis", 0.7), ("pocketbase", 5)):
            theirs = medians.of(row, peer, "delivery_rate")
            if ours and theirs:
                add(f"deliveries/s to 1,000 subscribers of one query, commits on their way: "
                    f"{window}, against {NAMES[peer]}", f">= {factor} x",
                    f"{ours / theirs:.2f} x", ours >= factor * theirs)
    without = medians.of("matching", "roost", "commit_rate", held=0)
    held = medians.of("matching", "roost", "commit_rate", held=HELD)
    if without and held:
        loss = 1 - held / without
        add(f"write throughput lost to {HELD:,} subscriptions that don't match", "< 5 %",
            f"{loss:.1%}", loss < 0.05)
    matching = medians.of("matching", "roost", "match_p99_us", held=HELD)
    if matching:
        add(f"matching a write with {HELD:,} subscriptions, p99", "<= 10 us", f"{matching:.1f} us",
            matching <= 10)
    small, large = (medians.of(row, "roost", "server_cpu")
                    / max(1, medians.of(row, "roost", "commit_rate"))
                    if medians.of(row, "roost", "server_cpu") else None
                    for row in ("growth-100", "spread"))
    if small and large:
        add("server CPU a commit at 10,000 subscribers against 100, as many told of each", "< 2 x",
            f"{large / small:.2f} x", large < 2 * small)
    return lines


def table(medians):
    yield ("| queries x subscribers | server | commits/s | deliveries/s | p50 ms | p99 ms |"
           " p99 from sending | server CPU | MB | told | out of order |")
    yield "| --- | --- | --: | --: | --: | --: | --: | --: | --: | --: | --: |"
    for row in ROWS:
        for server, label in NAMES.items():
            def of(field):
                return medians.of(row.name, server, field)
            if of("delivery_rate") is None:
                continue
            told = of("deliveries") / max(1, of("deliveries") + of("missing"))
            memory = (of("anonymous_kib") + of("shared_kib")) / 1024
            window = f", window {row.window}" if row.window else ""
            yield (f"| {of('topics'):,.0f} x {of('subscribers'):,.0f}{window} | {label} |"
                   f" {of('commit_rate'):,.0f} | {of('delivery_rate'):,.0f} |"
                   f" {of('p50_us') / 1e3:,.1f} | {of('p99_us') / 1e3:,.1f} |"
                   f" {of('sent_p99_us') / 1e3:,.1f} | {of('server_cpu'):.0%} | {memory:,.0f} |"
                   f" {told:.0%} | {of('disordered'):,.0f} |")


def markdown(run):
    medians = Medians(run["records"])
    lines = [
        "# Deliveries: live queries and their peers", "",
        f"Written by `bench/live` on {date.today()}: {run['machine']}; "
        f"{run['rounds']} round{'s' if run['rounds'] > 1 else ''} of {run['seconds']:g} s, "
        "medians. bench/README.md says how."
        + (f" The machine was busy with other things (load {run['busy']:.1f} before): the figures "
           "of one row can be compared with care, those of different rows hardly."
           if run["busy"] > BUSY else ""), "",
        ", ".join(f"{NAMES[name]} {version}" for name, version in run["versions"].items()), "",
        *table(medians), "",
        "p50 and p99: from the commit's acknowledgement to the moment when a subscriber has the "
        "event (0 where it was told first); from sending: with the commit itself. Told: the share of commits that each subscriber was "
        "told one by one; the rest were folded into later events.", "",
    ]
    for held in (0, HELD):
        rate = medians.of("matching", "roost", "commit_rate", held=held)
        if rate:
            cpu = medians.of("matching", "roost", "server_cpu", held=held) / rate * 1e6
            memory = medians.of("matching", "roost", "anonymous_kib", held=held) / 1024
            lines.append(f"- {held:,} subscriptions that nothing matches: {rate:,.0f} durable "
                         f"commits/s, {cpu:.1f} us of server CPU each, {memory:,.0f} MB")
            if held:
                p50, p99 = (medians.of("matching", "roost", f"match_{share}_us", held=held)
                            for share in ("p50", "p99"))
                lines.append(f"- matching a write with them: p50 {p50:.1f} us, p99 {p99:.1f} us")
    found = targets(medians)
    if found:
        lines += ["", "| target | wanted | found | |", "| --- | --: | --: | --- |"]
        lines += [f"| {what} | {wanted} | {value} | {'met' if is_met else 'missed'} |"
                  for what, wanted, value, is_met in found]
    lines += [f"- went wrong: {failure}" for failure in run["failures"]]
    return "\n".join(lines) + "\n"
