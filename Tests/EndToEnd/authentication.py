"""Signing in with PyMongo: SCRAM-SHA-256, roles, the door's policy, tokens of app users.

    authentication.py ROOST

Starts servers on temporary folders. Wrong passwords, unknown users, withdrawn rights, guessing and
forged tokens must all be refused, and no secret may show in any log, profile or list.
"""

import base64
import hashlib
import hmac
import json
import os
import subprocess
import sys
import tempfile
import time

import bson
import pymongo
from pymongo.auth_oidc import OIDCCallback, OIDCCallbackResult
from pymongo.errors import OperationFailure, PyMongoError

from server import Server, wait_until

SECRET = "correct horse battery staple"
checks = 0


def check(condition, what):
    global checks
    assert condition, what
    checks += 1


def refused(code, action, *arguments, **options):
    """The action must fail with that code; gives the message."""
    try:
        action(*arguments, **options)
    except OperationFailure as error:
        check(error.code == code, f"code {error.code} in place of {code}: {error}")
        return str(error)
    raise AssertionError(f"was not refused with {code}")


def sign_in(server, user, password, source="admin", **options):
    return pymongo.MongoClient(
        f"mongodb://{server.address}", username=user, password=password, authSource=source,
        authMechanism="SCRAM-SHA-256", serverSelectionTimeoutMS=10_000, **options)


def accounts(binary):
    server = Server(binary)
    server.start()
    try:
        free = server.client()
        free.shop.orders.insert_one({"_id": 1})
        admin = free.admin
        admin.command("createUser", "root", pwd=SECRET, roles=["root"])
        check(not free.admin.command("ping") is None, "ping stays open")
        refused(13, free.shop.orders.find_one)
        refused(13, free.shop.command, "insert", "orders", documents=[{"_id": 2}])
        refused(13, admin.command, "createUser", "more", pwd="x", roles=["root"])
        for command in ("hello", "buildInfo", "connectionStatus"):
            admin.command(command)

        root = sign_in(server, "root", SECRET)
        check(root.shop.orders.find_one() == {"_id": 1}, "root reads")
        wrong = refused(18, sign_in(server, "root", "wrong").admin.command, "ping")
        unknown = refused(18, sign_in(server, "nobody", "wrong").admin.command, "ping")
        check(wrong.replace("wrong", "") == unknown.replace("wrong", ""), "unknown looks the same")
        refused(18, sign_in(server, "root", SECRET, "shop").admin.command, "ping")
        weak = pymongo.MongoClient(
            f"mongodb://{server.address}", username="root", password=SECRET,
            authMechanism="SCRAM-SHA-1")
        check("SHA-256" in refused(334, weak.admin.command, "ping"), "SHA-1 is refused clearly")
        # The default mechanism is found by asking.
        asked = pymongo.MongoClient(f"mongodb://{server.address}", username="root", password=SECRET)
        check(asked.shop.orders.count_documents({}) == 1, "the mechanism is found")

        roles(server, root)
        own_roles(server, root)
        unicode_password(server, root)
        withdrawn(server, root)
        sessions_apart(server, root)
        secrets_hidden(server, root)
        guessing(server)

        server.stop()
        server.start()
        check(sign_in(server, "root", SECRET).shop.orders.find_one() == {"_id": 1}, "durable")
        refused(13, server.client().shop.orders.find_one)
    finally:
        server.remove()


