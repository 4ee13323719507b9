"""The tables: what was measured, ratios, latencies, targets; for the terminal and as Markdown."""

import os
import platform
from datetime import date
from pathlib import Path

from .targets import ratio, targets

SERVERS = (("ping", "ceiling"), ("redis", "Redis"), ("postgres", "PostgreSQL"),
           ("secantus", "SecantusDB"), ("roost", "Roost"))

# (title, workload, connections, place, durability)
LINES = tuple(
    [("bulk load, two indexes", "load", n, "apart", None) for n in (1, 8)]
    + [("bulk load, then indexes", "load-then-index", 1, "apart", None)]
    + [("point read by _id", "read", 1, "alike", None)]
    + [("point read by _id", "read", n, "apart", None) for n in (1, 8, 32)]
    + [("point read by _id", "read", 8, "free", None)]
    + [("index equality, 10 documents", "equal", n, "apart", None) for n in (1, 8, 32)]
    + [("index equality, 10 documents", "equal", 8, "free", None)]
    + [("indexed range, sort, limit 20", "range", n, "apart", None) for n in (1, 8, 32)]
    + [("indexed range, sort, limit 20", "range", 8, "free", None)]
    + [("update by _id, durable", "update", 1, "alike", "full")]
    + [("update by _id, durable", "update", n, "apart", "full") for n in (8, 32)]
    + [("update by _id, durable", "update", 32, "free", "full")]
    + [("update by _id, relaxed", "update", n, "apart", "relaxed") for n in (8, 32)]
    + [("YCSB A (half updates), durable", "ycsb-a", n, "apart", "full") for n in (8, 32)]
    + [("YCSB B (5 % updates), durable", "ycsb-b", n, "apart", "full") for n in (8, 32)]
    + [("count, unindexed filter", "count", 1, "free", None),
       ("group by status, sum", "group", 1, "free", None),
       ("join of 10,000 by an index", "lookup", 1, "free", None),
       ("point read beside a cursor scan", "scan", 2, "free", None),
       ("point read beside a filter scan", "nothing", 2, "free", None)])

BUSY = 0.5  # a load average above this means that others use the machine

RATIOS = (("ping", "ceiling"), ("redis", "Redis"), ("postgres", "PostgreSQL"),
          ("secantus", "SecantusDB"))


def number(value):
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 100 else f"{value:,.1f}"


def times(value):
    if value is None:
        return ""
    if value >= 100:
        return f"{value:,.0f} x"
    return f"{value:.2f} x" if value >= 0.1 else f"{value:.2g} x"


def place_name(connections, place):
    return str(connections) + {"alike": ", one core", "free": ", both cores", "apart": ""}[place]


def rate_rows(results):
    """Heading and rows: what, connections, a rate for each server, Roost's ratios."""
    heading = (["operation", "connections"] + [label for _, label in SERVERS]
               + [f"Roost / {label}" for _, label in RATIOS])
    rows = []
    for title, workload, connections, place, durability in LINES:
        rates = {name: results.rate(name, workload, connections, place, durability)
                 for name, _ in SERVERS}
        if any(rates.values()):
            rows.append([title, place_name(connections, place)]
                        + [number(rates[name]) for name, _ in SERVERS]
                        + [times(ratio(rates["roost"], rates[name])) for name, _ in RATIOS])
    return heading, rows


def latency_rows(results):
    heading = ["operation", "connections"] + [label for _, label in SERVERS]
    rows = []
    for title, workload, connections, place, durability in LINES:
        if workload.startswith("load"):
            continue
        cells = []
        for name, _ in SERVERS:
            found = results.find(name, workload, connections, place, durability)
            cells.append(" / ".join(number(found[key]) for key in
                                    ("p50_us", "p99_us", "p999_us")) if found else "")
        if any(cells):
            rows.append([title, place_name(connections, place)] + cells)
    return heading, rows


