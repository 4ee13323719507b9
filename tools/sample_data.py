"""Turns Debian's package index, as apt keeps it, into documents and loads them into debian.packages.

A document is one version of one package: sizes are integers, dependencies and tags arrays, the
maintainer a nested document. Loading again changes nothing.
"""

import re
import subprocess
import sys
import time

import pymongo

BATCH = 1_000
INDEXES = [
    pymongo.IndexModel([("package", 1)]),
    pymongo.IndexModel([("section", 1), ("installedSize", -1)]),
    pymongo.IndexModel([("depends.package", 1)]),
    pymongo.IndexModel([("tags", 1)], sparse=True),
    pymongo.IndexModel([("filename", 1)], unique=True),
    pymongo.IndexModel(
        [("size", -1)], name="large", partialFilterExpression={"size": {"$gt": 10_000_000}}
    ),
]
MAINTAINER = re.compile(r"^\s*(?P<name>.*?)\s*<(?P<email>[^>]*)>\s*$")
DEPENDENCY = re.compile(r"^(?P<package>[^\s(:\[]+)(?::\S+)?\s*(?:\((?P<relation>[^)]*)\))?")


def index_files():
    """The paths of the package lists that apt has fetched."""
    listing = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(FILENAME)", "Created-By: Packages"],
        capture_output=True, text=True, check=True,
    )
    return listing.stdout.split()


def records(path):
    """Yields the stanzas of a package list as dictionaries."""
    # apt may keep its lists compressed: its helper reads them either way.
    with subprocess.Popen(
        ["/usr/lib/apt/apt-helper", "cat-file", path], stdout=subprocess.PIPE, text=True,
        encoding="utf-8", errors="replace",
    ) as helper:
        record, field = {}, None
        for line in helper.stdout:
            line = line.rstrip("\n")
            if not line:
                if record:
                    yield record
                record, field = {}, None
            elif line[0] in " \t":
                if field:
                    record[field] += "\n" + line[1:]
            else:
                field, _, value = line.partition(":")
                record[field] = value.strip()
        if record:
            yield record


def dependencies(text):
    """`a (>= 1), b | c` as a list of documents; alternatives follow their first choice."""
    result = []
    for group in text.split(","):
        choices = [DEPENDENCY.match(choice.strip()) for choice in group.split("|")]
        choices = [c for c in choices if c]
        if not choices:
            continue
        item = {"package": choices[0]["package"]}
        if choices[0]["relation"]:
            item["version"] = choices[0]["relation"].strip()
        if len(choices) > 1:
            item["alternatives"] = [c["package"] for c in choices[1:]]
        result.append(item)
    return result


def document(record):
    """One stanza as a document."""
    name, version, architecture = (record[k] for k in ("Package", "Version", "Architecture"))
    result = {
        "_id": f"{name}_{version}_{architecture}",
        "package": name,
        "version": version,
        "architecture": architecture,
        "section": record.get("Section"),
        "priority": record.get("Priority"),
        "installedSize": int(record.get("Installed-Size", 0)) * 1024,
        "size": int(record.get("Size", 0)),
        "filename": record.get("Filename"),
        "description": record.get("Description", "").split("\n")[0],
        "depends": dependencies(record.get("Depends", "")),
    }
    maintainer = MAINTAINER.match(record.get("Maintainer", ""))
    if maintainer:
        result["maintainer"] = maintainer.groupdict()
    elif record.get("Maintainer"):
        result["maintainer"] = {"name": record["Maintainer"]}
    if record.get("Tag"):
        result["tags"] = [t.strip() for t in record["Tag"].replace("\n", " ").split(",") if t.strip()]
    if record.get("Homepage"):
        result["homepage"] = record["Homepage"]
    if record.get("Source"):
        result["source"] = record["Source"].split(" ")[0]
    return result


def packages():
    """All packages, each once."""
    seen = {}
    for path in index_files():
        for record in records(path):
            if all(k in record for k in ("Package", "Version", "Architecture", "Filename")):
                item = document(record)
                seen.setdefault(item["_id"], item)
    return list(seen.values())


class Progress:
    """A bar with rate on a terminal, a line every 20 % elsewhere."""

    def __init__(self, total):
        self.total, self.start, self.told = total, time.monotonic(), 0

    def show(self, done):
        rate = done / max(time.monotonic() - self.start, 1e-6)
        text = f"{done:>7,} of {self.total:,} documents, {rate:,.0f}/s"
        if sys.stdout.isatty():
            filled = 30 * done // max(self.total, 1)
            print(f"\r[{'#' * filled}{'.' * (30 - filled)}] {text}", end="", flush=True)
            if done == self.total:
                print()
        elif done == self.total or done - self.told >= self.total / 5:
            self.told = done
            print(text, flush=True)


def main():
    uri = sys.argv[1] if len(sys.argv) > 1 else "mongodb://127.0.0.1:27017"
    client = pymongo.MongoClient(uri, serverSelectionTimeoutMS=10_000)
    collection = client.debian.packages
    documents = packages()
    if not documents:
        sys.exit("apt keeps no package lists here. As root, run: apt-get update")
    if collection.count_documents({}) >= len(documents):
        print(f"debian.packages already holds {len(documents):,} documents.")
        return
    collection.drop()
    print(f"Loading Debian's package index into debian.packages: {len(documents):,} documents")
    collection.create_indexes(INDEXES)
    progress = Progress(len(documents))
    for start in range(0, len(documents), BATCH):
        collection.insert_many(documents[start:start + BATCH], ordered=False)
        progress.show(min(start + BATCH, len(documents)))


if __name__ == "__main__":
    main()
