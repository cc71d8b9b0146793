"""Ed25519 as [SIG-1] asks for it: signatures count by the equation with the cofactor.

Libraries differ in which malformed signatures they take; so verification is written out here. Signing is the library's.
"""

import hashlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
ROOT = pow(2, (P - 1) // 4, P)


def _double(p):
    x, y, z, _ = p
    a, b, c = x * x, y * y, 2 * z * z
    e, g, h = (x + y) ** 2 - a - b, b - a, -a - b
    f = g - c
    return e * f % P, g * h % P, f * g % P, e * h % P


def _add(p, q):
    (x1, y1, z1, t1), (x2, y2, z2, t2) = p, q
    a, b = (y1 - x1) * (y2 - x2) % P, (y1 + x1) * (y2 + x2) % P
    c, d = 2 * t1 * t2 * D % P, 2 * z1 * z2
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


NEUTRAL = (0, 1, 1, 0)


def _times(n, p):
    out = NEUTRAL
    for bit in bin(n)[2:]:
        out = _double(out)
        if bit == "1":
            out = _add(out, p)
    return out


def _is_neutral(p):
    return p[0] % P == 0 and (p[1] - p[2]) % P == 0


def decode(data):
    """A point from its canonical encoding; none of another."""
    if len(data) != 32:
        return None
    y, sign = int.from_bytes(data, "little"), data[31] >> 7
    y &= (1 << 255) - 1
    if y >= P:
        return None
    xx = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(xx, (P + 3) // 8, P)
    if (x * x - xx) % P:
        x = x * ROOT % P
    if (x * x - xx) % P or (x == 0 and sign):
        return None
    x = P - x if x & 1 != sign else x
    return x, y, 1, x * y % P


BASE = decode((4 * pow(5, -1, P) % P).to_bytes(32, "little"))
_keys = {}


def key_point(key):
    """The point of a public key; none if it is no key: malformed, or of small order."""
    if key not in _keys:
        point = decode(key)
        small = point is None or _is_neutral(_times(8, point))
        _keys[key] = None if small else point
    return _keys[key]


def verify(key, digest, signature):
    a, r, s = key_point(key), decode(signature[:32]), int.from_bytes(signature[32:], "little")
    if a is None or r is None or len(signature) != 64 or s >= L:
        return False
    k = int.from_bytes(hashlib.sha512(signature[:32] + key + digest).digest(), "little") % L
    right = _add(r, _times(k, a))
    minus = (P - right[0], right[1], right[2], P - right[3])
    return _is_neutral(_times(8, _add(_times(s, BASE), minus)))


class Key:
    """An identity key."""

    def __init__(self, seed):
        self.secret = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self.secret.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def sign(self, digest):
        return self.secret.sign(digest)
