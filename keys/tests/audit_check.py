"""Reads one shard of an audit log by the public formats alone: C2SP signed-note, tlog-checkpoint, tlog-tiles.

    python3 audit_check.py DIR/1 'origin+keyid+key'

Shares no code with the writer. Ed25519 comes from the `cryptography` package, or else from the reference in RFC 8032.
"""

import base64
import hashlib
import json
import pathlib
import sys


def reference_verify(public, message, signature):
    p, q = 2**255 - 19, 2**252 + 27742317777372353535851937790883648493
    d = -121665 * pow(121666, p - 2, p) % p

    def add(a, b):
        (x1, y1), (x2, y2) = a, b
        t = d * x1 * x2 * y1 * y2
        return ((x1 * y2 + x2 * y1) * pow(1 + t, p - 2, p) % p, (y1 * y2 + x1 * x2) * pow(1 - t, p - 2, p) % p)

    def times(n, a):
        out = (0, 1)
        while n:
            out, a, n = (add(out, a) if n & 1 else out), add(a, a), n >> 1
        return out

    def point(data):
        y = int.from_bytes(data, "little")
        sign, y = y >> 255, y & (1 << 255) - 1
        xx = (y * y - 1) * pow(d * y * y + 1, p - 2, p) % p
        x = pow(xx, (p + 3) // 8, p)
        if (x * x - xx) % p:
            x = x * pow(2, (p - 1) // 4, p) % p
        if (x * x - xx) % p:
            raise ValueError("not a point")
        return (p - x if x & 1 != sign else x, y)

    base = point((4 * pow(5, p - 2, p) % p).to_bytes(32, "little"))
    s = int.from_bytes(signature[32:], "little")
    k = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % q
    return s < q and times(s, base) == add(point(signature[:32]), times(k, point(public)))


def ed25519_verify(public, message, signature):
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    except ImportError:
        return reference_verify(public, message, signature)
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    except Exception:
        return False
    return reference_verify(public, message, signature)


def leaf(data):
    return hashlib.sha256(b"\0" + data).digest()


def node(left, right):
    return hashlib.sha256(b"\1" + left + right).digest()


def root(hashes):
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    k = 1 << (len(hashes) - 1).bit_length() - 1
    return node(root(hashes[:k]), root(hashes[k:]))


def tile_path(kind, index, width):
    number = f"{index % 1000:03}"
    while index >= 1000:
        index //= 1000
        number = f"x{index % 1000:03}/{number}"
    return f"tile/{kind}/{number}" + ("" if width == 256 else f".p/{width}")


def widths(count):
    return [(i, min(256, count - 256 * i)) for i in range((count + 255) // 256)]


def check(condition, what):
    if not condition:
        sys.exit(f"REFUSED: {what}")


def main(folder, vkey):
    name, key_id, encoded = vkey.split("+", 2)
    algorithm, public = base64.b64decode(encoded)[0], base64.b64decode(encoded)[1:]
    check(algorithm == 1, "not an Ed25519 key")
    expected = hashlib.sha256(name.encode() + b"\n\x01" + public).digest()[:4]
    check(expected.hex() == key_id, "key id")

    note = (folder / "checkpoint").read_bytes()
    text, lines = note.rsplit(b"\n\n", 1)
    text += b"\n"
    signed = False
    for line in lines.decode().splitlines():
        dash, who, signature = line.split(" ")
        raw = base64.b64decode(signature)
        if dash == "\u2014" and who == name and raw[:4] == expected:
            check(ed25519_verify(public, text, raw[4:]), "signature")
            signed = True
    check(signed, "not signed by the key")
    origin, size, encoded_root = text.decode().splitlines()[:3]
    check(origin == name, "origin")

    entries = []
    for index, width in widths(int(size)):
        data, bundle = (folder / tile_path("entries", index, width)).read_bytes(), []
        while data:
            length = int.from_bytes(data[:2], "big")
            check(len(data) >= 2 + length, "entry bundle")
            bundle.append(data[2 : 2 + length])
            data = data[2 + length :]
        check(len(bundle) == width, "width of an entry bundle")
        entries += bundle
    for seq, line in enumerate(entries):
        check(json.loads(line)["seq"] == seq, f"entry {seq}")

    hashes, level = [leaf(entry) for entry in entries], 0
    check(root(hashes) == base64.b64decode(encoded_root), "root")
    while hashes:
        for index, width in widths(len(hashes)):
            stored = (folder / tile_path(level, index, width)).read_bytes()
            check(stored == b"".join(hashes[256 * index : 256 * index + width]), f"tile {level}/{index}")
        hashes = [root(hashes[i : i + 256]) for i in range(0, len(hashes) - 255, 256)]
        level += 1
    print(f"{origin}: {size} entries verified")


if __name__ == "__main__":
    try:
        main(pathlib.Path(sys.argv[1]), sys.argv[2])
    except (ValueError, KeyError, IndexError, OSError) as error:
        sys.exit(f"REFUSED: {error}")
