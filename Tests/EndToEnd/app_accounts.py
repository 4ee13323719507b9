"""Users of apps with PyMongo: signing up and in, messages, second factors, stolen tokens.

    app_accounts.py ROOST

An app's back end signs in by a password and does everything for its users by commands; the users
come with access tokens over MONGODB-OIDC and are under the rules.
"""

import base64
import glob
import hashlib
import hmac
import json
import os
import re
import struct
import sys
import time

import pymongo
from pymongo.auth_oidc import OIDCCallback, OIDCCallbackResult
from pymongo.errors import OperationFailure

from server import Server, wait_until

PASSWORD = "correct horse"
RULES = """rules_version = '2';
service cloud.firestore { match /databases/{db}/documents {
  match /notes/{id} { allow read, write: if request.auth.uid == id; }
  match /staff/{id} { allow read: if request.auth.token.role == 'staff'; }
} }
"""
checks = 0


def check(condition, what):
    global checks
    assert condition, what
    checks += 1


def refused(codes, action, *arguments, **options):
    try:
        action(*arguments, **options)
    except OperationFailure as error:
        check(error.code in codes, f"code {error.code} in place of {codes}: {error}")
        return str(error)
    raise AssertionError(f"was not refused with {codes}")


class Callback(OIDCCallback):
    def __init__(self, token):
        self.token = token

    def fetch(self, context):
        return OIDCCallbackResult(access_token=self.token)


def user(server, token):
    return pymongo.MongoClient(
        f"mongodb://{server.address}", authMechanism="MONGODB-OIDC", maxPoolSize=1,
        serverSelectionTimeoutMS=10_000,
        authMechanismProperties={"OIDC_CALLBACK": Callback(token)})


def service(server, name, password):
    return pymongo.MongoClient(
        f"mongodb://{server.address}", username=name, password=password,
        authMechanism="SCRAM-SHA-256", serverSelectionTimeoutMS=10_000)


def totp(secret, moment):
    key = base64.b32decode(secret + "=" * (-len(secret) % 8))
    mac = hmac.new(key, struct.pack(">Q", int(moment) // 30), hashlib.sha1).digest()
    offset = mac[-1] & 15
    number = struct.unpack(">I", mac[offset:offset + 4])[0] & 0x7FFFFFFF
    return f"{number % 1_000_000:06}"


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decoded(part):
    return base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))


class App:
    """A server with rules, a back end's account and messages as files."""

    def __init__(self, binary, *options, mail=True):
        self.server = Server(binary, "--auth", "required", *options)
        self.mail = os.path.join(self.server.base, "mail")
        os.mkdir(self.mail)
        rules = os.path.join(self.server.base, "app.rules")
        with open(rules, "w", encoding="ascii") as file:
            file.write(RULES)
        self.server.options += ["--rules", rules]
        if mail:
            self.server.options += [
                "--mail-command", f'f=$(mktemp "{self.mail}/XXXXXX") && cat > "$f.part" '
                '&& mv "$f.part" "$f.eml"']
        self.server.start()
        password = self.server.log().split("password  ")[1].split()[0]
        self.root = service(self.server, "admin", password)
        self.root.admin.command("createUser", "backend", pwd="b", roles=["appBackend"])
        self.backend = service(self.server, "backend", "b").app

    def command(self, name, **fields):
        return self.backend.command(name, **fields)

    def messages(self):
        found = {}
        for path in glob.glob(f"{self.mail}/*.eml"):
            with open(path, encoding="utf-8") as file:
                found[path] = file.read()
        return found

    def message(self, before, address):
        """The one new message, which must be for that address."""
        wait_until(lambda: len(self.messages()) > len(before), 10, "no message came")
        new = [text for path, text in self.messages().items() if path not in before]
        check(len(new) == 1 and new[0].startswith(f"To: {address}\n"), new)
        return new[0]


def token_of(message):
    return re.search(r"^X-Roost-Token: (\S+)$", message, re.MULTILINE).group(1)


