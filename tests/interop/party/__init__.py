"""A participant and committee member in Python, written from docs/PROTOCOL.md and docs/WIRE.md.

It shares no code with the Rust crates; its mathematics is that of `tests/vectors/reference`. It speaks mode `masked`, suites
R4096 and R8192, sealing suite X25519. Of the rest it says so and stays out of the round: suite `direct`, X-Wing, an L2 bound,
a deployment with a trust root, signed models. It renews no key and does not follow the audit log. For tests only: it is slow,
and its secrets stay in memory until Python forgets them.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "vectors"))
