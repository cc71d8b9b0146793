"""gauss.json, matrix.json, pack.json, mask.json."""

from reference import ring
from reference.primitives import H, Xof, blake3, sha256, u64le
from reference.ring import PRIMES, SUITES, Packing, Refused

from . import accepted, attempt, bad, document, ok, refused

MH = H("simulation", b"manifest")


def gauss_file():
    cases = []
    for name, (sigma, bound) in (("secret", ring.SECRET), ("error", ring.ERROR)):
        table = ring.TABLES[name]
        given = {"op": "table", "of": name, "sigma": str(sigma), "bound": bound}
        cases.append(ok(f"table of {name}", given, [f"{t:016x}" for t in table]))
        words = [0, 1, 2, 3, 2**63, 2**64 - 1, 2**64 - 2]
        for t in (table[0], table[1], table[5], table[-2], table[-1]):
            words += [2 * t, 2 * t + 1, 2 * t - 2, 2 * t - 1]
        given = {"op": "words", "of": name, "words": [f"{w:016x}" for w in words]}
        cases.append(ok(f"{name} at the edges of the table", given, [ring.sample(table, w) for w in words]))
        given = {"op": "stream", "of": name, "ikm": b"gauss".hex(), "context": name.encode().hex(), "count": 20_000}
        values = ring.samples(name, Xof("simulation", b"gauss", name.encode()), 20_000)
        packed = bytes(v & 255 for v in values)
        expect = {"first": values[:16], "sum": sum(values), "squares": sum(v * v for v in values)}
        cases.append(ok(f"{name} from a stream", given, expect | {"sha256_i8": sha256(packed).hex()}))
    about = (
        "table: T_k as 16 hexadecimal digits. words: one sample a word. stream: samples from successive 64-bit words of "
        "XOF(simulation, ikm; context), SHA-256 over them as signed bytes."
    )
    return document(about, ["GAUSS-1"], cases)


def matrix_file():
    cases = []
    for mh in (MH, b"\0" * 32):
        for j, i in ((0, 0), (0, 1), (0, 2), (1, 0), (2, 2), (305, 1), (2**32 - 1, 0)):
            if mh != MH and j > 0:
                continue
            values = ring.matrix(mh, j, i, 8192)
            given = {"mh": mh.hex(), "block": j, "prime_index": i, "prime": PRIMES[i]}
            expect = {"first": values[:4], "at_4095": values[4095], "last": values[-1]}
            for degree in (4096, 8192):
                expect[f"sha256_u64le_{degree}"] = sha256(b"".join(map(u64le, values[:degree]))).hex()
            cases.append(ok(f"block {j}, prime {i}, mh {mh.hex()[:4]}", given, expect))
    # A ring has as many rows of coefficients as primes; there is no other.
    for i in (len(PRIMES), len(PRIMES) + 1, 255):
        given = {"mh": MH.hex(), "block": 0, "prime_index": i}
        cases.append(bad(f"block 0, prime {i}, which does not exist", given, "prime index"))
    about = (
        "Coefficients of a_j modulo one prime, constant term first: some of them, and SHA-256 over the first 4096 (suite "
        "R4096) and all 8192 (suite R8192) as u64le."
    )
    return document(about, ["MASK-3"], cases)


def pack_file():
    def case(suite, n_max, bits):
        def answer():
            p = Packing(suite, n_max, bits)
            bound = str(p.residual_bound)
            return {"w": p.w, "k": p.k, "base": p.base, "delta": str(p.delta), "residual_bound": bound}

        given = {"suite": suite, "n_max": n_max, "bits": bits}
        return attempt(f"{suite}, n_max {n_max}, {bits} bits", given, answer, Refused)

    cases = []
    for suite in SUITES:
        for n_max in (1, 2, 10, 37, 100, 1000, 4096, 10_000):
            cases += [accepted(case(suite, n_max, bits)) for bits in (1, 2, 4, 8, 10, 12, 16, 20, 24)]
        for n_max, bits in ((100, 0), (100, 25), (0, 16), (10_001, 16), (2**32 - 1, 8), (100, 255)):
            cases.append(refused(case(suite, n_max, bits)))
    # Here Δ is 20 standard deviations but for the last digits of the error term: only exact comparison refuses it.
    cases += [accepted(case(s, n, b)) for s, n, b in (("R8192", 11, 9), ("R8192", 47, 22), ("R4096", 26, 4))]
    cases.append(refused(case("direct", 100, 16)))
    about = "Base B, Δ and the largest accepted residual of a configuration. Δ and the residual are decimal strings."
    return document(about, ["PACK-1", "PACK-2", "SUM-1", "UNMASK-1"], cases)


def slots_of(rule, count, bits):
    if rule == "largest":
        return [2**bits - 1] * count
    if rule == "zero":
        return [0] * count
    return [(rule * i + 97) % 2**bits for i in range(count)]


def masked(suite, n_max, bits, ikm, rule, count, mh=MH):
    packing = Packing(suite, n_max, bits)
    secret = ring.secret_of(suite, ikm)
    return packing, ring.mask(packing, mh, secret, ring.errors_of(ikm), slots_of(rule, count, bits)), secret


def mask_case(name, suite, n_max, bits, rule, count, mh=MH):
    ikm = name.encode()
    packing, words, secret = masked(suite, n_max, bits, ikm, rule, count, mh)
    vector = ring.to_bytes(packing, words)
    given = {"op": "mask", "suite": suite, "n_max": n_max, "bits": bits, "mh": mh.hex(), "ikm": ikm.hex()}
    given |= {"slots": count, "rule": rule}
    expect = {"words": len(words), "word_bytes": packing.w, "sha256": sha256(vector).hex()}
    expect |= {"vector_hash": blake3(vector).hex(), "secret_sha256_i8": sha256(bytes(s & 255 for s in secret)).hex()}
    if len(words) <= 64:
        expect["vector"] = vector.hex()
    else:
        expect |= {"first": vector[: 4 * packing.w].hex(), "last": vector[-2 * packing.w :].hex()}
    return ok(name, given, expect)


