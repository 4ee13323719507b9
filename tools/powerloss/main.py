"""Power cuts: records what the server writes, and opens what a disk may hold after a cut.

Each round runs a workload against a server under the recorder, then makes crash states from random
points of the trace and opens each: it must open, `verify` must find no fault, every acknowledged
write must be there, nothing else that was not sent, and the change log must say the same as the
documents. One state in {works} is written to, closed and checked once more; of one in {recoveries}
the opening itself is recorded, and cut in its turn.

A round depends on its seed and on how threads happened to run, so what is found is kept: the line
of a violation names a folder under .build/powerloss, and --again FOLDER makes that state again and
opens it. A run that was broken off goes on with --resume and the same --seed.

Workloads (without one: all):
{workloads}
"""

import argparse
import json
import os
import pickle
import random
import shutil
import sys
import tempfile
import time

from checker import Checker
from disk import ALL, Policy, Trace
from history import Expectation
from recording import Recording
from workloads import WORKLOADS, Setup

STATES_IN_ROUND = 400
WORKS, RECOVERIES, CUTS_IN_RECOVERY = 10, 40, 10
LIES = {"files": ("files",), "folders": ("folders",), "all": ("files", "folders")}


def points(trace, count, seed):
    """Points of a trace in ascending order, half of them near a sync or a change of names."""
    source = random.Random(f"{seed}/points")
    moments = trace.moments() or [0]
    found = []
    for _ in range(count):
        if source.random() < 0.5:
            found.append(source.randint(0, len(trace)))
        else:
            found.append(source.choice(moments) + source.randint(-1, 2))
    return sorted(min(max(point, 0), len(trace)) for point in found)


def make_state(disk, seed, scratch):
    """Fills the folder `scratch` with what a cut leaves now; answers the policy."""
    shutil.rmtree(scratch, ignore_errors=True)
    os.makedirs(scratch)
    policy = Policy(random.Random(seed), disk.number)
    disk.cut(policy, scratch)
    return policy


class Settled:
    """What may be found after a cut in recovery: the same as after the first cut."""

    def __init__(self, expectation):
        self.expectation = expectation

    def advance(self, number):
        pass

    def problems(self, lines):
        return self.expectation.problems(lines)


class Examination:
    """Opens states, counts them, and keeps what it takes to make a bad one again."""

    def __init__(self, options, kept):
        self.checker, self.options, self.kept = Checker(options.checker), options, kept
        self.base = tempfile.mkdtemp(prefix="powerloss-", dir=options.scratch)
        self.states = self.recoveries = self.violations = 0

    def run(self, name, initial, trace, expectation, count, seed, outer=""):
        """Cuts at `count` points of a trace; `outer` is the state whose recovery this is."""
        disk = pickle.loads(initial)
        disk.lies = LIES.get(self.options.lies, ())
        scratch = os.path.join(self.base, "cut" + ("-in-recovery" if outer else ""))
        for number, point in enumerate(points(trace, count, seed)):
            disk.follow(trace, point)
            expectation.advance(point)
            state_seed = f"{seed}/{number}"
            policy = make_state(disk, state_seed, scratch)
            is_recovery = not outer and number % RECOVERIES == 1
            if is_recovery:
                problems = self.recover(name, disk, scratch, expectation, state_seed)
            else:
                lines, problems = self.checker.lines(
                    os.path.join(scratch, "data"), works=number % WORKS == 0)
                problems = problems or expectation.problems(lines)
            self.states += 1
            if problems:
                self.violations += 1
                self.keep(name, initial, trace, expectation, point, state_seed, policy, problems,
                          outer)
        shutil.rmtree(scratch, ignore_errors=True)

    def recover(self, name, disk, folder, expectation, seed):
        """Opens a state under the recorder, then cuts that; answers the opening's problems.

        The state is that of a cut, or that of a process that was killed.
        """
        base = os.path.join(self.base, "recovery")
        shutil.rmtree(base, ignore_errors=True)
        recording = Recording(base, self.options.recorder, sync_micros=0)
        shutil.rmtree(recording.root)
        if random.Random(seed).random() < 0.5:
            os.makedirs(recording.root)
            disk.cut(ALL, recording.root)
            recording.begin_after_kill(disk)
        else:
            shutil.copytree(folder, recording.root)
            recording.begin(is_new=True)
        lines, problems = self.checker.lines_recorded(recording.data, recording.environment)
        problems = problems or expectation.problems(lines)
        if not problems:
            trace = recording.finish()
            self.recoveries += 1
            self.run(name, recording.initial, trace, Settled(expectation), CUTS_IN_RECOVERY,
                     f"{seed}/recovery", outer=seed)
        recording.remove()
        return problems

    def keep(self, name, initial, trace, expectation, point, seed, policy, problems, outer):
        print(f"    {name}: VIOLATION at record {point} of {len(trace)}, {policy}"
              + (", in recovery" if outer else ""))
        for problem in problems[:6]:
            print(f"        {problem}")
        if self.violations > self.options.keep:
            return
        folder = os.path.join(self.kept, f"{name}-{seed.replace('/', '-')}")
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "state"), "wb") as file:
            pickle.dump({"initial": initial, "expectation": expectation, "point": point,
                         "seed": seed, "lies": self.options.lies,
                         "records": trace.up_to(point)}, file)
        print(f"        kept: {folder}", flush=True)

    def close(self):
        self.checker.close()
        shutil.rmtree(self.base, ignore_errors=True)


