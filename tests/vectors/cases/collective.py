"""collective.json."""

from reference import collective as he
from reference.primitives import H, Xof, blake3, sha256, u64le
from reference.ring import Refused, samples

from . import accepted, attempt, document, ok, refused

SESSION = H("simulation", b"session")
SID, ROOT = H("simulation", b"sid"), H("simulation", b"root")


def dealer(index):
    return bytes([index]) * 36


def stream(ikm, what):
    return Xof("simulation", ikm, what)


def seed(ikm, *what):
    return stream(ikm, bytes(what)).read(32)


def holder(ikm):
    """S, e and the masks y of a holder."""
    masks = [
        (int.from_bytes(w, "little") >> 3) - he.MASK
        for w in (lambda d: (d[i : i + 4] for i in range(0, len(d), 4)))(stream(ikm, b"y").read(4 * he.ROWS))
    ]
    return he.ternary(stream(ikm, b"S")), samples("error", stream(ikm, b"e"), he.N), masks


def sha_words(values):
    return sha256(b"".join(map(u64le, values))).hex()


class Key:
    """A key of m holders, all from one ikm: holder u has `ikm ‖ u`."""

    def __init__(self, ikm, m, r):
        self.committee, self.a, self.ikm = he.Committee(m, r), he.point(SESSION), ikm
        self.b, self.shares = None, None
        for u in range(1, m + 1):
            secret, error, masks = holder(ikm + bytes([u]))
            b = he.public(self.a, secret, error)
            planes = [plane + [y % q for y in masks] for plane, q in zip(he.small(secret), he.PRIMES)]
            seeds = [seed(ikm + bytes([u]), 1, l) for l in range(1, r)]
            dealt = self.committee.deal(0, planes, seeds, SESSION, dealer(u))
            dealt = [[plane[: he.N] for plane in share] for share in dealt]
            self.b = b if self.b is None else he.add(self.b, b)
            self.shares = dealt if self.shares is None else [he.add(x, y) for x, y in zip(self.shares, dealt)]

    def pairs(self, index):
        """Keys with every other holder; dealer u's seed for l is seed(ikm ‖ u, 2, l)."""
        out = {}
        for other in range(1, self.committee.m + 1):
            low, high = sorted((index, other))
            # Low's seed for high, then high's seed for low.
            halves = seed(self.ikm + bytes([low]), 2, high), seed(self.ikm + bytes([high]), 2, low)
            out[other] = he.pair_key(*halves, low, high)
        return out


def encrypted(key, ikm):
    secret = samples("secret", stream(ikm, b"s"), he.N)
    v = samples("secret", stream(ikm, b"v"), he.N)
    e0, e1 = (samples("error", stream(ikm, what), he.N) for what in (b"e0", b"e1"))
    return secret, he.encrypt(key.a, key.b, secret, v, e0, e1)


def part_case():
    ikm = b"part"
    secret, error, masks = holder(ikm)
    a = he.point(SESSION)
    b = he.public(a, secret, error)
    packed = he.pack(b)
    commitment = he.part_commitment(SESSION, dealer(2), b"\3" * 32, packed, ROOT)
    given = {"op": "part", "session": SESSION.hex(), "ikm": ikm.hex(), "dealer": 2, "m": 3, "r": 2}
    given |= {"nonce": (b"\3" * 32).hex(), "shares": ROOT.hex()}
    planes = [plane + [y % q for y in masks] for plane, q in zip(he.small(secret), he.PRIMES)]
    dealt = he.Committee(3, 2).deal(0, planes, [seed(ikm, 1, 1)], SESSION, dealer(2))
    bits = he.rows(commitment, SESSION, dealer(2))
    projection = [he.chosen(row, secret + error) for row in bits]
    values = [he.pack(he.check_key_part(share, a, b, bits)) for share in dealt]
    expect = {"point_first": [plane[0] for plane in a], "point_last": [plane[-1] for plane in a]}
    expect |= {"secret_sha256_i8": sha256(bytes(x & 255 for x in secret)).hex()}
    expect |= {"public_sha256": sha256(packed).hex(), "public_start": packed[:24].hex()}
    expect |= {"commitment": commitment.hex(), "key_id": he.key_id(SESSION, packed).hex()}
    expect |= {"dealt_sha256": [sha256(he.pack(share)).hex() for share in dealt]}
    expect |= {"projection_first": projection[:4], "hides": he.hides(masks, projection)}
    expect |= {"check_sha256": [sha256(v).hex() for v in values], "check_start": values[1][:24].hex()}
    return ok("a part of a key", given, expect)


