"""What a party believes across rounds, and how it judges an announcement, a call and a roster."""

from reference import merkle
from reference.primitives import H, u16le, u32le, u64le
from reference.ring import Packing
from reference.share import Sharing

from . import messages
from .curve import verify
from .policy import WITHOUT, Breach, ident


class Fault(Exception):
    """What is wrong with what the coordinator sent."""


class SecondManifest(Fault):
    """Another manifest for the round acted on ([ANN-1])."""


def ensure(condition, why):
    if not condition and why not in WITHOUT:
        raise Fault(why)


def entry(deployment, index, key):
    """[REG-1]"""
    return merkle.leaf(H("registry-entry", deployment, u32le(index), key))


def registered(deployment, head, party, key, proof):
    if H_key(key) != party["key_hash"]:
        return False
    return merkle.verify_inclusion(head["root"], head["size"], party["index"], entry(deployment, party["index"], key), proof)


def H_key(key):
    return merkle.sha256(key)


def signed(label, deployment, round_, *fields):
    return H(label, deployment, u64le(round_), *fields)


class Epoch:
    """An epoch with its ceremony verified ([EPOCH-1], [DRAW-3])."""

    def __init__(self, evidence, deployment, is_signed):
        record = evidence["record"]
        body = messages.RECORD.enc(record)
        self.record, self.hash = record, H("epoch", body)
        ids = [ident(p) for p in record["parties"]]
        ensure(record["deployment"] == deployment, "deployment")
        ensure(ids and len(set(ids)) == len(ids) and record["rounds"] > 0, "epoch record")
        parties, made, told = evidence["parties"], evidence["commitments"], evidence["reveals"]
        ensure(len(parties) == len(made) == len(told) == len(ids), "ceremony")
        ensure(is_signed(signed("epoch", deployment, 0, body), evidence["signature"]), "epoch signature")
        listed = list_hash(self.hash, made)
        for party, key, commitment, reveal in zip(record["parties"], parties, made, told):
            ensure(registered(deployment, record["eligible"], party, key["key"], key["proof"]), "ceremony party")
            ensure(commitment["id"] == party == reveal["id"], "ceremony order")
            opened = H("seed-commit", self.hash, ident(party), reveal["value"], reveal["nonce"])
            ensure(opened == commitment["commitment"], "reveal")
            over = signed("seed-commit-sign", deployment, 0, self.hash, ident(party), commitment["commitment"])
            ensure(verify(key["key"], over, commitment["signature"]), "commitment signature")
            over = signed("seed-reveal-sign", deployment, 0, self.hash, listed, ident(party), reveal["value"], reveal["nonce"])
            ensure(verify(key["key"], over, reveal["signature"]), "reveal signature")
        self.seed = H("seed", self.hash, *(c["commitment"] for c in made), *(r["value"] for r in told))

    def contains(self, round_):
        return 0 <= round_ - self.record["first_round"] < self.record["rounds"]

    def ticket(self, role, round_, party):
        """[DRAW-1]"""
        return H("draw-" + role, self.record["deployment"], self.seed, u64le(round_), ident(party))

    def eligible(self, role, round_, party, width):
        size = self.record["eligible"]["size"]
        return width >= size or int.from_bytes(self.ticket(role, round_, party), "big") * size < width << 256

    def may_serve(self, round_, party):
        source, of = self.record["committee"]
        return party in of["ids"] if source == "named" else self.eligible("committee", round_, party, of["width"])

    def may_contribute(self, round_, party):
        return self.eligible("cohort", round_, party, self.record["cohort_width"])


def list_hash(epoch, commitments):
    return H("seed-commit", epoch, *(f for c in commitments for f in (ident(c["id"]), c["commitment"])))


class Round:
    """An accepted manifest with what follows from it."""

    def __init__(self, manifest, mh, epoch, signer):
        self.manifest, self.mh, self.epoch, self.signer = manifest, mh, epoch, signer
        self.number, self.deployment = manifest["round"], manifest["deployment"]
        shape, cohort, schema, times = (manifest[name] for name in ("committee", "cohort", "schema", "deadlines"))
        ensure(manifest["version"] == 1, "version")
        ensure(manifest["mode"][0] == "masked" and manifest["suite"][0] != "direct", "not implemented")
        ensure(manifest["collective"] is None, "a collective key in mode masked")
        ensure(manifest["seal"][0] == "x25519" and schema["clip_l2"] is None, "not implemented")
        rising = [0] + [times[name] for name in messages.DEADLINES]
        ensure(all(a < b for a, b in zip(rising, rising[1:])), "deadlines")
        ensure(1 <= cohort["n_min"] <= cohort["n_max"] <= 10_000, "cohort")
        ensure(1 <= schema["dim"] <= 1 << 27 and 2 <= schema["bits"] <= 24, "schema")
        ensure(0 < schema["clip"] < float("inf") and schema["weight_bound"] >= 1, "schema")
        self.packing = Packing(manifest["suite"][0], cohort["n_max"], schema["bits"])
        self.sharing = Sharing.masked(manifest["suite"][0], cohort["n_max"], shape["m"], shape["r"], shape["rho"])
        ensure(shape["checks"] == self.sharing.checks and shape["a_min"] == shape["e"] == 0, "committee")
        self.members = self.sid = None

    def signed(self, label, *fields):
        return signed(label, self.deployment, self.number, *fields)

    def take_roster(self, roster):
        """[CONV-1], [ROST-1]: exactly one; the same again changes nothing."""
        members = [(({"index": e["index"], "key_hash": H_key(e["identity"])}), e) for e in roster["members"]]
        fields = (f for party, e in members for f in (u32le(party["index"]), party["key_hash"], e["key"]))
        rh = H("roster", self.mh, u16le(len(members)), *fields)
        sid = H("session", self.mh, rh)
        if sid == self.sid:
            return False
        ensure(self.sid is None, "second roster")
        ensure(len(members) == self.manifest["committee"]["m"], "roster size")
        e = self.epoch
        for party, member in members:
            ensure(e.may_serve(self.number, party), "member not eligible")
            ensure(registered(self.deployment, e.record["eligible"], party, member["identity"], member["proof"]), "member")
            ensure(len(member["key"]) == 32, "round key")
            over = self.signed("round-key-sign", self.mh, ident(party), member["key"])
            ensure(verify(member["identity"], over, member["signature"]), "round key signature")
        tickets = [e.ticket("committee", self.number, party) for party, _ in members]
        ensure(all(a < b for a, b in zip(tickets, tickets[1:])), "roster order")
        ensure(len({member["key"] for _, member in members}) == len(members), "round keys")
        ensure(verify(self.signer, self.signed("roster-sign", self.mh, rh), roster["signature"]), "roster signature")
        self.members, self.sid = members, sid
        return True


