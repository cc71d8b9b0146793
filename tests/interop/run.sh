#!/usr/bin/env bash
# The participant in Python among nine of this repository, ten rounds a suite; then the conformance kit against it.
# Makes a Python with the packages of requirements.txt in target/ if QUORATE_PYTHON names none.
set -euo pipefail
cd "$(dirname "$0")/../.."
if [[ -z "${QUORATE_PYTHON:-}" ]]; then
    venv="${CARGO_TARGET_DIR:-target}/interop-python"
    mkdir -p "$(dirname "$venv")"
    venv="$(cd "$(dirname "$venv")" && pwd)/$(basename "$venv")"
    [[ -x "$venv/bin/python" ]] || python3 -m venv "$venv"
    "$venv/bin/python" -c 'import aioquic, cryptography' 2>/dev/null ||
        "$venv/bin/python" -m pip install --quiet --requirement tests/interop/requirements.txt
    export QUORATE_PYTHON="$venv/bin/python"
fi
exec cargo test -p quorate-cli --test e2e -- --ignored --test-threads 1 interop "$@"
