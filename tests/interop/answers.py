#!/usr/bin/env python3
"""Answers known answers for `quorate conformance vectors --against`: an example of how an implementation checks itself.

Standard library only. It answers what `tests/vectors/reference` computes in one call and skips the rest; with `--wrong` it is wrong
in every hash.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "vectors"))

from reference import merkle, ring, share  # noqa: E402
from reference.primitives import H, blake3, derive, u32le  # noqa: E402

WRONG = "--wrong" in sys.argv


def leaves(size):
    return [merkle.leaf(u32le(i)) for i in range(size)]


def unhex(texts):
    return [bytes.fromhex(text) for text in texts]


def accepted(fine):
    if not fine:
        raise ring.Refused("proof")
    return True


def packing(case):
    p = ring.Packing(case["suite"], case["n_max"], case["bits"])
    return {"w": p.w, "k": p.k, "base": p.base, "delta": str(p.delta), "residual_bound": str(p.residual_bound)}


ANSWERS = {
    "H": lambda c: H(c["label"], *unhex(c["fields"])).hex(),
    "derive": lambda c: derive(c["label"], bytes.fromhex(c["ikm"]), *unhex(c["context"])).hex(),
    "vector": lambda c: blake3(bytes(i % 251 for i in range(c["pattern_bytes"]))).hex(),
    "root": lambda c: merkle.root(leaves(c["size"])).hex(),
    "inclusion": lambda c: accepted(
        merkle.verify_inclusion(*unhex([c["root"]]), c["size"], c["index"], *unhex([c["leaf"]]), unhex(c["proof"]))
    ),
    "consistency": lambda c: accepted(
        merkle.verify_consistency(
            c["old_size"], bytes.fromhex(c["old_root"]), c["new_size"], bytes.fromhex(c["new_root"]), unhex(c["proof"])
        )
    ),
}


def answer(request):
    case, name = request["input"], request["file"]
    if name == "committee.json":
        return share.committee(case["mode"], case["m"])
    if name == "pack.json":
        return packing(case)
    if WRONG and case.get("op") == "H":
        return H(case["label"], b"wrong").hex()
    return ANSWERS[case["op"]](case)


def main():
    for line in sys.stdin:
        request = json.loads(line)
        try:
            out = {"expect": answer(request)}
        except KeyError:
            out = {"skip": True}
        except (ring.Refused, merkle.Refused) as refused:
            out = {"error": str(refused)}
        print(json.dumps(out), flush=True)


main()