class Trust:
    """[ANN-1] and what it needs. `store` holds what must survive a restart."""

    def __init__(self, keys, party, key, policy, store):
        self.keys, self.party, self.key, self.policy, self.store = keys, party, key, policy, store
        self.epoch = None

    def check_head(self, head, proof):
        """[REG-3]: against the last head seen; gives the one to keep."""
        kept = self.store.head
        if head["size"] >= kept["size"]:
            ensure(merkle.verify_consistency(kept["size"], kept["root"], head["size"], head["root"], proof), "head")
            return head
        ensure(merkle.verify_consistency(head["size"], head["root"], kept["size"], kept["root"], proof), "head")
        return kept

    def head_signed(self, head, signature):
        over = signed("head", self.keys.deployment, 0, u64le(head["size"]), head["root"])
        ensure(verify(self.keys.active, over, signature), "head signature")

    def judge(self, claimed, announce, now, faults=frozenset()):
        """The round of an announcement; raises if it is not to be acted on. Nothing changes then."""
        manifest, deployment = announce["manifest"], self.keys.deployment
        ensure(manifest["deployment"] == deployment, "deployment")
        ensure(manifest["keys"] == self.keys.digest, "other keys")
        mh = H("manifest", messages.MANIFEST.enc(manifest))
        over = signed("manifest-sign", deployment, manifest["round"], mh)
        ensure(verify(self.keys.active, over, announce["signature"]), "manifest signature")
        ensure(manifest["round"] == claimed, "round")
        if claimed == self.store.acted[0] and mh != self.store.acted[1] and "second-manifest" not in faults:
            raise SecondManifest("second manifest")
        ensure(claimed > self.store.acted[0] or "second-manifest" in faults, "stale round")
        ensure(self.keys.current(now), "list of keys has expired")
        epoch = self.check_epoch(announce)
        self.head_signed(manifest["head"], announce["head_signature"])
        e, head = epoch.record["eligible"], manifest["head"]
        fine = merkle.verify_consistency(e["size"], e["root"], head["size"], head["root"], announce["eligible_proof"])
        ensure(fine, "E is no prefix of the head")
        round_ = Round(manifest, mh, epoch, self.keys.active)
        if "no-policy" not in faults:
            try:
                self.policy.check(manifest, epoch.record)
            except Breach as breach:
                raise Fault(f"policy: {breach}") from breach
        ensure(registered(deployment, e, self.party, self.key.public, announce["own_proof"]), "not registered")
        kept = self.check_head(head, announce["seen_proof"])
        self.epoch = epoch
        self.store.accepted(claimed, mh, kept)
        return round_

    def check_epoch(self, announce):
        manifest, known = announce["manifest"], self.epoch
        if known is None or known.hash != manifest["epoch"]:
            epoch = Epoch(announce["evidence"], self.keys.deployment, self.keys.verifies)
            ensure(known is None or epoch.record["epoch"] > known.record["epoch"], "epoch number")
            ensure(epoch.hash == manifest["epoch"], "epoch")
        else:
            epoch = known
        ensure(epoch.seed == manifest["seed"], "seed")
        ensure(epoch.contains(manifest["round"]), "round outside the epoch")
        return epoch

    def judge_call(self, call, now):
        """[EPOCH-1]: the hash of the record, if this party may commit."""
        record = call["record"]
        body = messages.RECORD.enc(record)
        ids = [ident(p) for p in record["parties"]]
        ensure(record["deployment"] == self.keys.deployment, "deployment")
        over = signed("epoch", self.keys.deployment, 0, body)
        ensure(verify(self.keys.active, over, call["signature"]), "epoch signature")
        ensure(self.keys.current(now), "list of keys has expired")
        ensure(ident(self.party) in ids and len(set(ids)) == len(ids) and record["rounds"] > 0, "record")
        ensure(self.epoch is None or record["epoch"] > self.epoch.record["epoch"], "epoch number")
        try:
            self.policy.check_epoch(record)
        except Breach as breach:
            raise Fault(f"policy: {breach}") from breach
        self.head_signed(record["eligible"], call["head_signature"])
        fine = registered(record["deployment"], record["eligible"], self.party, self.key.public, call["own_proof"])
        ensure(fine, "not registered")
        return H("epoch", body), self.check_head(record["eligible"], call["seen_proof"])