def roles(server, root):
    root.shop.command("createUser", "reader", pwd="r", roles=["read"], customData={"team": 1})
    root.shop.command("createUser", "retrier", pwd="w", roles=["readWrite"])
    root.admin.command(
        "createUser", "watcher", pwd="m", roles=[{"role": "clusterMonitor", "db": "admin"}])
    refused(51003, root.shop.command, "createUser", "reader", pwd="r", roles=[])
    refused(31, root.shop.command, "createUser", "odd", pwd="r", roles=["noSuchRole"])
    refused(11, root.shop.command, "dropUser", "nobody")
    refused(2, root.shop.command, "createUser", "odd", pwd="", roles=[])
    refused(2, root.shop.command, "createUser", "odd", pwd="x", roles=[],
            mechanisms=["SCRAM-SHA-1"])

    reader = sign_in(server, "reader", "r", "shop")
    check(reader.shop.orders.find_one() == {"_id": 1}, "a reader reads")
    check([d["_id"] for d in reader.shop.orders.find({"_id": 1})] == [1], "and again")
    check(reader.shop.list_collection_names() == ["orders"], "and lists")
    check(reader.list_database_names() == ["shop"], "and sees its database")
    orders = reader.shop.orders
    refused(13, orders.insert_one, {"_id": 9})
    refused(13, orders.update_one, {"_id": 1}, {"$set": {"a": 1}})
    refused(13, orders.update_one, {"_id": 9}, {"$set": {"a": 1}}, upsert=True)
    refused(13, orders.delete_one, {"_id": 1})
    refused(13, orders.find_one_and_delete, {"_id": 1})
    refused(13, orders.create_index, "a")
    refused(13, orders.drop)
    refused(13, reader.drop_database, "shop")
    refused(13, reader.other.orders.find_one)
    refused(13, orders.aggregate, [{"$out": "copy"}])
    refused(13, orders.aggregate, [{"$merge": "copy"}])
    refused(13, orders.aggregate, [{"$lookup": {
        "from": {"db": "other", "coll": "x"}, "pipeline": [], "as": "y"}}])
    refused(13, orders.aggregate, [{"$facet": {"a": [{"$unionWith": {
        "coll": "system.profile", "pipeline": []}}]}}])
    refused(13, orders.aggregate, [{"$lookup": {"from": "orders", "as": "y", "pipeline": [
        {"$unionWith": "system.profile"}]}}])
    refused(13, reader.admin.aggregate, [{"$currentOp": {}}])
    refused(13, reader.shop.command, "query", "insert into orders { a: 1 }")
    refused(13, reader.shop.command, "query", "delete from orders where _id == 1")
    refused(13, reader.shop.command, "explain", {"find": "secret", "$db": "other"})
    refused(13, reader.shop.command, "create", "view", viewOn="orders", pipeline=[])
    refused(13, reader.shop.command, "profile", 2)
    refused(13, reader.shop.command, "createUser", "more", pwd="x", roles=["dbOwner"])
    refused(13, reader.shop.command, "grantRolesToUser", "reader", roles=["dbOwner"])
    refused(13, reader.shop.command, "updateUser", "writer", pwd="taken")
    refused(13, reader.admin.command, "serverStatus")
    refused(13, reader.admin.command, "setParameter", 1, logLevel=0)
    refused(13, reader.admin.command, "getLog", "global")
    refused(13, reader.admin.system.users.find_one)
    refused(13, reader.admin.command, "bulkWrite", 1, ops=[{"insert": 0, "document": {}}],
            nsInfo=[{"ns": "shop.orders"}])
    rows = reader.shop.command("query", "from orders")["cursor"]["firstBatch"]
    check(rows == [{"_id": 1}], "a reader's text")
    own = reader.shop.command("usersInfo", "reader", showCredentials=True)["users"][0]
    check(own["_id"] == "shop.reader" and own["customData"] == {"team": 1}, "sees itself")
    check("credentials" not in own and own["mechanisms"] == ["SCRAM-SHA-256"], "no credentials")
    refused(13, reader.shop.command, "usersInfo", 1)
    status = reader.admin.command("connectionStatus", showPrivileges=True)["authInfo"]
    check(status["authenticatedUsers"] == [{"user": "reader", "db": "shop"}], "status")
    check({"role": "read", "db": "shop"} in status["authenticatedUserRoles"], "roles in status")

    writer = sign_in(server, "retrier", "w", "shop")
    writer.shop.orders.insert_one({"_id": 5})
    writer.shop.orders.update_one({"_id": 6}, {"$set": {"a": 1}}, upsert=True)
    writer.shop.orders.delete_many({"_id": {"$gt": 1}})
    refused(13, writer.other.orders.insert_one, {})
    refused(13, writer.shop.command, "dropUser", "reader")
    watcher = sign_in(server, "watcher", "m")
    check(watcher.admin.command("serverStatus")["ok"] == 1, "a monitor monitors")
    refused(13, watcher.shop.orders.find_one)
    for client in (reader, writer, watcher):
        client.close()


