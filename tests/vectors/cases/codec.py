"""codec.json."""

import math

from reference.codec import encode, mean, to_hex, weight_digits
from reference.ring import Refused

from . import accepted, attempt, document, refused

TOP = 2**53 - 1


def weight_cases():
    out = []
    for weight, limit, bits, fine in (
        (1, 1, 2, True),
        (1, 1000, 16, True),
        (1000, 1000, 16, True),
        (1000, 1000, 8, True),
        (255, 255, 8, True),
        (256, 256, 8, True),
        (65535, 65535, 16, True),
        (65536, 65536, 16, True),
        (123456789, 2**31 - 1, 4, True),
        (2**32 - 1, 2**32 - 1, 24, True),
        (0, 1000, 16, False),
        (1001, 1000, 16, False),
        (2**32 - 1, 1000, 16, False),
    ):
        given = {"op": "weight", "weight": weight, "weight_limit": limit, "bits": bits}
        case = attempt(f"weight {weight} of {limit}, {bits} bits", given, lambda: weight_digits(weight, limit, bits), Refused)
        out.append(accepted(case) if fine else refused(case))
    return out


def encode_case(name, bits, limit, clip, weight, values, coins, coordinates=None, fine=True):
    schema = {"bits": bits, "weight_limit": limit, "clip": clip, "coordinates": len(values)}
    schema["coordinates"] = coordinates if coordinates is not None else len(values)
    given = {"op": "encode"} | schema | {"clip": to_hex(clip), "weight": weight}
    given |= {"values": [to_hex(x) for x in values], "coins": coins}

    def answer():
        slots, clipped = encode(schema, weight, values, coins)
        assert all(0 <= x < 2**bits for x in slots)
        return {"slots": slots, "clipped": clipped}

    case = attempt(name, given, answer, Refused)
    return accepted(case) if fine else refused(case)


def encode_cases():
    grid = [-1.0, -0.75, -0.5, -1e-9, -0.0, 0.0, 1e-9, 0.3, 0.5, 0.999, 1.0]
    half, n = 2**52, len(grid)
    wide = [math.sin(i) * 1.2 for i in range(40)]
    coins = [(i * 0x9E3779B97F4A7C15 >> 11) % 2**53 for i in range(1, 41)]
    return [
        encode_case("no coin", 8, 1000, 1.0, 1000, grid, [0] * n),
        encode_case("half a coin", 8, 1000, 1.0, 1000, grid, [half] * n),
        encode_case("largest coin: no slot leaves the grid", 8, 1000, 1.0, 1000, grid, [TOP] * n),
        encode_case("a clip that rounds upwards, largest coin", 8, 1, 0.3, 1, [0.3, -0.3, 0.3, -0.3], [TOP, TOP, 0, 0]),
        encode_case("a clip that rounds downwards", 16, 1, 5.7, 1, [5.7, -5.7, 5.7, -5.7], [TOP, TOP, 0, 0]),
        encode_case("clipped", 16, 100, 0.5, 50, wide, coins),
        encode_case("light weight", 16, 1000, 1.5, 1, wide, coins),
        encode_case("two bits", 2, 3, 1.0, 3, wide, coins),
        encode_case("24 bits, weight in one slot", 24, 10**6, 1.5, 777_777, wide, coins),
        encode_case("weight in several slots", 4, 10**6, 1.5, 777_777, wide, coins),
        encode_case("subnormal and huge", 16, 10, 1.0, 7, [5e-324, -5e-324, 1.7e308, -1.7e308], [0, TOP, TOP, 0]),
        encode_case("not a number", 16, 10, 1.0, 7, [0.0, math.nan], [0, 0], fine=False),
        encode_case("infinity", 16, 10, 1.0, 7, [math.inf, 0.0], [0, 0], fine=False),
        encode_case("minus infinity", 16, 10, 1.0, 7, [0.0, -math.inf], [0, 0], fine=False),
        encode_case("a coordinate too few", 16, 10, 1.0, 7, [0.0, 0.0], [0, 0], coordinates=3, fine=False),
        encode_case("a coordinate too many", 16, 10, 1.0, 7, [0.0, 0.0], [0, 0], coordinates=1, fine=False),
        encode_case("no coordinate", 16, 10, 1.0, 7, [], [], coordinates=1, fine=False),
        encode_case("weight 0", 16, 10, 1.0, 0, [0.5], [0], fine=False),
        encode_case("weight above W", 16, 10, 1.0, 11, [0.5], [0], fine=False),
        encode_case("one bit", 1, 10, 1.0, 5, [0.5], [0], fine=False),
    ]


def mean_cases():
    out = []
    for name, bits, limit, clip, contributors, sums in (
        ("one contributor at zero", 8, 1000, 1.0, 1, [232, 3, 128, 128]),
        ("three contributors", 16, 1000, 0.3, 3, [2100, 98304, 98303, 98305, 0, 196605]),
        ("weight in several slots", 4, 10**6, 1.5, 5, [75, 60, 33, 2, 9, 40, 41, 39, 0, 75]),
        ("two bits", 2, 3, 1.0, 2, [5, 4, 2, 6]),
        ("24 bits, 10,000 contributors", 24, 10**6, 5.7, 10_000, [4_999_999_999, 83886080000, 83886080001, 123456789012]),
        ("a sum of weights above 2^24", 8, 2**31 - 1, 1.0, 100, [25500, 25500, 25500, 12700, 12800, 12801, 25500, 0]),
    ):
        schema = {"bits": bits, "weight_limit": limit, "clip": clip}
        given = {"op": "mean"} | schema | {"clip": to_hex(clip), "contributors": contributors, "sums": sums}

        def answer():
            total, values = mean(schema, sums, contributors)
            return {"weight": total, "mean": [to_hex(x) for x in values]}

        out.append(accepted(attempt("mean, " + name, given, answer, Refused)))
    return out


def codec_file():
    about = (
        "Floating-point numbers are the 16 hexadecimal digits of their binary64, big-endian. A coin is an integer n below "
        "2^53 and stands for u = n·2^-53; coin i belongs to coordinate i. encode: slots, and how many coordinates were "
        "clipped. mean: sum of the weights and the weighted mean."
    )
    return document(about, ["CODEC-1", "CODEC-2", "CODEC-3"], weight_cases() + encode_cases() + mean_cases())
