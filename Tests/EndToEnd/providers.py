"""Issuers and providers elsewhere, played by an HTTPS server of this test: keys that rotate, signing
in with PKCE, and the audit log of it all.

    providers.py ROOST
"""

import base64
import hashlib
import http.server
import json
import os
import ssl
import subprocess
import sys
import threading
import time
import urllib.parse

from app_accounts import PASSWORD, App, check, encoded, refused, user
from authentication import Issuer
from server import wait_until


class Provider:
    """An OpenID provider over HTTPS with a certificate of its own."""

    def __init__(self, folder):
        self.folder, self.requests, self.codes, self.is_down = folder, [], {}, False
        self.certificate = os.path.join(folder, "ca.pem")
        key = os.path.join(folder, "ca.key")
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out",
             self.certificate, "-days", "2", "-subj", "/CN=localhost", "-addext",
             "subjectAltName=DNS:localhost"], check=True, capture_output=True)
        provider = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def answer(self, status, document):
                body = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_GET(self):
                provider.requests.append(self.path)
                if provider.is_down:
                    self.answer(503, {})
                elif self.path == "/.well-known/openid-configuration":
                    self.answer(200, provider.configuration())
                elif self.path == "/keys":
                    self.answer(200, {"keys": provider.keys})
                else:
                    self.answer(404, {})

            def do_POST(self):
                provider.requests.append(self.path)
                text = self.rfile.read(int(self.headers["Content-Length"])).decode()
                fields = dict(urllib.parse.parse_qsl(text))
                self.answer(*provider.exchange(fields, self.headers.get("Authorization")))

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, key)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.url = f"https://localhost:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.rotate("first")

    def rotate(self, kid):
        self.issuer = Issuer(self.folder, f"{kid}.pem", kid)
        self.keys = [self.issuer.jwk]

    def configuration(self):
        return {"issuer": self.url, "jwks_uri": self.url + "/keys",
                "authorization_endpoint": self.url + "/authorize",
                "token_endpoint": self.url + "/token"}

    def token(self, **claims):
        return self.issuer.token({"iss": self.url, "aud": "roost", **claims})

    def authorize(self, url, subject, **claims):
        """What a browser does: the user agrees, and comes back with a code."""
        given = dict(urllib.parse.parse_qsl(urllib.parse.urlparse(url).query))
        check(given["code_challenge_method"] == "S256" and given["client_id"] == "app", given)
        code = f"code-{len(self.codes)}"
        self.codes[code] = (given, {"sub": subject, **claims})
        return given["state"], code

    def exchange(self, fields, authorization):
        given, claims = self.codes.pop(fields.get("code"), (None, None))
        if given is None:
            return 400, {"error": "invalid_grant"}
        challenge = encoded(hashlib.sha256(fields["code_verifier"].encode()).digest())
        check(authorization == "Basic " + base64.b64encode(b"app:s%2Fcret").decode(), "client")
        if challenge != given["code_challenge"] or fields["redirect_uri"] != given["redirect_uri"]:
            return 400, {"error": "invalid_grant"}
        return 200, {"access_token": "x", "token_type": "Bearer", "id_token": self.token(
            **{"aud": "app", "nonce": given["nonce"], **claims})}


def main():
    binary = os.path.abspath(sys.argv[1])
    app = App.__new__(App)
    folder = os.path.join("/tmp", f"roost-provider-{os.getpid()}")
    os.mkdir(folder)
    provider = Provider(folder)
    file = os.path.join(folder, "providers.json")
    with open(file, "w", encoding="ascii") as out:
        json.dump({"providers": [{
            "name": "fake", "issuer": provider.url, "clientID": "app", "clientSecret": "s/cret",
            "redirectURIs": ["https://app.example/back"]}]}, out)
    app.__init__(binary, "--jwt-issuer", provider.url, "--jwt-audience", "roost", "--http-ca",
                 provider.certificate, "--sign-in-providers", file, "--audit", "accesses")
    try:
        issuer(app, provider)
        sign_in(app, provider)
        audit(app)
    finally:
        app.server.remove()
        provider.server.shutdown()
        subprocess.run(["rm", "-rf", folder], check=True)
    print("providers: passed")


def issuer(app, provider):
    server = app.server
    wait_until(lambda: "/keys" in provider.requests, 10, "the keys are fetched at the start")
    time.sleep(0.3)
    check(user(server, provider.token()).admin.command("ping"), "the issuer's token")
    refused([18], user(server, provider.token(aud="other")).admin.command, "ping")
    refused([18], user(server, provider.token(exp=int(time.time()) - 6)).app.notes.find_one)
    first = provider.issuer
    # The issuer rotates: an unknown key is asked for, at most every ten seconds.
    provider.rotate("second")
    forged = first.token({"iss": provider.url}, {"kid": "third"})
    count = provider.requests.count("/keys")
    wait_until(lambda: works(server, provider.token()), 25, "the new key is fetched")
    for _ in range(20):
        refused([18], user(server, forged).app.notes.find_one)
    check(provider.requests.count("/keys") <= count + 3, "not asked for each forged token")
    # While it is down, the last good keys serve on.
    provider.is_down = True
    check(works(server, provider.token()), "the last keys serve")
    time.sleep(10)
    refused([18], user(server, forged).app.notes.find_one)
    wait_until(lambda: "could not be fetched" in server.log(), 10, "the failure is logged")
    check(works(server, provider.token()), "and after a failed fetch too")
    provider.is_down = False