def sign_up(app, address, password=PASSWORD):
    before = app.messages()
    answer = app.command("signUp", email=address, password=password)
    check(answer["messageSent"] is True and "accessToken" not in answer, answer)
    return app.command("verifyEmail", token=token_of(app.message(before, address)))


def accounts(binary):
    app = App(binary)
    server = app.server
    try:
        # The back end signs users up and in, and may do nothing else.
        refused([13], app.backend.notes.find_one)
        refused([13], app.command, "setClaims", value="x", claims={})
        refused([13], app.command, "appUsersInfo")
        ann = sign_up(app, "ann@example.com")
        uid = ann["userID"]
        client = user(server, ann["accessToken"])
        client.app.notes.insert_one({"_id": uid, "text": "mine"})
        check(client.app.notes.find_one({"_id": uid})["text"] == "mine", "rules know the user")
        refused([13], client.app.notes.find_one, {"_id": "other"})
        refused([13], client.app.command, "signIn", email="a@b.c", password="x")
        refused([13], client.app.command, "setClaims", uid, claims={"role": "staff"})

        # Nothing tells whether an address is known.
        before = app.messages()
        known = app.command("signUp", email="ann@example.com", password="other horse")
        note = app.message(before, "ann@example.com")
        check("X-Roost-Token" not in note and "already" in note, note)
        check(known.keys() == {"messageSent", "ok"}, known)
        before = app.messages()
        check(app.command("requestPasswordReset", email="nobody@example.com") == {"ok": 1.0}, "")
        check(app.command("requestPasswordReset", email="ann@example.com") == {"ok": 1.0}, "")
        reset = token_of(app.message(before, "ann@example.com"))
        messages = {refused([18], app.command, "signIn", email=email, password="wrong horse")
                    for email in ("ann@example.com", "nobody@example.com")}
        check(len(messages) == 1, messages)

        # A new password ends every session, on connections that are open too.
        refused([2], app.command, "resetPassword", token=reset, newPassword="short")
        refused([18], app.command, "resetPassword", token=reset[:-1], newPassword="fresh horse")
        app.command("resetPassword", token=reset, newPassword="fresh horse")
        refused([18, 391], client.app.notes.find_one, {"_id": uid})
        refused([18], app.command, "refreshTokens", refreshToken=ann["refreshToken"])
        refused([18], app.command, "resetPassword", token=reset, newPassword="newer horse")
        refused([18], app.command, "signIn", email="ann@example.com", password=PASSWORD)
        one = app.command("signIn", email="Ann@Example.com", password="fresh horse")
        check(one["userID"] == uid, one)

        # Theft: whoever uses a refresh token second ends the family.
        two = app.command("refreshTokens", refreshToken=one["refreshToken"])
        client = user(server, two["accessToken"])
        check(client.app.notes.find_one({"_id": uid}) is not None, "signed in")
        start = time.monotonic()
        refused([18], app.command, "refreshTokens", refreshToken=one["refreshToken"])
        refused([18, 391], client.app.notes.find_one, {"_id": uid})
        check(time.monotonic() - start < 5, "at once")
        refused([18], user(server, two["accessToken"]).app.notes.find_one)
        refused([18], app.command, "refreshTokens", refreshToken=two["refreshToken"])

        # Claims of the app: earlier tokens serve no more, the next ones have them.
        three = app.command("signIn", email="ann@example.com", password="fresh horse")
        client = user(server, three["accessToken"])
        refused([13], client.app.staff.find_one, {"_id": "x"})
        refused([2], app.root.admin.command, "setClaims", uid, claims={"sub": "root"})
        app.root.admin.command("setClaims", uid, claims={"role": "staff"})
        refused([18, 391], client.app.notes.find_one, {"_id": uid})
        four = app.command("refreshTokens", refreshToken=three["refreshToken"])
        client = user(server, four["accessToken"])
        check(client.app.staff.find_one({"_id": "x"}) is None, "staff may read")
        shown = app.root.admin.command("appUsersInfo", uid)["users"][0]
        check(shown["claims"] == {"role": "staff"} and shown["emailVerified"], shown)
        check("password" not in str(shown), shown)

        # All of it outlives a kill; a session that was ended before stays so.
        app.command("signOut", refreshToken=four["refreshToken"])
        five = app.command("signIn", email="ann@example.com", password="fresh horse")
        server.kill()
        server.start()
        refused([18], user(server, four["accessToken"]).app.notes.find_one, {"_id": uid})
        client = user(server, five["accessToken"])
        check(client.app.notes.find_one({"_id": uid}) is not None, "kept")
        six = app.command("refreshTokens", refreshToken=five["refreshToken"])
        check(client.app.command("signOutEverywhere")["sessions"] >= 1, "everywhere")
        refused([18, 391], client.app.notes.find_one, {"_id": uid})
        refused([18], app.command, "refreshTokens", refreshToken=six["refreshToken"])

        factors(app, uid)
        anonymous(app)
        forged(app, binary)
        guessing(app)
        hidden(app)
        app.root.admin.command("disableAppUser", uid)
        refused([18], app.command, "signIn", email="ann@example.com", password="fresh horse")
        app.root.admin.command("dropAppUser", uid)
        refused([11], app.root.admin.command, "dropAppUser", uid)
    finally:
        server.remove()


