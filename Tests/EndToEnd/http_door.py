"""The HTTP door: documents, queries, batches, accounts, live queries, and those who misbehave.

    http_door.py ROOST

The same user and query are asked over TCP, HTTP, WebSocket and Server-Sent Events, and must get the
same rows.
"""

import http.client
import json
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

import pymongo
from bson import json_util
from pymongo.auth_oidc import OIDCCallback, OIDCCallbackResult

from http_client import Events, Http, Rows, WebSocket
from server import Server, free_port, wait_until

RULES = """rules_version = '2';
service cloud.firestore {
  option mode = 'filter';
  match /databases/{db}/documents {
    match /notes/{id} {
      allow read: if resource.data.owner == request.auth.uid;
      allow create: if request.resource.data.owner == request.auth.uid;
      allow update, delete: if resource.data.owner == request.auth.uid;
    }
    match /open/{id} { allow read: if true; }
  }
}
"""
API = "/api/v1/databases/app"
checks = 0


def check(condition, *what):
    global checks
    assert condition, what
    checks += 1


def quote(text):
    return urllib.parse.quote(text, safe="")


def refused(answer, status, code=None):
    got, body, _ = answer
    check(got == status, f"{got} in place of {status}", body)
    check(body["success"] is False and body["data"] is None, body)
    check(set(body) == {"success", "data", "error", "metadata"}, body)
    check(set(body["error"]) == {"code", "message", "details"}, body)
    if code:
        check(body["error"]["code"] == code, body)
    return body["error"]


def documents(http, collection):
    path = f"{API}/collections/{collection}/documents"
    status, body, headers = http.call("POST", path, {"_id": "a", "n": 1, "tags": ["x"]})
    check(status == 201 and body["data"] == {"_id": "a"}, body)
    check(headers["Location"] == f"{path}/a", headers["Location"])
    refused(http.call("POST", path, {"_id": "a"}), 409, "DuplicateKey")
    made = http.ok("POST", path, {"n": 7})["_id"]["$oid"]
    check(http.ok("GET", f"{path}/{made}")["n"] == 7)
    check(http.ok("GET", f"{path}/a") == {"_id": "a", "n": 1, "tags": ["x"]})
    check(http.ok("GET", f"{path}/a?fields=n") == {"_id": "a", "n": 1})
    refused(http.call("GET", f"{path}/none"), 404)
    check(http.ok("PUT", f"{path}/a", {"n": 2, "tags": ["x"]})["created"] is False)
    check(http.call("PUT", f"{path}/b%2Fc", {"n": 3})[0] == 201)
    check(http.ok("GET", f"{path}/b%2Fc")["_id"] == "b/c")
    check(http.ok("PATCH", f"{path}/a", {
        "set": {"name": "é"}, "increment": {"n": 5}, "serverTime": ["at"],
        "arrayUnion": {"tags": ["x", "y"]}})["modified"])
    found = http.ok("GET", f"{path}/a")
    check(found["n"] == 7 and found["tags"] == ["x", "y"] and found["name"] == "é", found)
    check("$date" in found["at"], found)
    found = http.ok("PATCH", f"{path}/a?return=document", {
        "arrayRemove": {"tags": ["x"]}, "unset": ["at"]})
    check(found == {"_id": "a", "n": 7, "tags": ["y"], "name": "é"}, found)
    http.ok("PATCH", f"{path}/a", {"name": None, "in": {"side": 1}},
            Content_Type="application/merge-patch+json")
    check(http.ok("GET", f"{path}/a") == {"_id": "a", "n": 7, "tags": ["y"], "in": {"side": 1}})
    refused(http.call("PATCH", f"{path}/none", {"set": {"a": 1}}), 404)
    refused(http.call("PATCH", f"{path}/a", {"sett": {"a": 1}}), 400)
    refused(http.call("PUT", f"{path}/a", {"$set": {"n": 1}}), 400)
    check(http.ok("DELETE", f"{path}/a") == {"_id": "a"})
    refused(http.call("DELETE", f"{path}/a"), 404)
    http.ok("PUT", f"{path}/5?idType=int", {"n": 5})
    check(http.ok("GET", f"{path}/5?idType=int")["_id"] == 5)
    refused(http.call("GET", f"{path}/5"), 404)
    refused(http.call("GET", f"{path}/%7B%22$gt%22:0%7D?idType=json"), 400)
    big = 2**53 + 1
    http.ok("PUT", f"{path}/big", {"n": big, "small": 2**40})
    found = http.ok("GET", f"{path}/big")
    check(found["n"] == {"$numberLong": str(big)} and found["small"] == 2**40, found)


