"""The driver: one connection after another, one frame after another."""

import asyncio
import json
import secrets
import struct
import time

from reference.primitives import H

from . import link, messages
from .codec import Malformed
from .contribute import Participant
from .curve import Key
from .keylist import BadKeys, Keys
from .member import Member
from .policy import ident
from .store import Store
from .trust import Fault, SecondManifest, Trust, ensure, list_hash, registered, signed

# What a party sends in a round but as participant: these belong to the member.
SILENCE = 20


def say(event, round_=None, **more):
    print(json.dumps({"event": event, "round": round_, **more}), flush=True)


def update_of(round_, dim):
    """The update of a round and its weight: any that is known to who checks the sum."""
    values = [((round_ * 31 + i * 17) % 41 - 20) / 20 * 0.03 for i in range(dim)]
    return list(struct.unpack("<%df" % dim, struct.pack("<%df" % dim, *values))), 1 + round_ % 16


class Device:
    def __init__(self, coordinator, folder, policy, faults=frozenset()):
        self.coordinator, self.policy, self.faults = coordinator, policy, faults
        self.store, self.counted = Store(folder), 0
        self.round = self.member = self.pledge = None
        self.model_is_checked = False

    async def join(self, token):
        """Enrols, or goes on as who it was."""
        seed = self.store.facts.get("seed")
        if seed is None:
            self.store.put(seed=secrets.token_bytes(32).hex())
        self.key = Key(bytes.fromhex(self.store.facts["seed"]))
        if "index" not in self.store.facts:
            deployment, welcome = await link.enrol(self.coordinator, self.key, token)
            self.welcomed(deployment, welcome)
        facts = self.store.facts
        keys = Keys(bytes.fromhex(facts["deployment"]), bytes.fromhex(facts["founding"]))
        for data in facts["lists"]:
            keys.follow(data.encode())
        self.keys = keys
        self.party = {"index": facts["index"], "key_hash": link.sha256(self.key.public)}
        self.trust = Trust(keys, self.party, self.key, self.policy, self.store)
        self.participant = Participant(self.party, self.key, self.store, self.faults)
        say("joined", index=self.party["index"])

    def welcomed(self, deployment, welcome):
        """[REG-2], [KEY-1]: what the pinned coordinator told at enrolment."""
        founding = welcome["coordinator"]
        if H("deployment", welcome["name"].encode(), founding) != deployment:
            raise link.Untrusted("deployment")
        keys = Keys(deployment, founding)
        for data in welcome["keys"]:
            keys.follow(data)
        party = {"index": welcome["index"], "key_hash": link.sha256(self.key.public)}
        trust = Trust(keys, party, self.key, self.policy, self.store)
        trust.head_signed(welcome["head"], welcome["signature"])
        if not registered(deployment, welcome["head"], party, self.key.public, welcome["proof"]):
            raise link.Untrusted("not in the registry")
        head = welcome["head"]
        self.store.put(
            deployment=deployment.hex(),
            founding=founding.hex(),
            lists=[data.decode() for data in keys.lists],
            index=party["index"],
            head=[head["size"], head["root"].hex()],
        )

    async def run(self, rounds):
        """Until so many of its contributions were counted, or the deployment lets it in no more."""
        pause = 0.1
        while self.counted < rounds:
            try:
                await self.session(rounds)
                pause = 0.1
            except link.Refused as refused:
                if refused.args[0] in (4, 5, 6, 8):
                    raise
            except (ConnectionError, asyncio.IncompleteReadError, asyncio.TimeoutError, TimeoutError) as error:
                say("offline", text=type(error).__name__)
            if self.counted < rounds:
                await asyncio.sleep(pause)
                pause = min(2 * pause, 5)

    async def session(self, rounds):
        credentials = await link.certify(self.coordinator, self.key, self.keys.deployment, self.party["index"])
        async with self.coordinator.connect("quorate/1", credentials) as connection:
            self.coordinator.verified(connection)
            session = link.Session(connection)
            await session.open()
            if await session.root(1) is not None:
                raise link.Untrusted("a trust root: not implemented")
            self.poll(session)
            await self.retry(session)
            while self.counted < rounds:
                try:
                    frame = await asyncio.wait_for(session.next(), SILENCE)
                except (asyncio.TimeoutError, TimeoutError):
                    self.poll(session)
                    continue
                if not frame:
                    self.poll(session)
                    continue
                await self.handle(session, frame)

    def poll(self, session):
        session.send(messages.encode("Poll", 0, {"seen": self.store.head["size"], "keys": self.keys.seq}))

    async def retry(self, session):
        """[MASK-4]: the identical bytes, once, of what an earlier connection may not have brought through."""
        kept = self.store.facts.get("contribution")
        if "new-bytes" in self.faults and self.round and self.round.sid:
            self.participant.last_update = None
            update, weight = update_of(self.round.number, self.round.manifest["schema"]["dim"])
            await session.upload(self.round.number, *self.participant.contribution(self.round, update, weight))
        if kept and self.round is None and kept[0] == self.store.acted[0]:
            try:
                await session.upload(kept[0], bytes.fromhex(kept[3]), bytes.fromhex(kept[4]))
            except link.Refused:
                pass

    async def handle(self, session, frame):
        try:
            name, number, value = messages.decode(frame)
            handler = getattr(self, "on_" + name.lower(), None)
            if handler is None:
                raise Fault(f"{name} from the coordinator")
            await handler(session, number, value)
        except SecondManifest as fault:
            say("equivocation", text=str(fault))
        except (Fault, Malformed, BadKeys) as fault:
            say("refused", self.round.number if self.round else None, text=f"{type(fault).__name__}: {fault}")

    async def on_keys(self, _session, number, value):
        if number:
            raise Fault("round")
        self.keys.follow(value["list"])
        self.store.put(lists=[data.decode() for data in self.keys.lists])

    async def on_due(self, _session, _number, _value):
        """A hint, which this party does not take ([RENEW-4])."""

    async def on_call(self, session, number, call):
        """[DRAW-3]: one commitment an attempt."""
        if number:
            raise Fault("round")
        epoch, head = self.trust.judge_call(call, time.time())
        record = call["record"]
        if self.pledge is None or self.pledge["epoch"] != epoch or "new-value" in self.faults:
            attempt = record["epoch"], record["restarts"]
            ensure(attempt > self.store.attempt or "new-value" in self.faults, "stale attempt")
            value, nonce = secrets.token_bytes(32), secrets.token_bytes(32)
            made = H("seed-commit", epoch, ident(self.party), value, nonce)
            self.store.put(attempt=list(attempt), head=[head["size"], head["root"].hex()])
            over = signed("seed-commit-sign", self.keys.deployment, 0, epoch, ident(self.party), made)
            commitment = {"id": self.party, "commitment": made, "signature": self.key.sign(over)}
            self.pledge = {"epoch": epoch, "record": record, "value": value, "nonce": nonce, "own": commitment, "list": None}
        session.send(messages.encode("Commit", 0, {"epoch": epoch, "commitment": self.pledge["own"]}))

    async def on_commitments(self, session, number, message):
        """[DRAW-3]: one reveal, for the complete list with the own commitment in it."""
        pledge, made = self.pledge, message["commitments"]
        if number or pledge is None or message["epoch"] != pledge["epoch"]:
            raise Fault("no such ceremony")
        if pledge["list"] is None:
            complete = [c["id"] for c in made] == pledge["record"]["parties"]
            own = [c["commitment"] for c in made if c["id"] == self.party]
            ensure(complete and pledge["own"]["commitment"] in own, "list of commitments")
            pledge["list"] = made
        ensure(pledge["list"] == made, "another list of commitments")
        if "false-reveal" in self.faults:
            pledge["nonce"] = secrets.token_bytes(32)
        fields = pledge["epoch"], list_hash(pledge["epoch"], made), ident(self.party), pledge["value"], pledge["nonce"]
        signature = self.key.sign(signed("seed-reveal-sign", self.keys.deployment, 0, *fields))
        reveal = {"id": self.party, "value": pledge["value"], "nonce": pledge["nonce"], "signature": signature}
        session.send(messages.encode("SeedReveal", 0, {"epoch": pledge["epoch"], "reveal": reveal}))

    async def on_announce(self, session, number, announce):
        """[ANN-1], then both roles."""
        if number == self.store.acted[0] and self.round and H("manifest", messages.MANIFEST.enc(announce["manifest"])) == self.round.mh:
            return
        if "plain-mode" in self.faults and announce["manifest"]["mode"][0] == "plain":
            await session.download(announce["manifest"]["model"], 1 << 20)
            return
        before = self.member
        self.round, self.member = self.trust.judge(number, announce, time.time(), self.faults), None
        self.late = before if "late-opening" in self.faults else None
        self.pledge, self.model_is_checked = None, False
        say("round", number)
        if self.round.epoch.may_serve(number, self.party):
            self.member = Member(self.round, self.party, self.key, self.store, self.faults)
            session.send(self.member.round_key())
        if self.round.epoch.may_contribute(number, self.party):
            await self.fetch_model(session)
        request = messages.encode("RosterRequest", number, {})
        session.send(request + b"\0" if "loose-frames" in self.faults else request)

    async def fetch_model(self, session):
        """[MASK-2]"""
        manifest = self.round.manifest
        if "no-download" in self.faults:
            self.model_is_checked = True
            return
        try:
            model = await session.download(manifest["model"], 4 * manifest["schema"]["dim"] + (1 << 20))
        except link.Refused as refused:
            raise Fault(f"no model: {refused}") from refused
        self.model_is_checked = H("model", model) == manifest["model"] or "unchecked-model" in self.faults
        if not self.model_is_checked:
            raise Fault("another model")

    async def on_roster(self, session, number, roster):
        if self.round is None or number != self.round.number:
            raise Fault("no such round")
        if not self.round.take_roster(roster):
            return
        if self.member and not self.member.seated():
            self.member = None
        if self.member:
            say("serving", number)
        if not self.model_is_checked:
            return
        update, weight = update_of(number, self.round.manifest["schema"]["dim"])
        frame, vector = self.participant.contribution(self.round, update, min(weight, self.round.manifest["schema"]["weight_bound"]))
        try:
            await session.upload(number, frame, vector)
            say("contributed", number)
        except link.Refused as refused:
            say("missed", number, text=f"code {refused}")

    def serving(self, number):
        if getattr(self, "late", None) and number == self.late.round.number:
            return self.late
        if self.member is None or number != self.round.number:
            raise Fault("not on the committee of this round")
        return self.member

    async def on_relay(self, session, number, relay):
        batch = self.serving(number).relay(relay["items"])
        if batch:
            session.send(batch)

    async def on_close(self, session, number, close):
        session.send(self.serving(number).close(close))

    async def on_locks(self, session, number, locks):
        session.send(self.serving(number).locks(locks["locks"]))
        say("answered", number)

    async def on_resultnotice(self, _session, number, notice):
        if self.participant.sent is None or number != self.participant.sent[0].number:
            raise Fault("no contribution in this round")
        if self.participant.place(notice):
            self.counted += 1
            say("counted", number)
        else:
            say("left_out", number)
