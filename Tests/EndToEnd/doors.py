"""The TCP door under strangers: TLS of every kind, too many connections, half-open ones, bad frames.

    doors.py ROOST

All the while an ordinary client works on and must not notice.
"""

import contextlib
import os
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import threading
import time
import zlib

import pymongo
from bson import decode, encode
from pymongo.errors import OperationFailure, PyMongoError, ServerSelectionTimeoutError

from server import Server, wait_until


class Bystander(threading.Thread):
    """Reads and writes without a pause; `slowest` is its longest operation, in seconds."""

    def __init__(self, client):
        super().__init__(daemon=True)
        self.collection = client.doors.bystander
        self.done, self.failure, self.slowest, self.count = threading.Event(), None, 0, 0
        self.start()

    def run(self):
        try:
            while not self.done.is_set():
                start = time.monotonic()
                self.collection.update_one({"_id": self.count % 100}, {"$inc": {"n": 1}},
                                           upsert=True)
                assert self.collection.find_one({"_id": self.count % 100})["n"] > 0
                self.slowest = max(self.slowest, time.monotonic() - start)
                self.count += 1
                time.sleep(0.002)
        except BaseException as error:
            self.failure = error

    def end(self, what):
        self.done.set()
        self.join()
        assert self.failure is None, f"{what}: {self.failure!r}"
        assert self.slowest < 5, f"{what}: an operation took {self.slowest:.2f} s"


@contextlib.contextmanager
def beside(client, what):
    bystander = Bystander(client)
    try:
        # Its connections are open before the others come.
        wait_until(lambda: bystander.count > 2 or bystander.failure, 30, "the bystander's start")
        yield
    finally:
        bystander.end(what)
    print(f"    {what}: {bystander.count} operations beside it, the slowest "
          f"{bystander.slowest * 1000:.0f} ms", flush=True)


# TLS

def certificates(folder):
    """Two authorities; certificates of the server, of a client, an expired one, a stranger's."""
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], check=True, capture_output=True, cwd=folder)

    for name in ("ca", "other"):
        openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
                f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.pem")
    with open(os.path.join(folder, "names"), "w", encoding="ascii") as file:
        file.write("subjectAltName=DNS:localhost,IP:127.0.0.1\n")
    for name, authority, days in (("server", "ca", "2"), ("client", "ca", "2"),
                                  ("expired", "ca", "-1"), ("stranger", "other", "2")):
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout",
                f"{name}.key", "-out", f"{name}.csr")
        if days == "-1":
            openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{authority}.pem", "-CAkey",
                    f"{authority}.key", "-CAcreateserial", "-days", "-1", "-out", f"{name}.crt")
        else:
            openssl("x509", "-req", "-in", f"{name}.csr", "-CA", f"{authority}.pem", "-CAkey",
                    f"{authority}.key", "-CAcreateserial", "-days", days, "-extfile", "names",
                    "-out", f"{name}.crt")
        with open(os.path.join(folder, f"{name}.both"), "w", encoding="ascii") as both:
            for end in ("key", "crt"):
                with open(os.path.join(folder, f"{name}.{end}"), encoding="ascii") as part:
                    both.write(part.read())
    return lambda name: os.path.join(folder, name)


def tls_client(server, **options):
    return pymongo.MongoClient(f"mongodb://{server.address}", tls=True,
                               serverSelectionTimeoutMS=3_000, **options)


def refuses(client, what):
    try:
        client.admin.command("ping")
    except PyMongoError:
        client.close()
    else:
        raise AssertionError(f"{what} was let in")


