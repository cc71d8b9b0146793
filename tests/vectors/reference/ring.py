"""The data plane (PROTOCOL.md §4): sampler, matrix, packing, mask, unmasking.

Polynomials are multiplied as integers (Kronecker substitution); there is no number-theoretic transform here.
"""

import struct
from bisect import bisect_right
from decimal import ROUND_HALF_EVEN, Decimal, getcontext
from fractions import Fraction
from math import isqrt
from operator import mul

from .primitives import Xof, aes128_ctr, derive

PRIMES = (35184371613697, 35184371417089, 35184371138561)
SUITES = {"R8192": (8192, PRIMES, 16), "R4096": (4096, PRIMES[:2], 11)}  # degree, primes, largest word
SECRET = (Decimal("4.5"), 36)
ERROR = (Decimal("6.364"), 50)
WIDTH = Fraction("6.364")


class Refused(Exception):
    """What an implementation answers with an error; the text is the kind."""


def gauss_table(sigma, bound):
    """[GAUSS-1]: T_k for k = 0 … bound−1."""
    getcontext().prec = 80
    weights = [(-(Decimal(x) * x) / (2 * sigma * sigma)).exp() for x in range(bound + 1)]
    total = weights[0] + 2 * sum(weights[1:])
    table, below = [], Decimal(0)
    for k in range(bound):
        below += weights[k] if k == 0 else 2 * weights[k]
        table.append(int((below / total * 2**63).to_integral_value(ROUND_HALF_EVEN)))
    return table


TABLES = {"secret": gauss_table(*SECRET), "error": gauss_table(*ERROR)}


def sample(table, word):
    """[GAUSS-1]: one sample from one uniform word."""
    u = word >> 1
    size = sum(u >= t for t in table)
    return -size if word & 1 else size


def samples(name, xof, n):
    """n samples from successive words of a stream."""
    table = TABLES[name]
    return [-s if w & 1 else s for w in xof.words(n) for s in (bisect_right(table, w >> 1),)]


