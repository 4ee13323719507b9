"""Messages to app users through a mail server: STARTTLS and TLS, PLAIN and LOGIN, failures.

usage: mail.py BINARY
"""
import base64
import os
import re
import socketserver
import ssl
import subprocess
import sys
import tempfile
import threading
import time

import app_accounts
from app_accounts import PASSWORD, App, check
from server import wait_until

SECRET = "mail secret"


class Mailbox(socketserver.ThreadingTCPServer):
    """An SMTP server that keeps what it gets; `refusals` are answers to RCPT before it takes one."""

    allow_reuse_address = daemon_threads = True

    def __init__(self, folder, tls=None, mechanisms="PLAIN LOGIN", refusals=()):
        super().__init__(("127.0.0.1", 0), Talk)
        self.port = self.server_address[1]
        self.tls = tls  # None, "first" or "starttls"
        self.mechanisms = mechanisms
        self.refusals = list(refusals)
        self.messages = []
        self.signed_in = []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(f"{folder}/cert.pem", f"{folder}/key.pem")
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Talk(socketserver.BaseRequestHandler):
    def secure(self):
        self.request = self.server.context.wrap_socket(self.request, server_side=True)
        self.file = self.request.makefile("rb")

    def say(self, *lines):
        for index, line in enumerate(lines):
            code, text = line.split(" ", 1)
            mark = " " if index + 1 == len(lines) else "-"
            self.request.sendall(f"{code}{mark}{text}\r\n".encode())

    def line(self):
        line = self.file.readline()
        assert not line or line.endswith(b"\r\n"), line
        return line[:-2].decode()

    def handle(self):
        box, is_tls, user = self.server, False, None
        self.file = self.request.makefile("rb")
        try:
            if box.tls == "first":
                self.secure()
                is_tls = True
            self.say("220 box")
            while True:
                line = self.line()
                verb = line.split(":")[0].split(" ")[0].upper()
                if verb == "EHLO":
                    offers = ["250 box", "250 8BITMIME"]
                    if box.tls == "starttls" and not is_tls:
                        offers.append("250 STARTTLS")
                    if box.mechanisms:
                        offers.append(f"250 AUTH {box.mechanisms}")
                    self.say(*offers)
                elif verb == "STARTTLS":
                    self.say("220 go")
                    self.secure()
                    is_tls = True
                elif line.startswith("AUTH PLAIN "):
                    assert is_tls or box.tls is None
                    _, user, password = base64.b64decode(line[11:]).decode().split("\0")
                    self.answer(user, password)
                elif line == "AUTH LOGIN":
                    assert is_tls or box.tls is None
                    self.say("334 VXNlcm5hbWU6")
                    user = base64.b64decode(self.line()).decode()
                    self.say("334 UGFzc3dvcmQ6")
                    self.answer(user, base64.b64decode(self.line()).decode())
                elif verb == "RCPT" and box.refusals:
                    self.say(box.refusals.pop(0))
                elif verb in ("MAIL", "RCPT"):
                    self.say("250 ok")
                elif verb == "DATA":
                    self.say("354 go")
                    lines = []
                    while (line := self.line()) != ".":
                        lines.append(line[1:] if line.startswith(".") else line)
                    box.messages.append("\n".join(lines))
                    self.say("250 taken")
                elif verb == "QUIT":
                    self.say("221 bye")
                    return
                else:
                    return
        except (OSError, ssl.SSLError):
            pass

    def answer(self, user, password):
        self.server.signed_in.append(user)
        self.say("235 ok" if password == SECRET else "535 no")


def start(binary, folder, box, *, user=None, scheme="smtp", trusted=True, password=SECRET):
    path = os.path.join(folder, "password")
    with open(path, "w", encoding="ascii") as file:
        file.write(password + "\n")
    name = f"{user}@" if user else ""
    options = ["--smtp", f"{scheme}://{name}127.0.0.1:{box.port}",
               "--mail-from", "The App <no-reply@app.example>"]
    if user:
        options += ["--smtp-password-file", path]
    if trusted:
        options += ["--http-ca", f"{folder}/cert.pem"]
    return App(binary, *options, mail=False)