def tls(binary):
    with tempfile.TemporaryDirectory() as folder:
        file = certificates(folder)
        server = Server(binary, "--tls-cert", file("server.crt"), "--tls-key", file("server.key"))
        try:
            server.start()
            good = tls_client(server, tlsCAFile=file("ca.pem"))
            with beside(good, "TLS, clients of wrong kinds"):
                assert good.admin.command("ping")["ok"] == 1
                refuses(tls_client(server, tlsCAFile=file("other.pem")), "a wrong authority")
                refuses(tls_client(server), "no authority")
                refuses(pymongo.MongoClient(f"mongodb://{server.address}",
                                            serverSelectionTimeoutMS=2_000), "a plain client")
                # A handshake that never ends, and bytes that are none.
                half = [server.connect() for _ in range(50)]
                for number, connection in enumerate(half):
                    connection.sendall(b"\x16\x03\x01\x02\x00\x01" if number % 2 else b"GET / \r\n")
                context = ssl.create_default_context(cafile=file("ca.pem"))
                context.maximum_version = ssl.TLSVersion.TLSv1_2
                with context.wrap_socket(server.connect(), server_hostname="127.0.0.1") as old:
                    assert old.version() == "TLSv1.2"
                for connection in half:
                    connection.close()
            # The socket file stays plain.
            path = f"mongodb://%2Ftmp%2Fmongodb-{server.port}.sock"
            assert pymongo.MongoClient(path).admin.command("ping")["ok"] == 1
            good.close()
            assert server.stop() == 0
        finally:
            server.remove()

        server = Server(binary, "--tls-cert", file("server.crt"), "--tls-key", file("server.key"),
                        "--tls-ca", file("ca.pem"))
        try:
            server.start()
            good = tls_client(server, tlsCAFile=file("ca.pem"),
                              tlsCertificateKeyFile=file("client.both"))
            with beside(good, "mutual TLS, clients of wrong kinds"):
                assert good.admin.command("ping")["ok"] == 1
                refuses(tls_client(server, tlsCAFile=file("ca.pem")), "no certificate")
                for name in ("expired", "stranger"):
                    refuses(tls_client(server, tlsCAFile=file("ca.pem"),
                                       tlsCertificateKeyFile=file(f"{name}.both")), name)
            good.close()
            assert server.stop() == 0
        finally:
            server.remove()

        # TLS spoken to a plain port; files that don't belong together.
        server = Server(binary)
        try:
            server.start()
            with beside(server.client(), "TLS on a plain port"):
                refuses(tls_client(server, tlsCAFile=file("ca.pem")), "TLS on a plain port")
            wait_until(lambda: "TLS" in server.log(), 5, "the log should say that TLS was tried")
        finally:
            server.remove()
        found = subprocess.run(
            [binary, "serve", file("data"), "--listen", "127.0.0.1:0", "--tls-cert",
             file("server.crt"), "--tls-key", file("client.key")], capture_output=True, text=True,
            timeout=20)
        assert found.returncode == 1 and "does not belong to" in found.stderr, found.stderr


# Connections

def too_many(binary):
    server = Server(binary, "--max-connections", "20")
    try:
        server.start()
        client = server.client(maxPoolSize=1)
        with beside(client, "connections beyond the limit"):
            held = [server.connect() for _ in range(40)]
            time.sleep(0.3)
            start, refused = time.monotonic(), 0
            for connection in held:
                connection.settimeout(0.2)
                try:
                    refused += connection.recv(1) == b""
                except (ConnectionError, socket.timeout) as error:
                    refused += not isinstance(error, socket.timeout)
            assert refused >= 20, f"{refused} of 40 were refused"
            assert "connection refused" in server.log(), server.log()
            for connection in held:
                connection.close()
        late = server.client()
        assert late.admin.command("ping")["ok"] == 1
        rejected = late.admin.command("serverStatus")["connections"]["rejected"]
        assert rejected >= 20, rejected
        assert server.stop() == 0
    finally:
        server.remove()


def floods(server, client):
    with beside(client, "2,000 connections in a row"):
        for _ in range(2_000):
            server.connect().close()
    with beside(client, "500 connections that dribble bytes"):
        message = frame(encode({"ping": 1, "$db": "admin"}))
        dribbling = [server.connect() for _ in range(500)]
        for byte in message[:20]:
            for connection in dribbling:
                connection.sendall(bytes([byte]))
        for connection in dribbling[:250]:
            connection.close()
        for connection in dribbling[250:]:
            connection.sendall(message[20:])
        for connection in dribbling[250:]:
            assert reply(connection)["ok"] == 1
            connection.close()
    with beside(client, "clients that don't take their replies"):
        client.doors.large.insert_many([{"x": "y" * 100_000} for _ in range(100)])
        deaf = []
        for _ in range(50):
            connection = server.connect()
            for _ in range(20):
                connection.sendall(frame(encode({"find": "large", "$db": "doors"})))
            deaf.append(connection)
        time.sleep(1)
        for connection in deaf:
            connection.close()
        # What their replies took goes back to the system; without care most of 600 MB stays.
        wait_until(lambda: server.heap_mb() < 150, 10, "the memory of replies stays")


# Frames

def frame(document, opcode=2013, flags=0, length=None):
    body = struct.pack("<I", flags) + b"\0" + document
    size = 16 + len(body) if length is None else length
    return struct.pack("<iiii", size, 7, 0, opcode) + body


def reply(connection):
    header = receive(connection, 16)
    size, _, _, opcode = struct.unpack("<iiii", header)
    body = receive(connection, size - 16)
    assert opcode == 2013, opcode
    return decode(body[5:])


def receive(connection, count):
    parts = b""
    while len(parts) < count:
        part = connection.recv(count - len(parts))
        if not part:
            raise ConnectionError("closed")
        parts += part
    return parts


def nested(depth):
    document = b"\x05\0\0\0\0"
    for _ in range(depth):
        document = struct.pack("<i", len(document) + 8) + b"\x03a\0" + document + b"\0"
    return document


def compressed(payload, size, compressor=2, original=2013):
    body = struct.pack("<iiB", original, size, compressor) + payload
    return struct.pack("<iiii", 16 + len(body), 7, 0, 2012) + body