def round_case(name, suite, n_max, bits, count, contributors, twist=None):
    """Mask, add, unmask; `twist` spoils the round."""
    packing = Packing(suite, n_max, bits)
    total, key_sum = [0] * packing.words(count), [0] * packing.degree
    rules = [2654435761 + 2 * i for i in range(contributors)]
    for i, rule in enumerate(rules):
        ikm = f"{name} {i}".encode()
        _, words, secret = masked(suite, n_max, bits, ikm, rule, count)
        total = [(a + b) % packing.p for a, b in zip(total, words)]
        key_sum = [a + b for a, b in zip(key_sum, secret)]
    given = {"op": "round", "suite": suite, "n_max": n_max, "bits": bits, "mh": MH.hex(), "slots": count}
    given |= {"ikm_prefix": name.encode().hex(), "rules": rules}
    if twist:
        kind, at, amount = twist
        given["twist"] = {"kind": kind, "at": at, "amount": str(amount)}
        if kind == "sum":
            total[at] = (total[at] + amount) % packing.p
        else:
            key_sum[at] += amount

    def answer():
        sums = ring.unmask(packing, MH, total, key_sum, count)
        if not twist:
            assert sums == [sum(column) for column in zip(*(slots_of(r, count, bits) for r in rules))]
        packed = sha256(b"".join(map(u64le, sums))).hex()
        sum_hash = sha256(ring.to_bytes(packing, total)).hex()
        return {"sum_sha256": sum_hash, "sums_first": sums[:8], "sums_last": sums[-1], "sums_sha256_u64le": packed}

    return attempt(name, given, answer, Refused)


def mask_file():
    cases = [
        mask_case("one word", "R8192", 100, 16, 2654435761, 1),
        mask_case("a few words", "R8192", 100, 16, 2654435761, 23),
        mask_case("a few words, R4096", "R4096", 100, 16, 2654435761, 23),
        mask_case("the same under another manifest", "R8192", 100, 16, 2654435761, 23, mh=H("simulation", b"other")),
        mask_case("one bit, one participant", "R8192", 1, 1, 2654435761, 200),
        mask_case("24 bits, 10,000 participants", "R8192", 10_000, 24, 2654435761, 50),
        mask_case("24 bits, 10,000 participants, R4096", "R4096", 10_000, 24, 2654435761, 50),
        mask_case("largest slots", "R8192", 1000, 16, "largest", 100),
        mask_case("zero slots", "R4096", 1000, 16, "zero", 100),
        mask_case("one full block", "R4096", 1000, 16, 40503, 3 * 4096),
        mask_case("one full block and a slot", "R4096", 1000, 16, 40503, 3 * 4096 + 1),
        mask_case("two blocks and a bit", "R8192", 1000, 16, 40503, 2 * 4 * 8192 + 4 * 100 + 3),
        mask_case("wide packing", "R8192", 10, 8, 40503, 60_000),
        round_case("round of one", "R8192", 100, 16, 23, 1),
        round_case("round of five", "R8192", 100, 16, 1000, 5),
        round_case("round of five, R4096", "R4096", 1000, 8, 1000, 5),
        round_case("round over two blocks", "R4096", 100, 16, 3 * 4096 + 50, 3),
        round_case("round of n_max", "R4096", 4, 12, 64, 4),
    ]
    packing = Packing("R8192", 100, 16)
    sums = [sum(column) for column in zip(*(slots_of(2654435761 + 2 * i, 23, 16) for i in range(3)))]
    top = packing.base**packing.k - sum(x * packing.base**l for l, x in enumerate(sums[packing.k : 2 * packing.k]))
    half, bound = packing.delta // 2, packing.residual_bound
    cases += [
        refused(round_case("residual: half a step added", "R8192", 100, 16, 23, 3, ("sum", 2, half))),
        refused(round_case("residual: twice the bound taken away", "R8192", 100, 16, 23, 3, ("sum", 0, packing.p - 2 * bound))),
        refused(round_case("residual: one coefficient of the key sum", "R8192", 100, 16, 23, 3, ("key", 8191, 1))),
        refused(round_case("digits: one more than k slots hold", "R8192", 100, 16, 23, 3, ("sum", 1, packing.delta * top))),
    ]
    for name, bits, slot in (("slot of 2^b", 16, 65536), ("slot far above", 8, 2**32 - 1), ("slot of 2 with one bit", 1, 2)):
        given = {"op": "mask-slots", "suite": "R8192", "n_max": 100, "bits": bits, "mh": MH.hex()}
        cases.append(bad(name, given | {"slot_values": [0, slot]}, "slot"))
    about = (
        "Secret: samples from XOF(simulation, ikm; \"secret\"). Errors: samples from XOF(simulation, ikm; \"error\"), N for "
        "every block, blocks in order (a generator keyed with derive(simulation, ikm; \"error\") gives the same). "
        "Slot i is (rule·i + 97) mod 2^b, or `largest` 2^b − 1, or `zero`. round: contributor i has "
        "ikm = ikm_prefix ‖ \" i\" and rules[i]; vectors and secrets are added, a twist then adds `amount` to one word of "
        "the sum (modulo p) or one coefficient of the key sum; the result is unmasked."
    )
    return document(about, ["MASK-2", "MASK-5", "PACK-1", "FOLD-1", "UNMASK-1", "HASH-3"], cases)