def factors(app, uid):
    tokens = app.command("signIn", email="ann@example.com", password="fresh horse")
    access = tokens["accessToken"]
    refused([18], app.command, "enrolTotp", accessToken=access, password="wrong horse")
    made = app.command("enrolTotp", accessToken=access, password="fresh horse", issuer="App")
    check(made["uri"].startswith("otpauth://totp/App:ann%40example.com?secret="), made)
    refused([18], app.command, "confirmTotp", accessToken=access, code="abc")
    now = time.time()
    codes = app.command("confirmTotp", accessToken=access, code=totp(made["secret"], now - 30))
    codes = codes["recoveryCodes"]
    check(len(set(codes)) == 10, codes)
    login = {"email": "ann@example.com", "password": "fresh horse"}
    answer = app.command("signIn", **login)
    check(answer.get("codeRequired") is True and "accessToken" not in answer, answer)
    good = totp(made["secret"], now)
    check("accessToken" in app.command("signIn", **login, code=good), "the code serves")
    refused([18], app.command, "signIn", **login, code=good)
    check("accessToken" in app.command("signIn", **login, code=codes[0]), "recovery")
    refused([18], app.command, "signIn", **login, code=codes[0])
    # The user may do it over the own connection too.
    client = user(app.server, access)
    client.app.command("disableTotp", code=codes[1])
    check("accessToken" in app.command("signIn", **login), "no second factor")


def anonymous(app):
    made = app.command("signInAnonymously")
    client = user(app.server, made["accessToken"])
    client.app.notes.insert_one({"_id": made["userID"]})
    before = app.messages()
    app.command("signUp", email="bob@example.com", password=PASSWORD,
                accessToken=made["accessToken"])
    bob = app.command("verifyEmail", token=token_of(app.message(before, "bob@example.com")))
    check(bob["userID"] == made["userID"], "the id stays")
    note = user(app.server, bob["accessToken"]).app.notes.find_one({"_id": bob["userID"]})
    check(note is not None, "and what belongs to it")