def lists(http, client):
    rows = [{"_id": i, "n": i % 7, "text": "x" * 50} for i in range(250)]
    client.app.rows.insert_many(rows)
    path = f"{API}/collections/rows/documents"
    found, page, pages = [], None, 0
    while pages == 0 or page:
        query = f"?pageSize=60&page={page}" if page else "?pageSize=60&sort=-_id"
        status, body, _ = http.call("GET", path + query)
        check(status == 200, body)
        again = http.call("GET", path + query)
        if page and body["metadata"]["nextPage"]:
            check(again[1] == body, "a page that is asked for again")
        found += body["data"]
        page, pages = body["metadata"]["nextPage"], pages + 1
        # Pages go over any connection.
        http = Http(http.port)
    check([row["_id"] for row in found] == list(range(249, -1, -1)), len(found))
    filtered = http.ok("GET", f"{path}?filter={quote(json.dumps({'n': 3}))}&limit=5")
    check([row["n"] for row in filtered] == [3] * 5)
    check(http.ok("GET", f"{API}/collections/rows/count") == {"count": 250})
    refused(http.call("GET", f"{path}?page=rubbish"), 400)
    refused(http.call("GET", f"{path}?sorted=1"), 400)
    refused(http.call("GET", f"{path}?pageSize=0"), 400)
    status, body, _ = http.call("POST", f"{API}/query?pageSize=100", {
        "query": "from rows | where n == $n | sort _id", "params": {"n": 3}})
    check([row["_id"] for row in body["data"]] == list(range(3, 250, 7)), body)
    error = refused(http.call("POST", f"{API}/query", {"query": "from rows | wher n"}), 400)
    check("line 1" in error["message"], error)
    http.ok("POST", f"{API}/query", {"query": "update rows where _id == 1 set n = 100"})
    check(client.app.rows.find_one({"_id": 1})["n"] == 100)
    status, _, headers = http.call("GET", path, Accept_Encoding="gzip")
    check(status == 200 and headers["Content-Encoding"] == "gzip", headers)


def once(http, client):
    path = f"{API}/collections/once/documents"
    http.ok("PUT", f"{path}/a", {"n": 0})
    for _ in range(3):
        http.ok("PATCH", f"{path}/a", {"increment": {"n": 1}}, Idempotency_Key="k1")
    for number in range(1, 4):
        for _ in range(2):
            http.ok("PATCH", f"{path}/a", {"increment": {"n": 1}},
                    Idempotency_Key=f"queue:{number}")
    check(http.ok("GET", f"{path}/a")["n"] == 4)
    refused(http.call("PATCH", f"{path}/a", {"increment": {"n": 1}}, Idempotency_Key="queue:2"),
            409)
    for attempt in range(3):
        answer = http.ok("POST", f"{API}/batch", {"atomic": True, "requests": [
            {"method": "PATCH", "path": "collections/once/documents/a",
             "body": {"increment": {"n": 10}}},
            {"method": "PUT", "path": "collections/once/documents/b", "body": {"n": 1}},
        ]}, Idempotency_Key="batch-1")
        check(answer["replayed"] is (attempt > 0), answer)
    check(http.ok("GET", f"{path}/a")["n"] == 14)
    # One that fails undoes all.
    refused(http.call("POST", f"{API}/batch", {"atomic": True, "requests": [
        {"method": "PATCH", "path": "collections/once/documents/a",
         "body": {"increment": {"n": 10}}},
        {"method": "POST", "path": "collections/once/documents", "body": {"_id": "b"}},
    ]}), 409)
    check(http.ok("GET", f"{path}/a")["n"] == 14)
    answer = http.ok("POST", f"{API}/batch", {"requests": [
        {"method": "POST", "path": "collections/once/documents", "body": {"_id": "b"}},
        {"method": "GET", "path": "collections/once/documents/a"},
    ]})
    check([result["status"] for result in answer["results"]] == [409, 200], answer)
    refused(http.call("POST", f"{API}/batch", {"requests": [
        {"method": "GET", "path": "/api/v1/databases/other/collections/a/documents/b"}]}), 400)


