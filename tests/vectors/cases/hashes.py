"""hash.json, digests.json, merkle.json."""

from reference import merkle
from reference.primitives import H, Xof, blake3, derive, sha256, u16le, u32le, u64le

from . import bad, document, ok

RFC_DATA = "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"


def pattern(n):
    """n bytes, byte i = i mod 251."""
    return bytes(i % 251 for i in range(n))


def hash_file():
    cases = []
    for name, label, fields in (
        ("H without fields", "direct-vector", []),
        ("H of one empty field", "model", [b""]),
        ("H of two empty fields", "model", [b"", b""]),
        ("H of ab and c", "model", [b"ab", b"c"]),
        ("H of a and bc", "model", [b"a", b"bc"]),
        ("H of ab and c under another label", "policy", [b"ab", b"c"]),
        ("H of long fields", "manifest", [pattern(55), pattern(1000)]),
    ):
        given = {"op": "H", "label": label, "fields": [f.hex() for f in fields]}
        cases.append(ok(name, given, H(label, *fields).hex()))
    for name, label, ikm, context in (
        ("derive without context", "matrix", pattern(32), []),
        ("derive with an empty context", "matrix", pattern(32), [b""]),
        ("derive with three contexts", "share-seed", pattern(32), [pattern(32), pattern(36), u16le(7)]),
        ("derive from a long key", "simulation", pattern(200), [b"x"]),
        ("derive from an empty key", "simulation", b"", [b"x"]),
    ):
        given = {"op": "derive", "label": label, "ikm": ikm.hex(), "context": [c.hex() for c in context]}
        cases.append(ok(name, given, derive(label, ikm, *context).hex()))
        stream = Xof(label, ikm, *context).read(200)
        cases.append(ok("XOF: " + name, given | {"op": "xof", "bytes": 200}, stream.hex()))
    given = {"op": "xof-long", "label": "challenge", "ikm": pattern(32).hex(), "context": [], "bytes": 65600}
    long = Xof("challenge", pattern(32)).read(65600)
    cases.append(ok("XOF of 65,600 bytes", given, {"sha256": sha256(long).hex(), "last": long[-16:].hex()}))
    for prime in (7411, 74017, 740011, 4294967291, 4294967311, 167772150079):
        given = {"op": "elements", "label": "challenge", "ikm": pattern(32).hex(), "context": [], "prime": prime}
        values = Xof("challenge", pattern(32)).elements(prime, 1000)
        packed = sha256(b"".join(map(u64le, values))).hex()
        expect = {"first": values[:8], "last": values[-1], "sha256_u64le": packed}
        cases.append(ok(f"field elements below {prime}", given | {"count": 1000}, expect))
    for n in (0, 1, 63, 64, 65, 1023, 1024, 1025, 2048, 2049, 3072, 3073, 5120, 8192, 31744, 100_000):
        given = {"op": "vector", "pattern_bytes": n}
        cases.append(ok(f"hash of a vector of {n} bytes", given, blake3(pattern(n)).hex()))
    about = (
        "op H: fields in hex. derive, xof: HKDF and key stream; xof-long: SHA-256 and last 16 bytes of a long stream. "
        "elements: `count` field elements of the stream. vector: BLAKE3 of n bytes, byte i = i mod 251. "
        "Labels are written without `quorate/1/`."
    )
    return document(about, ["HASH-1", "HASH-2", "HASH-3", "KDF-1", "KDF-2"], cases)


def ident(index):
    """A test id: index and the hash of a made-up key."""
    return u32le(index) + sha256(b"key" + u32le(index))