def run_round(name, number, count, options, kept):
    """One recording and its cuts; answers a row of the table."""
    start = time.monotonic()
    seed = f"{options.seed}/{name}/{number}"
    examination = Examination(options, kept)
    recording = Recording(os.path.join(examination.base, "run"), options.recorder)
    try:
        WORKLOADS[name](Setup(recording, options.roost, options.old_roost, seed))
        trace = recording.finish()
        expectation = Expectation(recording.clients, recording.may_lose)
        examination.run(name, recording.initial, trace, expectation, count, seed)
    finally:
        recording.remove()
        examination.close()
    return {"workload": name, "round": number, "records": len(trace),
            "operations": sum(len(client.operations) for client in recording.clients),
            "states": examination.states, "recoveries": examination.recoveries,
            "violations": examination.violations, "seconds": time.monotonic() - start}


def again(folder, options):
    """Makes a state that was kept once more, and opens it."""
    with open(os.path.join(folder, "state"), "rb") as file:
        kept = pickle.load(file)
    disk = pickle.loads(kept["initial"])
    disk.lies = LIES.get(kept["lies"], ())
    disk.follow(Trace.of(kept["records"]), kept["point"])
    scratch = os.path.join(folder, "root")
    policy = make_state(disk, kept["seed"], scratch)
    shutil.rmtree(os.path.join(folder, "as-cut"), ignore_errors=True)
    shutil.copytree(scratch, os.path.join(folder, "as-cut"))
    checker = Checker(options.checker)
    lines, problems = checker.lines(os.path.join(scratch, "data"))
    checker.close()
    print(f"{policy}; the folder before it was opened: {folder}/as-cut")
    problems = problems or kept["expectation"].problems(lines)
    print("\n".join(problems) or "no problem")
    return bool(problems)


def table(rows):
    """A line for each workload, and one for all."""
    layout = "{:<14}{:>8}{:>11}{:>12}{:>9}{:>12}{:>12}{:>8}"
    print(layout.format("workload", "rounds", "records", "operations", "states", "recoveries",
                        "violations", "s"))
    total = {}
    keys = ("records", "operations", "states", "recoveries", "violations", "seconds")
    for name in dict.fromkeys(row["workload"] for row in rows):
        own = [row for row in rows if row["workload"] == name]
        sums = {key: sum(row[key] for row in own) for key in keys}
        print(layout.format(name, len(own), *(f"{sums[key]:,.0f}" for key in keys)))
        for key in keys:
            total[key] = total.get(key, 0) + sums[key]
    print(layout.format("all", len(rows), *(f"{total[key]:,.0f}" for key in keys)))
    return total["violations"]


def parse():
    workloads = "\n".join(f"  {name:<14}{function.__doc__}" for name, function in
                          WORKLOADS.items())
    parser = argparse.ArgumentParser(
        prog="tools/powerloss/run", formatter_class=argparse.RawDescriptionHelpFormatter,
        description=__doc__.format(works=WORKS, recoveries=RECOVERIES, workloads=workloads))
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD")
    parser.add_argument("--states", type=int, default=4_000,
                        help="crash states in all, those in recoveries not counted (4000)")
    parser.add_argument("--quick", action="store_true",
                        help="a round of 60 states for each workload: about a minute")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--resume", action="store_true", help="leave out the rounds that are done")
    parser.add_argument("--lies", choices=LIES,
                        help="take syncs of files or folders for lies: there must be violations")
    parser.add_argument("--keep", type=int, default=3, help="violations kept of each round (3)")
    parser.add_argument("--again", metavar="FOLDER", help="open a violation that was kept")
    for name in ("roost", "old-roost", "checker", "recorder", "scratch", "results"):
        parser.add_argument(f"--{name}", help=argparse.SUPPRESS)
    options = parser.parse_args()
    unknown = set(options.workloads) - WORKLOADS.keys()
    if unknown:
        parser.error(f"no such workload: {', '.join(sorted(unknown))}")
    return options


def main():
    options = parse()
    if options.again:
        sys.exit(again(options.again, options))
    names = options.workloads or list(WORKLOADS)
    if not options.old_roost and "upgrade" in names:
        names.remove("upgrade")
        print("upgrade: left out; ROOST_OLD names no earlier binary")
    in_round = 60 if options.quick else STATES_IN_ROUND
    rounds = 1 if options.quick else -(-options.states // (in_round * len(names)))
    results = os.path.join(options.results, f"results-{options.seed}.jsonl")
    os.makedirs(options.results, exist_ok=True)
    rows = []
    if options.resume and os.path.exists(results):
        with open(results, encoding="ascii") as file:
            rows = [json.loads(line) for line in file]
    done = {(row["workload"], row["round"]) for row in rows}
    print(f"seed {options.seed}", flush=True)
    for number in range(rounds):
        for name in names:
            if (name, number) in done:
                continue
            row = run_round(name, number, in_round, options, options.results)
            rows.append(row)
            with open(results, "a", encoding="ascii") as file:
                file.write(json.dumps(row) + "\n")
    violations = table(rows)
    if options.lies:
        print(f"syncs of {options.lies} were taken for lies: "
              + ("found" if violations else "NOT FOUND: the test is blind"))
        sys.exit(not violations)
    sys.exit(violations > 0)


if __name__ == "__main__":
    main()
