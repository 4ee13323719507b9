"""What keeps backups going, and what they cost: `--follow`, uploads that fail, retention, full disks.

    backup_edges.py ROOST [--latency SECONDS]

- `roost backup --follow` goes on over failing uploads, kills of the server and a full disk, and what
  it uploaded is the database;
- an upload command that fails ends a single backup with its status and the file's name, and only
  what is missing is uploaded by the next;
- `--keep` and `--keep-days` remove the old and leave the newest;
- a backup and a restore on a full disk say so, leave nothing half-done, and work with room again.

With --latency it measures instead, for so many seconds each, durable writes' p99 without and with
whole backups taken one after another of a database of 300,000 documents.
"""

import argparse
import datetime
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

import bson
from server import Server, wait_until


def run(*command, code=0):
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == code, (command, done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr


def state_hash(client):
    return hashlib.sha256(
        b"".join(bson.encode(d) for d in client.shop.orders.find().sort("_id"))).hexdigest()


def restored_hash(roost, source, folder):
    """Restores, verifies and hashes what a backup's folder holds."""
    run(roost, "restore", source, folder)
    assert "no fault" in run(roost, "verify", folder)
    copy = Server(roost, folder=folder)
    copy.start()
    try:
        return state_hash(copy.client())
    finally:
        copy.stop()
        copy.remove()
        shutil.rmtree(folder)


def insert(client, count=50, pad=200):
    client.shop.orders.insert_many(
        [{"pad": os.urandom(pad // 2).hex(), "n": n} for n in range(count)])


def wholes(destination):
    return sorted(n for n in os.listdir(destination) if n[0].isdigit())


# Following.

def follows(roost, base):
    server = Server(roost)
    server.start()
    insert(server.client())
    destination, uploads = os.path.join(base, "followed"), os.path.join(base, "uploads")
    trouble = os.path.join(base, "trouble")
    command = (f'test ! -e {trouble} && mkdir -p {uploads}/$(dirname "$ROOST_NAME") && '
               f'cp "$ROOST_FILE" {uploads}/"$ROOST_NAME"')
    log = os.path.join(base, "follow.log")
    with open(log, "wb") as output:
        follower = subprocess.Popen(
            [roost, "backup", destination, "--uri", f"mongodb://{server.address}", "--follow",
             "--every", "1", "--upload-command", command], stdout=output, stderr=output)
    try:
        said = lambda: open(log, encoding="utf-8").read()  # noqa: E731

        def is_uploaded():
            wanted = state_hash(server.client())
            if not os.path.isdir(uploads):
                return False
            done = subprocess.run([roost, "restore", uploads, folder], capture_output=True)
            if done.returncode:
                return False
            copy = Server(roost, folder=folder)
            copy.start()
            found = state_hash(copy.client())
            copy.stop()
            copy.remove()
            shutil.rmtree(folder)
            return found == wanted
        folder = os.path.join(base, "uploaded")
        wait_until(is_uploaded, 30, "the first backup is not uploaded")
        # Uploads fail for a while.
        open(trouble, "w").close()
        insert(server.client())
        wait_until(lambda: "upload command failed" in said(), 30, "a failed upload is not told")
        insert(server.client())
        assert follower.poll() is None, said()
        os.unlink(trouble)
        wait_until(is_uploaded, 30, "uploads do not go on")
        # The server is killed, away for a while, and comes back.
        server.kill()
        wait_until(lambda: said().count("trying again") > 1 and "connect" in said(), 30,
                   f"a lost server is not told: {said()}")
        assert follower.poll() is None, said()
        server.start()
        insert(server.client())
        wait_until(is_uploaded, 30, f"following does not go on: {said()}")
        assert len(wholes(destination)) == 1, "the log was lost on the way"
        # Another backup into the same folder is refused meanwhile.
        assert "another backup" in run(
            roost, "backup", destination, "--uri", f"mongodb://{server.address}", code=1)
    finally:
        follower.send_signal(signal.SIGTERM)
        follower.wait(timeout=30)
        server.remove()
    print("following goes on over failing uploads and a killed server")


def failing_uploads(roost, base):
    server = Server(roost)
    server.start()
    try:
        insert(server.client())
        destination, done = os.path.join(base, "uploading"), os.path.join(base, "done")
        arguments = ["backup", destination, "--uri", f"mongodb://{server.address}"]
        failing = f'echo "$ROOST_NAME" >> {done}; case "$ROOST_NAME" in *manifest*) exit 3;; esac'
        said = run(roost, *arguments, "--upload-command", failing, code=1)
        assert "manifest.json" in said and "status 3" in said, said
        # What was copied is good all the same.
        assert "verdict      good" in run(roost, "restore", "--drill", destination)
        insert(server.client())
        run(roost, *arguments, "--upload-command", f'echo "$ROOST_NAME" >> {done}')
        names = [line.split("/")[1] for line in open(done, encoding="utf-8").read().split()]
        assert names == ["data.rbk", "manifest.json", "log-000001.rbk", "manifest.json"], names
    finally:
        server.remove()
    print("a failing upload is told, and only what is missing is uploaded again")


# Retention.

def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def make_older(folder, days):
    """Moves the times of a backup back."""
    path = os.path.join(folder, "manifest.json")
    text = open(path, encoding="utf-8").read().rsplit("crc32c", 1)[0]

    def back(match):
        found = datetime.datetime.fromisoformat(match.group(2).replace("Z", "+00:00"))
        return match.group(1) + (found - datetime.timedelta(days=days)).strftime(
            "%Y-%m-%dT%H:%M:%S.%f")[:-3] + 'Z"'
    text = re.sub(r'("through":\s*\{"\$date":\s*")([^"]+)"', back, text)
    assert json.loads(text)["files"]
    with open(path, "w", encoding="utf-8") as file:
        file.write(f"{text}crc32c {crc32c(text.encode())}\n")


def retention(roost, base):
    server = Server(roost)
    server.start()
    try:
        destination = os.path.join(base, "kept")
        arguments = ["backup", destination, "--uri", f"mongodb://{server.address}", "--full"]
        for _ in range(5):
            insert(server.client(), 5)
            run(roost, *arguments)
        made = wholes(destination)
        for name, days in zip(made, (40, 20, 8, 2, 0)):
            make_older(os.path.join(destination, name), days)
        run(roost, *arguments[:-1], "--keep-days", "30")
        assert wholes(destination) == made[1:], (made, wholes(destination))
        run(roost, *arguments[:-1], "--keep-days", "7")
        assert wholes(destination) == made[3:]
        run(roost, *arguments[:-1], "--keep", "1")
        assert wholes(destination) == made[4:]
        # However old: the last one stays.
        make_older(os.path.join(destination, made[4]), 50)
        server.client().shop.orders.insert_one({"_id": 1})
        run(roost, *arguments[:-1], "--keep-days", "1")
        assert wholes(destination) == made[4:]
        assert restored_hash(roost, destination, os.path.join(base, "newest")) == state_hash(
            server.client())
    finally:
        server.remove()
    print("--keep and --keep-days remove the old, and never the last")


# Full disks.

def fill_disk(path):
    with open(path, "wb", buffering=0) as file:
        for size in 65_536, 1:
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                pass


def full_disks(roost, base, mount):
    """`mount` is a file system of 48 MiB; the server's data lies elsewhere."""
    server = Server(roost)
    server.start()
    try:
        client = server.client()
        insert(client, 2_000, 2_000)
        uri = f"mongodb://{server.address}"
        destination, ballast = os.path.join(mount, "backups"), os.path.join(mount, "ballast")
        run(roost, "backup", destination, "--uri", uri)
        for room in 0, 4_096, 1 << 20:
            # A whole one, an increment, a restore.
            fill_disk(ballast)
            os.truncate(ballast, os.path.getsize(ballast) - room)
            insert(client, 3_000, 2_000)
            for arguments in ["--full"], ["--incremental"]:
                said = run(roost, "backup", destination, "--uri", uri, *arguments, code=1)
                assert "No space left" in said, said
                assert len(wholes(destination)) == 1, wholes(destination)
                insert(client, 1)
            folder = os.path.join(mount, "restored")
            said = run(roost, "restore", destination, folder, code=1)
            assert "No space left" in said or "full" in said, said
            assert not os.path.exists(folder) and not os.path.exists(folder + ".part")
            os.unlink(ballast)
            assert "verdict      good" in run(roost, "restore", "--drill", destination)
            # With room again it goes on where it was.
            run(roost, "backup", destination, "--uri", uri, "--incremental")
            assert restored_hash(
                roost, destination, os.path.join(base, "roomy")) == state_hash(client)
            shutil.rmtree(destination)
            client.shop.orders.delete_many({"n": {"$gt": 100}})
            run(roost, "backup", destination, "--uri", uri)
    finally:
        server.remove()
    print("backups and restores on full disks: told, nothing half-done, and on with room again")


# What a backup costs.

def latency(roost, base, seconds):
    server = Server(roost)
    server.start()
    try:
        client = server.client()
        for start in range(0, 300_000, 10_000):
            client.shop.orders.insert_many(
                [{"_id": n, "n": n % 1000, "pad": "x" * 400} for n in range(start, start + 10_000)])
        client.shop.orders.create_index("n")

        def p99():
            times, stop = [], time.monotonic() + seconds

            def work(number):
                own = server.client().shop.orders
                key = number
                while time.monotonic() < stop:
                    key = (key * 7 + 13) % 300_000
                    begin = time.perf_counter()
                    own.update_one({"_id": key}, {"$inc": {"n": 1}})
                    times.append(time.perf_counter() - begin)
            threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            times.sort()
            return times[int(len(times) * 0.99)] * 1_000, len(times)
        p99()
        calm, calm_count = p99()
        stopped, taken = threading.Event(), []

        def back_up():
            while not stopped.is_set():
                destination = os.path.join(base, f"b{len(taken)}")
                run(roost, "backup", destination, "--uri", f"mongodb://{server.address}", "--quiet")
                taken.append(destination)
                shutil.rmtree(destination)
        thread = threading.Thread(target=back_up)
        thread.start()
        busy, busy_count = p99()
        stopped.set()
        thread.join()
        print(f"p99 of durable updates by 4 clients: {calm:.2f} ms ({calm_count}), while "
              f"{len(taken)} whole backups are taken {busy:.2f} ms ({busy_count}): "
              f"{busy / calm:.2f} times")
    finally:
        server.remove()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("roost")
    parser.add_argument("--latency", type=float, default=0)
    parser.add_argument("--mounted", help="the file system, mounted by the first call of this")
    options = parser.parse_args()
    roost = os.path.abspath(options.roost)
    with tempfile.TemporaryDirectory(prefix="roost-edges-") as base:
        if options.latency:
            return latency(roost, base, options.latency)
        if options.mounted:
            return full_disks(roost, base, options.mounted)
        follows(roost, base)
        failing_uploads(roost, base)
        retention(roost, base)
        # The mount lives in a namespace of its own and goes with it.
        mount = os.path.join(base, "small")
        os.mkdir(mount)
        namespace = ["unshare", "-m"] if os.geteuid() == 0 else ["unshare", "-rm"]
        script = 'mount -t tmpfs -o size=48m tmpfs "$1" && shift && exec "$@"'
        return subprocess.run([
            *namespace, "sh", "-c", script, "sh", mount, sys.executable, __file__, roost,
            "--mounted", mount], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
