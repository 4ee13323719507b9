"""What operators do: compact under kills and on a full disk, doctor, stat and top.

    care.py ROOST [--kills N] [--disk FOLDER]

A compaction killed at any moment loses nothing: the folder opens, holds what it held, and passes
`roost verify`. On a disk without room for the copy it is refused with a clear error and changes
nothing. `stat` and `top` are looked at as JSON, and through a terminal as people see them.
"""

import argparse
import json
import os
import pty
import random
import shutil
import subprocess
import sys
import tempfile
import time

from server import Server


def run(binary, *arguments, seconds=120):
    return subprocess.run([binary, *arguments], capture_output=True, text=True, timeout=seconds)


def content(binary, folder):
    """All documents, as a server gives them out."""
    server = Server(binary, folder=folder)
    server.start()
    try:
        db = server.client().shop
        return {name: list(db[name].find().sort("_id", 1)) for name in db.list_collection_names()}
    finally:
        server.stop()
        server.remove()


def filled(binary, folder):
    """A folder of which most was deleted; answers what is in it."""
    server = Server(binary, folder=folder)
    server.start()
    db = server.client().shop
    for name in ("orders", "customers"):
        db[name].create_index("n")
        for first in range(0, 20_000, 5_000):
            db[name].insert_many(
                [{"_id": i, "n": i % 100, "x": os.urandom(150).hex()}
                 for i in range(first, first + 5_000)])
        db[name].delete_many({"n": {"$gt": 20}})
    server.stop()
    server.remove()
    return content(binary, folder)


def killed_compactions(binary, kills):
    base = tempfile.mkdtemp(prefix="roost-care-")
    try:
        source = os.path.join(base, "source")
        wanted = filled(binary, source)
        before = os.path.getsize(f"{source}/data.mdb")
        probe = os.path.join(base, "probe")
        shutil.copytree(source, probe)
        start = time.monotonic()
        done = run(binary, "compact", probe, "--quiet")
        seconds = time.monotonic() - start
        assert done.returncode == 0, done.stderr
        assert os.path.getsize(f"{probe}/data.mdb") < 0.7 * before
        assert content(binary, probe) == wanted
        whole, cut = 0, 0
        folder = os.path.join(base, "folder")
        for number in range(kills):
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(source, folder)
            process = subprocess.Popen([binary, "compact", folder, "--quiet"],
                                       stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(random.uniform(0, seconds * 1.1))
            process.kill()
            process.wait()
            found = run(binary, "verify", folder)
            assert found.returncode == 0 and "no fault" in found.stdout, (number, found)
            assert content(binary, folder) == wanted, number
            assert not os.path.exists(f"{folder}/compact"), number
            assert not os.path.exists(f"{folder}/compacted"), number
            if os.path.getsize(f"{folder}/data.mdb") < 0.7 * before:
                whole += 1
            else:
                cut += 1
        print(f"compact: {kills} kills, {cut} before and {whole} after the new file took its place; "
              "nothing lost")
    finally:
        shutil.rmtree(base, ignore_errors=True)


def full_disk(binary, disk):
    """`disk` is on a small file system of its own."""
    folder = os.path.join(disk, "data")
    wanted = filled(binary, folder)
    status = os.statvfs(disk)
    free = status.f_bavail * status.f_frsize
    with open(os.path.join(disk, "ballast"), "wb") as ballast:
        ballast.write(bytes(max(0, free - (1 << 20))))
    found = run(binary, "compact", folder)
    assert found.returncode == 1, found
    assert "space" in found.stderr or "room" in found.stderr or "full" in found.stderr, found.stderr
    assert not os.path.exists(f"{folder}/compact")
    os.unlink(os.path.join(disk, "ballast"))
    assert content(binary, folder) == wanted
    found = run(binary, "compact", folder)
    assert found.returncode == 0, found
    assert content(binary, folder) == wanted
    print("compact on a full disk: refused, nothing changed; works again with room")


def watching(binary):
    server = Server(binary)
    server.start()
    try:
        db = server.client().shop
        db.a.insert_one({"_id": 1})
        uri = f"mongodb://{server.address}"
        watchers = {
            name: subprocess.Popen([binary, name, "--uri", uri, "--count", "4", "--interval", "0.5",
                                    "--json"], stdout=subprocess.PIPE, text=True)
            for name in ("stat", "top")}
        end = time.monotonic() + 3
        while time.monotonic() < end:
            db.a.find_one({"_id": 1})
            db.b.insert_one({})
        lines = {name: [json.loads(line) for line in process.communicate(timeout=60)[0].splitlines()]
                 for name, process in watchers.items()}
        assert len(lines["stat"]) == 4 and len(lines["top"]) == 4
        assert sum(line["query"] for line in lines["stat"]) > 0, lines
        assert sum(line["insert"] for line in lines["stat"]) > 0, lines
        collections = lines["top"][1]["collections"]
        assert collections["shop.a"]["readCount"] > 0, collections
        assert collections["shop.b"]["writeCount"] > 0, collections
        for name, words in (("stat", ["insert", "query", "sync"]), ("top", ["ns", "shop.a"])):
            text = at_terminal([binary, name, "--uri", uri, "--count", "2", "--interval", "0.2"])
            assert all(word in text for word in words), text
        refused = run(binary, "stat", "--uri", "mongodb://127.0.0.1:1", "--count", "1")
        assert refused.returncode == 1 and "Error: " in refused.stderr, refused
        found = run(binary, "doctor", server.folder, "--json", "--listen", server.address)
        subjects = {line["subject"]: line for line in map(json.loads, found.stdout.splitlines())}
        assert str(server.process.pid) in subjects["database"]["found"], subjects
        assert {"file system", "disk room", "sync", "open files", "memory", "clock", "time zones",
                "port"} <= set(subjects), subjects
        found = run(binary, "doctor", "/proc/nothing")
        assert found.returncode == 1 and "->" in found.stdout, found
        print("stat, top and doctor say what there is")
    finally:
        server.stop()
        server.remove()


def at_terminal(command):
    """What a command prints where people read it."""
    child, terminal = pty.fork()
    if child == 0:
        os.execv(command[0], command)
    text = b""
    while True:
        try:
            read = os.read(terminal, 4_096)
        except OSError:
            break
        if not read:
            break
        text += read
    os.waitpid(child, 0)
    os.close(terminal)
    return text.decode()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("binary")
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--disk", help="run only the test of a full disk, in this folder")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    options = parser.parse_args()
    binary = os.path.abspath(options.binary)
    random.seed(options.seed)
    if options.disk:
        return full_disk(binary, options.disk)
    print(f"seed {options.seed}")
    watching(binary)
    killed_compactions(binary, options.kills)
    with tempfile.TemporaryDirectory(prefix="roost-care-") as disk:
        inner = (f"mount -t tmpfs -o size=96m none {disk} && "
                 f"exec {sys.executable} {os.path.abspath(__file__)} {binary} --disk {disk}")
        subprocess.run(["unshare", "--mount", *([] if os.getuid() == 0 else ["--map-root-user"]),
                        "sh", "-c", inner], check=True, timeout=600)


if __name__ == "__main__":
    main()