def matrix(mh, block, prime_index, degree):
    """[MASK-3]: the coefficients of a_j modulo one prime."""
    key = derive("matrix", mh)[:16]
    q = PRIMES[prime_index]
    first = block << 96 | prime_index << 64
    out, done = [], 0
    while len(out) < degree:
        blocks = max(2, (degree - len(out) + 1) // 2)
        for (w,) in struct.iter_unpack("<Q", aes128_ctr(key, first + done, blocks)):
            w &= (1 << 45) - 1
            if w < q:
                out.append(w)
        done += blocks
    return out[:degree]


def negacyclic(a, s, bound):
    """a·s mod X^N + 1 over the integers; a ≥ 0 below 2⁴⁵, |s| ≤ bound."""
    n = len(a)
    size = (45 + bound.bit_length() + n.bit_length() + 2 + 7) // 8

    def number(values):
        return int.from_bytes(b"".join(v.to_bytes(size, "little") for v in values), "little")

    product = number(a) * (number([max(v, 0) for v in s]) - number([max(-v, 0) for v in s]))
    half = 1 << (8 * size - 1)
    product += number([half] * (2 * n))
    digits = product.to_bytes(2 * n * size + 1, "little")
    c = [int.from_bytes(digits[i * size : (i + 1) * size], "little") - half for i in range(2 * n)]
    return [c[i] - c[i + n] for i in range(n)]


def product_start(a, s, count):
    """The first `count` coefficients of a·s mod X^N + 1: by definition if they are few."""
    if count > 100:
        return negacyclic(a, s, max(map(abs, s)) or 1)[:count]
    around = [-x for x in s] + s  # entry N + i is s_i, entry i is −s_i: X^N = −1
    n = len(a)
    return [sum(map(mul, a, reversed(around[c + 1 : c + 1 + n]))) for c in range(count)]


class Packing:
    """[PACK-1], [PACK-2], [SUM-1]."""

    def __init__(self, suite, n_max, bits):
        if suite not in SUITES:
            raise Refused("suite")
        if not 1 <= bits <= 24:
            raise Refused("bits")
        if not 1 <= n_max <= 10_000:
            raise Refused("n_max")
        self.suite, self.n_max, self.bits = suite, n_max, bits
        self.degree, self.primes, largest = SUITES[suite]
        self.q = 1
        for prime in self.primes:
            self.q *= prime
        self.base = n_max * (2**bits - 1) + 1
        best = None
        for w in range(1, largest + 1):
            p, k = 1 << 8 * w, 1
            while (p // self.base**k) ** 2 >= 400 * self.variance(p):
                if best is None or w * best[1] < best[0] * k or (w * best[1] == best[0] * k and k > best[1]):
                    best = w, k
                k += 1
        if best is None:
            raise Refused("no packing")
        self.w, self.k = best
        self.p = 1 << 8 * self.w
        self.delta = self.p // self.base**self.k
        # ⌊10·√variance⌋: an integer is at most 10·√variance iff it is at most this.
        x = 100 * self.variance(self.p)
        self.residual_bound = isqrt(x.numerator // x.denominator)

    def variance(self, p):
        """n_max·(6.364/2^τ)² + (n_max+1)/12 with 2^τ = q/p, exactly."""
        return self.n_max * (WIDTH * p / self.q) ** 2 + Fraction(self.n_max + 1, 12)

    def words(self, slots):
        return -(-slots // self.k)

    def blocks(self, slots):
        return -(-self.words(slots) // self.degree)


_matrices = {}


def cached_matrix(mh, block, prime_index, degree):
    key = mh, block, prime_index
    if len(_matrices.get(key, ())) < degree:
        _matrices[key] = matrix(mh, block, prime_index, degree)
    return _matrices[key][:degree]


def mask_words(packing, mh, block, secret, errors, count):
    """[MASK-5]: the first `count` words of the mask of one block."""
    p, total = packing.p, [0] * count
    for i, q in enumerate(packing.primes):
        product = product_start(cached_matrix(mh, block, i, packing.degree), secret, count)
        inverse = pow(packing.q // q, -1, q)
        factor = (p << 64) // q
        for c in range(count):
            z = (product[c] + errors[c]) % q * inverse % q
            total[c] += z * factor
    return [(t + (1 << 63)) % (p << 64) >> 64 for t in total]


def mask_all(packing, mh, secret, errors, words):
    """The mask words of all blocks; `errors` gives N values for a block."""
    out, n = [], packing.degree
    for j in range(-(-words // n)):
        out += mask_words(packing, mh, j, secret, errors(j), min(n, words - j * n))
    return out


def mask(packing, mh, secret, error_stream, slots):
    """[PACK-1]: the masked vector, as numbers."""
    if any(not 0 <= x < 1 << packing.bits for x in slots):
        raise Refused("slot")
    words, k = packing.words(len(slots)), packing.k
    drawn = {j: samples("error", error_stream, packing.degree) for j in range(packing.blocks(len(slots)))}
    u = mask_all(packing, mh, secret, drawn.__getitem__, words)
    out = []
    for c in range(words):
        packed = sum(x * packing.base**l for l, x in enumerate(slots[c * k : (c + 1) * k]))
        out.append((u[c] + packing.delta * packed) % packing.p)
    return out


def to_bytes(packing, words):
    return b"".join(y.to_bytes(packing.w, "little") for y in words)


def unmask(packing, mh, total, key_sum, slots):
    """[UNMASK-1]: the sums of the slots."""
    zero = [0] * packing.degree
    masks = mask_all(packing, mh, key_sum, lambda _: zero, packing.words(slots))
    p, delta, sums = packing.p, packing.delta, []
    for y, m in zip(total, masks):
        u = (y - m) % p
        t = (u + delta // 2) % p // delta
        residual = (u - delta * t) % p
        residual -= p if residual >= p // 2 else 0
        if abs(residual) > packing.residual_bound or t >= packing.base**packing.k:
            raise Refused("residual")
        for _ in range(packing.k):
            sums.append(t % packing.base)
            t //= packing.base
    return sums[:slots]


def secret_of(suite, ikm):
    """A test secret: samples from the words of XOF(simulation, ikm; "secret")."""
    return samples("secret", Xof("simulation", ikm, b"secret"), SUITES[suite][0])


def errors_of(ikm):
    """Test errors: the stream XOF(simulation, ikm; "error"), N samples a block, blocks in order."""
    return Xof("simulation", ikm, b"error")


def self_test():
    assert [q % 16384 for q in PRIMES] == [1, 1, 1] and max(PRIMES) < 2**45
    assert all(pow(2, q - 1, q) == 1 for q in PRIMES)
    assert negacyclic([1, 2, 3], [-1, 0, 5], 5) == product_start([1, 2, 3], [-1, 0, 5], 3) == [-11, -17, 2]
    got = [(p.w, p.k) for p in (Packing(s, n, b) for s in SUITES for b, n in ((8, 1000), (16, 100), (16, 1000), (16, 10000)))]
    assert got == [(15, 6), (15, 5), (14, 4), (16, 4), (10, 4), (10, 3), (11, 3), (9, 2)], got
