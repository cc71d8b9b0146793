"""[SEAL-1], suite 1: HPKE (RFC 9180) in base mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305."""

import hashlib
import hmac

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

KEM = b"KEM" + (0x20).to_bytes(2, "big")
SUITE = b"HPKE" + (0x20).to_bytes(2, "big") + (1).to_bytes(2, "big") + (3).to_bytes(2, "big")


class NotOpened(Exception):
    pass


def _extract(suite, salt, label, ikm):
    return hmac.new(salt or bytes(32), b"HPKE-v1" + suite + label + ikm, hashlib.sha256).digest()


def _expand(suite, prk, label, info, length):
    info = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    return hmac.new(prk, info + b"\1", hashlib.sha256).digest()[:length]


def raw(key):
    return key.public_bytes(Encoding.Raw, PublicFormat.Raw)


def _schedule(agreed, enc, recipient, info):
    prk = _extract(KEM, b"", b"eae_prk", agreed)
    shared = _expand(KEM, prk, b"shared_secret", enc + recipient, 32)
    context = b"\0" + _extract(SUITE, b"", b"psk_id_hash", b"") + _extract(SUITE, b"", b"info_hash", info)
    secret = _extract(SUITE, shared, b"secret", b"")
    return ChaCha20Poly1305(_expand(SUITE, secret, b"key", context, 32)), _expand(SUITE, secret, b"base_nonce", context, 12)


class Sealer:
    """One ephemeral key for all members of a contribution (decisions/0006)."""

    def __init__(self):
        self.ephemeral = X25519PrivateKey.generate()
        self.enc = raw(self.ephemeral.public_key())

    def seal(self, recipient, info, plaintext):
        agreed = self.ephemeral.exchange(X25519PublicKey.from_public_bytes(recipient))
        cipher, nonce = _schedule(agreed, self.enc, recipient, info)
        return {"enc": self.enc, "ct": cipher.encrypt(nonce, plaintext, b"")}


class RoundKey:
    def __init__(self):
        self.secret = X25519PrivateKey.generate()
        self.public = raw(self.secret.public_key())

    def open(self, info, sealed):
        if len(sealed["enc"]) != 32:
            raise NotOpened
        try:
            agreed = self.secret.exchange(X25519PublicKey.from_public_bytes(sealed["enc"]))
            cipher, nonce = _schedule(agreed, sealed["enc"], self.public, info)
            return cipher.decrypt(nonce, sealed["ct"], b"")
        except (InvalidTag, ValueError) as error:
            raise NotOpened from error
