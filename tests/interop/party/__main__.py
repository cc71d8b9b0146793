"""`python3 -m party --coordinator ADDRESS --pin PIN --token TOKEN --state FOLDER [--rounds N] [--trust-committee anybody]`

Says one JSON object a line. Ends with 0 after so many rounds with a contribution of this party that was counted.
"""

import argparse
import asyncio
import base64
import hashlib
import os
import sys
from pathlib import Path

from . import link
from .device import Device
from .policy import WITHOUT, Policy

FAULTS = {
    "wrong-label": "signs its contribution under the label of check values",
    "unchecked-model": "contributes whatever model it was given",
    "second-set": "locks and answers every set it is asked about",
    "reused-mask": "masks every round with the secret of its first",
    "no-policy": "accepts what its policy forbids",
    "second-manifest": "acts on every manifest of a round",
    "no-weight": "contributes with weight 0",
    "zero-secret": "masks with a secret of zeros",
    "other-mask": "masks with another secret than it deals",
    "bad-share": "deals one share off the polynomial",
    "other-place": "seals every share for another place",
    "other-root": "signs another share root",
    "other-vector": "signs the hash of another vector",
    "one-round-key": "uses one round key in all rounds",
    "unsigned-key": "signs its round key under the label of rosters",
    "false-values": "publishes zeros as check values",
    "wrong-lock": "signs its lock under the coordinator's label",
    "false-answer": "answers with another sum",
    "late-opening": "keeps round keys when the next round begins",
    "new-bytes": "makes another contribution where a receipt was lost",
    "new-value": "commits anew to the same Call",
    "false-reveal": "reveals another nonce",
    "plain-mode": "takes part in mode plain",
    "no-download": "contributes without the model",
    "loose-frames": "leaves a byte over at the end of a request",
}


def token_of(text):
    """`quorate-`, then base32 of the token and the first 4 bytes of its SHA-256."""
    text = text.strip().lower()
    if not text.startswith("quorate-"):
        raise ValueError("a token begins with quorate-")
    data = base64.b32decode(text[8:].upper() + "======")
    if len(data) != 36 or hashlib.sha256(data[:32]).digest()[:4] != data[32:]:
        raise ValueError("checksum of the token")
    return data[:32]


def options():
    parser = argparse.ArgumentParser(prog="party", description="A participant in Python, for tests.")
    parser.add_argument("--coordinator", required=True, metavar="HOST:PORT")
    parser.add_argument("--pin", required=True)
    parser.add_argument("--token", default=os.environ.get("QUORATE_TOKEN"))
    parser.add_argument("--state", required=True, type=Path)
    parser.add_argument("--rounds", type=int, default=1 << 30)
    parser.add_argument("--trust-committee", default="refused", metavar="refused|anybody|HASH")
    parser.add_argument("--fault", action="append", default=[], choices=FAULTS, help="do this wrong on purpose")
    parser.add_argument("--without", action="append", default=[], metavar="CHECK", help="leave out the check that says this")
    return parser.parse_args()


def main():
    args = options()
    WITHOUT.update(args.without)
    args.state.mkdir(parents=True, exist_ok=True)
    named = {"refused": None, "anybody": "anybody"}.get(args.trust_committee)
    if args.trust_committee not in ("refused", "anybody"):
        named = bytes.fromhex(args.trust_committee)
    coordinator = link.Coordinator(args.coordinator, bytes.fromhex(args.pin))
    device = Device(coordinator, args.state, Policy(named=named), frozenset(args.fault))

    async def run():
        await device.join(token_of(args.token))
        await device.run(args.rounds)

    try:
        asyncio.run(run())
    except (link.Refused, link.Untrusted) as error:
        print(f"error: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


sys.exit(main())