def own_roles(server, root):
    find = {"resource": {"db": "shop", "collection": "orders"}, "actions": ["find"]}
    insert = {"resource": {"db": "shop", "collection": "orders"}, "actions": ["insert"]}
    root.shop.command("createRole", "looker", privileges=[find], roles=[])
    refused(51002, root.shop.command, "createRole", "looker", privileges=[], roles=[])
    refused(49, root.shop.command, "createRole", "far", privileges=[
        {"resource": {"cluster": True}, "actions": ["serverStatus"]}], roles=[])
    refused(9, root.shop.command, "createRole", "odd", privileges=[
        {"resource": {"db": "shop", "collection": ""}, "actions": ["fly"]}], roles=[])
    root.shop.command("createRole", "both", privileges=[insert], roles=["looker"])
    refused(49, root.shop.command, "grantRolesToRole", "looker", roles=["both"])
    root.shop.command("createUser", "ann", pwd="a", roles=["both"])
    ann = sign_in(server, "ann", "a", "shop")
    check(ann.shop.orders.find_one() == {"_id": 1}, "inherited")
    ann.shop.orders.insert_one({"_id": 7})
    refused(13, ann.shop.orders.delete_one, {"_id": 7})
    refused(13, ann.shop.other.find_one)
    info = root.shop.command("rolesInfo", "both", showPrivileges=True)["roles"][0]
    check(info["roles"] == [{"role": "looker", "db": "shop"}], "rolesInfo")
    check(len(info["inheritedPrivileges"]) == 1, "merged privileges")
    # As collections, to those who may.
    shown = root.admin["system.users"].find_one({"_id": "shop.ann"})
    check(shown["user"] == "ann" and "credentials" not in shown, shown)
    check(root.admin["system.roles"].count_documents({"db": "shop"}) == 2, "both roles")
    check(root.admin["system.users"].distinct("user", {"db": "shop"}).count("ann") == 1, "values")
    refused(13, ann.admin["system.users"].find_one)
    # The same connection loses what its role loses.
    root.shop.command("revokePrivilegesFromRole", "both", privileges=[insert])
    refused(13, ann.shop.orders.insert_one, {"_id": 8})
    root.shop.command("dropRole", "looker")
    refused(13, ann.shop.orders.find_one)
    root.shop.command("grantPrivilegesToRole", "both", privileges=[find])
    check(ann.shop.orders.find_one() is not None, "granted again")
    root.shop.command("dropAllRolesFromDatabase")
    refused(13, ann.shop.orders.find_one)
    root.shop.orders.delete_many({"_id": {"$gt": 1}})
    ann.close()


def unicode_password(server, root):
    # SASLprep makes one of the two spellings, and of the two spaces.
    root.admin.command("createUser", "päul", pwd="pässword\u00a0\u2168", roles=[])
    for password in ("pässword\u00a0\u2168", "pa\u0308ssword IX"):
        sign_in(server, "päul", password).admin.command("ping")
    root.admin.command("createUser", "a=b,c", pwd="x", roles=[])
    sign_in(server, "a=b,c", "x").admin.command("ping")
    check(True, "names with = and ,")


def withdrawn(server, root):
    root.shop.command("createUser", "temp", pwd="t", roles=["read"])
    temp = sign_in(server, "temp", "t", "shop")
    for _ in range(3):
        check(temp.shop.orders.find_one({"_id": 1}) == {"_id": 1}, "reads by _id")
    root.shop.orders.insert_many([{"_id": n} for n in range(100, 300)])
    cursor = temp.shop.orders.find({}, batch_size=10)
    next(cursor)
    stream = temp.shop.watch(max_await_time_ms=20_000)
    stream.try_next() if False else None
    root.shop.command("revokeRolesFromUser", "temp", roles=["read"])
    refused(13, temp.shop.orders.find_one, {"_id": 1})
    try:
        list(cursor)
        raise AssertionError("a cursor outlived its rights")
    except OperationFailure as error:
        check(error.code in (13, 43), f"cursor: {error}")
    try:
        stream.next()
        raise AssertionError("a change stream outlived its rights")
    except PyMongoError:
        check(True, "change stream ended")
    root.shop.command("dropUser", "temp")
    refused(13, temp.shop.orders.find_one, {"_id": 1})
    # Another account of the same name is another account.
    root.shop.command("createUser", "temp", pwd="u", roles=["read"])
    refused(13, temp.shop.orders.find_one, {"_id": 1})
    root.shop.command("updateUser", "temp", pwd="v")
    refused(18, sign_in(server, "temp", "u", "shop").admin.command, "ping")
    sign_in(server, "temp", "v", "shop").shop.orders.find_one()
    root.shop.orders.delete_many({"_id": {"$gt": 1}})
    temp.close()