def digests_file():
    deployment, mh = H("simulation", b"deployment"), H("simulation", b"mh")
    seed, vector, share_root = H("simulation", b"seed"), H("simulation", b"vector"), H("simulation", b"root")
    cases, key = [], bytes(range(32))
    given = {"op": "registry-leaf", "deployment": deployment.hex(), "index": 7, "key": key.hex()}
    data = H("registry-entry", deployment, u32le(7), key)
    cases.append(ok("leaf of the registry", given, {"data": data.hex(), "leaf": merkle.leaf(data).hex()}))
    sids = {}
    for m in (0, 2, 5):
        members = [(10 * l + 3, sha256(b"key" + u32le(10 * l + 3)), sha256(b"round" + u32le(l))) for l in range(m)]
        fields = [f for index, key_hash, round_key in members for f in (u32le(index), key_hash, round_key)]
        rh = H("roster", mh, u16le(m), *fields)
        sids[m] = sid = H("session", mh, rh)
        given = {
            "op": "session",
            "mh": mh.hex(),
            "members": [{"index": i, "key_hash": k.hex(), "round_key": r.hex()} for i, k, r in members],
        }
        cases.append(ok(f"roster of {m} members", given, {"rh": rh.hex(), "sid": sid.hex()}))
    sid = sids[5]
    given = {"op": "header", "sid": sid.hex(), "id": ident(42).hex(), "vector": vector.hex(), "root": share_root.hex()}
    hdr = H("header", sid, ident(42), vector, share_root)
    cases.append(ok("contribution header", given, hdr.hex()))
    given = {"op": "set-leaf", "sid": sid.hex(), "id": ident(42).hex(), "hdr": hdr.hex()}
    data = H("set-leaf", sid, ident(42), hdr)
    cases.append(ok("leaf of the set", given, {"data": data.hex(), "leaf": merkle.leaf(data).hex()}))
    given = {"op": "share-info", "sid": sid.hex(), "sender": ident(42).hex(), "member": ident(13).hex(), "index": 2}
    cases.append(ok("info of a sealed share", given, H("share-info", sid, ident(42), ident(13), u16le(2)).hex()))
    sealed = [(pattern(32), pattern(40 + 10 * l)) for l in range(3)] + [(pattern(1120), b"")]
    leaves = [
        merkle.leaf(u16le(l) + u16le(len(enc)) + enc + u32le(len(ct)) + ct) for l, (enc, ct) in enumerate(sealed, 1)
    ]
    given = {"op": "share-tree", "sealed": [{"enc": enc.hex(), "ciphertext": ct.hex()} for enc, ct in sealed]}
    expect = {"leaves": [leaf.hex() for leaf in leaves], "root": merkle.root(leaves).hex()}
    cases.append(ok("share tree of four members", given, expect))
    for role in ("draw-committee", "draw-cohort"):
        for size, width in ((100, 40), (100, 100), (100, 250), (3, 1)):
            given = {"op": "draw", "role": role, "deployment": deployment.hex(), "seed": seed.hex(), "round": 9}
            given |= {"size": size, "width": width, "key": "SHA-256 of `key` and u32le(index)"}
            hashes = {i: H(role, deployment, seed, u64le(9), ident(i)) for i in range(size)}
            eligible = [i for i in hashes if int.from_bytes(hashes[i], "big") * size < width << 256]
            expect = {"eligible_by_hash": sorted(eligible, key=hashes.get)}
            cases.append(ok(f"{role}, width {width} of {size}", given, expect))
    about = (
        "Digests composed from H. An id is u32le(index) and the key hash. draw: ids 0 … size−1, whose key hash is "
        "SHA-256(\"key\" ‖ u32le(index)); the eligible indices in the order of their hashes."
    )
    return document(about, ["REG-1", "DRAW-1", "OPEN-2", "SHARE-1", "DEAL-2", "ID-1"], cases)


def flipped(proof, at):
    return [h if i != at else bytes([h[0] ^ 1]) + h[1:] for i, h in enumerate(proof)]


def merkle_file():
    leaves = [merkle.leaf(u32le(i)) for i in range(1000)]
    cases = []
    for n in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 64, 100, 127, 128, 129, 1000):
        cases.append(ok(f"root of {n}", {"op": "root", "size": n}, merkle.root(leaves[:n]).hex()))
    given = {"op": "root-of", "data": list(RFC_DATA)}
    expect = merkle.root([merkle.leaf(bytes.fromhex(d)) for d in RFC_DATA]).hex()
    cases.append(ok("root of eight leaves of different length", given, expect))
    inclusion_cases(cases, leaves)
    consistency_cases(cases, leaves)
    about = (
        "Leaf i is the leaf hash of u32le(i). root: of the first `size` leaves. root-of: of given data, in hex. "
        "inclusion, consistency: verify the proof; `expect: true` where it must be accepted, `error` where it must not."
    )
    return document(about, ["TREE-1"], cases)


