"""The key plane (PROTOCOL.md §5, §6): field, packed sharing, share check, Reed–Solomon answers."""

from itertools import combinations

from .primitives import Xof, ceil_log2, derive, u16le
from .ring import SUITES, Refused


def is_prime(n):
    """Miller–Rabin with the bases that decide every number below 3.3·10²⁴."""
    bases = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41)
    if n < 2 or any(n % b == 0 for b in bases):
        return n in bases
    d, s = n - 1, 0
    while d % 2 == 0:
        d, s = d // 2, s + 1
    for b in bases:
        x = pow(b, d, n)
        if x in (1, n - 1):
            continue
        for _ in range(s - 1):
            x = x * x % n
            if x == n - 1:
                break
        else:
            return False
    return True


def smallest_prime_above(n):
    n += 1
    while not is_prime(n):
        n += 1
    return n


def committee(mode, m):
    """[COMM-1], [DIRECT-1]: c, r, ρ, Q and, in `direct`, e."""
    c = (m - 1) // 3 if m >= 1 else 0
    quorum = (m + c) // 2 + 1
    spare = (quorum - max(c, 1)) if mode == "masked" else (m - c - max(c, 1) - 1)
    if m < 2 or spare < 1:
        raise Refused("committee")
    rho = 1 << (spare.bit_length() - 1)
    if mode == "masked":
        return {"c": c, "r": quorum, "rho": rho, "q": quorum}
    r = max(c, 1) + rho
    return {"c": c, "r": r, "rho": rho, "q": quorum, "e": min(m - c - r, 6)}