def sessions_apart(server, root):
    """A cursor is its account's, also where the session's id is known."""
    root.shop.orders.insert_many([{"_id": n} for n in range(100, 300)])
    root.shop.command("createUser", "other", pwd="o", roles=["read"])
    session = {"id": bson.Binary(os.urandom(16), 4)}
    first = root.shop.command("find", "orders", batchSize=5, lsid=session)
    other = sign_in(server, "other", "o", "shop")
    refused(50738, other.shop.command, "getMore", first["cursor"]["id"], collection="orders",
            lsid=session)
    root.shop.orders.delete_many({"_id": {"$gt": 1}})


def retries(binary):
    """Nobody is given the outcome of another's retryable write: it is a write of its own."""
    server = Server(binary)
    server.options += ["--replica-set", "rs0", "--advertise", server.address]
    server.start()
    try:
        server.client().admin.command("createUser", "root", pwd=SECRET, roles=["root"])
        root = sign_in(server, "root", SECRET)
        root.shop.command("createUser", "other", pwd="o", roles=["readWrite"])
        write = {"documents": [{"_id": 1}], "lsid": {"id": bson.Binary(os.urandom(16), 4)},
                 "txnNumber": bson.Int64(7)}
        check(root.shop.command("insert", "retried", **write)["n"] == 1, "written")
        check(root.shop.command("insert", "retried", **write)["n"] == 1, "retried")
        server.kill()
        server.start()
        check(root.shop.command("insert", "retried", **write)["n"] == 1, "after a restart too")
        other = sign_in(server, "other", "o", "shop")
        again = other.shop.command("insert", "retried", check=False, **write)
        check(again["n"] == 0 and again["writeErrors"][0]["code"] == 11000, again)
    finally:
        server.remove()


def secrets_hidden(server, root):
    root.admin.command("profile", 2, slowms=0)
    root.shop.command("profile", 2, slowms=0)
    marks = ["Hush4711", "Hush4712"]
    root.shop.command("createUser", "quiet", pwd=marks[0], roles=[])
    root.shop.command("updateUser", "quiet", pwd=marks[1])
    sign_in(server, "quiet", marks[1], "shop").admin.command("ping")
    refused(18, sign_in(server, "quiet", marks[0], "shop").admin.command, "ping")
    refused(2, root.shop.command, "createUser", "quiet2", pwd=marks[0], roles=[],
            digestPassword=False)
    root.admin.command("profile", 0, slowms=100)
    root.shop.command("profile", 0)
    seen = [server.log(), str(root.admin.command("getLog", "global"))]
    for name in ("admin", "shop"):
        seen.append(str(list(root[name]["system.profile"].find())))
    text = "".join(seen)
    check("createUser" in text and "saslContinue" in text, "the commands are logged")
    for mark in marks:
        check(mark not in text, "a password shows")
    check("n,,n=" not in text and "biws" not in text, "a payload shows")


def guessing(server):
    for _ in range(10):
        refused(18, sign_in(server, "victim", "guess").admin.command, "ping")
    message = refused(18, sign_in(server, "victim", "guess").admin.command, "ping")
    check("too many" in message, "guessing is slowed down")
    check(sign_in(server, "root", SECRET).admin.command("ping"), "others still sign in")