def cpu_rows(results):
    heading = ["operation", "connections"] + [label for _, label in SERVERS] + ["client"]
    rows = []
    for title, workload, connections, place, durability in LINES:
        found = {name: results.find(name, workload, connections, place, durability)
                 for name, _ in SERVERS}
        client = found["roost"] or found["secantus"] or found["postgres"]
        if client and workload not in ("scan", "nothing"):
            rows.append([title, place_name(connections, place)]
                        + [number(one and one["server_cpu_us"]) for one in found.values()]
                        + [number(client["client_cpu_us"])])
    return heading, rows


def lmdb_rows(results):
    groups = sorted({r["group"] for r in results.records if r["section"] == "lmdb"})
    return (["group", "updates/s", "with a log record each"],
            [[str(g), number(results.lmdb_rate(g, False)), number(results.lmdb_rate(g, True))]
             for g in groups])


def memory_rows(results):
    peaks = [[label, number(results.peak_memory_mib(name))] for name, label in SERVERS]
    return ["server", "peak MiB"], [row for row in peaks if row[1]]


def target_rows(results):
    rows = []
    for target in targets(results):
        value = "" if target.value is None else f"{target.value:.2f}{target.unit}"
        sign = "at most" if target.at_most else "at least"
        rows.append([target.text, f"{sign} {target.limit:g}{target.unit}", value, target.state,
                     "design" if target.aim else "issue 3"])
    return ["target", "limit", "measured", "", "from"], rows


def text_table(heading, rows):
    widths = [max(len(row[i]) for row in [heading] + rows) for i in range(len(heading))]
    lines = []
    for row in [heading, ["-" * width for width in widths]] + rows:
        lines.append("  ".join(cell.ljust(width) if i == 0 else cell.rjust(width)
                               for i, (cell, width) in enumerate(zip(row, widths))).rstrip())
    return "\n".join(lines)


def markdown_table(heading, rows):
    rule = ["---"] + ["---:"] * (len(heading) - 1)
    return "\n".join("| " + " | ".join(row) + " |" for row in [heading, rule] + rows)


def show(results, about):
    """The tables that matter most, for the terminal."""
    for title, table in (("operations a second", rate_rows(results)),
                         ("bare LMDB, durable", lmdb_rows(results)),
                         ("targets", target_rows(results))):
        if table[1]:
            print(f"\n{title}\n{text_table(*table)}")
    print("\n" + describe_quiet(results, about))


def processor():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def describe_machine():
    return (f"{processor()}, {len(os.sched_getaffinity(0))} cores, Linux {platform.release()}, "
            f"{date.today().isoformat()}")


def describe_quiet(results, about):
    """How far the figures can be trusted."""
    spread = results.spread()
    return (f"Load average of the machine before the run: {about['busy']:.1f}"
            + (f"; rounds lie {spread[0]:.0%} apart (median), {spread[1]:.0%} at worst."
               if spread else "; a single round, so no spread is known.")
            + (" **Something else was running: repeat on a quiet machine.**"
               if about["busy"] > BUSY else ""))


def markdown(results, about):
    """`about`: machine, versions, settings, failures of the run."""
    versions = ", ".join(f"{label} {about['versions'][name]}" for name, label in SERVERS
                         if about["versions"].get(name))
    parts = [
        "# Benchmark results",
        "Written by `bench/run`; how it measures is in [README.md](README.md).",
        f"{about['machine']}. {versions}. 100,000 documents of 490 bytes; {about['rounds']} "
        f"round(s) of {about['seconds']:g} s each, the median round shown. All servers and the "
        "ping-pong ceiling were measured in this one run, in turns.",
        describe_quiet(results, about),
        "![Operations a second](results.svg)",
        "## Targets", markdown_table(*target_rows(results)),
        "## Operations a second", markdown_table(*rate_rows(results)),
        "## Latency, us (p50 / p99 / p99.9)", markdown_table(*latency_rows(results)),
        "## CPU time of an operation, us (server; last column the load generator beside Roost)",
        markdown_table(*cpu_rows(results)),
        "## Bare LMDB, durable updates in groups", markdown_table(*lmdb_rows(results)),
        "## Memory without file-backed pages", markdown_table(*memory_rows(results)),
    ]
    if about["failures"]:
        parts += ["## What went wrong", "\n".join(f"- {text}" for text in about["failures"])]
    return "\n\n".join(parts) + "\n"