class Sharing:
    """[FIELD-1], [DEAL-1], [CHK-1] for one committee."""

    def __init__(self, bound, secrets, m, r, rho):
        if not 1 <= rho < r <= m <= 512:
            raise Refused("committee")
        self.m, self.r, self.rho = m, r, rho
        self.free = r - rho
        self.prime = smallest_prime_above(max(bound, m + r))
        self.bits = ceil_log2(self.prime)
        self.secrets = secrets
        self.groups = -(-secrets // rho)
        self.checks = 1
        while self.prime**self.checks < 1 << 128:
            self.checks += 1

    @classmethod
    def masked(cls, suite, n_max, m, r, rho):
        if suite not in SUITES:
            raise Refused("suite")
        if not 1 <= n_max <= 10_000:
            raise Refused("n_max")
        return cls(2 * 37 * n_max, SUITES[suite][0], m, r, rho)

    @classmethod
    def direct(cls, slots, n_max, bits, m, r, rho):
        if not 1 <= n_max <= 10_000:
            raise Refused("n_max")
        if not 1 <= bits <= 24:
            raise Refused("bits")
        if not 1 <= slots <= 8192:
            raise Refused("slots")
        return cls(n_max * (2**bits - 1), slots, m, r, rho)

    def weights(self, known, at):
        """Lagrange coefficients: the value at `at` of a polynomial given at the points `known`."""
        p, out = self.prime, []
        for i, x in enumerate(known):
            num = den = 1
            for j, y in enumerate(known):
                if i != j:
                    num, den = num * (at - y) % p, den * (x - y) % p
            out.append(num * pow(den, -1, p) % p)
        return out

    def seed_elements(self, seed, sid, sender, index):
        xof = Xof("share-seed", seed, sid, sender, u16le(index))
        return xof.elements(self.prime, self.groups + self.checks)

    def deal(self, secrets, seeds, check_secrets, sid, sender):
        """All shares, as lists of G + K elements, for members 1 … m.

        `check_secrets[k]` holds the values of check polynomial k at −1 … −ρ.
        """
        p, rho = self.prime, self.rho
        padded = [x % p for x in secrets] + [0] * (self.groups * rho - len(secrets))
        at_secrets = [padded[g * rho : (g + 1) * rho] for g in range(self.groups)] + check_secrets
        shares = [self.seed_elements(seeds[l - 1], sid, sender, l) for l in range(1, self.free + 1)]
        known = [-(j + 1) for j in range(rho)] + list(range(1, self.free + 1))
        words = [values + [share[g] for share in shares] for g, values in enumerate(at_secrets)]
        for l in range(self.free + 1, self.m + 1):
            w = self.weights(known, l)
            shares.append([sum(a * b for a, b in zip(w, word)) % p for word in words])
        return shares

    def plaintext(self, index, share, seeds):
        """What member `index` receives."""
        return seeds[index - 1] if index <= self.free else pack(share, self.bits)

    def open_share(self, plaintext, index, sid, sender):
        """The G + K elements of a member's share."""
        if not 1 <= index <= self.m:
            raise Refused("index")
        if index <= self.free:
            if len(plaintext) != 32:
                raise Refused("length")
            return self.seed_elements(plaintext, sid, sender, index)
        return self.unpack(plaintext, self.groups + self.checks)

    def unpack(self, data, count):
        """[FIELD-1]: exact length, zero bits at the end, every element below P."""
        if len(data) != -(-count * self.bits // 8):
            raise Refused("length")
        number = int.from_bytes(data, "little")
        if number >> (count * self.bits):
            raise Refused("padding")
        mask = (1 << self.bits) - 1
        out = [number >> (i * self.bits) & mask for i in range(count)]
        if any(x >= self.prime for x in out):
            raise Refused("element")
        return out

    def challenge(self, hdr, sid, sender):
        """χ_{k,g}, k outside."""
        flat = Xof("challenge", hdr, sid, sender).elements(self.prime, self.checks * self.groups)
        return [flat[k * self.groups : (k + 1) * self.groups] for k in range(self.checks)]

    def check_values(self, share, chi):
        """[CHK-1]: p_k = h_k + Σ_g χ_{k,g}·share_g."""
        groups = share[: self.groups]
        return [
            (share[self.groups + k] + sum(a * b for a, b in zip(row, groups))) % self.prime
            for k, row in enumerate(chi)
        ]

    def decode(self, word):
        """Members whose value is off the codeword nearest to `word`: a list of (index, values).

        Refuses a word with more than ⌊(a−r)/2⌋ wrong. By brute force: every set of r members is a candidate.
        """
        if len({i for i, _ in word}) != len(word) or any(not 1 <= i <= self.m for i, _ in word):
            raise Refused("index")
        if len(word) < self.r:
            raise Refused("too few")
        budget = (len(word) - self.r) // 2
        for wrong in range(budget + 1):
            for left_out in combinations(range(len(word)), wrong):
                good = [entry for i, entry in enumerate(word) if i not in left_out]
                if self.consistent(good):
                    return [word[i][0] for i in left_out]
        raise Refused("undecodable")

    def consistent(self, word):
        base = [i for i, _ in word[: self.r]]
        for index, values in word[self.r :]:
            w = self.weights(base, index)
            for k, value in enumerate(values):
                if sum(a * v[k] for a, (_, v) in zip(w, word)) % self.prime != value:
                    return False
        return True

    def reconstruct(self, answers):
        """[RS-1]: the G·ρ secrets, group after group, and the wrong members."""
        wrong = self.decode(answers)
        good = [entry for entry in answers if entry[0] not in wrong][: self.r]
        rows = [self.weights([i for i, _ in good], -(j + 1)) for j in range(self.rho)]
        values = [v for _, v in good]
        columns = zip(*values)
        out = [sum(a * b for a, b in zip(w, column)) % self.prime for column in columns for w in rows]
        return out, wrong

    def key_sum(self, secrets, contributors):
        """[RS-1]: the centred sums."""
        out = [x - self.prime if x > self.prime // 2 else x for x in secrets]
        if any(abs(x) > 36 * contributors for x in out):
            raise Refused("bound")
        return out

    def reconstruct_direct(self, answers, a_min, bits, contributors):
        """[DIRECT-1]: all answers but at most min(⌊(a−r)/2⌋, a − a_min) lie on one codeword."""
        if len({i for i, _ in answers}) != len(answers) or any(not 1 <= i <= self.m for i, _ in answers):
            raise Refused("index")
        if len(answers) < a_min:
            raise Refused("too few")
        wrong = self.decode(answers)
        if len(answers) - len(wrong) < a_min:
            raise Refused("undecodable")
        secrets, _ = self.reconstruct(answers)
        if any(secrets[self.secrets :]):
            raise Refused("padding")
        if any(x > contributors * (2**bits - 1) for x in secrets):
            raise Refused("bound")
        return secrets[: self.secrets]


def pack(elements, bits):
    """[FIELD-1]: elements one after another, least significant bit first."""
    number = 0
    for x in reversed(elements):
        number = number << bits | x
    return number.to_bytes(-(-len(elements) * bits // 8), "little")


def seeds_of(sharing, ikm):
    """Test seeds of the members 1 … r−ρ: derive(simulation, ikm; "seed", u16le(l))."""
    return [derive("simulation", ikm, b"seed", u16le(l)) for l in range(1, sharing.free + 1)]


def check_secrets_of(sharing, ikm):
    """Test values of the check polynomials at −1 … −ρ: elements of XOF(simulation, ikm; "check"), k outside."""
    flat = Xof("simulation", ikm, b"check").elements(sharing.prime, sharing.checks * sharing.rho)
    return [flat[k * sharing.rho : (k + 1) * sharing.rho] for k in range(sharing.checks)]


def self_test():
    for m, expected in ((4, (1, 3, 2)), (7, (2, 5, 2)), (16, (5, 11, 4)), (64, (21, 43, 16)), (128, (42, 86, 32))):
        shape = committee("masked", m)
        assert (shape["c"], shape["r"], shape["rho"]) == expected
    assert committee("direct", 64) == {"c": 21, "r": 37, "rho": 16, "q": 43, "e": 6}
    for n_max, bits, checks in ((100, 13, 10), (1000, 17, 8), (10_000, 20, 7)):
        sharing = Sharing.masked("R4096", n_max, 4, 3, 2)
        assert (sharing.bits, sharing.checks) == (bits, checks)