def doors(binary):
    server = Server(binary, "--auth", "required")
    server.start()
    try:
        password = server.log().split("password  ")[1].split()[0]
        refused(13, server.client().shop.orders.find_one)
        admin = sign_in(server, "admin", password)
        admin.shop.orders.insert_one({})
        server.stop()
        server.start()
        check("password  " not in server.log(), "shown once")
        check(sign_in(server, "admin", password).shop.orders.count_documents({}) == 1, "kept")
        server.stop()
        made = subprocess.run(
            [binary, "admin", "create", "eve", "--folder", server.folder], input="pass word\n",
            text=True, capture_output=True, check=True)
        check("eve" in made.stdout and "pass word" not in made.stdout, made.stdout)
        server.start()
        check(sign_in(server, "eve", "pass word").shop.orders.count_documents({}) == 1, "eve")
        shell = subprocess.run(
            [binary, "shell", f"mongodb://eve:pass%20word@{server.address}/shop?authSource=admin",
             "-e", "from orders | count"], capture_output=True, text=True, check=True)
        check("1" in shell.stdout, shell.stdout)
        asked = subprocess.run(
            [binary, "shell", f"mongodb://eve@{server.address}/shop?authSource=admin",
             "-e", "from orders | count"], capture_output=True, text=True, input="pass word\n",
            check=True)
        check("1" in asked.stdout, asked.stdout)
        failed = subprocess.run(
            [binary, "shell", f"mongodb://eve:no@{server.address}/", "-e", "from orders"],
            capture_output=True, text=True, check=False)
        check(failed.returncode == 2 and "Authentication failed" in failed.stderr, failed.stderr)
    finally:
        server.remove()

    server = Server(binary)
    server.start()
    try:
        made = subprocess.run(
            [binary, "admin", "create", "--url", f"mongodb://{server.address}", "--generate"],
            capture_output=True, text=True, check=True)
        password = made.stdout.split("only now: ")[1].strip()
        check(sign_in(server, "admin", password).list_database_names() is not None, "made running")
        again = subprocess.run(
            [binary, "admin", "create", "more", "--url", f"mongodb://{server.address}",
             "--generate"], capture_output=True, text=True, check=False)
        check(again.returncode != 0 and "authentication" in again.stderr, again.stderr)
    finally:
        server.remove()

    outside = subprocess.run(["hostname", "-I"], capture_output=True, text=True, check=False)
    address = (outside.stdout.split() or [""])[0]
    if address:
        server = Server(binary, "--listen", f"{address}:0")
        server.start()
        try:
            wait_until(lambda: f"{address}:" in server.log(), 10, server.log())
            port = server.log().split(f"{address}:")[1].split()[0].strip('",')
            far = pymongo.MongoClient(f"mongodb://{address}:{port}", serverSelectionTimeoutMS=5_000)
            check("admin create" in refused(13, far.shop.orders.find_one), "far is refused")
            server.client().admin.command("createUser", "root", pwd="p", roles=["root"])
            near = pymongo.MongoClient(
                f"mongodb://root:p@{address}:{port}/", serverSelectionTimeoutMS=5_000)
            check(near.shop.orders.count_documents({}) == 0, "far signs in")
        finally:
            server.remove()
    server = Server(binary, "--auth", "off")
    server.start()
    try:
        server.client().admin.command("createUser", "root", pwd="p", roles=["root"])
        check(server.client().shop.orders.count_documents({}) == 0, "--auth off asks nobody")
    finally:
        server.remove()


# Tokens. The keys are made by openssl, so that they are nobody else's.


def encoded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Issuer:
    """An RSA key and its set."""

    def __init__(self, folder, name, kid):
        self.kid, self.key = kid, os.path.join(folder, name)
        subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt",
                        "rsa_keygen_bits:2048", "-out", self.key], check=True, capture_output=True)
        modulus = subprocess.run(
            ["openssl", "rsa", "-in", self.key, "-noout", "-modulus"], check=True,
            capture_output=True, text=True).stdout.split("=")[1].strip()
        self.jwk = {"kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256",
                    "n": encoded(bytes.fromhex(modulus)), "e": "AQAB"}
        self.public = subprocess.run(
            ["openssl", "rsa", "-in", self.key, "-pubout"], check=True,
            capture_output=True).stdout

    def token(self, claims=None, header=None, signature=None):
        now = int(time.time())
        head = {"alg": "RS256", "typ": "JWT", "kid": self.kid, **(header or {})}
        body = {"iss": "https://issuer.example", "aud": "roost", "sub": "u1", "iat": now,
                "exp": now + 60, **(claims or {})}
        body = {name: value for name, value in body.items() if value is not None}
        head = {name: value for name, value in head.items() if value is not None}
        text = encoded(json.dumps(head).encode()) + "." + encoded(json.dumps(body).encode())
        if signature is None:
            made = subprocess.run(["openssl", "dgst", "-sha256", "-sign", self.key],
                                  input=text.encode(), check=True, capture_output=True).stdout
        else:
            made = signature(text.encode())
        return text + "." + encoded(made)


