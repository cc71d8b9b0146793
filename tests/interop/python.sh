#!/usr/bin/env bash
# Prints a Python with the packages of requirements.txt, made in target/ where it is not there yet.
set -euo pipefail
cd "$(dirname "$0")/../.."
mkdir -p "${CARGO_TARGET_DIR:-target}"
venv="$(cd "${CARGO_TARGET_DIR:-target}" && pwd)/interop-python"
[[ -x "$venv/bin/python" ]] || python3 -m venv "$venv" >&2
if ! "$venv/bin/python" -c 'import aioquic, cryptography' 2>/dev/null; then
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --requirement tests/interop/requirements.txt >&2
fi
echo "$venv/bin/python"
