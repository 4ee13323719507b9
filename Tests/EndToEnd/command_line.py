"""What `roost` says to wrong options, variables, folders and ports.

    command_line.py ROOST

Each mistake must be one clear line that names what to change, with exit status 64 for a wrong
option or variable and 1 for a folder or port that can't be had; and what is right must work.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile

from server import Server, free_port, wait_until

# Arguments or variables, and what the line must say.
WRONG = [
    (["--listen", "127.0.0.1:99999"], {}, "--listen takes HOST:PORT"),
    (["--listen", "127.0.0.1:x"], {}, "--listen takes HOST:PORT"),
    (["--listen", "70000"], {}, "--listen takes HOST:PORT"),
    (["--listen", "http://127.0.0.1:27017"], {}, "--listen takes HOST:PORT"),
    (["--listen", "a b:1"], {}, "--listen takes HOST:PORT"),
    ([], {"LISTEN": "127.0.0.1:1,nonsense:"}, "ROOST_LISTEN takes HOST:PORT"),
    (["--durability", "maybe"], {}, "--durability takes 'full' or 'relaxed', not 'maybe'"),
    ([], {"DURABILITY": "maybe"}, "ROOST_DURABILITY takes 'full' or 'relaxed', not 'maybe'"),
    (["--quota", "lots"], {}, "--quota takes a size such as 500MB"),
    (["--quota", "1MB"], {}, "--quota takes at least 16MiB, not '1MB'"),
    (["--quota", "99999999999TB"], {}, "--quota takes a size"),
    ([], {"QUOTA": "-5"}, "ROOST_QUOTA takes a size"),
    (["--change-log-hours", "0"], {}, "--change-log-hours takes a number between 1 and 87600"),
    (["--change-log-hours", "x"], {}, "--change-log-hours takes a number"),
    ([], {"CHANGE_LOG_HOURS": "soon"}, "ROOST_CHANGE_LOG_HOURS takes a number"),
    ([], {"CHANGE_LOG_SIZE": "big"}, "ROOST_CHANGE_LOG_SIZE takes a size"),
    (["--change-log-size", "1"], {}, "--change-log-size takes at least 64KiB"),
    (["--max-connections", "0"], {}, "--max-connections takes a number between 1 and"),
    ([], {"MAX_CONNECTIONS": "many"}, "ROOST_MAX_CONNECTIONS takes a number"),
    (["--tls-cert", "/nowhere.pem", "--tls-key", "/nowhere.pem"], {},
     "--tls-cert: cannot read '/nowhere.pem': No such file"),
    (["--tls-cert", "/etc/passwd"], {}, "--tls-cert and --tls-key go together"),
    (["--tls-cert", "/etc", "--tls-key", "/etc"], {}, "--tls-cert: '/etc' is a folder"),
    (["--tls-ca", "/etc/passwd"], {}, "--tls-ca needs --tls-cert and --tls-key"),
    ([], {"TLS_CERT": "/nowhere.pem"}, "ROOST_TLS_CERT: cannot read"),
    (["--advertise", "nonsense"], {}, "--advertise takes HOST:PORT"),
    (["--replica-set", "rs0", "--advertise", "nonsense"], {}, "--advertise takes HOST:PORT"),
    (["--replica-set", "rs0", "--advertise", ":27017"], {}, "--advertise takes HOST:PORT"),
    (["--advertise", "host:27017"], {}, "--advertise needs --replica-set"),
    ([], {"REPLICA_SET": "rs0", "ADVERTISE": "host"}, "ROOST_ADVERTISE takes HOST:PORT"),
    (["--replica-set", ""], {}, "--replica-set takes a name without spaces"),
    (["--replica-set", "a b"], {}, "--replica-set takes a name without spaces"),
    (["--log-level", "loud"], {}, "--log-level takes one of trace, debug"),
    ([], {"LOG_LEVEL": "loud"}, "ROOST_LOG_LEVEL takes one of trace, debug"),
    (["--http", "127.0.0.1:99999"], {}, "--http takes HOST:PORT"),
    ([], {"HTTP": "a b"}, "ROOST_HTTP takes HOST:PORT"),
    (["--http-rate", "1.5"], {}, "--http-rate takes a number between 0 and"),
    ([], {"TEST_COMMANDS": "perhaps"}, "ROOST_TEST_COMMANDS takes 1 or 0"),
]
VARIABLES = ["HTTP", "HTTP_RATE", "DIR", "LISTEN", "DURABILITY", "QUOTA", "CHANGE_LOG_HOURS", "CHANGE_LOG_SIZE",
             "MAX_CONNECTIONS", "TLS_CERT", "TLS_KEY", "TLS_CA", "REPLICA_SET", "ADVERTISE",
             "LOG_LEVEL", "TEST_COMMANDS"]


def run(binary, *arguments, variables=None):
    environment = {**os.environ, **{f"ROOST_{k}": v for k, v in (variables or {}).items()}}
    return subprocess.run([binary, *arguments], env=environment, capture_output=True, text=True,
                          timeout=20)


def refused(found, status, text):
    assert found.returncode == status, (found.args, found.returncode, found.stderr)
    assert text in found.stderr, (found.args, text, found.stderr)
    lines = [line for line in found.stderr.splitlines() if line.startswith("Error:")]
    assert len(lines) == 1 and text in lines[0], found.stderr
    # No addresses or type names of ours; a temporary folder's random name may hold "0x".
    assert not re.search(r"(?<![\w-])0x", lines[0]), found.stderr
    assert "SocketAddressError" not in lines[0], found.stderr


def wrong_values(binary, base):
    for arguments, variables, text in WRONG:
        found = run(binary, "serve", os.path.join(base, "unused"), *arguments, variables=variables)
        refused(found, 64, text)
        assert len(found.stderr.splitlines()) == 1, found.stderr
    assert not os.path.exists(os.path.join(base, "unused")), "a wrong option made a folder"
    refused(run(binary, "serve", "--no-such-option"), 64, "Unknown option")
    refused(run(binary, "verify", os.path.join(base, "nowhere")), 1, "there is no folder")


def wrong_files(binary, base):
    junk = os.path.join(base, "junk.pem")
    with open(junk, "w", encoding="ascii") as file:
        file.write("not a certificate\n")
    port = f"127.0.0.1:{free_port()}"
    found = run(binary, "serve", os.path.join(base, "a"), "--listen", port, "--tls-cert", junk,
                "--tls-key", junk)
    refused(found, 1, f"--tls-cert: '{junk}' holds no certificate")
    # A file where the folder should be, and a folder of something else.
    refused(run(binary, "serve", junk, "--listen", port), 1, "Not a directory")
    other = os.path.join(base, "other")
    os.mkdir(other)
    with open(os.path.join(other, "data.mdb"), "wb") as file:
        file.write(b"x" * 100_000)
    refused(run(binary, "serve", other, "--listen", port), 1, "is not the header of a database")
    # Nobody may write there.
    if os.geteuid() == 0:
        found = subprocess.run(
            ["setpriv", "--reuid=65534", "--clear-groups", binary, "serve", "/etc/roost-test",
             "--listen", port], capture_output=True, text=True, timeout=20)
        if "setpriv" not in found.stderr and found.returncode != 126:
            refused(found, 1, "Permission denied")
    found = run(binary, "serve", os.path.join(base, "a"), "--listen", "no.such.host.invalid:1")
    refused(found, 1, "the name 'no.such.host.invalid' is not known")
    found = run(binary, "serve", os.path.join(base, "a"), "--listen", "203.0.113.7:31000")
    refused(found, 1, "no network interface")


def taken(binary, base):
    server = Server(binary)
    try:
        server.start()
        found = run(binary, "serve", os.path.join(base, "a"), "--listen", server.address)
        refused(found, 1, "the port is taken by roost (pid")
        assert str(server.process.pid) in found.stderr, found.stderr
        found = run(binary, "serve", server.folder, "--listen", str(free_port()))
        refused(found, 1, f"in use by process {server.process.pid}")
        refused(run(binary, "verify", server.folder), 1, f"in use by process {server.process.pid}")
        # The socket file that a killed server leaves is no obstacle, and works again.
        path = f"/tmp/mongodb-{server.port}.sock"
        server.kill()
        assert os.path.exists(path)
        server.start()
        wait_until(lambda: "listening" in server.log(), 5, "no log of listening")
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(path)
        assert server.stop() == 0
        assert not os.path.exists(path), "the socket file stays"
    finally:
        server.remove()


def right_values(binary, base):
    port = free_port()
    environment = {
        "ROOST_DIR": os.path.join(base, "b"), "ROOST_LISTEN": str(port), "ROOST_QUOTA": "64MiB",
        "ROOST_CHANGE_LOG_HOURS": "2", "ROOST_CHANGE_LOG_SIZE": "1MiB", "ROOST_TEST_COMMANDS": "1",
        "ROOST_MAX_CONNECTIONS": "50", "ROOST_REPLICA_SET": "rs0",
        "ROOST_ADVERTISE": f"127.0.0.1:{port}", "ROOST_LOG_LEVEL": "notice",
        "ROOST_DURABILITY": "relaxed"}
    process = subprocess.Popen([binary, "serve"], env={**os.environ, **environment},
                               stderr=subprocess.PIPE)
    try:
        def listens():
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return True
            except OSError:
                return False
        wait_until(listens, 10, "a bare number is a port on 127.0.0.1")
        import pymongo
        client = pymongo.MongoClient(f"mongodb://127.0.0.1:{port}/?replicaSet=rs0")
        assert client.admin.command("hello")["hosts"] == [f"127.0.0.1:{port}"]
        stats = client.test.command("dbStats")
        assert stats["fsTotalSize"] == 64 << 20, stats
        client.close()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0
        # `notice` shows no ordinary lines.
        assert process.stderr.read() == b""
    finally:
        process.kill()
    server = Server(binary)
    try:
        server.start()
        stats = server.client().test.command("dbStats")
        disk = os.statvfs(server.folder)
        assert stats["fsTotalSize"] == disk.f_blocks * disk.f_frsize, stats
        assert stats["fsUsedSize"] < stats["fsTotalSize"], stats
        assert server.stop() == 0
    finally:
        server.remove()


def clients(binary, base):
    """Commands that ask a server reach it as any user, and never another than they say."""
    server, other = Server(binary), Server(binary)
    try:
        server.start()
        other.start()
        if os.geteuid() == 0:
            found = subprocess.run(
                ["setpriv", "--reuid=65534", "--clear-groups", binary, "shell",
                 f"mongodb://{server.address}", "-e", "show dbs"],
                capture_output=True, text=True, timeout=20)
            if "setpriv" not in found.stderr and found.returncode != 126:
                assert found.returncode == 0, found.stderr
        made = subprocess.run(
            [binary, "admin", "create", "ann", "--folder", server.folder], input="secret word\n",
            capture_output=True, text=True, timeout=20)
        assert made.returncode == 0, made.stderr
        assert [u["user"] for u in other.client().admin.command("usersInfo", 1)["users"]] == []
        import pymongo
        signed = pymongo.MongoClient(f"mongodb://ann:secret%20word@{server.address}")
        assert signed.admin.command("usersInfo", 1)["users"][0]["user"] == "ann"
        signed.close()
        # Whoever hasn't signed in can't have the server keep large messages.
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as stranger:
            stranger.sendall((40_000_000).to_bytes(4, "little") + b"\1\0\0\0\0\0\0\0\xdd\7\0\0")
            try:
                stranger.sendall(b"\0" * 1_000_000)
                assert stranger.recv(1) == b"", "a large message was taken"
            except ConnectionError:
                pass
        found = subprocess.run(
            [binary, "admin", "create", "--folder", os.path.join(base, "none")], input="word\n",
            capture_output=True, text=True, timeout=20)
        assert found.returncode == 1 and "there is no folder" in found.stderr, found.stderr
    finally:
        server.remove()
        other.remove()


def help_teaches(binary):
    text = run(binary, "serve", "--help").stdout
    for name in VARIABLES:
        assert f"ROOST_{name}" in text, name
        option = "--" + name.lower().replace("_", "-")
        assert name == "DIR" or option in text, option
    for command in ([], ["verify"], ["shell"]):
        found = run(binary, *command, "--help")
        assert found.returncode == 0 and "roost" in found.stdout


def main():
    binary = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as base:
        wrong_values(binary, base)
        wrong_files(binary, base)
        taken(binary, base)
        right_values(binary, base)
        clients(binary, base)
        help_teaches(binary)
    print(f"{len(WRONG)} wrong values, wrong files, taken ports and folders: each says what to do")


if __name__ == "__main__":
    main()
