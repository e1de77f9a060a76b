#!/bin/bash
# Sets up all that the tests need and runs every test.
#
#   scripts/test.sh            everything but the virtual machine
#   scripts/test.sh --quick    only formatting, lints and the tests of this machine
#   scripts/test.sh --vm       virtual machines: the Debian package, then the card image (amd64), each at
#                              most 12 minutes
#
# CI (.ci/run) runs the first, and of the last the Debian package (scripts/vm-test.sh).
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/packages.sh

quick=no
case "${1:-}" in
    '') ;;
    --quick) quick=yes ;;
    --vm)
        scripts/vm-test.sh
        exec scripts/boot-test.sh
        ;;
    *) echo "usage: scripts/test.sh [--quick|--vm]" >&2; exit 2 ;;
esac

export CARGO_TERM_COLOR=never
step() { printf '\n=== %s (%ss)\n' "$*" "$SECONDS"; }

step "packages"
need_cargo
need_packages chromium gcc libc6-dev mosquitto openssl prometheus python3

step "format"
cargo fmt --check

step "lints"
cargo clippy --all-targets --locked -- -D warnings

step "Yocto layer"
scripts/lint-layer.sh

step "torch worker"
scripts/build-torch.sh
# The tests of the torch engine skip without a worker; here they must run.
export ANOMALYD_TORCH=$PWD/target/torch/anomalyd-torch
export ANOMALYD_REQUIRE_ALL=1

step "Python with ONNX Runtime, for tests/onnx.rs"
scripts/python-env.sh

step "tests of both engines"
cargo test --locked --no-fail-fast 2>&1 | tee target/test.log
counted=$(awk '/^test result: ok/ {passed += $4} END {print passed + 0}' target/test.log)

crossed=0
if [ "$quick" = no ]; then
    step "aarch64: cross build, unit tests under qemu-user (emulated)"
    scripts/cross.sh test 2>&1 | tee target/cross.log
    crossed=$(awk '/^test result: ok/ {passed += $4} END {print passed + 0}' target/cross.log)

    step "instruction counts: x86-64 by valgrind, aarch64 emulated"
    scripts/instructions.sh check

    step "demo"
    scripts/demo.sh
fi

step "done"
echo "tests on this machine: $counted; emulated aarch64: $crossed"
echo "$((counted + crossed)) passed, 0 failed"
