"""Lists of the coordinator's keys ([KEY-1] to [KEY-3])."""

import json
import re

from reference.primitives import H, sha256, u64le

from .curve import key_point, verify

FIELDS = ("v", "deployment", "seq", "issued", "expires", "coordinator", "audit", "model", "policy", "revoked")
NAME = re.compile(r"coordinator/[a-z0-9-]+@[1-9][0-9]*")


class BadKeys(Exception):
    pass


def ensure(condition, why):
    if not condition:
        raise BadKeys(why)


def spelled(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def version(name):
    return int(name.rsplit("@", 1)[1])


def unhex(text, size):
    ensure(isinstance(text, str) and re.fullmatch("[0-9a-f]{%d}" % (2 * size), text), "hexadecimal")
    return bytes.fromhex(text)


class Keys:
    """What a party knows of the coordinator's keys, from the founding one on."""

    def __init__(self, deployment, founding):
        self.deployment, self.founding = deployment, founding
        self.active, self.newest, self.lists = founding, None, []
        self.gone = set()

    @property
    def seq(self):
        return self.newest["seq"] if self.newest else 0

    @property
    def digest(self):
        return H("key-list", spelled(self.newest)) if self.newest else bytes(32)

    def current(self, now):
        """[KEY-3]"""
        return self.newest is None or now < self.newest["expires"]

    def verifies(self, digest, signature):
        """By a key that is active or retiring ([KEY-4])."""
        keys = {self.active}
        if self.newest:
            keys = {unhex(k["key"], 32) for k in self.newest["coordinator"].values() if k["state"] != "pending"}
        return any(verify(key, digest, signature) for key in keys)

    def follow(self, data):
        """[KEY-1]; the same list again changes nothing."""
        if self.lists and self.lists[-1] == data:
            return
        ensure(len(data) <= 64 << 10, "too long")
        try:
            whole = json.loads(data)
        except ValueError as error:
            raise BadKeys("json") from error
        ensure(isinstance(whole, dict) and spelled(whole) == data, "spelling")
        ensure(list(whole) in (["signed", "signature"], ["signed", "signature", "handover"]), "fields")
        new = whole["signed"]
        ensure(isinstance(new, dict) and tuple(new) == FIELDS and new["v"] == 1, "fields")
        for name in ("coordinator", "audit", "model", "revoked"):
            ensure(isinstance(new[name], dict), "maps")
        listed, revoked = new["coordinator"], new["revoked"]
        ensure(list(listed) == sorted(listed, key=lambda name: (name.rsplit("@", 1)[0], version(name))), "order")
        ensure(all(NAME.fullmatch(name) for name in listed), "names")
        ensure(unhex(new["deployment"], 32) == self.deployment, "deployment")
        ensure(0 <= self.seq < new["seq"] <= self.seq + 2**20, "number")
        ensure(new["issued"] < new["expires"], "life")
        active = [name for name, key in listed.items() if key["state"] == "active"]
        ensure(len(active) == 1, "one active key")
        key = unhex(listed[active[0]]["key"], 32)
        ensure(key_point(key) is not None, "key")
        for name, entry in listed.items():
            side = (version(name) > version(active[0])) - (version(name) < version(active[0]))
            ensure(entry["state"] == {1: "pending", 0: "active", -1: "retiring"}[side], "states")
        ensure(not set(listed) & set(revoked), "a revoked key is listed")
        digest = H("key-list", spelled(new))
        covered = lambda label: H(label, self.deployment, u64le(0), digest)
        ensure(verify(key, covered("key-list-sign"), unhex(whole["signature"], 64)), "signature")
        known = self.newest["coordinator"] if self.newest else {}
        if key != self.active:
            before = next((version(n) for n, k in known.items() if k["state"] == "active"), 0)
            ensure(before < version(active[0]), "version")
            ensure("handover" in whole, "handover")
            ensure(verify(self.active, covered("key-list-handover"), unhex(whole["handover"], 64)), "handover")
        ensure(all(known[n]["key"] == listed[n]["key"] for n in listed if n in known), "a name has another key")
        ensure(set(self.newest["revoked"] if self.newest else ()) <= set(revoked), "a revocation is forgotten")
        left = {sha256(bytes.fromhex(k["key"])) for n, k in known.items() if n in revoked or (k["state"] == "active" and n not in listed)}
        if self.newest is None and self.founding.hex() not in {k["key"] for k in listed.values()}:
            left.add(sha256(self.founding))
        gone = self.gone | left
        ensure(all(sha256(bytes.fromhex(k["key"])) not in gone for k in listed.values()), "a key that has gone")
        self.active, self.newest, self.gone = key, new, gone
        self.lists.append(data)