def forged(app, binary):
    """Tokens that pretend to be Roost's own."""
    good = app.command("signInAnonymously")["accessToken"]
    head, body, signature = good.split(".")
    claims, header = json.loads(decoded(body)), json.loads(decoded(head))
    check(claims["exp"] - claims["iat"] == 900 and header["alg"] == "EdDSA", claims)
    now = int(time.time())

    def made(header_changes=None, claim_changes=None, signed=None):
        text = (encoded(json.dumps({**header, **(header_changes or {})}).encode()) + "."
                + encoded(json.dumps({**claims, **(claim_changes or {})}).encode()))
        return text + "." + (signature if signed is None else encoded(signed(text.encode())))

    def hs(key):
        return lambda text: hmac.new(key, text, hashlib.sha256).digest()

    tokens = {
        "alg none": made({"alg": "none"}, signed=lambda text: b""),
        "alg none with a signature": made({"alg": "none"}),
        "alg HS256 with an empty key": made({"alg": "HS256"}, signed=hs(b"")),
        "alg HS256 with the kid": made({"alg": "HS256"}, signed=hs(header["kid"].encode())),
        "alg RS256": made({"alg": "RS256"}),
        "alg ES256": made({"alg": "ES256"}),
        "another user": made(claim_changes={"sub": "root"}),
        "a longer life": made(claim_changes={"exp": now + 10 ** 6}),
        "a right more": made(claim_changes={"role": "staff"}),
        "a forged kid": made({"kid": "../../../etc/passwd"}),
        "no kid": made({"kid": ""}),
        "a key of its own": made({"jwk": {"kty": "oct", "k": ""}}),
        "another audience": made(claim_changes={"aud": "other"}),
        "no session": made(claim_changes={"sid": None}),
        "a cut signature": good[:-4],
    }
    other = App(binary, mail=False)
    try:
        tokens["another folder's"] = other.command("signInAnonymously")["accessToken"]
        check(user(other.server, tokens["another folder's"]).admin.command("ping"), "is good there")
        # Without messages a sign-up has its tokens at once, and has to say what is taken.
        made_there = other.command("signUp", email="a@b.c", password=PASSWORD)
        check("accessToken" in made_there, made_there)
        refused([51003], other.command, "signUp", email="a@b.c", password=PASSWORD)
        refused([115], other.command, "requestPasswordReset", email="a@b.c")
    finally:
        other.server.remove()
    for name, token in tokens.items():
        refused([18], user(app.server, token).app.notes.find_one)
        check(True, name)
    check(user(app.server, good).admin.command("ping"), "the real one is good")


def guessing(app):
    sign_up(app, "eve@example.com")
    for _ in range(10):
        refused([18], app.command, "signIn", email="eve@example.com", password="guess guess",
                address="192.0.2.1")
    text = refused([18], app.command, "signIn", email="eve@example.com", password=PASSWORD,
                   address="192.0.2.1")
    check("too many" in text, text)
    check("accessToken" in app.command("signIn", email="eve@example.com", password=PASSWORD,
                                       address="192.0.2.2"), "from elsewhere")


def hidden(app):
    """No secret shows in the log, the profile or the list of recent lines."""
    app.root.admin.command("profile", 0, slowms=0)
    app.root.app.command("profile", 2, slowms=0)
    tokens = app.command("signIn", email="eve@example.com", password=PASSWORD)
    next_ones = app.command("refreshTokens", refreshToken=tokens["refreshToken"])
    app.root.app.command("profile", 0, slowms=100)
    text = app.server.log() + str(app.root.admin.command("getLog", "global"))
    text += str(list(app.root.app["system.profile"].find()))
    check("signIn" in text and "refreshTokens" in text, "the commands are logged")
    secrets = [PASSWORD, tokens["refreshToken"], next_ones["refreshToken"],
               tokens["accessToken"].split(".")[2]]
    secrets += [token_of(text) for text in app.messages().values() if "X-Roost-Token" in text]
    for secret in secrets:
        check(secret not in text, "a secret shows")


def slow_mail(binary):
    """A mail command that hangs or fails holds nothing up, and fails without a token in the log."""
    app = App(binary, mail=False)
    app.server.stop()
    app.server.options += ["--mail-command", "read line; case $line in *slow*) sleep 60;; esac; "
                           "exit 3"]
    app.server.start()
    try:
        start = time.monotonic()
        for name in ("fails", "slow", "later"):
            check(app.command("signUp", email=f"{name}@example.com", password=PASSWORD)
                  ["messageSent"], name)
        check(app.root.admin.command("ping") and time.monotonic() - start < 15, "nothing waits")
        wait_until(lambda: "status" in app.server.log(), 10, "the failure is logged")
        check("not sent" in app.server.log(), app.server.log())
    finally:
        app.server.kill()
        app.server.remove()


def main():
    binary = os.path.abspath(sys.argv[1])
    accounts(binary)
    slow_mail(binary)
    print(f"app accounts: {checks} checks passed")


if __name__ == "__main__":
    main()
