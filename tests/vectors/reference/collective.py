"""The key plane of mode homomorphic (PROTOCOL.md §8): parts of a key, dealings, ciphertexts, answers, opening.

An element is three lists of residues, one a prime. Nothing is transformed; products are products of integers.
"""

from .primitives import H, Xof, aes128_ctr, blake3, derive, u16le, u32le, u64le
from .ring import PRIMES, Refused, negacyclic, samples

N = 8192
ROWS = 256
UNIFORM = 3
MASK = 1 << 28
LARGEST = 51 * N
FLOOD = 96
STEP = 28
TOP = 1 << 48
RESIDUAL = 1 << 26
BLAME_ROWS = 16
Q = PRIMES[0] * PRIMES[1] * PRIMES[2]


def uniform(key):
    """Three lists, from the AES streams of block 0 under a key of 16 bytes."""
    out = []
    for index, q in enumerate(PRIMES):
        first, done, values = index << 64, 0, []
        while len(values) < N:
            blocks = (N - len(values) + 1) // 2 + 1
            stream = aes128_ctr(key, first + done, blocks)
            words = (int.from_bytes(stream[i : i + 8], "little") & (1 << 45) - 1 for i in range(0, len(stream), 8))
            values += [w for w in words if w < q]
            done += blocks
        out.append(values[:N])
    return out


def point(session):
    """[CKG-2]: a."""
    return uniform(derive("collective-point", session)[:16])


def small(values):
    return [[v % q for v in values] for q in PRIMES]


def add(a, b, sign=1):
    return [[(x + sign * y) % q for x, y in zip(left, right)] for q, left, right in zip(PRIMES, a, b)]


def scale(a, factors):
    return [[x * f % q for x in plane] for q, plane, f in zip(PRIMES, a, factors)]


def times(a, b):
    """Coefficients of the product; `b` may have small signed coefficients."""
    return [[x % q for x in negacyclic(left, right, 1 << 45)] for q, left, right in zip(PRIMES, a, b)]


