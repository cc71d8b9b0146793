"""The participant's side of a round: one contribution, and whether it was counted."""

import secrets
import struct

from reference import codec, merkle, ring
from reference.primitives import H, blake3, chacha20, u16le, u32le, u64le

from . import messages
from .curve import verify
from .policy import ident
from .seal import Sealer
from .trust import ensure


class Coins:
    """[MASK-1]: a ChaCha20 stream under a fresh key from the operating system."""

    def __init__(self):
        self.key, self.block, self.rest = secrets.token_bytes(32), 0, b""

    def read(self, n):
        while len(self.rest) < n:
            self.rest += chacha20(self.key, self.block, 64)
            self.block += 64
        out, self.rest = self.rest[:n], self.rest[n:]
        return out

    def words(self, n):
        return struct.unpack("<%dQ" % n, self.read(8 * n))

    def elements(self, prime, n):
        """Uniform field elements."""
        return [int.from_bytes(self.read(16), "little") % prime for _ in range(n)]


class Participant:
    """What is kept from round to round; `faults` are the names of what it does wrong on purpose."""

    def __init__(self, party, key, store, faults):
        self.party, self.key, self.store, self.faults = party, key, store, faults
        self.last_update = self.last_secret = None
        self.sent = None

    def contribution(self, round_, update, weight):
        """Frame and vector; the record of them is durable before they leave ([MASK-4])."""
        digest = H("update", u64le(weight), blake3(struct.pack("<%df" % len(update), *update)))
        ensure(digest != self.last_update, "the update contributed last")
        coins = Coins()
        schema, packing = round_.manifest["schema"], round_.packing
        rounding = [w >> 11 for w in coins.words(len(update))]
        slots, _ = codec.encode(schema_of(schema), weight, update, rounding)
        if "no-weight" in self.faults:
            slots[0] = 0
        secret = ring.samples("secret", coins, packing.degree)
        if "zero-secret" in self.faults:
            secret = [0] * packing.degree
        if "reused-mask" in self.faults and self.last_secret:
            secret = self.last_secret
        self.last_secret = secret
        vector = ring.to_bytes(packing, ring.mask(packing, round_.mh, secret, coins, slots))
        if "other-mask" in self.faults:
            secret = ring.samples("secret", coins, packing.degree)
        shares = self.deal(round_, secret, coins)
        frame = self.signed(round_, vector, shares)
        self.store.put(contribution=[round_.number, round_.sid.hex(), self.sent[1].hex(), frame.hex(), vector.hex()])
        self.last_update = digest
        return frame, vector

    def deal(self, round_, secret, coins):
        sharing = round_.sharing
        seeds = [coins.read(32) for _ in range(sharing.free)]
        checks = [coins.elements(sharing.prime, sharing.rho) for _ in range(sharing.checks)]
        dealt = sharing.deal(secret, seeds, checks, round_.sid, ident(self.party))
        if "bad-share" in self.faults:
            for place in range(sharing.free, sharing.m):
                dealt[place] = [(x + place**3) % sharing.prime for x in dealt[place]]
        sealer, sealed = Sealer(), []
        for place, (member, entry) in enumerate(round_.members, 1):
            info = H("share-info", round_.sid, ident(self.party), ident(member), u16le(place + ("other-place" in self.faults)))
            sealed.append(sealer.seal(entry["key"], info, sharing.plaintext(place, dealt[place - 1], seeds)))
        return sealed

    def signed(self, round_, vector, shares):
        root = merkle.root([share_leaf(place, sealed) for place, sealed in enumerate(shares, 1)])
        if "other-root" in self.faults:
            root = H("set-leaf", root)
        fields = round_.sid, ident(self.party), blake3(vector[:-1] if "other-vector" in self.faults else vector), root
        header = {"sid": round_.sid, "sender": self.party, "vector": fields[2], "shares": root}
        label = "check-sign" if "wrong-label" in self.faults else "header-sign"
        signature = self.key.sign(round_.signed(label, *fields))
        self.sent = round_, H("header", *fields)
        return messages.encode("Contribution", round_.number, {"header": header, "signature": signature, "shares": shares})

    def place(self, notice):
        """[RES-1]: whether the contribution was counted."""
        ensure(self.sent is not None, "no contribution")
        round_, hdr = self.sent
        ensure(notice["set"]["sid"] == round_.sid, "session")
        fields = set_fields(notice["set"])
        over = round_.signed("result-sign", *fields, notice["result"], notice["locks"], notice["answers"])
        ensure(verify(round_.signer, over, notice["signature"]), "result signature")
        kind, place = notice["place"]
        if kind == "left_out":
            over = round_.signed("left-out-sign", *fields, ident(self.party))
            ensure(verify(round_.signer, over, place["signature"]), "signature of being left out")
            return False
        leaf = merkle.leaf(H("set-leaf", round_.sid, ident(self.party), hdr))
        root, size = notice["set"]["root"], notice["set"]["size"]
        ensure(merkle.verify_inclusion(root, size, place["position"], leaf, place["proof"]), "place in the set")
        return True


def schema_of(schema):
    return {
        "bits": schema["bits"],
        "weight_limit": schema["weight_bound"],
        "clip": schema["clip"],
        "coordinates": schema["dim"],
    }


def share_leaf(place, sealed):
    """[DEAL-2]"""
    enc, ct = sealed["enc"], sealed["ct"]
    return merkle.leaf(u16le(place) + u16le(len(enc)) + enc + u32le(len(ct)) + ct)


def set_fields(set_):
    return set_["sid"], set_["root"], u32le(set_["size"])