def token_of(http, path, body=None):
    return http.ok("POST", f"/api/v1/auth/{path}", body or {})


def accounts(port, server):
    http = Http(port)
    first = token_of(http, "sign-up", {"email": "ann@example.com", "password": "correct horse"})
    check(set(first) == {"userID", "accessToken", "refreshToken", "expiresAt"}, first)
    refused(http.call("POST", "/api/v1/auth/sign-up",
                      {"email": "ann@example.com", "password": "correct horse"}), 409)
    refused(http.call("POST", "/api/v1/auth/sign-in",
                      {"email": "ann@example.com", "password": "wrong horse"}), 401)
    refused(http.call("POST", "/api/v1/auth/sign-in", {"email": "ann@example.com"}), 400)
    refused(http.call("POST", "/api/v1/auth/sign-in", {"email": 1, "password": "x"}), 400)
    signed = token_of(http, "sign-in", {"email": "ann@example.com", "password": "correct horse"})
    second = token_of(http, "refresh", {"refreshToken": signed["refreshToken"]})
    check(second["userID"] == signed["userID"])
    user = Http(port, second["accessToken"])
    enrolled = user.ok("POST", "/api/v1/auth/totp/enrol", {"password": "correct horse"})
    check("secret" in enrolled, enrolled)
    refused(user.call("POST", "/api/v1/auth/totp/confirm", {"code": "000000"}), 401)
    refused(http.call("POST", "/api/v1/auth/change-password",
                      {"password": "a", "newPassword": "b"}), 401)
    changed = user.ok("POST", "/api/v1/auth/change-password",
                      {"password": "correct horse", "newPassword": "battery staple"})
    path = f"{API}/collections/notes/documents"
    refused(user.call("GET", path), 401)
    user.token = changed["accessToken"]
    check(user.ok("GET", path) == [])
    user.ok("POST", "/api/v1/auth/sign-out", {"refreshToken": changed["refreshToken"]})
    refused(user.call("GET", path), 401)
    # A refresh token that is used twice ends its family.
    refused(http.call("POST", "/api/v1/auth/refresh",
                      {"refreshToken": signed["refreshToken"]}), 401)
    anonymous = token_of(http, "anonymous")
    check(Http(port, anonymous["accessToken"]).ok("GET", path) == [])
    for forged in ("rubbish", "a.b.c", anonymous["accessToken"][:-4] + "AAAA"):
        answer = Http(port, forged).call("GET", path)
        refused(answer, 401, "AuthenticationFailed")
        check(answer[2]["WWW-Authenticate"] == "Bearer")
    refused(http.call("GET", path, Authorization="Basic YTpi"), 401)
    for _ in range(30):
        status, body, headers = http.call("POST", "/api/v1/auth/sign-in", {
            "email": "ann@example.com", "password": "guess"})
        if status == 429:
            check(int(headers["Retry-After"]) > 0, headers)
            break
    check(status == 429, body)


class Callback(OIDCCallback):
    def __init__(self, token):
        self.token = token

    def fetch(self, context):
        return OIDCCallbackResult(access_token=self.token)


