"""Bodies of messages (docs/WIRE.md): postcard 1, as far as a manifest and an epoch record need it."""

import struct


def varint(x):
    out = bytearray()
    while x >= 0x80:
        out.append(x & 0x7F | 0x80)
        x >>= 7
    out.append(x)
    return bytes(out)


def u8(x):
    return bytes([x])


def f64(x):
    return struct.pack("<d", x)


def option(encode, x):
    return b"\0" if x is None else b"\1" + encode(x)


def sequence(items):
    items = list(items)
    return varint(len(items)) + b"".join(items)


def party(index, key_hash):
    return varint(index) + key_hash


def head(size, root):
    return varint(size) + root


SUITES = ["R8192", "R4096", "direct"]
MODES = ["plain", "masked", "homomorphic"]
SEALS = ["x25519", "x-wing"]
COMMITTEE = ["m", "c", "r", "rho", "q", "checks", "a_min", "e"]
COHORT = ["n_min", "n_max", "f", "k_min", "kappa"]
DEADLINES = ["convene", "contribute", "check", "lock", "open"]


def manifest(m):
    """docs/WIRE.md, Manifest. Digests are bytes, clips floats."""
    schema = m["schema"]
    return b"".join(
        [
            u8(m["version"]),
            m["deployment"],
            varint(m["round"]),
            varint(MODES.index(m["mode"])),
            varint(SUITES.index(m["suite"])),
            varint(SEALS.index(m["seal"])),
            m["epoch"],
            m["seed"],
            head(m["head"]["size"], m["head"]["root"]),
            *(varint(m["committee"][name]) for name in COMMITTEE),
            *(varint(m["cohort"][name]) for name in COHORT),
            varint(schema["dim"]),
            u8(schema["bits"]),
            f64(schema["clip"]),
            option(f64, schema["clip_l2"]),
            varint(schema["weight_bound"]),
            m["model"],
            *(varint(m["deadlines"][name]) for name in DEADLINES),
            varint(m["key_life"]),
            m["policy"],
            m["keys"],
            m["previous"],
            option(lambda c: c["record"] + u8(c["unproven"]), m["collective"]),
        ]
    )


def epoch_record(r):
    """docs/WIRE.md, EpochRecord. Parties and named ids are pairs (index, key hash)."""
    named = r["committee"].get("named")
    source = varint(0) + varint(r["committee"]["width"]) if named is None else varint(1) + sequence(party(*p) for p in named)
    return b"".join(
        [
            r["deployment"],
            varint(r["epoch"]),
            head(r["eligible"]["size"], r["eligible"]["root"]),
            sequence(party(*p) for p in r["parties"]),
            u8(r["restarts"]),
            source,
            varint(r["cohort_width"]),
            varint(r["first_round"]),
            varint(r["rounds"]),
        ]
    )


def self_test():
    assert [varint(x).hex() for x in (0, 127, 128, 300, 2**16 - 1, 2**64 - 1)] == ["00", "7f", "8001", "ac02", "ffff03", "ff" * 9 + "01"]
    assert f64(1.0).hex() == "000000000000f03f" and option(f64, None) == b"\0"
    assert sequence([b"a", b"b"]).hex() == "026162"
