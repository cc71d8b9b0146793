"""manifest.json: bodies and the digests over them."""

from reference import merkle, postcard
from reference.codec import to_hex
from reference.primitives import H, sha256, u16le, u32le, u64le

from . import bad, document, ok


def D(name):
    return H("simulation", name.encode())


def readable(value):
    """The same with bytes in hex and floats as their binary64."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, float):
        return to_hex(value)
    if isinstance(value, dict):
        return {key: readable(item) for key, item in value.items()}
    return [readable(item) for item in value] if isinstance(value, (list, tuple)) else value


def party(index):
    return index, sha256(b"key" + u32le(index))


def numbers(names, values):
    return dict(zip(names, values, strict=True))


BASE = {
    "version": 1,
    "deployment": D("deployment"),
    "round": 42,
    "mode": "masked",
    "suite": "R8192",
    "seal": "x25519",
    "epoch": D("epoch"),
    "seed": D("seed"),
    "head": {"size": 1000, "root": D("head")},
    "committee": numbers(postcard.COMMITTEE, (16, 5, 11, 4, 11, 8, 0, 0)),
    "cohort": numbers(postcard.COHORT, (60, 1000, 50, 2, 50)),
    "schema": {"dim": 1_000_000, "bits": 16, "clip": 1.0, "clip_l2": None, "weight_bound": 1000},
    "model": D("model"),
    "deadlines": numbers(postcard.DEADLINES, (60_000, 600_000, 660_000, 720_000, 780_000)),
    "key_life": 1_200_000,
    "policy": D("policy"),
    "keys": D("keys"),
    "previous": D("previous"),
    "collective": None,
}

DIRECT = BASE | {
    "suite": "direct",
    "seal": "x-wing",
    "committee": numbers(postcard.COMMITTEE, (64, 21, 37, 16, 43, 5, 43, 6)),
    "schema": {"dim": 127, "bits": 24, "clip": 0.3, "clip_l2": 2.5, "weight_bound": 2**32 - 1},
}

ZERO = b"\0" * 32
PLAIN = BASE | {"mode": "plain", "committee": numbers(postcard.COMMITTEE, [0] * 8), "keys": ZERO, "previous": ZERO}

HOMOMORPHIC = BASE | {
    "mode": "homomorphic",
    "committee": numbers(postcard.COMMITTEE, (64, 21, 22, 1, 43, 0, 0, 0)),
    "collective": {"record": D("key record"), "unproven": True},
}

LARGEST = BASE | {
    "version": 255,
    "round": 2**64 - 1,
    "suite": "R4096",
    "head": {"size": 2**64 - 1, "root": D("head")},
    "committee": numbers(postcard.COMMITTEE, [2**16 - 1] * 8),
    "cohort": numbers(postcard.COHORT, [2**32 - 1] * 5),
    "schema": {"dim": 2**32 - 1, "bits": 255, "clip": 1.7e308, "clip_l2": 5e-324, "weight_bound": 2**32 - 1},
    "deadlines": numbers(postcard.DEADLINES, [2**32 - 1] * 5),
    "key_life": 2**32 - 1,
}


def manifest_cases():
    out = []
    for name, manifest in (("masked", BASE), ("direct", DIRECT), ("plain", PLAIN), ("homomorphic", HOMOMORPHIC), ("largest numbers", LARGEST)):
        body = postcard.manifest(manifest)
        expect = {"body": body.hex(), "mh": H("manifest", body).hex()}
        out.append(ok(f"manifest, {name}", {"op": "manifest"} | readable(manifest), expect))
    body = postcard.manifest(BASE)
    # version, deployment, then the round (one byte), mode, suite, sealing suite.
    at = {"round": 33, "mode": 34, "suite": 35, "seal": 36}
    choice = lambda name, number: body[: at[name]] + bytes([number]) + body[at[name] + 1 :]
    none = body.index(postcard.f64(1.0)) + 8
    assert body[at["round"]] == 42 and body[at["mode"]] == 1 and body[none] == 0
    for name, spoilt, error in (
        ("nothing", b"", "body"),
        ("a byte too few", body[:-1], "body"),
        ("a byte too many", body + b"\0", "canonical"),
        ("an over-long round", body[: at["round"]] + b"\xaa\x00" + body[at["round"] + 1 :], "canonical"),
        ("an over-long mode", body[: at["mode"]] + b"\x81\x00" + body[at["mode"] + 1 :], "canonical"),
        ("a round of 2^64", body[: at["round"]] + b"\xff" * 9 + b"\x02" + body[at["round"] + 1 :], "body"),
        ("an unknown mode", choice("mode", 3), "body"),
        ("an unknown suite", choice("suite", 3), "body"),
        ("an unknown sealing suite", choice("seal", 2), "body"),
        ("an option that is neither", body[:none] + b"\2" + body[none + 1 :], "body"),
    ):
        out.append(bad(f"manifest, {name}", {"op": "body", "body": spoilt.hex()}, error))
    return out


def epoch_cases():
    drawn = {
        "deployment": D("deployment"),
        "epoch": 7,
        "eligible": {"size": 10_000, "root": D("eligible")},
        "parties": [party(3), party(300)],
        "restarts": 0,
        "committee": {"width": 192},
        "cohort_width": 1500,
        "first_round": 40,
        "rounds": 1000,
    }
    named = drawn | {"restarts": 200, "committee": {"named": [party(1), party(128), party(70_000)]}, "parties": [party(5)]}
    out = []
    for name, record in (("drawn", drawn), ("named", named)):
        body = postcard.epoch_record(record)
        signed = H("epoch", record["deployment"], u64le(0), body)
        expect = {"body": body.hex(), "hash": H("epoch", body).hex(), "signed": signed.hex()}
        out.append(ok(f"epoch record, {name}", {"op": "epoch"} | readable(record), expect))
    out.append(seed_case(drawn))
    return out


def ident(p):
    return u32le(p[0]) + p[1]


def seed_case(record):
    """Commitments, the list that reveals cover, what is signed, and the seed."""
    epoch = H("epoch", postcard.epoch_record(record))
    values = [(p, D(f"value {p[0]}"), D(f"nonce {p[0]}")) for p in record["parties"]]
    commitments = [H("seed-commit", epoch, ident(p), value, nonce) for p, value, nonce in values]
    listed = H("seed-commit", epoch, *(f for (p, _, _), c in zip(values, commitments) for f in (ident(p), c)))
    signed = lambda label, *fields: H(label, record["deployment"], u64le(0), epoch, *fields).hex()
    expect = {
        "commitments": [c.hex() for c in commitments],
        "commit_signed": [signed("seed-commit-sign", ident(p), c) for (p, _, _), c in zip(values, commitments)],
        "reveal_signed": [signed("seed-reveal-sign", listed, ident(p), v, n) for p, v, n in values],
        "seed": H("seed", epoch, *commitments, *(value for _, value, _ in values)).hex(),
    }
    given = {"op": "seed"} | readable(record)
    given["reveals"] = [{"value": value.hex(), "nonce": nonce.hex()} for _, value, nonce in values]
    return ok("seed of a ceremony of two", given, expect)


def threshold_cases():
    out = []
    for width, size in ((1, 2), (1, 3), (2, 3), (96, 10_000), (192, 10_000), (9_999, 10_000), (2**32 - 1, 2**32), (1, 2**64 - 1), (1500, 1501)):
        limit = -(-(width << 256) // size)
        # The least ticket that is not below the quotient, and the one before it.
        assert (limit - 1) * size < width << 256 <= limit * size
        out.append(ok(f"threshold of {width} in {size}", {"op": "threshold", "width": width, "size": size}, f"{limit:064x}"))
    return out


def round_cases():
    sid, mh, previous = D("sid"), D("mh"), D("previous")
    leaves = [(party(index), D(f"hdr {index}")) for index in (0, 3, 4, 127, 128, 70_000)]
    hashes = [merkle.leaf(H("set-leaf", sid, ident(p), hdr)) for p, hdr in leaves]
    root = merkle.root(hashes)
    given = {"op": "set", "sid": sid.hex(), "leaves": [{"id": ident(p).hex(), "hdr": hdr.hex()} for p, hdr in leaves]}
    out = [ok("root of a set of six", given, root.hex())]
    sums = [0, 1, 65535, 2**40, 2**64 - 1]
    result = H("result", b"".join(map(u64le, sums)))
    out.append(ok("hash of sums", {"op": "result", "sums": sums}, result.hex()))
    out.append(ok("hash of no sums", {"op": "result", "sums": []}, H("result", b"").hex()))
    out.append(ok("hash of a model", {"op": "model", "file": b"weights".hex()}, H("model", b"weights").hex()))
    opened = b"\1" + sid + root + u32le(6) + result
    entry = {"op": "transcript", "round": 42, "mh": mh.hex(), "previous": previous.hex()}
    given = entry | {"opened": {"sid": sid.hex(), "root": root.hex(), "size": 6, "result": result.hex()}}
    out.append(ok("transcript link, opened", given, H("transcript", previous, u64le(42), mh, opened).hex()))
    for code, closed in ((1, False), (7, True), (255, True)):
        given = entry | {"aborted": {"code": code, "closed": closed}}
        link = H("transcript", previous, u64le(42), mh, bytes([2, code, closed]))
        out.append(ok(f"transcript link, aborted with {code}", given, link.hex()))
    for name, kind, values in (("values", 0, bytes(range(20))), ("does not open", 1, b""), ("is no share", 2, b"")):
        given = {"op": "check-entry", "sender": 300, "hdr": mh.hex(), "kind": kind, "values": values.hex()}
        data = H("check-entry", u32le(300), mh, bytes([kind]), values)
        out.append(ok(f"leaf of a check batch, {name}", given, merkle.leaf(data).hex()))
    return out


def signature_cases():
    """What signatures of a round cover, after deployment and round."""
    deployment, sid, root, mh, rh = D("deployment"), D("sid"), D("root"), D("mh"), D("rh")
    key, size = D("round key"), u32le(6)
    fields = {
        "manifest-sign": [mh],
        "round-key-sign": [mh, ident(party(3)), key],
        "roster-sign": [mh, rh],
        "header-sign": [sid, ident(party(3)), D("vector"), D("shares")],
        "check-sign": [sid, root],
        "close-sign": [sid, root, size],
        "lock-sign": [sid, root, size],
        "answer-sign": [sid, root, size, u16le(4), bytes(range(9))],
        "result-sign": [sid, root, size, D("result"), D("locks"), D("answers")],
        "left-out-sign": [sid, root, size, ident(party(3))],
    }
    out = []
    for label, covered in fields.items():
        given = {"op": "signed", "label": label, "deployment": deployment.hex(), "round": 42, "fields": [f.hex() for f in covered]}
        out.append(ok(f"what {label} covers", given, H(label, deployment, u64le(42), *covered).hex()))
    # Outside rounds: what a list of keys is signed and handed over by.
    for label in ("key-list-sign", "key-list-handover"):
        covered = [H("key-list", b'{"v":1}')]
        given = {"op": "signed", "label": label, "deployment": deployment.hex(), "round": 0, "fields": [f.hex() for f in covered]}
        out.append(ok(f"what {label} covers", given, H(label, deployment, u64le(0), *covered).hex()))
    return out


def manifest_file():
    cases = manifest_cases() + epoch_cases() + threshold_cases() + round_cases() + signature_cases()
    about = (
        "Bodies by docs/WIRE.md and digests over them; floats are the 16 hexadecimal digits of their binary64, big-endian. body: a "
        "manifest's body that must be refused, because it does not parse (body) or is not the one encoding (canonical). "
        "seed: parties reveal in the record's order. threshold: the least number that is not below 2^256·width/size. "
        "set: an id is u32le(index) and the key hash. signed: party 3, member 4, the digests of the other cases' names."
    )
    rules = ["WIRE-2", "MASK-2", "EPOCH-1", "DRAW-1", "DRAW-3", "OPEN-2", "CHK-1", "SIG-1"]
    return document(about, rules, cases)