def same_answers(port, server, admin):
    """One user, one query, four ways."""
    http = Http(port)
    users = [token_of(http, "anonymous") for _ in range(2)]
    admin.app.notes.insert_many(
        [{"_id": f"{name}{i}", "owner": users[who]["userID"], "n": i, "f": i / 3}
         for who, name in enumerate("ab") for i in range(20)])
    admin.app.open.insert_many([{"_id": i, "n": i * i} for i in range(30)])
    queries = ["from notes", "from notes | where n > 5 | sort -n | limit 7",
               "from notes | where n > 3 | select { _id, n, f }", "from open | sort n | limit 10",
               "from notes | group n { count: count() }"]
    for user in (*users, None):
        token = user and user["accessToken"]
        user_http = Http(port, token, {"Origin": "https://app.example"})
        for text in queries:
            if user:
                # nosemgrep: the connection of an app's user
                with pymongo.MongoClient(
                        f"mongodb://{server.address}/?authMechanism=MONGODB-OIDC",
                        authMechanismProperties={"OIDC_CALLBACK": Callback(token)}) as client:
                    reply = client.app.command("query", text)
                    tcp = json.loads(json_util.dumps(
                        reply["cursor"]["firstBatch"], json_options=json_util.RELAXED_JSON_OPTIONS))
            status, body, _ = user_http.call("POST", f"{API}/query", {"query": text})
            if status == 200:
                over_http = body["data"]
            else:
                check(user is None and status == 401, body)
                continue
            socket_ = WebSocket(port, token=token, headers=["Origin: https://app.example"])
            socket_.send(type="subscribe", id="q", db="app", query=text)
            rows = Rows()
            for message in socket_.until(lambda m: m.get("complete") or m["type"] == "error"):
                check(message["type"] != "error", message)
                rows.apply(message)
            socket_.close()
            headers = {"Origin": "https://app.example"}
            if token:
                headers["Authorization"] = f"Bearer {token}"
            stream = Events(port, f"/api/v1/live?db=app&query={quote(text)}", headers)
            streamed = Rows()
            while not streamed.complete:
                streamed.apply(stream.receive())
            stream.close()

            def key(row):
                return json.dumps(row, sort_keys=True)

            wanted = sorted(map(key, over_http))
            if user:
                check(sorted(map(key, tcp)) == wanted, text, tcp, over_http)
            check(sorted(map(key, rows.rows.values())) == wanted, text, rows.rows, over_http)
            check(sorted(map(key, streamed.rows.values())) == wanted, text)
            if "sort" in text:
                check(list(rows.rows.values()) == over_http, text)
    # What one may not see isn't there for a write either.
    path = f"{API}/collections/notes/documents"
    mine, other = (Http(port, user["accessToken"]) for user in users)
    refused(other.call("PATCH", f"{path}/a1", {"set": {"n": 0}}), 403)
    refused(other.call("GET", f"{path}/a1"), 404)
    refused(other.call("POST", path, {"_id": "x", "owner": users[0]["userID"]}), 403)
    check(mine.ok("PATCH", f"{path}/a1", {"set": {"n": 1000}})["modified"])
    check(mine.ok("GET", f"{path}/a1")["n"] == 1000)
    mine.ok("POST", f"{API}/batch", {"atomic": True, "requests": [
        {"method": "PUT", "path": "collections/notes/documents/a2",
         "body": {"owner": users[0]["userID"], "n": 1}}]})
    refused(mine.call("POST", f"{API}/query", {"query": "drop collection notes"}), 403)
    # A page of one user's isn't another's.
    _, body, _ = mine.call("GET", f"{path}?pageSize=5")
    page = body["metadata"]["nextPage"]
    answer = other.call("GET", f"{path}?page={page}")
    check(answer[0] >= 400, answer)


