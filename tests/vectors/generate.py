#!/usr/bin/env python3
"""Writes the known answers of `v1/`, or compares them: `generate.py [--check]`.

The program shares no code with the Rust crates; `reference/` is the protocol in plain Python, from docs/PROTOCOL.md
alone, with nothing but the standard library. `--check` computes everything anew in memory and exits with 1 on any
difference. Names of files given as arguments limit both to those files.
"""

import json
import sys
import time
from pathlib import Path

from cases import codec, collective, hashes, manifest, ring, share
from reference import collective as reference_collective
from reference import merkle, postcard, primitives
from reference import ring as reference_ring
from reference import share as reference_share

FOLDER = Path(__file__).resolve().parent / "v1"

FILES = {
    "answer.json": share.answer_file,
    "codec.json": codec.codec_file,
    "collective.json": collective.collective_file,
    "committee.json": share.committee_file,
    "digests.json": hashes.digests_file,
    "field.json": share.field_file,
    "gauss.json": ring.gauss_file,
    "hash.json": hashes.hash_file,
    "manifest.json": manifest.manifest_file,
    "mask.json": ring.mask_file,
    "matrix.json": ring.matrix_file,
    "merkle.json": hashes.merkle_file,
    "pack.json": ring.pack_file,
    "share.json": share.share_file,
}


def render(document):
    """One line a case, so that a difference is easy to read."""
    head = {key: value for key, value in document.items() if key != "cases"}
    lines = [json.dumps({key: value}, ensure_ascii=False)[1:-1] + "," for key, value in head.items()]
    cases = ",\n".join(json.dumps(case, ensure_ascii=False) for case in document["cases"])
    return "{\n" + "\n".join(lines) + '\n"cases": [\n' + cases + "\n]\n}\n"


def main(arguments):
    check = "--check" in arguments
    names = [name for name in arguments if not name.startswith("-")] or list(FILES)
    for module in (primitives, merkle, postcard, reference_ring, reference_share, reference_collective):
        module.self_test()
    different = [] if len(names) < len(FILES) else [p.name for p in FOLDER.glob("*.json") if p.name not in FILES]
    good = bad = 0
    for name in names:
        start = time.monotonic()
        document = FILES[name]()
        text = render(document)
        assert json.loads(text) == document
        good += sum("expect" in case for case in document["cases"])
        bad += sum("error" in case for case in document["cases"])
        path = FOLDER / name
        if not check:
            path.write_text(text, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            different.append(name)
        print(f"{name:16}{len(text):8} bytes {time.monotonic() - start:6.1f} s")
    print(f"{good} answers, {bad} refusals")
    if different:
        print("different: " + ", ".join(different))
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
