"""committee.json, field.json, share.json, answer.json."""

from reference import ring
from reference.primitives import H, sha256, u32le, u64le
from reference.ring import Refused
from reference.share import Sharing, check_secrets_of, committee, pack, seeds_of

from . import accepted, attempt, document, ok, refused

SID, HDR = H("simulation", b"session"), H("simulation", b"header")
SENDER = u32le(42) + sha256(b"sender")


def committee_file():
    cases = []
    for mode in ("masked", "direct"):
        for m in (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 16, 17, 31, 32, 64, 100, 128, 200, 512):
            given = {"mode": mode, "m": m}
            cases.append(attempt(f"{mode}, {m} members", given, lambda: committee(mode, m), Refused))
    return document("The committee's numbers from its size.", ["COMM-1", "DIRECT-1", "OPEN-1"], cases)


def sharing_of(given):
    m, r, rho = given["m"], given["r"], given["rho"]
    if given["mode"] == "masked":
        return Sharing.masked(given["suite"], given["n_max"], m, r, rho)
    return Sharing.direct(given["slots"], given["n_max"], given["bits"], m, r, rho)


def masked_config(suite, n_max, m):
    shape = committee("masked", m)
    return {"mode": "masked", "suite": suite, "n_max": n_max, "m": m, "r": shape["r"], "rho": shape["rho"]}


def direct_config(slots, n_max, bits, m):
    shape = committee("direct", m)
    config = {"mode": "direct", "slots": slots, "n_max": n_max, "bits": bits, "m": m}
    return config | {"r": shape["r"], "rho": shape["rho"]}


SMALL = direct_config(7, 100, 8, 7)


