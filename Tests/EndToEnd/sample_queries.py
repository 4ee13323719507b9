"""Queries debian.packages by each kind of index, and compares with the same filter in Python.

    sample_queries.py URI
"""

import re
import sys

import pymongo

URI = sys.argv[1]
packages = pymongo.MongoClient(URI).debian.packages
everything = {d["_id"]: d for d in packages.find()}
failed = 0


def check(title, index, filter, predicate, sort=None, limit=0):
    """The answer by the named index against a full look at all documents."""
    global failed
    cursor = packages.find(filter, sort=sort, limit=limit)
    if index:
        cursor = cursor.hint(index)
    got = list(cursor)
    wanted = [d for d in everything.values() if predicate(d)]
    problems = []
    if sort:
        for field, direction in reversed(sort):
            wanted.sort(key=lambda d: d.get(field) if d.get(field) is not None else "",
                        reverse=direction < 0)
        keys = [tuple(d.get(f) for f, _ in sort) for d in got]
        if keys != [tuple(d.get(f) for f, _ in sort) for d in wanted[:limit or None]]:
            problems.append("the order differs")
    if not limit and sorted(d["_id"] for d in got) != sorted(d["_id"] for d in wanted):
        problems.append(f"{len(got)} documents, {len(wanted)} wanted")
    if not limit and packages.count_documents(filter) != len(wanted):
        problems.append("count differs")
    plan = packages.find(filter, sort=sort).explain()["queryPlanner"]["winningPlan"]
    if index and index not in str(plan):
        problems.append(f"the planner didn't choose {index}: {plan}")
    if any(d != everything[d["_id"]] for d in got):
        problems.append("a document differs")
    failed += bool(problems)
    print(f"{'FAILED ' if problems else 'passed '} {title}: {len(got)} documents {'; '.join(problems)}")


check("_id", None, {"_id": "bash_5.2.15-2+b2_amd64"}, lambda d: d["_id"] == "bash_5.2.15-2+b2_amd64")
check("_id range", None, {"_id": {"$gte": "python3-a", "$lt": "python3-b"}},
      lambda d: "python3-a" <= d["_id"] < "python3-b")
check("single", "package_1", {"package": "postgresql-15"}, lambda d: d["package"] == "postgresql-15")
check("single, prefix", "package_1", {"package": {"$regex": "^libboost-"}},
      lambda d: d["package"].startswith("libboost-"))
check("compound, descending", "section_1_installedSize_-1",
      {"section": "database", "installedSize": {"$gt": 1 << 20}},
      lambda d: d["section"] == "database" and d["installedSize"] > 1 << 20)
check("compound, sort from index", "section_1_installedSize_-1", {"section": "editors"},
      lambda d: d["section"] == "editors", sort=[("installedSize", -1)], limit=20)
check("compound, in", "section_1_installedSize_-1", {"section": {"$in": ["mail", "news", "comm"]}},
      lambda d: d["section"] in ("mail", "news", "comm"))
check("multikey on nested documents", "depends.package_1", {"depends.package": "libsqlite3-0"},
      lambda d: any(x["package"] == "libsqlite3-0" for x in d["depends"]))
check("multikey, sparse", "tags_1", {"tags": "implemented-in::python"},
      lambda d: "implemented-in::python" in d.get("tags", []))
check("multikey, all", "tags_1", {"tags": {"$all": ["role::program", "uitoolkit::qt"]}},
      lambda d: {"role::program", "uitoolkit::qt"} <= set(d.get("tags", [])))
name = next(iter(everything.values()))["filename"]
check("unique", "filename_1", {"filename": name}, lambda d: d["filename"] == name)
check("partial", "large", {"size": {"$gt": 100_000_000}}, lambda d: d["size"] > 100_000_000)
check("no index", None, {"maintainer.email": {"$regex": r"@debian\.org$"}, "priority": "optional"},
      lambda d: bool(re.search(r"@debian\.org$", d.get("maintainer", {}).get("email", "")))
      and d["priority"] == "optional")
check("elemMatch", "depends.package_1",
      {"depends": {"$elemMatch": {"package": "libc6", "version": ">= 2.34"}}},
      lambda d: any(x["package"] == "libc6" and x.get("version") == ">= 2.34" for x in d["depends"]))

try:
    packages.insert_one({"_id": "twice", "filename": name})
    failed += 1
    print("FAILED  unique: a second document with one filename was taken")
except pymongo.errors.DuplicateKeyError as error:
    print("passed  unique: refused,", error.details["keyPattern"])
sections = {}
for d in everything.values():
    n, size = sections.get(d["section"], (0, 0))
    sections[d["section"]] = (n + 1, size + d["size"])
groups = packages.aggregate([
    {"$group": {"_id": "$section", "n": {"$sum": 1}, "size": {"$sum": "$size"}}}])
if {g["_id"]: (g["n"], g["size"]) for g in groups} != sections:
    failed += 1
    print("FAILED  group by section differs")
sys.exit(failed > 0)