def works(server, token):
    try:
        return user(server, token).admin.command("connectionStatus")["authInfo"][
            "authenticatedUsers"] != []
    except Exception:  # pylint: disable=broad-except
        return False


def sign_in(app, provider):
    def begin(**fields):
        return app.command("beginProviderSignIn", provider="fake", **fields)

    def finish(state, code):
        return app.command("finishProviderSignIn", state=state, code=code)

    made = begin()
    state, code = provider.authorize(made["url"], "g1", email="gil@example.com",
                                     email_verified=True)
    check(state == made["state"], "the state comes back")
    gil = finish(state, code)
    client = user(app.server, gil["accessToken"])
    client.app.notes.insert_one({"_id": gil["userID"]})
    shown = app.root.admin.command("appUsersInfo", gil["userID"])["users"][0]
    check(shown["email"] == "gil@example.com" and shown["emailVerified"], shown)
    # A state serves once, a code too; the same user comes back to the same account.
    refused([18], finish, state, code)
    made = begin()
    again = finish(*provider.authorize(made["url"], "g1", email="gil@example.com"))
    check(again["userID"] == gil["userID"], "the same user")
    made = begin()
    refused([18], finish, made["state"], code)
    refused([18], finish, "none", "none")
    refused([2], begin, redirectURI="https://evil.example/")
    refused([2], app.command, "beginProviderSignIn", provider="other")
    # Another's id_token, another nonce, another audience, an old one.
    for claims in ({"nonce": "other"}, {"aud": "other"}, {"iss": "https://evil.example"},
                   {"exp": int(time.time()) - 60}, {"azp": "other"}, {"sub": None}):
        made = begin()
        refused([18], finish, *provider.authorize(made["url"], "g1", **claims))
    # Another code's sign-in can't be slipped in: its verifier is another.
    one, two = begin(), begin()
    _, stolen = provider.authorize(one["url"], "g1")
    refused([18], finish, two["state"], stolen)
    # An address that the provider doesn't vouch for gets nobody's account.
    made = begin()
    other = finish(*provider.authorize(made["url"], "g2", email="gil@example.com"))
    check(other["userID"] != gil["userID"], "not by an unconfirmed address")
    # A user of the own accounts links the provider.
    ann = app.command("signInAnonymously")
    made = begin(accessToken=ann["accessToken"])
    linked = finish(*provider.authorize(made["url"], "g3"))
    check(linked["userID"] == ann["userID"], "linked")
    made = begin(accessToken=linked["accessToken"])
    refused([18, 51003], finish, *provider.authorize(made["url"], "g1"))


def audit(app):
    refused([18], app.command, "signIn", email="x@y.z", password=PASSWORD)
    app.root.admin.command("createUser", "aud", pwd="hush hush", roles=[])
    app.root.app.orders.insert_one({"_id": 1})
    refused([13], app.backend.orders.find_one)
    message = refused([13], user(app.server, app.command("signInAnonymously")["accessToken"])
                      .app.notes.find_one, {"_id": "x"})
    wanted = {"authenticate", "createUser", "signIn", "deployRules", "authCheck", "rulesDenied",
              "finishProviderSignIn", "signInAnonymously"}
    log = app.root.admin["system.audit"]
    wait_until(lambda: wanted <= set(log.distinct("atype")), 10, set(log.distinct("atype")))
    made = log.find_one({"atype": "createUser", "param.name": "aud"})
    check(made["users"] == [{"user": "admin", "db": "admin"}] and made["result"] == 0, made)
    check(made["remote"] == {"ip": "127.0.0.1"}, made)
    check(log.find_one({"atype": "authCheck", "param.ns": "app.orders", "param.command": "insert",
                        "result": 0}), "what bypasses the rules")
    check(log.find_one({"atype": "authCheck", "result": 13})["users"][0]["user"] == "backend", "")
    denial = log.find_one({"atype": "rulesDenied", "users.db": "$external"})
    check(log.find_one({"param.id": message.split("denial ")[1].split(")")[0]}), denial)
    refused([13], app.backend.client.admin["system.audit"].find_one)
    refused([13], log.drop)
    refused([13], log.insert_one, {})
    text = str(list(log.find()))
    check("hush hush" not in text and PASSWORD not in text, "a password shows")
    count = log.count_documents({})
    app.server.kill()
    app.server.start()
    check(log.count_documents({}) >= count, "the log is durable")


if __name__ == "__main__":
    main()
