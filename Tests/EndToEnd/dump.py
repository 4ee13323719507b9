"""Dumps in mongodump's formats: folder and archive, there and back, byte for byte.

    dump.py ROOST

A server's databases are dumped, loaded into another server and dumped from there: the same BSON,
the same metadata but for the collections' uuids. The archive's checksums are compared with a
CRC-64 of this test's own, and a flipped byte and a cut are found.
"""

import gzip
import json
import os
import subprocess
import sys

import bson
from bson.codec_options import CodecOptions
from server import Server


def run(*command, code=0):
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == code, (command, done.returncode, done.stdout, done.stderr)
    return done.stdout + done.stderr


def crc64(data):
    crc = (1 << 64) - 1
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0xC96C5795D7870F42 if crc & 1 else 0)
    return crc ^ (1 << 64) - 1


def fill(client):
    orders = client.shop.orders
    orders.insert_many([
        {"_id": n, "name": "ü" * (n % 7), "at": bson.Timestamp(n, 1), "n": bson.Int64(n),
         "d": bson.Decimal128("1.50"), "id": bson.ObjectId(), "tags": [n, {"a": None}]}
        for n in range(500)])
    orders.create_index([("n", -1), ("name", 1)], name="by n")
    orders.create_index("name", partialFilterExpression={"n": {"$gt": 5}})
    client.shop.create_collection("capped", capped=True, size=65536, max=10)
    client.shop.capped.insert_many([{"_id": n} for n in (3, 1, 2)])
    client.shop.create_collection("empty", validator={"$jsonSchema": {"required": ["a"]}})
    client.shop.create_collection("open", viewOn="orders", pipeline=[{"$match": {"n": 7}}])
    client.shop["odd/na me%"].insert_one({"x": 1})
    client.other.things.insert_one({"_id": "big", "pad": "x" * (3 << 20)})


def files(folder):
    found = {}
    for base, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(base, name)
            with (gzip.open if name.endswith(".gz") else open)(path, "rb") as file:
                data = file.read()
            key = os.path.relpath(path, folder).removesuffix(".gz")
            if key.endswith(".metadata.json"):
                data = json.loads(data)
                assert len(data.pop("uuid")) in (0, 32)
            found[key] = data
    return found


def pieces(data):
    """An archive's header, metadata, documents and checksums."""
    assert data[:4] == bytes.fromhex("6de29981")
    offset = 4

    def take():
        nonlocal offset
        size = int.from_bytes(data[offset:offset + 4], "little")
        if size == 0xFFFFFFFF:
            offset += 4
            return None
        offset += size
        return data[offset - size:offset]
    decode = lambda raw: bson.decode(raw, CodecOptions())
    header = decode(take())
    assert header["version"] == "0.1"
    metadata, content = {}, {}
    while (raw := take()) is not None:
        entry = decode(raw)
        metadata[entry["db"], entry["collection"]] = json.loads(entry["metadata"])
    while offset < len(data):
        entry = decode(take())
        name = entry["db"], entry["collection"]
        body = content.setdefault(name, b"")
        while (raw := take()) is not None:
            body += raw
        content[name] = body
        if entry["EOF"] and len(body) < 1 << 20:
            assert entry["CRC"] & (1 << 64) - 1 == crc64(body), name
    return metadata, content


def main():
    roost = sys.argv[1]
    one, two, three = Server(roost), Server(roost), Server(roost)
    try:
        for server in (one, two, three):
            server.start()
        fill(one.client())
        uris = [f"mongodb://{s.address}" for s in (one, two, three)]
        base = one.base
        run(roost, "export", "--dump", f"{base}/d1", "--uri", uris[0])
        wanted = files(f"{base}/d1")
        assert wanted["shop/orders.bson"] and wanted["shop/odd%2Fna%20me%25.bson"]
        assert "shop/open.bson" not in wanted and "shop/open.metadata.json" in wanted
        assert bson.decode_all(wanted["shop/capped.bson"])[0] == {"_id": 3}
        run(roost, "import", "--dump", f"{base}/d1", "--uri", uris[1])
        run(roost, "export", "--dump", f"{base}/d2", "--gzip", "--uri", uris[1])
        assert files(f"{base}/d2") == wanted
        run(roost, "import", "--dump", f"{base}/d2", "--uri", uris[1], "--drop")
        print("a folder there and back, plain and gzipped")
        for gzipped in [], ["--gzip"]:
            path = f"{base}/all.archive{''.join(gzipped)}"
            run(roost, "export", "--archive", path, "--uri", uris[1], *gzipped)
            with (gzip.open if gzipped else open)(path, "rb") as file:
                data = file.read()
            metadata, content = pieces(data)
            assert {f"{d}/{c}" for d, c in content} >= {"shop/orders", "other/things"}
            assert content["shop", "orders"] == wanted["shop/orders.bson"]
            assert metadata["shop", "open"]["type"] == "view"
            run(roost, "import", "--archive", path, "--uri", uris[2], "--drop")
            run(roost, "export", "--dump", f"{path}.d", "--uri", uris[2])
            assert files(f"{path}.d") == wanted
        print("an archive there and back, its checksums right")
        run(roost, "import", "--archive", path, "--uri", uris[2], "--database", "none")
        plain = f"{base}/all.archive"
        with open(plain, "rb") as file:
            data = bytearray(file.read())
        place = data.index("ü".encode())
        data[place + 1] ^= 1
        with open(plain, "wb") as file:
            file.write(data)
        assert "checksum" in run(
            roost, "import", "--archive", plain, "--uri", uris[2], "--drop", code=1)
        with open(plain, "wb") as file:
            file.write(data[:place])
        run(roost, "import", "--archive", plain, "--uri", uris[2], "--drop", code=1)
        run(roost, "import", "--archive", f"{base}/d1/shop/orders.bson", "--uri", uris[2], code=1)
        print("a flipped byte, a cut and another file are refused")
        for server in (one, two, three):
            assert server.stop() == 0
    finally:
        for server in (one, two, three):
            server.remove()
    print("passed")


if __name__ == "__main__":
    main()