class Callback(OIDCCallback):
    def __init__(self, token):
        self.token = token

    def fetch(self, context):
        return OIDCCallbackResult(access_token=self.token)


def tokens(binary):
    folder = tempfile.mkdtemp(prefix="roost-keys-")
    issuer, other = Issuer(folder, "one.pem", "one"), Issuer(folder, "two.pem", "one")
    keys = os.path.join(folder, "jwks.json")
    with open(keys, "w", encoding="ascii") as file:
        json.dump({"keys": [issuer.jwk]}, file)
    server = Server(binary, "--auth", "required", "--jwt-issuer", "https://issuer.example",
                    "--jwt-audience", "roost", "--jwt-jwks", keys)
    server.start()
    try:
        def client(token):
            return pymongo.MongoClient(
                f"mongodb://{server.address}", authMechanism="MONGODB-OIDC",
                authMechanismProperties={"OIDC_CALLBACK": Callback(token)})

        def status(token):
            return client(token).admin.command("connectionStatus")["authInfo"]

        good = issuer.token()
        check(status(good)["authenticatedUsers"] == [{"user": "u1", "db": "$external"}], "u1")
        # A token is a bearer's: the same one signs in again until it ends.
        check(status(good)["authenticatedUsers"] != [], "again")
        refused(13, client(good).shop.orders.find_one)
        refused(13, client(good).admin.command, "createUser", "x", pwd="x", roles=["root"])
        now = int(time.time())

        def hs(text):
            return hmac.new(issuer.public, text, hashlib.sha256).digest()

        parts = good.split(".")
        forged = {
            "expired": issuer.token({"exp": now - 120}),
            "without an end": issuer.token({"exp": None}),
            "of the future": issuer.token({"nbf": now + 600}),
            "issued in the future": issuer.token({"iat": now + 600}),
            "of another issuer": issuer.token({"iss": "https://evil.example"}),
            "for another audience": issuer.token({"aud": "other"}),
            "for others": issuer.token({"aud": ["a", "b"]}),
            "without an audience": issuer.token({"aud": None}),
            "without a subject": issuer.token({"sub": None}),
            "alg none": issuer.token(header={"alg": "none"}, signature=lambda text: b""),
            "alg none, signed": issuer.token(header={"alg": "none"}),
            "alg HS256 with the public key": issuer.token(header={"alg": "HS256"}, signature=hs),
            "alg RS512": issuer.token(header={"alg": "RS512"}),
            "another key under the same kid": other.token(),
            "an unknown kid": issuer.token(header={"kid": "../../etc/passwd"}),
            "a kid that is no string": issuer.token(header={"kid": 1}),
            "crit": issuer.token(header={"crit": ["exp"]}),
            "its own key": other.token(header={"jwk": other.jwk}),
            "changed claims": parts[0] + "." + encoded(b'{"sub":"root"}') + "." + parts[2],
            "cut": ".".join(parts[:2]) + ".",
            "garbage": "a.b.c",
        }
        for name, token in forged.items():
            refused(18, status, token)
            check(True, name)
        check(status(issuer.token({"aud": ["a", "roost"]}))["authenticatedUsers"] != [], "list")
        text = server.log()
        check(parts[1] not in text and parts[2] not in text, "a token shows in the log")
        check("sign-in failed" in text, "failures are logged")
    finally:
        server.remove()


def main():
    binary = os.path.abspath(sys.argv[1])
    accounts(binary)
    doors(binary)
    retries(binary)
    tokens(binary)
    print(f"authentication: {checks} checks passed")


if __name__ == "__main__":
    main()