def inclusion_cases(cases, leaves):
    def add(name, n, index, proof, root=None, leaf=None):
        root, leaf = root or merkle.root(leaves[:n]), leaf or leaves[index]
        given = {"op": "inclusion", "size": n, "index": index, "leaf": leaf.hex(), "root": root.hex()}
        given["proof"] = [h.hex() for h in proof]
        fine = merkle.verify_inclusion(root, n, index, leaf, proof)
        cases.append(ok(name, given, True) if fine else bad(name, given, "proof"))
        return fine

    for n, index in ((1, 0), (2, 1), (3, 0), (3, 2), (7, 3), (7, 6), (8, 5), (100, 99), (1000, 123), (1000, 999)):
        assert add(f"inclusion of {index} in {n}", n, index, merkle.inclusion(leaves[:n], index))
    proof = merkle.inclusion(leaves[:7], 3)
    for i in range(len(proof)):
        assert not add(f"inclusion, hash {i} changed", 7, 3, flipped(proof, i))
    assert not add("inclusion, last hash left out", 7, 3, proof[:-1])
    assert not add("inclusion, first hash left out", 7, 3, proof[1:])
    assert not add("inclusion, one hash too many", 7, 3, proof + [leaves[0]])
    assert not add("inclusion, two hashes swapped", 7, 3, [proof[1], proof[0], proof[2]])
    assert not add("inclusion, another index", 7, 2, proof, leaf=leaves[3])
    assert not add("inclusion, another leaf", 7, 3, proof, leaf=leaves[4])
    assert not add("inclusion, another root", 7, 3, proof, root=merkle.root(leaves[:8]))
    assert not add("inclusion, index behind the end", 7, 7, proof, leaf=leaves[3])
    assert not add("inclusion in the empty tree", 0, 0, [], leaf=leaves[0], root=leaves[0])
    assert not add("inclusion, a proof for the only leaf", 1, 0, [leaves[0]])
    assert not add("inclusion, an inner node as leaf", 2, 0, [merkle.node(*leaves[2:4])], leaf=merkle.node(*leaves[:2]), root=merkle.root(leaves[:8]))


def consistency_cases(cases, leaves):
    def add(name, old, new, proof, old_root=None, new_root=None):
        old_root, new_root = old_root or merkle.root(leaves[:old]), new_root or merkle.root(leaves[:new])
        given = {"op": "consistency", "old_size": old, "old_root": old_root.hex(), "new_size": new}
        given |= {"new_root": new_root.hex(), "proof": [h.hex() for h in proof]}
        fine = merkle.verify_consistency(old, old_root, new, new_root, proof)
        cases.append(ok(name, given, True) if fine else bad(name, given, "proof"))
        return fine

    pairs = (1, 1), (1, 2), (2, 3), (3, 4), (3, 7), (4, 7), (6, 8), (8, 8), (64, 100), (99, 100), (123, 1000), (512, 1000)
    for old, new in pairs:
        assert add(f"consistency of {old} and {new}", old, new, merkle.consistency(leaves[:new], old))
    assert add("consistency, from the empty tree", 0, 7, [])
    proof = merkle.consistency(leaves[:7], 3)
    for i in range(len(proof)):
        assert not add(f"consistency, hash {i} changed", 3, 7, flipped(proof, i))
    other = merkle.root(leaves[1:4])
    assert not add("consistency, last hash left out", 3, 7, proof[:-1])
    assert not add("consistency, first hash left out", 3, 7, proof[1:])
    assert not add("consistency, one hash too many", 3, 7, proof + [leaves[0]])
    assert not add("consistency, no proof", 3, 7, [])
    assert not add("consistency, another old root", 3, 7, proof, old_root=other)
    assert not add("consistency, another new root", 3, 7, proof, new_root=other)
    assert not add("consistency, another old size", 2, 7, proof, old_root=merkle.root(leaves[:3]))
    assert not add("consistency, the newer tree is smaller", 7, 3, proof)
    assert not add("consistency, equal sizes and different roots", 7, 7, [], new_root=other)
    assert not add("consistency, equal sizes and a proof", 7, 7, [leaves[0]])
    assert not add("consistency, from the empty tree with a proof", 0, 7, [leaves[0]])
    assert not add("consistency, from an empty tree with another root", 0, 7, [], old_root=other)
    assert not add("consistency, a power of two with its root in the proof", 4, 7, [merkle.root(leaves[:4])] + merkle.consistency(leaves[:7], 4))
