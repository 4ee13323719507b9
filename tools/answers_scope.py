"""The recorded answers of MongoDB that Roost is measured by: which cases, in which folders.

Aimed at are all cases of core/ but core/sessions (sessions and transactions have suites of their
own), without what the answers' own not-aimed.txt names. A case that fails has its reason in
Tests/answers-known.txt, or is unexplained.
"""

import collections
import fnmatch
import glob
import json
import os
import re
import zlib

LEFT_OUT = ("core/sessions",)


def folder_of(name):
    """The folder that a case counts for: core/indexes, core/operator/stages, core/operator/
    expressions/array. Files that lie between folders count for the folder that holds them."""
    parts = name.split("::")[0].split("/")[:-1]
    depth = 2
    if parts[:2] == ["core", "operator"]:
        depth = 4 if parts[2:3] == ["expressions"] else 3
    return "/".join(parts[:depth])


def cases(answers, names=()):
    """Returns {folder: [(case's name, its line)]}, both in order; `names` limits to folders or to
    beginnings of cases' names, and then may name what is left out otherwise."""
    with open(os.path.join(answers, "not-aimed.txt")) as patterns:
        unaimed = re.compile("|".join(p.strip() for p in patterns if p.strip()))
    wanted = tuple(names) or ("core/",)
    folders = collections.defaultdict(list)
    name_of = re.compile(r'\{"name": ?("(?:[^"\\]|\\.)*")')
    for path in sorted(glob.glob(os.path.join(answers, "cases", "*.jsonl"))):
        with open(path) as lines:
            for line in lines:
                name = json.loads(name_of.match(line).group(1))
                if not name.startswith(wanted) or unaimed.search(name):
                    continue
                if names or not name.startswith(LEFT_OUT):
                    folders[folder_of(name)].append((name, line))
    return dict(sorted(folders.items()))


def quoted_sessions(listed):
    """The ids (base64) of sessions that cases name in their pipelines too. The replay gives each
    session a new id, but not where a pipeline quotes it: the server must know the recorded one."""
    quoted = set()
    for _, line in listed:
        if '"lsid"' not in line:
            continue
        commands = [step["command"] for step in json.loads(line)["steps"]]
        ids = {c["lsid"]["id"]["$binary"]["base64"] for c in commands
               if "$binary" in c.get("lsid", {}).get("id", {})}
        rest = json.dumps([{**c, "lsid": None} for c in commands])
        quoted |= {i for i in ids if i in rest}
    return quoted


def sample(listed, share, count_min):
    """The same part of a folder's cases in each run: those whose names hash lowest."""
    count = max(count_min, int(len(listed) * share))
    chosen = {name for name, _ in
              sorted(listed, key=lambda case: zlib.crc32(case[0].encode()))[:count]}
    return [case for case in listed if case[0] in chosen]


def known_reasons(path):
    """Pairs (pattern of cases' names, reason) of a file with `PATTERN  reason` lines; `*` and `?`
    are wildcards and `#` begins a comment."""
    pairs = []
    with open(path) as lines:
        for line in lines:
            if line.strip() and not line.startswith("#"):
                pattern, reason = re.split(r"\s{2,}", line.strip(), maxsplit=1)
                pairs.append((re.compile(fnmatch.translate(pattern.replace("[", "[[]"))), reason))
    return pairs


def reason_of(name, pairs):
    """Why a case may fail; None if nobody has said so."""
    return next((reason for pattern, reason in pairs if pattern.match(name)), None)
