#!/usr/bin/env bash
# The participant in Python (party/) among nine of this repository, ten rounds a suite, and the conformance kit against it: right,
# and wrong in every way the kit names. With --quick the ten rounds and the six faults that matter most.
#
# QUORATE_PYTHON names a Python with the packages of requirements.txt; without it python.sh makes one.
set -euo pipefail
cd "$(dirname "$0")/../.."

tests=(interop)
if [[ "${1:-}" == --quick ]]; then
    tests=(interop::a_python kit::interop_six)
    shift
fi
QUORATE_PYTHON="${QUORATE_PYTHON:-$(tests/interop/python.sh)}"
export QUORATE_PYTHON
exec cargo test -p quorate-cli --test e2e -- --ignored --test-threads 1 "${tests[@]}" "$@"
