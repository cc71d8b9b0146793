"""The messages of docs/WIRE.md that a party sends and receives in mode masked."""

from .codec import Bool, Byte, Bytes, Choice, Fixed, Float, List, Malformed, Number, Option, Struct, Text, read

U16, U32, U64 = Number(16), Number(32), Number(64)
DIGEST, KEY, SIGNATURE = Fixed(32), Fixed(32), Fixed(64)
NONE = Struct()
PARTY = Struct(index=U32, key_hash=DIGEST)
HEAD = Struct(size=U64, root=DIGEST)
SET = Struct(sid=DIGEST, root=DIGEST, size=U32)
HEADER = Struct(sid=DIGEST, sender=PARTY, vector=DIGEST, shares=DIGEST)
PROOF = List(DIGEST, 128)

COMMITTEE = ("m", "c", "r", "rho", "q", "checks", "a_min", "e")
COHORT = ("n_min", "n_max", "f", "k_min", "kappa")
DEADLINES = ("convene", "contribute", "check", "lock", "open")

MANIFEST = Struct(
    version=Byte(),
    deployment=DIGEST,
    round=U64,
    mode=Choice(plain=NONE, masked=NONE, homomorphic=NONE),
    suite=Choice(R8192=NONE, R4096=NONE, direct=NONE),
    seal=Choice(x25519=NONE, xwing=NONE),
    epoch=DIGEST,
    seed=DIGEST,
    head=HEAD,
    committee=Struct(**dict.fromkeys(COMMITTEE, U16)),
    cohort=Struct(**dict.fromkeys(COHORT, U32)),
    schema=Struct(dim=U32, bits=Byte(), clip=Float(), clip_l2=Option(Float()), weight_bound=U32),
    model=DIGEST,
    deadlines=Struct(**dict.fromkeys(DEADLINES, U32)),
    key_life=U32,
    policy=DIGEST,
    keys=DIGEST,
    previous=DIGEST,
    collective=Option(Struct(record=DIGEST, unproven=Bool())),
)

RECORD = Struct(
    deployment=DIGEST,
    epoch=U64,
    eligible=HEAD,
    parties=List(PARTY, 32),
    restarts=Byte(),
    committee=Choice(drawn=Struct(width=U32), named=Struct(ids=List(PARTY, 1024))),
    cohort_width=U32,
    first_round=U64,
    rounds=U32,
)

COMMITMENT = Struct(id=PARTY, commitment=DIGEST, signature=SIGNATURE)
REVEAL = Struct(id=PARTY, value=Fixed(32), nonce=Fixed(32), signature=SIGNATURE)
EVIDENCE = Struct(
    record=RECORD,
    signature=SIGNATURE,
    parties=List(Struct(key=KEY, proof=PROOF), 32),
    commitments=List(COMMITMENT, 32),
    reveals=List(REVEAL, 32),
)

LOCK = Struct(set=SET, member=U16, signature=SIGNATURE)
SEALED = Struct(enc=Bytes(), ct=Bytes())

# Type, what it is, largest body.
MESSAGES = {
    "Call": (1, Struct(record=RECORD, signature=SIGNATURE, head_signature=SIGNATURE, seen_proof=PROOF, own_proof=PROOF), 64 << 10),
    "Commit": (2, Struct(epoch=DIGEST, commitment=COMMITMENT), 1 << 10),
    "Commitments": (3, Struct(epoch=DIGEST, commitments=List(COMMITMENT, 32)), 8 << 10),
    "SeedReveal": (4, Struct(epoch=DIGEST, reveal=REVEAL), 1 << 10),
    "Keys": (5, Struct(list=Bytes()), (64 << 10) + 8),
    "Due": (6, Struct(version=U32), 8),
    "Announce": (
        7,
        Struct(
            manifest=MANIFEST,
            signature=SIGNATURE,
            evidence=EVIDENCE,
            head_signature=SIGNATURE,
            eligible_proof=PROOF,
            seen_proof=PROOF,
            own_proof=PROOF,
        ),
        128 << 10,
    ),
    "RoundKey": (8, Struct(mh=DIGEST, id=PARTY, key=Bytes(), signature=SIGNATURE), 2 << 10),
    "Roster": (
        9,
        Struct(
            members=List(Struct(index=U32, identity=KEY, proof=PROOF, key=Bytes(), signature=SIGNATURE), 128),
            signature=SIGNATURE,
        ),
        512 << 10,
    ),
    "Contribution": (10, Struct(header=HEADER, signature=SIGNATURE, shares=List(SEALED, 128)), 8 << 20),
    "Relay": (
        11,
        Struct(
            items=List(
                Struct(header=HEADER, signature=SIGNATURE, identity=KEY, proof=PROOF, path=PROOF, sealed=SEALED), 10_000
            )
        ),
        8 << 20,
    ),
    "CheckBatch": (
        12,
        Struct(
            sid=DIGEST,
            member=U16,
            entries=List(
                Struct(
                    sender=U32,
                    hdr=DIGEST,
                    value=Choice(values=Bytes(), complaint=Choice(sealed=NONE, malformed=NONE)),
                ),
                10_000,
            ),
            signature=SIGNATURE,
        ),
        1 << 20,
    ),
    "Close": (13, Struct(set=SET, leaves=List(Struct(sender=U32, hdr=DIGEST), 10_000), signature=SIGNATURE), 512 << 10),
    "Lock": (14, LOCK, 1 << 10),
    "Locks": (15, Struct(locks=List(LOCK, 128)), 32 << 10),
    "Answer": (16, Struct(set=SET, member=U16, shares=Bytes(), signature=SIGNATURE), 64 << 10),
    "ResultNotice": (
        17,
        Struct(
            set=SET,
            result=DIGEST,
            locks=DIGEST,
            answers=DIGEST,
            signature=SIGNATURE,
            place=Choice(counted=Struct(position=U32, proof=PROOF), left_out=Struct(signature=SIGNATURE)),
        ),
        4 << 10,
    ),
    "RosterRequest": (18, NONE, 16),
    "Poll": (19, Struct(seen=U64, keys=U64), 32),
}

BY_TYPE = {number: (name, of, limit) for name, (number, of, limit) in MESSAGES.items()}
LARGEST = max(limit for _, _, limit in MESSAGES.values()) + 10

REQUEST = Choice(
    enrol=Struct(key=KEY, token=Fixed(32), proof=SIGNATURE),
    certificate=Struct(index=U32, key=Bytes(), signature=SIGNATURE),
)
ANSWER = Choice(
    refused=Struct(code=Byte()),
    welcome=Struct(
        name=Text(), coordinator=KEY, keys=List(Bytes(), 1 << 16), index=U32, head=HEAD, signature=SIGNATURE, proof=PROOF
    ),
    certificate=Struct(certificate=Bytes(), seconds=U32),
    renewed=Struct(index=U32, ready=Bool(), head=HEAD, signature=SIGNATURE, proof=PROOF),
)


def encode(name, round_, value):
    number, of, _ = MESSAGES[name]
    return bytes([1, number]) + round_.to_bytes(8, "little") + of.enc(value)


def decode(frame):
    """[WIRE-1], [WIRE-2]: name, round and value of a frame."""
    if len(frame) < 10 or frame[0] != 1:
        raise Malformed("header")
    if frame[1] not in BY_TYPE:
        raise Malformed("type")
    name, of, limit = BY_TYPE[frame[1]]
    if len(frame) - 10 > limit:
        raise Malformed("too long")
    return name, int.from_bytes(frame[2:10], "little"), read(of, frame[10:])
