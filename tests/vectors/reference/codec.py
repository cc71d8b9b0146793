"""The codec of updates ([CODEC-1], [CODEC-2] without the L2 part, [CODEC-3]).

Python's floats are IEEE 754 binary64, rounded to nearest even, as the specification asks.
"""

import math
import struct

from .ring import Refused


def from_hex(text):
    return struct.unpack(">d", bytes.fromhex(text))[0]


def to_hex(x):
    return struct.pack(">d", x).hex()


def weight_slots(limit, bits):
    """The least number of digits in base 2ᵇ that hold W."""
    n = 1
    while limit >> (bits * n):
        n += 1
    return n


def weight_digits(weight, limit, bits):
    if not 1 <= weight <= limit:
        raise Refused("weight")
    return [weight >> (bits * i) & ((1 << bits) - 1) for i in range(weight_slots(limit, bits))]


def quantise(x, weight, limit, bits, clip, coin):
    """One coordinate; `coin` is an integer below 2⁵³. Gives the slot and whether x was clipped."""
    steps = 2 ** (bits - 1) - 1
    clipped = abs(x) > clip
    x = max(-clip, min(clip, x))
    v = x * (weight / limit) * float(steps) / clip
    rounded = math.floor(v + coin * 2.0**-53)
    return 2 ** (bits - 1) + max(-steps, min(steps, rounded)), clipped


def encode(schema, weight, values, coins):
    """Slots of an update: weight digits, then coordinates; and how many were clipped."""
    bits, limit, clip = schema["bits"], schema["weight_limit"], schema["clip"]
    if bits < 2:
        raise Refused("bits")
    if len(values) != schema["coordinates"]:
        raise Refused("length")
    slots = weight_digits(weight, limit, bits)
    if any(math.isnan(x) or math.isinf(x) for x in values):
        raise Refused("not finite")
    pairs = [quantise(x, weight, limit, bits, clip, coin) for x, coin in zip(values, coins)]
    return slots + [q for q, _ in pairs], sum(clipped for _, clipped in pairs)


def mean(schema, sums, contributors):
    """[CODEC-3]: total weight and mean from the sums of the slots."""
    bits, limit, clip = schema["bits"], schema["weight_limit"], schema["clip"]
    digits = weight_slots(limit, bits)
    total = sum(x << (bits * i) for i, x in enumerate(sums[:digits]))
    scale = float(limit) * clip / float(2 ** (bits - 1) - 1)
    offset = contributors * 2 ** (bits - 1)
    return total, [float(x - offset) * scale / float(total) for x in sums[digits:]]
