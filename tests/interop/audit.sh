#!/bin/sh
# The audit log read by another implementation; fails where there is no python3.
set -eu
cd "$(dirname "$0")/../.."
python3 --version
cargo test -p quorate-keys --test audit_log
