"""A party's own policy ([POL-1], [OPEN-4]): a manifest may be stricter, never weaker."""

import math
from dataclasses import dataclass

from reference.primitives import H, u32le


class Breach(Exception):
    """The axis on which a manifest is weaker."""


# Checks that are left out on purpose, by what they say.
WITHOUT = set()


def ensure(condition, axis):
    if not condition and axis not in WITHOUT:
        raise Breach(axis)


def ident(party):
    return u32le(party["index"]) + party["key_hash"]


@dataclass
class Policy:
    named: object = None  # None: drawn committees only; "anybody"; or the hash of a list
    suites: tuple = ("R8192", "R4096")
    max_dim: int = 1 << 20
    max_cohort: int = 10_000
    corrupt_permille: int = 50
    named_corrupt_permille: int = 250
    bits: float = 40
    k_min: int = 2
    max_width: int = 10_000
    max_rounds: int = 10_000
    max_restarts: int = 16
    max_key_life: int = 24 * 3_600_000

    def check_epoch(self, record):
        ensure(record["rounds"] <= self.max_rounds and record["restarts"] <= self.max_restarts, "epoch length")
        ensure(record["cohort_width"] <= self.max_width, "width")

    def check(self, manifest, record):
        self.check_epoch(record)
        cohort, shape, schema = manifest["cohort"], manifest["committee"], manifest["schema"]
        ensure(manifest["mode"][0] == "masked", "mode")
        ensure(manifest["suite"][0] in self.suites, "suite")
        ensure(schema["dim"] <= self.max_dim and cohort["n_max"] <= self.max_cohort, "size")
        ensure(manifest["key_life"] <= self.max_key_life, "key life")
        ensure(cohort["f"] >= self.bound(record), "corrupt cohort")
        ensure(cohort["n_min"] >= cohort["f"] + max(self.k_min, cohort["k_min"], 2), "minimum cohort")
        self.check_committee(shape, record)

    def corrupt(self, record):
        return -(-record["eligible"]["size"] * self.corrupt_permille // 1000)

    def bound(self, record):
        """f: corrupt ids in the cohort, up to probability 2^−bits."""
        corrupt, size, width = self.corrupt(record), record["eligible"]["size"], record["cohort_width"]
        if width >= size:
            return corrupt
        return next((k for k in range(corrupt) if tail_bits(corrupt, width / size, k) >= self.bits), corrupt)

    def check_committee(self, shape, record):
        m, c, r, rho, q = (shape[name] for name in ("m", "c", "r", "rho", "q"))
        ensure(2 <= m <= 128 and r - rho >= max(c, 1) and rho >= 1, "privacy")
        ensure(c < m and r <= m - c, "threshold")
        ensure(q == (m + c) // 2 + 1 and q <= m - c, "locks")
        source, of = record["committee"]
        if source == "named":
            listed = H("named", *map(ident, of["ids"]))
            ensure(self.named == "anybody" or (self.named is not None and self.named == listed), "source")
            ensure(len(of["ids"]) >= m, "source")
            ensure(c >= len(of["ids"]) * self.named_corrupt_permille // 1000, "corrupt committee")
            return
        width, size = of["width"], record["eligible"]["size"]
        ensure(m <= width <= self.max_width, "width")
        corrupt = self.corrupt(record)
        one = 0 if width >= size and corrupt > c else tail_bits(corrupt, width / size, c)
        tries = (record["restarts"] + 1) * record["rounds"]
        ensure(one - math.log2(tries) >= self.bits, "corrupt committee")


def tail_bits(corrupt, p, most):
    """−log₂ of the probability that more than `most` of `corrupt` are drawn."""
    if corrupt <= most:
        return math.inf
    term = lambda k: math.exp(
        math.lgamma(corrupt + 1) - math.lgamma(k + 1) - math.lgamma(corrupt - k + 1) + k * math.log(p) + (corrupt - k) * math.log1p(-p)
    )
    total = sum(term(k) for k in range(most + 1, corrupt + 1))
    return -math.log2(total) if total > 0 else math.inf
