#!/bin/bash
# Sets up all that the tests need and runs every test.
#
#   scripts/test.sh            everything but the virtual machine
#   scripts/test.sh --quick    only formatting, lints and the tests of this machine
#   scripts/test.sh --vm       virtual machines, emulated: the Debian package, a quarter of an hour, then all that
#                              the card image (amd64) promises, longer
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

# The other architecture and the counting need processors only. They go beside the rest, in what it leaves of them: the
# end of a build is one thread's work, and the tests mostly wait.
others() {
    scripts/cross.sh test
    scripts/instructions.sh check
}

step "packages"
need_cargo
need_packages chromium gcc libc6-dev mosquitto openssl prometheus python3

step "format"
cargo fmt --check

mkdir -p target
if [ "$quick" = no ]; then
    export -f others
    # A group of processes of its own, so that all of it ends where the rest fails.
    setsid nice -n 19 bash -euc others >target/others.log 2>&1 &
    beside=$!
    trap 'kill -- "-$beside" 2>/dev/null || true' EXIT
fi

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
    step "aarch64: cross build, unit tests under qemu-user (emulated); instruction counts: x86-64 by valgrind, aarch64 emulated"
    tail -n +1 -f --pid="$beside" target/others.log
    wait "$beside"
    trap - EXIT
    crossed=$(awk '/^test result: ok/ {passed += $4} END {print passed + 0}' target/others.log)

    step "demo"
    scripts/demo.sh
fi

step "done"
echo "tests on this machine: $counted; emulated aarch64: $crossed"
echo "$((counted + crossed)) passed, 0 failed"
