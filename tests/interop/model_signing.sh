#!/bin/sh
# Our model signatures against the public model-signing tool. Installs the tool into target/model-signing unless
# there is one on the path; fails where there is neither.
set -eu
cd "$(dirname "$0")/../.."
if ! command -v model_signing >/dev/null; then
    tool="${CARGO_TARGET_DIR:-target}/model-signing"
    # pyOpenSSL: 1.1.1 of the tool imports it without asking for it.
    [ -x "$tool/bin/model_signing" ] || { python3 -m venv "$tool" && "$tool/bin/pip" install -q model-signing==1.1.1 pyopenssl; }
    PATH="$(cd "$tool/bin" && pwd):$PATH"
fi
model_signing --version
cargo test -p quorate-keys --test model_signature -- --nocapture --include-ignored --skip write_the_fixture