def token(message):
    return re.search(r"^    (\S+)$", message, re.MULTILINE).group(1)


def delivers(binary, folder, **given):
    """A sign-up and a new password, each by a message."""
    box = Mailbox(folder, given.pop("tls", None), given.pop("mechanisms", "PLAIN LOGIN"),
                  given.pop("refusals", ()))
    app = start(binary, folder, box, **given)
    try:
        check(app.command("signUp", email="ann@example.com", password=PASSWORD)["messageSent"],
              "sent")
        wait_until(lambda: box.messages, 20, "no message came")
        message = box.messages[0]
        head = message.split("\n\n")[0]
        check("To: ann@example.com" in head and "From: The App <no-reply@app.example>" in head,
              head)
        check(re.search(r"^Date: \w{3}, \d\d \w{3} \d{4} [\d:]{8} \+0000$", head, re.M), head)
        check(re.search(r"^Message-ID: <\w+@app.example>$", head, re.M), head)
        check("accessToken" in app.command("verifyEmail", token=token(message)), "verified")
        app.command("requestPasswordReset", email="ann@example.com")
        wait_until(lambda: len(box.messages) == 2, 20, "no second message came")
        app.command("resetPassword", token=token(box.messages[1]), newPassword="an other one")
        check("accessToken" in app.command("signIn", email="ann@example.com",
                                           password="an other one"), "the new password")
        log = app.server.log()
        check(SECRET not in log and token(message) not in log, "a secret shows")
        shown = str(app.root.admin.command("getCmdLineOpts"))
        check(SECRET not in shown, shown)
    finally:
        app.server.kill()
        app.server.remove()
        box.shutdown()
        box.server_close()
    return box


def fails(binary, folder, reason, **given):
    box = Mailbox(folder, given.pop("tls", None), refusals=given.pop("refusals", ()))
    app = start(binary, folder, box, **given)
    try:
        check(app.command("signUp", email="ann@example.com", password=PASSWORD)["messageSent"],
              "the caller isn't told")
        wait_until(lambda: "was not sent" in app.server.log(), 20, "not logged")
        check(reason in app.server.log(), app.server.log())
        time.sleep(0.2)
        check(not box.messages and not (given.get("trusted") is False and box.signed_in),
              "nothing was said")
    finally:
        app.server.kill()
        app.server.remove()
        box.shutdown()
        box.server_close()


def refused(binary, *options):
    done = subprocess.run([binary, "serve", "/nowhere/at/all", *options], capture_output=True,
                          text=True, timeout=20, check=False)
    check(done.returncode == 64 and done.stderr.count("\n") == 1, done.stderr)


def main():
    binary = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
                        "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem",
                        "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"],
                       check=True, capture_output=True)
        box = delivers(binary, folder, tls="starttls", user="app@mail")
        check(box.signed_in == ["app@mail", "app@mail"], box.signed_in)
        box = delivers(binary, folder, tls="first", scheme="smtps", user="app", mechanisms="LOGIN")
        check(box.signed_in == ["app", "app"], box.signed_in)
        delivers(binary, folder)
        delivers(binary, folder, refusals=["451 greylisted"])
        fails(binary, folder, "550 to RCPT", refusals=["550 who is ann@example.com"])
        fails(binary, folder, "535 to signing in", tls="starttls", user="app", password="wrong")
        fails(binary, folder, "connection failed", tls="starttls", user="app", trusted=False)
    refused(binary, "--smtp", "smtp://u:p:x@h", "--mail-from", "a@b")
    refused(binary, "--smtp", "smtp://h")
    refused(binary, "--smtp", "smtp://h", "--mail-from", "nobody")
    refused(binary, "--smtp", "smtp://u@h", "--mail-from", "a@b")
    refused(binary, "--mail-from", "a@b")
    print(f"mail: {app_accounts.checks} checks passed")


if __name__ == "__main__":
    main()