def shape_case(config):
    def answer():
        s = sharing_of(config)
        expect = {"prime": s.prime, "element_bits": s.bits, "groups": s.groups, "checks": s.checks}
        packed = -(-(s.groups + s.checks) * s.bits // 8)
        return expect | {"plaintext_bytes": packed, "answer_bytes": -(-s.groups * s.bits // 8)}

    name = " ".join(str(v) for v in config.values())
    return attempt(f"shape of {name}", {"op": "shape"} | config, answer, Refused)


def wrong_configs():
    """Parameters no round can have."""
    good = masked_config("R8192", 100, 16)
    for change in ({"rho": 0}, {"rho": 11}, {"r": 17}, {"m": 513}, {"n_max": 0}, {"n_max": 10_001}, {"suite": "direct"}):
        yield good | change
    for change in ({"slots": 0}, {"slots": 8193}, {"bits": 0}, {"bits": 25}, {"n_max": 0}, {"n_max": 10_001}, {"rho": 4}):
        yield SMALL | change


def field_file():
    configs = [masked_config(s, n, m) for s in ring.SUITES for n in (1, 100, 1000, 10_000) for m in (2, 4, 16, 64, 128)]
    configs += [direct_config(s, n, b, m) for s, n, b, m in ((7, 100, 8, 7), (8192, 1000, 16, 64), (1, 1, 1, 3), (1001, 10_000, 24, 128), (100, 256, 24, 16))]
    cases = [accepted(shape_case(config)) for config in configs]
    cases += [refused(shape_case(config)) for config in wrong_configs()] + parse_cases()
    about = (
        "shape: P, ⌈log₂P⌉, G, K, and the lengths of a packed share (members above r−ρ) and of an answer. parse: an answer "
        "of the small configuration, in hex, as elements; every error is a refusal of the whole."
    )
    return document(about, ["FIELD-1", "DEAL-1", "CHK-1"], cases)


def parse_cases():
    s = sharing_of(SMALL)
    assert s.groups * s.bits % 8 != 0, "the padding needs bits"
    largest = pack([s.prime - 1] * s.groups, s.bits)
    padded = bytearray(largest)
    padded[-1] |= 0x80
    above = pack([0] * (s.groups - 1) + [s.prime], s.bits)
    ones = pack([(1 << s.bits) - 1] + [0] * (s.groups - 1), s.bits)
    out = []
    for name, data, fine in (
        ("parse zeros", pack([0] * s.groups, s.bits), True),
        ("parse 1, 2, 3, …", pack(list(range(1, s.groups + 1)), s.bits), True),
        ("parse the largest elements", largest, True),
        ("parse an element equal to P", above, False),
        ("parse an element of ones", ones, False),
        ("parse a set bit in the padding", bytes(padded), False),
        ("parse a byte too few", largest[:-1], False),
        ("parse a byte too many", largest + b"\0", False),
        ("parse nothing", b"", False),
    ):
        given = {"op": "parse", "bytes": data.hex()} | SMALL
        case = attempt(name, given, lambda: s.unpack(data, s.groups), Refused)
        out.append(accepted(case) if fine else refused(case))
    return out


def digest_u64(values):
    return sha256(b"".join(map(u64le, values))).hex()


class Dealt:
    """One dealing from a short description."""

    def __init__(self, config, ikm, slots=None):
        self.s = s = sharing_of(config)
        secrets = ring.secret_of(config["suite"], ikm) if config["mode"] == "masked" else slots
        self.seeds = seeds_of(s, ikm)
        self.checks = check_secrets_of(s, ikm)
        self.shares = s.deal(secrets, self.seeds, self.checks, SID, SENDER)
        self.texts = [s.plaintext(l, share, self.seeds) for l, share in enumerate(self.shares, 1)]
        self.secrets = secrets


def context(config, ikm):
    return config | {"ikm": ikm.hex(), "sid": SID.hex(), "sender": SENDER.hex(), "hdr": HDR.hex()}


def deal_case(name, config, slots=None):
    ikm = name.encode()
    dealt = Dealt(config, ikm, slots)
    s, chi = dealt.s, dealt.s.challenge(HDR, SID, SENDER)
    given = {"op": "deal"} | context(config, ikm) | ({"slot_values": slots} if slots else {})
    small = sum(map(len, dealt.texts)) < 4000
    texts = [t.hex() for t in dealt.texts] if small else [sha256(t).hex() for t in dealt.texts]
    flat = [x for row in chi for x in row]
    expect = {
        "plaintexts" if small else "plaintexts_sha256": texts,
        "check_secrets": dealt.checks if small else digest_u64([x for row in dealt.checks for x in row]),
        "elements_sha256_u64le": [digest_u64(share) for share in dealt.shares],
        "challenge_first": flat[:6],
        "challenge_sha256_u64le": digest_u64(flat),
        "check_values": [s.check_values(share, chi) for share in dealt.shares],
    }
    word = list(enumerate(expect["check_values"], 1))
    assert s.consistent(word)
    back, wrong = s.reconstruct([(l, dealt.shares[l - 1][: s.groups]) for l in range(s.m - s.r + 1, s.m + 1)])
    assert not wrong and back[: s.secrets] == [x % s.prime for x in dealt.secrets]
    return ok(name, given, expect)


def open_cases():
    config, ikm = SMALL, b"open"
    dealt = Dealt(config, ikm, [1, 2, 3, 255, 0, 7, 9])
    s, packed, seed = dealt.s, dealt.texts[6], dealt.texts[0]
    padded, big = bytearray(packed), s.prime | (s.prime << s.bits)
    padded[-1] |= 0x80
    assert (s.groups + s.checks) * s.bits % 8
    out = []
    for name, index, data, fine in (
        ("open a seed", 1, seed, True),
        ("open elements", 7, packed, True),
        ("open index 0", 0, packed, False),
        ("open index m + 1", 8, packed, False),
        ("open index 65535", 65535, seed, False),
        ("open elements as a seed", 1, packed, False),
        ("open a seed as elements", 7, seed, False),
        ("open a seed of 31 bytes", 1, seed[:-1], False),
        ("open a seed of 33 bytes", 1, seed + b"\0", False),
        ("open elements, a byte too few", 7, packed[:-1], False),
        ("open elements, a byte too many", 7, packed + b"\0", False),
        ("open elements, a set bit in the padding", 7, bytes(padded), False),
        ("open elements, two equal to P", 7, (int.from_bytes(packed, "little") >> 2 * s.bits << 2 * s.bits | big).to_bytes(len(packed), "little"), False),
        ("open nothing", 7, b"", False),
    ):
        given = {"op": "open", "index": index, "plaintext": data.hex()} | context(config, ikm)
        case = attempt(name, given, lambda: s.open_share(data, index, SID, SENDER), Refused)
        out.append(accepted(case) if fine else refused(case))
    return out


def check_cases():
    """Words of check values at m = 7, r = 4: up to one wrong is found when all publish."""
    config = SMALL
    dealt = Dealt(config, b"checks", [5, 4, 3, 2, 1, 0, 9])
    s = dealt.s
    chi = s.challenge(HDR, SID, SENDER)
    word = [(l, s.check_values(share, chi)) for l, share in enumerate(dealt.shares, 1)]

    def off(*indices):
        return [(l, [(v[0] + l) % s.prime, *v[1:]] if l in indices else v) for l, v in word]

    one_value = [(l, [*v[:-1], (v[-1] + 1) % s.prime] if l == 3 else v) for l, v in word]
    out = []
    for name, entries, fine in (
        ("checks of all, consistent", word, True),
        ("checks of r, consistent", word[:4], True),
        ("checks in another order", word[::-1], True),
        ("checks, one member off", off(6), True),
        ("checks, one member off in its last value", one_value, True),
        ("checks, a seed member off", off(1), True),
        ("checks, two off: beyond the radius", off(2, 5), False),
        ("checks, one off of five: beyond the radius", off(2)[:5], False),
        ("checks, one off of six", off(2)[:6], True),
        ("checks, fewer than r", word[:3], False),
        ("checks, none", [], False),
        ("checks, one index twice", word + [word[2]], False),
        ("checks, index 0", [(0, word[0][1])] + word[1:], False),
        ("checks, index m + 1", word[:-1] + [(8, word[6][1])], False),
    ):
        given = {"op": "decode", "values": [{"index": l, "values": v} for l, v in entries]} | config
        case = attempt(name, given, lambda: {"off": s.decode(entries)}, Refused)
        out.append(accepted(case) if fine else refused(case))
    return out


def share_file():
    cases = [
        deal_case("masked, 4 members, R4096", masked_config("R4096", 100, 4)),
        deal_case("masked, 16 members, R8192", masked_config("R8192", 1000, 16)),
        deal_case("masked, 64 members, R4096", masked_config("R4096", 10_000, 64)),
        deal_case("masked, 2 members, R4096", masked_config("R4096", 100, 2)),
        deal_case("direct, 3 members", direct_config(3, 10, 8, 3), [255, 0, 17]),
        deal_case("direct, 7 members", SMALL, [1, 2, 3, 255, 254, 0, 77]),
        deal_case("direct, 16 members, 24 bits", direct_config(21, 10_000, 24, 16), [(i * 40503 * 77) % 2**24 for i in range(21)]),
    ]
    cases += open_cases() + check_cases()
    about = (
        "deal: secrets are the samples of XOF(simulation, ikm; \"secret\") or slot_values; the seed of member l ≤ r−ρ is "
        "derive(simulation, ikm; \"seed\", u16le(l)); the values of the check polynomials at −1 … −ρ are field elements of "
        "XOF(simulation, ikm; \"check\"), k outside. Answers: plaintexts in index order (SHA-256 where long), SHA-256 over "
        "each member's G + K elements as u64le, challenge, check values. open: the elements of a plaintext. decode: the "
        "members off the nearest codeword."
    )
    return document(about, ["DEAL-1", "CHK-1", "FIELD-1", "KDF-2", "RS-1"], cases)


def masked_answers(name, config, dealers):
    """Sums of the shares of several dealers, and the true sum of their secrets."""
    all_dealt = [Dealt(config, f"{name} {i}".encode()) for i in range(dealers)]
    s = all_dealt[0].s
    sums = [[sum(column) % s.prime for column in zip(*(d.shares[l][: s.groups] for d in all_dealt))] for l in range(s.m)]
    truth = [sum(column) for column in zip(*(d.secrets for d in all_dealt))]
    return s, sums, truth


def masked_case(name, config, dealers, members, wrong=()):
    s, sums, truth = masked_answers(name, config, dealers)
    answers = [(l, [(x + l) % s.prime if l in wrong else x for x in sums[l - 1]]) for l in members]
    given = {"op": "masked", "ikm_prefix": name.encode().hex(), "dealers": dealers, "members": list(members)}
    given |= {"wrong": list(wrong), "sid": SID.hex(), "sender": SENDER.hex()} | config

    def answer():
        # The same members are wrong in every word, so one word decides whether decoding succeeds.
        found = s.decode([(l, values[:1]) for l, values in answers])
        good = [entry for entry in answers if entry[0] not in found]
        secrets, rest = s.reconstruct(good[: s.r])
        assert not rest
        key_sum = s.key_sum(secrets, dealers)
        assert key_sum == truth
        packed = sha256(b"".join((x & 0xFFFFFFFF).to_bytes(4, "little") for x in key_sum)).hex()
        hashes = [sha256(pack(values, s.bits)).hex() for _, values in answers]
        return {"wrong": found, "first": key_sum[:8], "key_sum_sha256_i32le": packed, "answers_sha256": hashes}

    return attempt(name, given, answer, Refused)


def key_sum_cases():
    s = sharing_of(masked_config("R4096", 100, 4))
    out = []
    for name, value, contributors in (
        ("key sum at the bound", 72, 2),
        ("key sum at the negative bound", s.prime - 72, 2),
        ("key sum above the bound", 73, 2),
        ("key sum below the negative bound", s.prime - 73, 2),
        ("key sum in the middle of the field", s.prime // 2, 100),
    ):
        given = {"op": "key-sum", "secret": value, "contributors": contributors} | masked_config("R4096", 100, 4)
        out.append(attempt(name, given, lambda: s.key_sum([value], contributors), Refused))
    assert ["error" in case for case in out] == [False, False, True, True, True]
    return out


def direct_cases():
    config = SMALL  # m = 7: c = 2, ρ = 2, r = 4, e = 1, so a_min = 5
    dealt = [Dealt(config, b"direct %d" % i, [10 * i + j for j in range(7)]) for i in range(3)]
    s = dealt[0].s
    sums = [[sum(column) % s.prime for column in zip(*(d.shares[l][: s.groups] for d in dealt))] for l in range(7)]
    word = list(enumerate(sums, 1))

    def off(index, group, entries=word):
        return [(l, [(x + (g == group and l == index)) % s.prime for g, x in enumerate(v)]) for l, v in entries]

    def of_slots(slots):
        shares = Dealt(config | {"slots": len(slots)}, b"planted", slots).shares
        return [(l, share[: s.groups]) for l, share in enumerate(shares, 1)]

    out = []
    for name, entries, contributors, fine in (
        ("direct, all answer", word, 3, True),
        ("direct, a_min answer", word[2:], 3, True),
        ("direct, another order", word[::-1], 3, True),
        ("direct, sums at the bound", of_slots([765] * 7), 3, True),
        ("direct, fewer than a_min", word[:4], 3, False),
        ("direct, one of all off in one word", off(5, 3), 3, True),
        ("direct, one of six off", off(2, 1, word[:6]), 3, True),
        ("direct, one of a_min off", off(5, 0, word[:5]), 3, False),
        ("direct, two of all off", off(5, 0, off(1, 2)), 3, False),
        ("direct, one index twice", word[:5] + [word[4]], 3, False),
        ("direct, index 0", [(0, sums[0])] + word[1:], 3, False),
        ("direct, index m + 1", word[:6] + [(8, sums[6])], 3, False),
        ("direct, padding not zero", of_slots([0] * 7 + [1]), 3, False),
        ("direct, a sum above the bound", of_slots([0, 0, 766, 0, 0, 0, 0]), 3, False),
        ("direct, a negative sum", of_slots([s.prime - 1] + [0] * 6), 3, False),
    ):
        given = {"op": "direct", "a_min": 5, "contributors": contributors} | config
        given["answers"] = [{"index": l, "bytes": pack(v, s.bits).hex()} for l, v in entries]
        case = attempt(name, given, lambda: s.reconstruct_direct(entries, 5, 8, contributors), Refused)
        out.append(accepted(case) if fine else refused(case))
    return out


def answer_file():
    four, sixteen = masked_config("R4096", 100, 4), masked_config("R4096", 1000, 16)
    everybody = range(1, 17)
    cases = [
        accepted(masked_case("three of four", four, 2, [1, 3, 4])),
        accepted(masked_case("all of sixteen", sixteen, 2, everybody)),
        accepted(masked_case("eleven of sixteen", sixteen, 2, range(6, 17))),
        accepted(masked_case("two wrong of sixteen", sixteen, 2, everybody, (3, 12))),
        accepted(masked_case("one wrong of thirteen", sixteen, 2, range(2, 15), (14,))),
        refused(masked_case("three wrong of sixteen", sixteen, 2, everybody, (3, 9, 12))),
        refused(masked_case("one wrong of twelve", sixteen, 2, range(1, 13), (5,))),
        refused(masked_case("ten of sixteen", sixteen, 2, range(1, 11))),
        refused(masked_case("one member twice", sixteen, 2, [*range(1, 12), 11])),
    ]
    cases += key_sum_cases() + direct_cases()
    about = (
        "masked: dealer i deals as in share.json with ikm = ikm_prefix ‖ \" i\"; `members` answer with the sums of their "
        "shares, in that order; a member in `wrong` adds its index to every element. key-sum: one reconstructed secret, "
        "centred. direct: answers in hex, slot sums."
    )
    return document(about, ["RS-1", "DIRECT-1", "FIELD-1"], cases)