def live(port, admin):
    http = Http(port)
    user = token_of(http, "anonymous")
    other = token_of(http, "anonymous")
    admin.app.notes.delete_many({})
    admin.app.notes.insert_many(
        [{"_id": i, "owner": user["userID"], "n": i, "pad": "x" * 200} for i in range(1000)])
    for compress in (False, True):
        first = WebSocket(port, compress=compress, headers=["Origin: https://app.example"])
        check(first.compresses is compress)
        first.send(type="subscribe", id="none", db="app", query="from notes")
        # Nobody is signed in: nothing is seen, or nothing may be asked.
        first.until(lambda m: m["type"] == "error" or m.get("complete"))
        first.send(type="auth", token="rubbish")
        check(first.receive()["type"] == "error")
        first.send(type="auth", token=user["accessToken"])
        first.until(lambda m: m["type"] == "authenticated")
        first.send(type="subscribe", id="q", db="app", query="from notes")
        first.send(type="subscribe", id="top", db="app",
                   query="from notes | where n >= $least | sort -n | limit 3",
                   params={"least": 0})
        rows = {"q": Rows(), "top": Rows()}
        done = set()
        while done != {"q", "top"}:
            message = first.receive()
            if message.get("id") in rows:
                rows[message["id"]].apply(message)
                if message.get("complete"):
                    done.add(message["id"])
        check(len(rows["q"].rows) == 1000 and len(rows["top"].rows) == 3, rows["top"].rows)
        admin.app.notes.update_one({"_id": 5}, {"$set": {"n": 5000}})
        seen = set()
        while seen != {"q", "top"}:
            message = first.receive()
            if message.get("id") in rows and message["type"] == "delta":
                rows[message["id"]].apply(message)
                seen.add(message["id"])
        check(rows["q"].rows["5"]["n"] == 5000 and "5" in rows["top"].rows)
        # The same user with a newer token: the rows stay.
        first.send(type="auth", token=user["accessToken"])
        messages = first.until(lambda m: m.get("id") == "q" and m.get("complete"))
        check(all(m["type"] in ("authenticated", "delta") or m.get("id") != "q"
                  for m in messages), messages[:3])
        check(sum(len(m.get("events", [])) for m in messages if m.get("id") == "q") == 0)
        # Another user: this one's rows go.
        first.send(type="auth", token=other["accessToken"])
        first.until(lambda m: m.get("id") == "q" and m.get("complete"))
        first.close()
        # A phone wakes: only what changed.
        admin.app.notes.update_one({"_id": 6}, {"$set": {"n": 6000 + compress}})
        second = WebSocket(port, token=user["accessToken"], compress=compress)
        second.bytes_in = 0
        second.send(type="subscribe", id="q", db="app", query="from notes",
                    resume=rows["q"].token)
        messages = second.until(lambda m: m.get("complete"))
        check([m["type"] for m in messages] == ["delta"], messages)
        check([event["id"] for event in messages[0]["events"]] == [6], messages)
        check(second.bytes_in < 2048, second.bytes_in)
        second.send(type="request", id=1, method="GET", path=f"{API}/collections/notes/count")
        answer = second.until(lambda m: m["type"] == "response")[-1]
        check(answer["id"] == 1 and answer["body"]["data"] == {"count": 1000}, answer)
        second.send(type="ping")
        second.until(lambda m: m["type"] == "pong")
        second.send(type="unsubscribe", id="q")
        second.until(lambda m: m["type"] == "unsubscribed")
        second.send(type="subscribe", id="bad", db="app", query="delete from notes")
        check(second.receive()["type"] == "error")
        check(admin.app.notes.count_documents({}) == 1000)
        admin.app.notes.update_one({"_id": 5}, {"$set": {"n": 5}})
        second.close()
    # A session that ends takes its live queries along.
    watcher = WebSocket(port, token=user["accessToken"])
    watcher.send(type="subscribe", id="q", db="app", query="from notes | where n < 3")
    watcher.until(lambda m: m.get("complete"))
    Http(port, user["accessToken"]).ok("POST", "/api/v1/auth/sign-out-everywhere", {})
    last = watcher.until(lambda m: m["type"] == "error")
    check([m["type"] for m in last] == ["reset", "error"], last)
    check(last[-1]["error"]["code"] in ("AuthenticationFailed", "ReauthenticationRequired"), last)
    watcher.close()
    stream = Events(port, "/api/v1/live?db=app&query=" + quote("from open | sort _id | limit 2"),
                    {"Origin": "https://app.example"})
    check(stream.response.getheader("Content-Type") == "text/event-stream")
    rows = Rows()
    while not rows.complete:
        rows.apply(stream.receive())
    check(len(rows.rows) == 2)
    admin.app.open.update_one({"_id": 0}, {"$set": {"n": -1}})
    message = stream.receive()
    check(message["type"] == "delta" and message["lastEventId"], message)
    stream.close()
    status, body, _ = http.call("GET", "/api/v1/live?db=app&query=from")
    check(status == 200 and b"error" in body or status == 400, status, body)


