"""Commands over MongoDB's wire protocol, for setting up and asking: a socket and a little BSON.

What is measured goes through the load generator in C, never through this.
"""

import socket
import struct

OP_MSG = 2013


class CommandError(Exception):
    """The server's own error text."""


def command(port, body, seconds=600):
    """Runs one command and returns its reply; CommandError when it isn't ok."""
    document = encode(body)
    message = struct.pack("<iiiiIB", 21 + len(document), 1, 0, OP_MSG, 0, 0) + document
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        connection.sendall(message)
        length = struct.unpack("<i", receive(connection, 4))[0]
        reply, _ = decode(receive(connection, length - 4)[17:])
    if reply.get("ok") != 1:
        raise CommandError(f"{next(iter(body))}: {reply.get('errmsg', reply)}")
    return reply


def receive(connection, length):
    received = b""
    while len(received) < length:
        part = connection.recv(length - len(received))
        if not part:
            raise EOFError("the server closed the connection")
        received += part
    return received


def encode(document):
    parts = b"".join(encode_field(name, value) for name, value in document.items())
    return struct.pack("<i", len(parts) + 5) + parts + b"\0"


def encode_field(name, value):
    name = name.encode() + b"\0"
    if isinstance(value, bool):
        return b"\x08" + name + bytes([value])
    if isinstance(value, int):
        return b"\x10" + name + struct.pack("<i", value)
    if isinstance(value, str):
        text = value.encode() + b"\0"
        return b"\x02" + name + struct.pack("<i", len(text)) + text
    if isinstance(value, dict):
        return b"\x03" + name + encode(value)
    if isinstance(value, list):
        return b"\x04" + name + encode({str(i): item for i, item in enumerate(value)})
    raise TypeError(f"{type(value).__name__} isn't needed here")


FIXED = {0x01: "<d", 0x08: "<?", 0x09: "<q", 0x10: "<i", 0x11: "<Q", 0x12: "<q"}
SIZES = {0x06: 0, 0x0A: 0, 0x7F: 0, 0xFF: 0, 0x07: 12, 0x13: 16}


def decode(data):
    """A document as a dict, and how many bytes it took. Rare types come as raw bytes."""
    size = struct.unpack_from("<i", data)[0]
    at, result = 4, {}
    while data[at] != 0:
        kind = data[at]
        end = data.index(0, at + 1)
        name, at = data[at + 1:end].decode(), end + 1
        if kind in FIXED:
            result[name] = struct.unpack_from(FIXED[kind], data, at)[0]
            at += struct.calcsize(FIXED[kind])
        elif kind in (0x03, 0x04):
            inner, used = decode(data[at:])
            result[name] = list(inner.values()) if kind == 0x04 else inner
            at += used
        elif kind in (0x02, 0x0D, 0x0E):
            length = struct.unpack_from("<i", data, at)[0]
            result[name] = data[at + 4:at + 3 + length].decode()
            at += 4 + length
        elif kind == 0x05:
            length = struct.unpack_from("<i", data, at)[0]
            result[name] = data[at + 5:at + 5 + length]
            at += 5 + length
        elif kind in SIZES:
            result[name] = data[at:at + SIZES[kind]] or None
            at += SIZES[kind]
        else:
            raise ValueError(f"BSON type {kind:#x} isn't expected in a reply")
    return result, size
