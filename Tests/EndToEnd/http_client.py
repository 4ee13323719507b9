"""HTTP and WebSocket clients for tests of the HTTP door, over the standard library alone."""

import base64
import hashlib
import http.client
import json
import os
import socket
import struct
import zlib


class Http:
    """A kept-alive connection; each call answers (status, body as JSON, headers)."""

    def __init__(self, port, token=None, headers=None):
        self.port, self.token, self.headers = port, token, headers or {}
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def call(self, method, path, body=None, **headers):
        headers = {**self.headers, **{k.replace("_", "-"): v for k, v in headers.items()}}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        self.connection.request(method, path, body, headers)
        response = self.connection.getresponse()
        data = response.read()
        if response.getheader("Content-Encoding") == "gzip":
            data = zlib.decompress(data, 31)
        if response.getheader("Content-Type", "").startswith("application/json"):
            data = json.loads(data) if data else None
        return response.status, data, response.headers

    def ok(self, method, path, body=None, **headers):
        status, data, _ = self.call(method, path, body, **headers)
        assert 200 <= status < 300 and data["success"], (method, path, status, data)
        return data["data"]

    def close(self):
        self.connection.close()


class WebSocket:
    """A WebSocket with JSON messages; raw frames too, for what breaks the protocol."""

    def __init__(self, port, path="/api/v1/live", token=None, compress=False, headers=()):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Upgrade: websocket",
                 "Connection: Upgrade", f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13",
                 *headers]
        if compress:
            lines.append("Sec-WebSocket-Extensions: permessage-deflate")
        if token:
            lines.append(f"Authorization: Bearer {token}")
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self.buffer = b""
        while b"\r\n\r\n" not in self.buffer:
            self.buffer += self.more()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        assert head.startswith(b"HTTP/1.1 101"), head
        accept = base64.b64encode(hashlib.sha1(
            (key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest())
        assert accept in head, head
        self.compresses = b"permessage-deflate" in head
        self.bytes_in = 0
        self.close_code = None

    def more(self):
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("closed")
        return data

    def send_frame(self, opcode, payload=b"", fin=True, mask=True, rsv=0):
        head = bytes([(0x80 if fin else 0) | rsv | opcode])
        bit = 0x80 if mask else 0
        if len(payload) < 126:
            head += bytes([bit | len(payload)])
        elif len(payload) < 65536:
            head += bytes([bit | 126]) + struct.pack(">H", len(payload))
        else:
            head += bytes([bit | 127]) + struct.pack(">Q", len(payload))
        if mask:
            key = os.urandom(4)
            payload = bytes(b ^ key[i % 4] for i, b in enumerate(payload))
            head += key
        self.socket.sendall(head + payload)

    def send(self, **message):
        text = json.dumps(message).encode()
        if self.compresses and len(text) > 100:
            deflater = zlib.compressobj(wbits=-15)
            data = deflater.compress(text) + deflater.flush(zlib.Z_SYNC_FLUSH)
            return self.send_frame(1, data[:-4], rsv=0x40)
        self.send_frame(1, text)

    def take(self, count):
        while len(self.buffer) < count:
            self.buffer += self.more()
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        self.bytes_in += count
        return data

    def frame(self):
        first, second = self.take(2)
        length = second & 0x7F
        if length == 126:
            length, = struct.unpack(">H", self.take(2))
        elif length == 127:
            length, = struct.unpack(">Q", self.take(8))
        return first, self.take(length)

    def receive(self, timeout=30):
        """The next message; None where the server closed (`close_code` says why)."""
        self.socket.settimeout(timeout)
        while True:
            first, payload = self.frame()
            opcode = first & 15
            if opcode == 9:
                self.send_frame(10, payload)
            elif opcode == 8:
                self.close_code = struct.unpack(">H", payload[:2])[0] if payload else 1005
                return None
            elif opcode == 1:
                if first & 0x40:
                    payload = zlib.decompressobj(-15).decompress(payload + b"\0\0\xff\xff")
                return json.loads(payload)

    def until(self, condition, timeout=30):
        """The messages up to the first that meets the condition."""
        messages = []
        while True:
            message = self.receive(timeout)
            assert message is not None, (self.close_code, messages)
            messages.append(message)
            if condition(message):
                return messages

    def close(self):
        self.socket.close()


class Rows:
    """The rows that a live query's messages leave."""

    def __init__(self):
        self.rows, self.token, self.complete = {}, None, False

    def apply(self, message):
        if message["type"] == "reset":
            self.rows, self.complete = {}, False
        for event in message.get("events", []):
            key = json.dumps(event["id"], sort_keys=True)
            if event["op"] == "removed":
                self.rows.pop(key, None)
            else:
                self.rows[key] = event["doc"]
        self.token = message.get("token") or self.token
        if "complete" in message:
            self.complete = message["complete"]
        return self


class Events:
    """Server-Sent Events."""

    def __init__(self, port, path, headers=None):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self.connection.request("GET", path, headers=headers or {})
        self.response = self.connection.getresponse()

    def receive(self):
        fields = {}
        while True:
            line = self.response.readline()
            if not line:
                return None
            line = line.decode().rstrip("\n")
            if not line and fields:
                return {"type": fields["event"], "lastEventId": fields.get("id"),
                        **json.loads(fields["data"])}
            if line:
                name, value = line.split(": ", 1)
                fields[name] = value

    def close(self):
        self.connection.close()