def raw(port, data, seconds=10):
    """What the server answers to bytes, until it closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        answer = b""
        try:
            connection.sendall(data)
            while part := connection.recv(65536):
                answer += part
        except OSError:
            pass
        return answer


def misbehave(port, stop):
    http = Http(port)
    slowest = [0]

    def work():
        mine = Http(port)
        while not stop.is_set():
            begin = time.monotonic()
            mine.ok("GET", "/health")
            slowest[0] = max(slowest[0], time.monotonic() - begin)
            time.sleep(0.005)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    for data, wanted in (
            (b"rubbish\r\n\r\n", b" 400 "), (b"\xff\xfe\x00" * 100 + b"\r\n\r\n", b" 400 "),
            (b"GET /health HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 40_000 + b"\r\n\r\n", b" 431 "),
            (b"GET /health HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 200 + b"\r\n", b" 431 "),
            (b"POST /api/v1/databases/app/query HTTP/1.1\r\nHost: a\r\n"
             b"Content-Length: 99999999999\r\n\r\n", b" 413 ")):
        answer = raw(port, data)
        check(wanted in answer.split(b"\r\n")[0], data[:60], answer[:200])
    for path, status in (("/nothing", 404), ("/health?x=1", 400), ("/api/v1/databases/%ff/query", 405),
                         (f"{API}/collections/%ff/documents", 400),
                         (f"{API}/collections/a%00b/documents", 400),
                         (f"{API}/collections/rows/documents/a%zz", 400)):
        refused(http.call("GET", path), status)
    answer = http.call("DELETE", "/health")
    refused(answer, 405, "MethodNotAllowed")
    check(answer[2]["Allow"] == "GET")
    for body in (b"", b"{", b"[]", b'{"a":"\xff"}', b"1", b'{"a":1,}', b'{"a":' * 300):
        refused(http.call("POST", f"{API}/collections/rows/documents", body,
                          Content_Type="application/json"), 400)
    refused(http.call("POST", f"{API}/collections/rows/documents", b"{}",
                      Content_Type="text/plain"), 415)
    check(http.call("OPTIONS", f"{API}/query", Origin="https://app.example",
                    Access_Control_Request_Method="POST")[0] == 204)
    check(http.call("GET", "/health", Origin="https://app.example")[2][
        "Access-Control-Allow-Origin"] == "*")
    check(http.call("HEAD", "/health")[0] == 200)
    # Half a request, and a connection cut in the middle of a body.
    waiting = [socket.create_connection(("127.0.0.1", port)) for _ in range(100)]
    for connection in waiting:
        connection.sendall(b"POST /api/v1/databases/app/query HTTP/1.1\r\nHost: a\r\nContent-Le")
    for connection in waiting[:50]:
        connection.close()
    # What breaks the WebSocket's protocol.
    for frame, code in (
            (dict(opcode=1, payload=b"{}", mask=False), 1002),
            (dict(opcode=1, payload=b"{}", rsv=0x40), 1002),
            (dict(opcode=1, payload=b"{}", rsv=0x20), 1002),
            (dict(opcode=0, payload=b"{}"), 1002), (dict(opcode=2, payload=b"{}"), 1003),
            (dict(opcode=5, payload=b""), 1002), (dict(opcode=9, payload=b"x" * 126), 1002),
            (dict(opcode=1, payload=b"\xff\xff"), 1007), (dict(opcode=1, payload=b"["), 1007),
            (dict(opcode=1, payload=b"x" * 1_100_000), 1009)):
        broken = WebSocket(port)
        try:
            broken.send_frame(**frame)
            message = broken.receive()
        except ConnectionError:
            message = None
            broken.close_code = broken.close_code or code
        check(message is None and broken.close_code == code, frame.get("payload", b"")[:9], code,
              broken.close_code)
        broken.close()
    fragments = WebSocket(port)
    fragments.send_frame(1, b'{"type":', fin=False)
    fragments.send_frame(9, b"hello")
    fragments.send_frame(0, b'"ping"}')
    check(fragments.receive() == {"type": "pong"})
    fragments.close()
    # Several requests at once are answered in order.
    answer = raw(port, b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n" * 20
                 + b"GET /ready HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    check(answer.count(b"HTTP/1.1 200") == 21, answer.count(b"HTTP/1.1 200"))
    # A follower that reads nothing holds little, and disturbs nobody.
    deaf = WebSocket(port)
    deaf.send(type="subscribe", id="q", db="app", query="from rows")
    stop_at = time.monotonic() + 2
    while time.monotonic() < stop_at:
        http.ok("POST", f"{API}/query", {"query": "update rows where _id < 50 set n = n + 1"})
    deaf.close()
    stop.set()
    thread.join()
    check(slowest[0] < 5, slowest)
    for connection in waiting:
        connection.close()


def strangers(port):
    """Where nobody needs to sign in, web pages and what comes through proxies do all the same."""
    path = f"{API}/collections/notes/documents"
    for headers in ({"Origin": "https://evil.example"}, {"X-Forwarded-For": "1.2.3.4"},
                    {"Host": "rebound.example"}, {"Sec-Fetch-Site": "cross-site"}):
        refused(Http(port, headers=headers).call("GET", path), 401)
    check(Http(port).call("GET", path)[0] == 200)
    status, body, _ = Http(port).call("GET", "/api/v1/openapi.json")
    check(status == 200 and body["openapi"] == "3.1.0" and len(body["paths"]) > 20, body)


def over_tls(binary):
    port = free_port()
    with tempfile.TemporaryDirectory() as base:
        key, certificate = f"{base}/key.pem", f"{base}/cert.pem"
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
             "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out",
             certificate], check=True, capture_output=True)
        server = Server(binary, "--http", f"127.0.0.1:{port}", "--tls-cert", certificate,
                        "--tls-key", key)
        server.start()
        wait_until(lambda: "listening for HTTP" in server.log(), 10, "the HTTP door")
        context = ssl.create_default_context(cafile=certificate)
        connection = http.client.HTTPSConnection("127.0.0.1", port, context=context)
        for _ in range(2):
            connection.request("GET", "/ready")
            response = connection.getresponse()
            check(response.status == 200 and b"ready" in response.read())
        check(raw(port, b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n").count(b"200") == 0)
        server.stop()


def taken_port(binary):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        server = Server(binary, "--http", f"127.0.0.1:{other.getsockname()[1]}")
        server.launch()
        check(server.process.wait(30) == 1)
        check("the port is taken" in server.log(), server.log())


def main():
    binary = sys.argv[1]
    port = free_port()
    server = Server(binary, "--http", f"127.0.0.1:{port}")
    server.start()
    wait_until(lambda: "listening for HTTP" in server.log(), 10, "the HTTP door")
    with server.client() as client:
        http = Http(port)
        check(http.ok("GET", "/health") == {"status": "ok"})
        check(http.ok("GET", "/ready") == {"status": "ready"})
        documents(http, "docs")
        lists(http, client)
        once(http, client)
        misbehave(port, threading.Event())
        strangers(port)
        client.admin.command({"deployRules": 1, "source": RULES})
        accounts(port, server)
        same_answers(port, server, client)
        live(port, client)
    server.stop()
    over_tls(binary)
    taken_port(binary)
    print(f"{checks} checks of the HTTP door passed")


main()
