"""The committee member's side of a round: round key, check values, one lock, one answer."""

from reference import merkle
from reference.primitives import H, u16le, u32le
from reference.ring import Refused
from reference.share import pack

from . import messages
from .contribute import set_fields, share_leaf
from .curve import verify
from .policy import ident
from .seal import NotOpened, RoundKey
from .trust import Fault, ensure, registered


class Member:
    """One round, from the round key on. The key lives here and nowhere else ([OPEN-3])."""

    def __init__(self, round_, party, key, store, faults):
        self.round, self.party, self.key, self.store, self.faults = round_, party, key, store, faults
        self.secret, self.place = RoundKey(), None
        if "one-round-key" in faults:
            self.secret = Member.only = getattr(Member, "only", self.secret)
        self.held, self.lock, self.answered = {}, None, False

    def round_key(self):
        """[CONV-1]; durable before it leaves ([OPEN-3])."""
        self.store.put(round_key=[self.round.number, self.round.mh.hex(), self.secret.public.hex()])
        label = "roster-sign" if "unsigned-key" in self.faults else "round-key-sign"
        over = self.round.signed(label, self.round.mh, ident(self.party), self.secret.public)
        value = {"mh": self.round.mh, "id": self.party, "key": self.secret.public, "signature": self.key.sign(over)}
        return messages.encode("RoundKey", self.round.number, value)

    def seated(self):
        """Whether this party is on the roster with this key."""
        for place, (party, entry) in enumerate(self.round.members, 1):
            if party == self.party and entry["key"] == self.secret.public:
                self.place = place
        return self.place is not None

    def relay(self, items):
        """[SHARE-2], [CHK-1], [CHK-2]: check values of what verifies; none of the rest."""
        ensure(self.place is not None and self.lock is None, "not the time for relays")
        entries = []
        for item in items:
            try:
                entries.append(self.take(item))
            except Fault:
                continue
        if not entries:
            return None
        kinds = {"values": b"\0", "sealed": b"\1", "malformed": b"\2"}
        leaves = []
        for entry in entries:
            kind, of = entry["value"]
            kind, data = (kind, of) if kind == "values" else (of[0], b"")
            leaves.append(merkle.leaf(H("check-entry", u32le(entry["sender"]), entry["hdr"], kinds[kind], data)))
        over = self.round.signed("check-sign", self.round.sid, merkle.root(leaves))
        value = {"sid": self.round.sid, "member": self.place, "entries": entries, "signature": self.key.sign(over)}
        return messages.encode("CheckBatch", self.round.number, value)

    def take(self, item):
        round_, header, sealed = self.round, item["header"], item["sealed"]
        sender, epoch = header["sender"], round_.epoch
        ensure(header["sid"] == round_.sid, "session of a header")
        e = epoch.record["eligible"]
        ensure(registered(round_.deployment, e, sender, item["identity"], item["proof"]), "sender")
        ensure(epoch.may_contribute(round_.number, sender), "sender not in the cohort")
        leaf, size = share_leaf(self.place, sealed), len(round_.members)
        ensure(merkle.verify_inclusion(header["shares"], size, self.place - 1, leaf, item["path"]), "path of a share")
        fields = header["sid"], ident(sender), header["vector"], header["shares"]
        over = round_.signed("header-sign", *fields)
        ensure(verify(item["identity"], over, item["signature"]), "header signature")
        ensure(sender["index"] not in self.held, "second header")
        ensure(len(self.held) < round_.manifest["cohort"]["n_max"], "too many contributions")
        hdr = H("header", *fields)
        value, share = self.open(sender, hdr, sealed)
        self.held[sender["index"]] = sender, hdr, share
        return {"sender": sender["index"], "hdr": hdr, "value": value}

    def open(self, sender, hdr, sealed):
        round_, sharing = self.round, self.round.sharing
        info = H("share-info", round_.sid, ident(sender), ident(self.party), u16le(self.place))
        if "false-values" in self.faults:
            return ("values", pack([0] * sharing.checks, sharing.bits)), None
        try:
            plaintext = self.secret.open(info, sealed)
        except NotOpened:
            return ("complaint", ("sealed", {})), None
        try:
            share = sharing.open_share(plaintext, self.place, round_.sid, ident(sender))
        except Refused:
            return ("complaint", ("malformed", {})), None
        chi = sharing.challenge(hdr, round_.sid, ident(sender))
        return ("values", pack(sharing.check_values(share, chi), sharing.bits)), share

    def close(self, close):
        """[OPEN-1], [OPEN-2]: one lock, durable before it leaves; the same set again gets the same lock."""
        round_, set_, leaves = self.round, close["set"], close["leaves"]
        ensure(self.place is not None, "not the time to close")
        ensure(set_["sid"] == round_.sid, "session")
        cohort = round_.manifest["cohort"]
        ensure(len(leaves) == set_["size"] and cohort["n_min"] <= len(leaves) <= cohort["n_max"], "size of the set")
        ensure(all(a["sender"] < b["sender"] for a, b in zip(leaves, leaves[1:])), "order of the set")
        hashes = []
        for leaf in leaves:
            sender, hdr, share = self.held.get(leaf["sender"], (None, None, None))
            ensure(share is not None and hdr == leaf["hdr"], "a share is not held")
            hashes.append(merkle.leaf(H("set-leaf", round_.sid, ident(sender), leaf["hdr"])))
        ensure(merkle.root(hashes) == set_["root"], "root")
        ensure(verify(round_.signer, round_.signed("close-sign", *set_fields(set_)), close["signature"]), "signature of a set")
        ensure(self.lock is None or self.lock[0] == set_ or "second-set" in self.faults, "second set")
        self.store.put(lock=[round_.number, set_["root"].hex(), set_["size"]])
        self.lock = set_, [leaf["sender"] for leaf in leaves]
        label = "close-sign" if "wrong-lock" in self.faults else "lock-sign"
        signature = self.key.sign(round_.signed(label, *set_fields(set_)))
        return messages.encode("Lock", round_.number, {"set": set_, "member": self.place, "signature": signature})

    def locks(self, locks):
        """[OPEN-1]: the answer for the set that Q members locked; then the round key is gone."""
        ensure(self.lock is not None and not self.answered, "not the time to open")
        round_, (set_, senders) = self.round, self.lock
        ensure(len(locks) >= round_.manifest["committee"]["q"], "too few locks")
        ensure(len({lock["member"] for lock in locks}) == len(locks), "a member twice")
        over = round_.signed("lock-sign", *set_fields(set_))
        for lock in locks:
            ensure(1 <= lock["member"] <= len(round_.members) and lock["set"] == set_, "another set")
            identity = round_.members[lock["member"] - 1][1]["identity"]
            ensure(verify(identity, over, lock["signature"]), "lock signature")
        sharing = round_.sharing
        columns = zip(*(self.held[sender][2][: sharing.groups] for sender in senders))
        off = "false-answer" in self.faults
        shares = pack([(sum(column) + off) % sharing.prime for column in columns], sharing.bits)
        if not self.faults & {"second-set", "late-opening"}:
            self.secret, self.held, self.answered = None, {}, True
        signature = self.key.sign(round_.signed("answer-sign", *set_fields(set_), u16le(self.place), shares))
        value = {"set": set_, "member": self.place, "shares": shares, "signature": signature}
        return messages.encode("Answer", round_.number, value)