def bad_frames():
    ping = encode({"ping": 1, "$db": "admin"})
    body = struct.pack("<I", 0) + b"\0" + ping
    insert = b"\x02insert\0\x02\0\0\0t\0\x02$db\0\x06\0\0\0doors\0"
    yield "a length of 0", frame(ping, length=0)
    yield "a length below the header's", frame(ping, length=15)
    yield "a negative length", frame(ping, length=-1)
    yield "a length over 48 MB", frame(ping, length=48_000_001)
    yield "the largest length", frame(ping, length=0x7FFFFFFF)
    yield "a length that is too short", frame(ping, length=30)
    yield "an unknown opcode", frame(ping, opcode=4711)
    yield "opcode 0", frame(ping, opcode=0)
    yield "a removed opcode", frame(ping, opcode=2002)
    yield "unknown required flags", frame(ping, flags=0x8000)
    yield "a checksum that is wrong", frame(ping + b"\1\2\3\4", flags=1)
    yield "a document that says it is longer", frame(struct.pack("<i", len(ping) + 50) + ping[4:])
    yield "a document that says it is shorter", frame(struct.pack("<i", 5) + ping[4:])
    yield "a document of negative length", frame(struct.pack("<i", -5) + ping[4:])
    yield "no document", frame(b"")
    yield "an unknown section", struct.pack("<iiii", 21 + len(ping), 7, 0, 2013) + b"\0" * 4 \
        + b"\x09" + ping
    yield "a document sequence that lies", frame(
        ping + b"\1" + struct.pack("<i", 1 << 30) + b"documents\0" + ping)
    yield "a document 10,000 deep", frame(nested(10_000))
    deep = b"\x03f\0" + nested(10_000)
    yield "a find with a filter 10,000 deep", frame(
        struct.pack("<i", 4 + len(insert) + len(deep) + 1) + insert.replace(b"insert", b"delete")
        + deep + b"\0")
    wrong = b"\x02x\0\x04\0\0\0\xff\xfe\xfd\0"
    yield "a name that is no UTF-8", frame(
        struct.pack("<i", 4 + len(insert) + len(wrong) + 1) + insert + wrong + b"\0")
    yield "an unknown element type", frame(
        struct.pack("<i", 4 + len(insert) + 4) + insert + b"\x55x\0" + b"\0")
    yield "bad zlib", compressed(b"\1\2\3\4", 100)
    yield "a zlib bomb", compressed(zlib.compress(bytes(40_000_000)), 40_000_000)
    yield "zlib that holds more than it says", compressed(zlib.compress(body), 5)
    yield "zlib that holds less than it says", compressed(zlib.compress(body), 5_000)
    yield "a negative inflated size", compressed(zlib.compress(body), -1)
    yield "compressed compression", compressed(zlib.compress(body), len(body), original=2012)
    yield "an unknown compressor", compressed(zlib.compress(body), len(body), compressor=77)
    yield "random bytes", os.urandom(5_000)
    yield "HTTP", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


def frames(server, client):
    before = client.doors.list_collection_names()
    answers, closed = 0, 0
    with beside(client, "bad frames"):
        for name, data in bad_frames():
            connection = server.connect()
            connection.settimeout(5)
            with contextlib.suppress(OSError):
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
            try:
                answer = reply(connection)
                assert answer["ok"] == 0 and answer["errmsg"], (name, answer)
                answers += 1
            except (ConnectionError, struct.error):
                closed += 1
            except socket.timeout:
                raise AssertionError(f"{name}: neither an answer nor an end") from None
            connection.close()
            # Cut at every kind of place.
            for cut in (1, 15, 16, 20, len(data) // 2):
                connection = server.connect()
                with contextlib.suppress(OSError):
                    connection.sendall(data[:cut])
                connection.close()
        # A real message of 48 MB, and one byte more in all.
        documents = [{"_id": i, "x": bytes(15_900_000)} for i in range(3)]
        client.doors.big.insert_many(documents)
        assert client.doors.big.count_documents({}) == 3
        try:
            client.doors.big.insert_one({"x": bytes(16_777_216)})
            raise AssertionError("a document over 16 MiB was stored")
        except (OperationFailure, pymongo.errors.DocumentTooLarge, pymongo.errors.WriteError):
            pass
        client.doors.big.drop()
    after = set(client.doors.list_collection_names()) - {"bystander"}
    assert after <= set(before) | {"large"}, after
    print(f"    bad frames: {answers} answered with an error, {closed} closed", flush=True)


def main():
    binary = os.path.abspath(sys.argv[1])
    too_many(binary)
    tls(binary)
    server = Server(binary)
    try:
        server.start()
        client = server.client()
        floods(server, client)
        frames(server, client)
        assert server.process.poll() is None
        client.close()
        assert server.stop() == 0
    finally:
        server.remove()
    print("TLS, connection limits, floods and bad frames: others worked on")


if __name__ == "__main__":
    main()