def encrypt_case(key, ikm):
    secret, (c0, c1) = encrypted(key, ikm)
    given = {"op": "encrypt", "session": SESSION.hex(), "key": key.ikm.hex(), "m": 3, "r": 2, "ikm": ikm.hex()}
    hashed = sha_words(he.commitment_hash(c1))
    c0, c1 = he.top_bytes(c0), he.pack(c1)
    expect = {"hash_sha256_u64le": hashed}
    expect |= {"c0_sha256": sha256(c0).hex(), "c0_start": c0[:24].hex(), "c1_sha256": sha256(c1).hex()}
    expect |= {"c1_start": c1[:24].hex(), "c1_blake3": blake3(c1).hex()}
    return ok(f"a ciphertext, {ikm.decode()}", given, expect)


def open_case(key, name, responders, contributors, twist=None):
    total = plain = None
    for ikm in contributors:
        secret, (c0, c1) = encrypted(key, ikm)
        if total is None:
            total, plain = (c0, c1), secret
        else:
            total = [(x + y) % he.TOP for x, y in zip(total[0], c0)], he.add(total[1], c1)
            plain = [x + y for x, y in zip(plain, secret)]
    size = len(contributors)
    given = {"op": "open", "session": SESSION.hex(), "key": key.ikm.hex(), "m": 3, "r": 2, "sid": SID.hex()}
    given |= {"root": ROOT.hex(), "generation": 5, "responders": responders}
    given |= {"contributors": [ikm.hex() for ikm in contributors]}
    if twist:
        given["twist"] = {"answer": twist[0], "at": twist[1], "amount": str(twist[2])}

    def opened():
        key.committee.responders(responders)
        record = he.key_id(SESSION, he.pack(key.b))
        digest = he.opening(record, 5, SID, ROOT, size, responders)
        answers = []
        for index in responders:
            flood = he.flooding(stream(key.ikm + bytes([index]), b"f"))
            pairs, share = key.pairs(index), key.shares[index - 1]
            answers.append(he.answer(index, share, total[1], responders, pairs, digest, flood))
        hashes = [sha256(he.top_bytes(words)).hex() for words in answers]
        if twist:
            place, at, amount = twist
            answers[place][at] = (answers[place][at] + amount) % he.TOP
        sums = he.combine(total[0], answers, size)
        assert twist or sums == plain
        expect = {"opening": digest.hex(), "answers_sha256": hashes, "sums_first": sums[:8]}
        return expect | {"sums_sha256_u64le": sha_words([x % 2**64 for x in sums])}

    return attempt(name, given, opened, Refused)


def element_cases():
    cases = []
    good = he.pack(he.point(SESSION))
    for name, data in (("an element", good), ("a byte short", good[:-1]), ("a residue of 2^45 - 1", b"\xff" * 6 + good[6:])):
        given = {"op": "element", "session": SESSION.hex(), "start": data[:8].hex(), "bytes": len(data)}

        def answer(data=data):
            return {"sha256": sha256(he.pack(he.unpack(data))).hex()}

        cases.append(attempt(name, given, answer, Refused))
    assert ["expect" in case for case in cases] == [True, False, False]
    return cases


def collective_file():
    key = Key(b"key", 3, 2)
    contributors = [b"first", b"second"]
    cases = [
        part_case(),
        encrypt_case(key, b"first"),
        accepted(open_case(key, "two of three open one", [1, 3], contributors[:1])),
        accepted(open_case(key, "all open two", [1, 2, 3], contributors)),
        refused(open_case(key, "half a step added to an answer", [2, 3], contributors, (1, 17, 1 << 27))),
        refused(open_case(key, "more than two secrets hold", [1, 2], contributors, (0, 0, 200 << he.STEP))),
        refused(open_case(key, "one responder", [2], contributors)),
        refused(open_case(key, "responders out of order", [3, 1], contributors)),
        refused(open_case(key, "a holder that is none", [1, 4], contributors)),
        *element_cases(),
    ]
    about = (
        "All streams are XOF(simulation, ikm; what). A holder: S ternary from \"S\", e from \"e\" ([GAUSS-1]), y from \"y\" "
        "(words of 4 bytes, upper 29 bits, less 2^28). Seeds of 32 bytes: \"\\x01 l\" for holder l of those with a seed, "
        "\"\\x02 l\" the half of the pair's key. Dealer u is the byte u 36 times; holder u of a key has ikm = key ‖ u. A "
        "contributor: s, v, e0, e1 from those streams. Flooding of holder u: \"f\" under key ‖ u. twist adds `amount` to one "
        "word of one answer, given by its place. element: the bytes of the point, their start replaced by `start`, cut to "
        "`bytes`."
    )
    rules = ["CKG-2", "CKG-3", "CKG-4", "CENC-1", "CENC-2", "OPEN-6", "COPEN-1", "COPEN-2", "COPEN-3"]
    return document(about, rules, cases)
