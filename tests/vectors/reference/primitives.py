"""Hashes, key derivation and key streams (PROTOCOL.md §2): H, derive, XOF, ChaCha20, AES-128-CTR, BLAKE3."""

import hashlib
import hmac
import struct

PREFIX = b"quorate/1/"


def u16le(x):
    return struct.pack("<H", x)


def u32le(x):
    return struct.pack("<I", x)


def u64le(x):
    return struct.pack("<Q", x)


def framed(*fields):
    """Every field with its length in front."""
    return b"".join(u64le(len(f)) + f for f in fields)


def sha256(data):
    return hashlib.sha256(data).digest()


def H(label, *fields):
    """[HASH-1]; `label` without the common prefix."""
    return sha256(framed(PREFIX + label.encode(), *fields))


def derive(label, ikm, *context):
    """[KDF-1]: HKDF-SHA256, empty salt, one block of output."""
    prk = hmac.new(b"\0" * 32, ikm, hashlib.sha256).digest()
    return hmac.new(prk, framed(PREFIX + label.encode(), *context) + b"\x01", hashlib.sha256).digest()


def chacha20(key, first, count):
    """`count` blocks of 64 bytes from block `first`; 20 rounds, zero nonce, 64-bit block counter.

    All blocks are computed together: a state word is one integer with a lane of 64 bits for every block.
    """
    ones = sum(1 << (64 * i) for i in range(count))
    mask = ones * 0xFFFFFFFF
    counters = [first + i for i in range(count)]
    start = [w * ones for w in struct.unpack("<12I", b"expand 32-byte k" + key)]
    start += [sum((c >> shift & 0xFFFFFFFF) << (64 * i) for i, c in enumerate(counters)) for shift in (0, 32)]
    start += [0, 0]
    x = start[:]

    def rotated(v, n):
        return (v << n | v >> (32 - n)) & mask

    def quarter(a, b, c, d):
        x[a] = (x[a] + x[b]) & mask
        x[d] = rotated(x[d] ^ x[a], 16)
        x[c] = (x[c] + x[d]) & mask
        x[b] = rotated(x[b] ^ x[c], 12)
        x[a] = (x[a] + x[b]) & mask
        x[d] = rotated(x[d] ^ x[a], 8)
        x[c] = (x[c] + x[d]) & mask
        x[b] = rotated(x[b] ^ x[c], 7)

    for _ in range(10):
        for i in range(4):
            quarter(i, 4 + i, 8 + i, 12 + i)
        for i in range(4):
            quarter(i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    words = [((a + b) & mask).to_bytes(8 * count, "little") for a, b in zip(x, start)]
    return b"".join(w[8 * i : 8 * i + 4] for i in range(count) for w in words)


class Xof:
    """[KDF-2]: the ChaCha20 key stream under a derived key, read in order."""

    def __init__(self, label, ikm, *context):
        self.key = derive(label, ikm, *context)
        self.counter = 0
        self.rest = b""

    def read(self, n):
        parts, missing = [self.rest], -(-(n - len(self.rest)) // 64)
        while missing > 0:
            blocks = min(missing, 1024)
            parts.append(chacha20(self.key, self.counter, blocks))
            self.counter += blocks
            missing -= blocks
        data = b"".join(parts)
        self.rest = data[n:]
        return data[:n]

    def words(self, n):
        """The next n words of 64 bits."""
        return struct.unpack("<%dQ" % n, self.read(8 * n))

    def elements(self, prime, n):
        """The next n field elements: masked words, those ≥ P skipped."""
        size = 4 if prime <= 1 << 32 else 8
        mask = (1 << ceil_log2(prime)) - 1
        out = []
        while len(out) < n:
            # Exactly as many words as are missing, so that nothing is read ahead.
            data = self.read(size * (n - len(out)))
            words = (int.from_bytes(data[i : i + size], "little") & mask for i in range(0, len(data), size))
            out += [x for x in words if x < prime]
        return out


def ceil_log2(x):
    """⌈log₂x⌉ of a positive integer."""
    return (x - 1).bit_length()


# AES-128, FIPS 197, with one table that joins SubBytes and MixColumns.


def _xtime(a):
    return (a << 1) ^ (0x11B if a & 0x80 else 0)


def _gmul(a, b):
    out = 0
    while b:
        if b & 1:
            out ^= a
        a, b = _xtime(a), b >> 1
    return out


def _sbox():
    box = []
    for x in range(256):
        inverse = next((y for y in range(256) if _gmul(x, y) == 1), 0)
        b = inverse
        for shift in (1, 2, 3, 4):
            b ^= (inverse << shift | inverse >> (8 - shift)) & 0xFF
        box.append(b ^ 0x63)
    return box


SBOX = _sbox()
_T0 = [_xtime(s) << 24 | s << 16 | s << 8 | (_xtime(s) ^ s) for s in SBOX]
_T1 = [(t >> 8 | t << 24) & 0xFFFFFFFF for t in _T0]
_T2 = [(t >> 16 | t << 16) & 0xFFFFFFFF for t in _T0]
_T3 = [(t >> 24 | t << 8) & 0xFFFFFFFF for t in _T0]


def aes128_schedule(key):
    words = list(struct.unpack(">4I", key))
    rcon = 1
    for i in range(4, 44):
        t = words[-1]
        if i % 4 == 0:
            t = (t << 8 | t >> 24) & 0xFFFFFFFF
            t = SBOX[t >> 24] << 24 | SBOX[t >> 16 & 255] << 16 | SBOX[t >> 8 & 255] << 8 | SBOX[t & 255]
            t ^= rcon << 24
            rcon = _xtime(rcon)
        words.append(words[-4] ^ t)
    return words


def aes128_encrypt(schedule, block):
    """One block; `block` and result are integers, big-endian."""
    a = (block >> 96) ^ schedule[0]
    b = (block >> 64 & 0xFFFFFFFF) ^ schedule[1]
    c = (block >> 32 & 0xFFFFFFFF) ^ schedule[2]
    d = (block & 0xFFFFFFFF) ^ schedule[3]
    for r in range(4, 40, 4):
        a, b, c, d = (
            _T0[a >> 24] ^ _T1[b >> 16 & 255] ^ _T2[c >> 8 & 255] ^ _T3[d & 255] ^ schedule[r],
            _T0[b >> 24] ^ _T1[c >> 16 & 255] ^ _T2[d >> 8 & 255] ^ _T3[a & 255] ^ schedule[r + 1],
            _T0[c >> 24] ^ _T1[d >> 16 & 255] ^ _T2[a >> 8 & 255] ^ _T3[b & 255] ^ schedule[r + 2],
            _T0[d >> 24] ^ _T1[a >> 16 & 255] ^ _T2[b >> 8 & 255] ^ _T3[c & 255] ^ schedule[r + 3],
        )
    out = 0
    for i, (w, x, y, z) in enumerate(((a, b, c, d), (b, c, d, a), (c, d, a, b), (d, a, b, c))):
        last = SBOX[w >> 24] << 24 | SBOX[x >> 16 & 255] << 16 | SBOX[y >> 8 & 255] << 8 | SBOX[z & 255]
        out = out << 32 | (last ^ schedule[40 + i])
    return out


def aes128_ctr(key, first, blocks):
    """Key stream of `blocks` blocks; the counter block `first` (an integer) counts up as one big-endian number."""
    schedule = aes128_schedule(key)
    return b"".join(aes128_encrypt(schedule, first + i).to_bytes(16, "big") for i in range(blocks))


# BLAKE3, hash mode, 32 bytes of output.

_IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
_PERMUTATION = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
_CHUNK_START, _CHUNK_END, _PARENT, _ROOT = 1, 2, 4, 8


def _mix(v, a, b, c, d, x, y):
    v[a] = (v[a] + v[b] + x) & 0xFFFFFFFF
    t = v[d] ^ v[a]
    v[d] = (t >> 16 | t << 16) & 0xFFFFFFFF
    v[c] = (v[c] + v[d]) & 0xFFFFFFFF
    t = v[b] ^ v[c]
    v[b] = (t >> 12 | t << 20) & 0xFFFFFFFF
    v[a] = (v[a] + v[b] + y) & 0xFFFFFFFF
    t = v[d] ^ v[a]
    v[d] = (t >> 8 | t << 24) & 0xFFFFFFFF
    v[c] = (v[c] + v[d]) & 0xFFFFFFFF
    t = v[b] ^ v[c]
    v[b] = (t >> 7 | t << 25) & 0xFFFFFFFF


def _compress(chain, block, length, counter, flags):
    m = struct.unpack("<16I", block)
    v = [*chain, *_IV[:4], counter & 0xFFFFFFFF, counter >> 32, length, flags]
    for _ in range(7):
        _mix(v, 0, 4, 8, 12, m[0], m[1])
        _mix(v, 1, 5, 9, 13, m[2], m[3])
        _mix(v, 2, 6, 10, 14, m[4], m[5])
        _mix(v, 3, 7, 11, 15, m[6], m[7])
        _mix(v, 0, 5, 10, 15, m[8], m[9])
        _mix(v, 1, 6, 11, 12, m[10], m[11])
        _mix(v, 2, 7, 8, 13, m[12], m[13])
        _mix(v, 3, 4, 9, 14, m[14], m[15])
        m = tuple(m[i] for i in _PERMUTATION)
    return tuple(v[i] ^ v[i + 8] for i in range(8))


def _chunk(data, counter, root):
    chain = _IV
    blocks = [data[i : i + 64] for i in range(0, len(data), 64)] or [b""]
    for i, block in enumerate(blocks):
        flags = (_CHUNK_START if i == 0 else 0) | ((_CHUNK_END | root) if i == len(blocks) - 1 else 0)
        chain = _compress(chain, block.ljust(64, b"\0"), len(block), counter, flags)
    return chain


def _subtree(data, first, root):
    """The chaining value over `data`, whose first chunk has number `first`."""
    if len(data) <= 1024:
        return _chunk(data, first, root)
    chunks = (len(data) + 1023) // 1024
    left = 1 << (chunks - 1).bit_length() - 1
    block = struct.pack(
        "<16I", *_subtree(data[: left * 1024], first, 0), *_subtree(data[left * 1024 :], first + left, 0)
    )
    return _compress(_IV, block, 64, 0, _PARENT | root)


def blake3(data):
    return struct.pack("<8I", *_subtree(data, 0, _ROOT))


def self_test():
    """Published answers: FIPS 197, RFC 8439, the BLAKE3 paper's empty input, RFC 5869 by way of hmac."""
    schedule = aes128_schedule(bytes(range(16)))
    cipher = aes128_encrypt(schedule, int.from_bytes(bytes.fromhex("00112233445566778899aabbccddeeff"), "big"))
    assert cipher == 0x69C4E0D86A7B0430D8CDB78070B4C55A
    stream = chacha20(b"\0" * 32, 0, 3)
    assert stream.hex().startswith("76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7")
    assert stream[64:96].hex() == "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed"
    assert stream[128:] == chacha20(b"\0" * 32, 2, 1)
    assert blake3(b"").hex() == "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"
    assert blake3(b"abc").hex() == "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85"