def pack(planes):
    """45 bits a residue, prime after prime, each from a byte boundary on."""
    out = b""
    for plane in planes:
        number = 0
        for i in range(0, len(plane), 512):
            part = sum(x << (45 * k) for k, x in enumerate(plane[i : i + 512]))
            number |= part << (45 * i)
        out += number.to_bytes((45 * len(plane) + 7) // 8, "little")
    return out


def unpack(data):
    """The element of exactly its bytes."""
    each = 45 * N // 8
    if len(data) != 3 * each:
        raise Refused("malformed")
    out = []
    for index, q in enumerate(PRIMES):
        number = int.from_bytes(data[index * each : (index + 1) * each], "little")
        plane = []
        for _ in range(N // 512):
            part, number = number & (1 << 45 * 512) - 1, number >> 45 * 512
            plane += [part >> 45 * k & (1 << 45) - 1 for k in range(512)]
        if max(plane) >= q:
            raise Refused("malformed")
        out.append(plane)
    return out


def ternary(xof):
    return [(3 * w >> 64) - 1 for w in xof.words(N)]


def public(a, secret, error):
    """b_u = −a·S_u + e_u."""
    return add(small(error), times(a, [secret] * 3), -1)


def part_commitment(session, dealer, nonce, b, shares):
    return H("collective-part", session, dealer, nonce, blake3(b), shares)


def key_id(session, b):
    return H("collective-key", session, blake3(b))


class Committee:
    def __init__(self, m, r):
        if not 2 <= r <= m <= 128:
            raise Refused("committee")
        self.m, self.r = m, r

    def responders(self, indices):
        good = list(indices) == sorted(set(indices)) and len(indices) >= self.r
        if not good or indices[0] < 1 or indices[-1] > self.m:
            raise Refused("responders")

    def deal(self, kind, secrets, seeds, session, dealer):
        """[CKG-3]: for every holder three lists: the element's residues, then the check polynomials'."""
        columns = len(secrets[0])
        known = [secrets]
        for index, seed in enumerate(seeds, 1):
            xof = Xof("collective-seed", seed, session, dealer, u16le(index), bytes([kind]))
            known.append([xof.elements(q, columns) for q in PRIMES])
        shares = known[1:]
        for index in range(self.r, self.m + 1):
            weights = [lagrange(q, list(range(self.r)), index) for q in PRIMES]
            shares.append(
                [
                    [sum(w * k[i][c] for w, k in zip(weights[i], known)) % q for c in range(columns)]
                    for i, q in enumerate(PRIMES)
                ]
            )
        return shares


def lagrange(q, points, at):
    """Coefficients that take values at `points` to the value at `at`."""
    out = []
    for x in points:
        above = below = 1
        for y in points:
            if y != x:
                above, below = above * (at - y) % q, below * (x - y) % q
        out.append(above * pow(below, -1, q) % q)
    return out


def rows(commitment, session, dealer):
    """ρ_k of [CKG-4]: 256 rows of 2N bits, lowest bit of every byte first."""
    data = Xof("collective-challenge", commitment, session, dealer).read(ROWS * 2 * N // 8)
    each = 2 * N // 8
    return [int.from_bytes(data[k * each : (k + 1) * each], "little") for k in range(ROWS)]


def chosen(row, values):
    """Sum of the values whose bits are set."""
    bits = bin(row)[:1:-1]
    return sum(v for v, bit in zip(values, bits) if bit == "1")


def hides(masks, projection):
    return all(-(MASK - LARGEST) <= y + x < MASK - LARGEST for y, x in zip(masks, projection))


def check_key_part(share, a, b, bits):
    """[CKG-4]: check values of a holder about a part of a key."""
    secret = [plane[:N] for plane in share]
    error = add(times(a, secret), b)
    return [
        [(chosen(row, secret[i] + error[i]) + share[i][N + k]) % q for k, row in enumerate(bits)]
        for i, q in enumerate(PRIMES)
    ]


def rounded(element):
    """[MASK-5] with w = 6."""
    inverse = [pow(Q // q, -1, q) for q in PRIMES]
    factor = [(TOP << 64) // q for q in PRIMES]
    out = []
    for residues in zip(*element):
        total = sum(x * i % q * f for x, i, q, f in zip(residues, inverse, PRIMES, factor))
        out.append((total + (1 << 63)) % (TOP << 64) >> 64)
    return out


def top_bytes(words):
    return b"".join(w.to_bytes(6, "little") for w in words)


def encrypt(a, b, secret, v, e0, e1):
    """[CENC-1]: c₀ as words, c₁ as an element."""
    top = rounded(add(times(b, [v] * 3), small(e0)))
    c0 = [(w + (s << STEP)) % TOP for w, s in zip(top, secret)]
    return c0, add(times(a, [v] * 3), small(e1))


def uniform_block(key, block, index, q, count):
    """`count` residues of one stream of [MASK-3]."""
    first, out, done = block << 96 | index << 64, [], 0
    while len(out) < count:
        stream = aes128_ctr(key, first + done, (count - len(out)) // 2 + 2)
        words = (int.from_bytes(stream[i : i + 8], "little") & (1 << 45) - 1 for i in range(0, len(stream), 8))
        out += [w for w in words if w < q]
        done += len(stream) // 16
    return out[:count]


def commitment_hash(c1):
    """[OPEN-6]: h, the residues of each prime one after the other."""
    key, short = derive("collective-hash", b"")[:16], 2048
    integers = [x for plane in c1 for x in plane]
    out = []
    for index, q in enumerate(PRIMES):
        total = [0] * short
        for j in range(12):
            a = uniform_block(key, j, index, q, short)
            product = negacyclic(a, integers[j * short : (j + 1) * short], 1 << 45)
            total = [(x + y) % q for x, y in zip(total, product)]
        out += total
    return out


def opening(key, generation, sid, root, size, responders):
    """[COPEN-2]: the digest of an opening."""
    packed = b"".join(map(u16le, responders))
    return H("collective-opening", key, u64le(generation), sid, root, u32le(size), packed)


def pair_key(low_seed, high_seed, low, high):
    return derive("collective-pair", low_seed + high_seed, u16le(low), u16le(high))


def answer(index, share, total, responders, pairs, digest, flooding):
    """[COPEN-1], [COPEN-2]: words of an answer; `pairs` by index of the other responder."""
    out = times(total, share)
    out = scale(out, [lagrange(q, responders, 0)[responders.index(index)] for q in PRIMES])
    for other in responders:
        if other != index:
            stream = uniform(derive("collective-zero", pairs[other], digest)[:16])
            out = add(out, stream, 1 if index < other else -1)
    return rounded(add(out, [[f % q for f in flooding] for q in PRIMES]))


def flooding(xof):
    """8192 words of 128 bits, their upper 97 bits, less 2⁹⁶."""
    data = xof.read(16 * N)
    return [(int.from_bytes(data[i : i + 16], "little") >> 31) - (1 << FLOOD) for i in range(0, len(data), 16)]


def combine(c0, answers, count):
    """[COPEN-3]: Σs."""
    out = []
    for words in zip(c0, *answers):
        u = sum(words) % TOP
        step = (u + (1 << STEP - 1)) % TOP >> STEP
        residual = (u - (step << STEP) + TOP // 2) % TOP - TOP // 2
        if abs(residual) > RESIDUAL:
            raise Refused("answers")
        out.append(step - (1 << 20) if step >= 1 << 19 else step)
    if max(map(abs, out)) > 36 * count:
        raise Refused("sum")
    return out


def self_test():
    assert lagrange(97, [1, 2, 3], 0) == [3, 94, 1]
    planes = [[1, 2, 3] + [0] * (N - 3), [PRIMES[1] - 1] * N, [5] * N]
    assert unpack(pack(planes)) == planes
    assert rounded([[0] * N] * 3) == [0] * N
