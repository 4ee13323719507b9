"""A Roost of one's own for an end-to-end test, and raw sockets to it."""

import os
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

import pymongo


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(condition, seconds, what):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.02)


class Server:
    """`roost serve` on a temporary folder, or on one given. `start` waits until it answers."""

    def __init__(self, binary, *options, folder=None, environment=None, tls=None):
        self.binary, self.options, self.tls = binary, list(options), tls
        self.base = tempfile.mkdtemp(prefix="roost-test-")
        self.folder = folder or os.path.join(self.base, "data")
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self.environment = {**os.environ, **(environment or {})}
        self.process = None

    def launch(self):
        self.output = open(os.path.join(self.base, "log"), "wb")
        # Servers of several tests would contend for the usual port.
        http = [] if "--http" in self.options else ["--http", "off"]
        self.process = subprocess.Popen(
            [self.binary, "serve", self.folder, "--listen", self.address, *http,
             *self.options],
            stderr=self.output, stdout=self.output, env=self.environment)

    def start(self):
        self.launch()
        for _ in range(300):
            assert self.process.poll() is None, f"the server ended: {self.log()}"
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError(f"the server does not listen: {self.log()}")

    def log(self):
        with open(os.path.join(self.base, "log"), encoding="utf-8", errors="replace") as file:
            return file.read()

    def client(self, **options):
        options = {"serverSelectionTimeoutMS": 10_000, "retryWrites": False, **options}
        return pymongo.MongoClient(f"mongodb://{self.address}", **options)

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    @staticmethod
    def send(connection, document, flags=0):
        """Sends a document, as bytes, in an OP_MSG."""
        body = struct.pack("<I", flags) + b"\0" + document
        connection.sendall(struct.pack("<iiii", 16 + len(body), 1, 0, 2013) + body)

    def processor_seconds(self):
        """What the process has spent of the processors' time, its user and system part."""
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as file:
            fields = file.read().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def heap_mb(self):
        """The process' memory without pages of files."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            return int(next(line for line in status if line.startswith("RssAnon")).split()[1]) >> 10

    def stop(self):
        """Ends the server as an operator does; answers its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.wait()

    def remove(self):
        self.kill()
        shutil.rmtree(self.base, ignore_errors=True)
