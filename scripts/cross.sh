#!/bin/bash
# Builds for the Raspberry Pi 4 (aarch64), and runs the unit tests under qemu-user with a
# Cortex-A72's instructions.
#
#   scripts/cross.sh build     target/aarch64-unknown-linux-gnu/release/anomalyd
#   scripts/cross.sh test      unit tests, emulated
#   scripts/cross.sh torch     the torch worker; scripts/image/torch.sh sets what it needs of libtorch
#   scripts/cross.sh instructions   the program whose instructions are counted (scripts/instructions.sh)
#
# No rustup target is needed: on Debian 12 the compiler and standard library for arm64 are
# packages (rustc-web, libstd-rust-web-dev:arm64); on 13, rustc and libstd-rust-dev:arm64.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/packages.sh

[ "$(dpkg --print-foreign-architectures | grep -cx arm64)" = 1 ] || {
    as_root dpkg --add-architecture arm64
    apt_get update
}
rust=rustc-web library=libstd-rust-web-dev:arm64
. /etc/os-release
[ "${VERSION_ID:-99}" -ge 13 ] && rust=rustc library=libstd-rust-dev:arm64
need_cargo
need_packages "$rust" "$library" gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static

target=aarch64-unknown-linux-gnu
export RUSTC=/usr/bin/rustc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc
# The loader would otherwise prefer libc6:arm64 where that is installed too, and threads then hang.
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64-static -cpu cortex-a72 -L /usr/aarch64-linux-gnu -E LD_LIBRARY_PATH=/usr/aarch64-linux-gnu/lib"
torch_target=${CARGO_TARGET_DIR:-$PWD/target/image-torch}
# Another compiler than the main build's: a target folder of its own keeps both caches.
export CARGO_TARGET_DIR=$PWD/target/cross

case "${1:-}" in
    build)
        cargo build --release --locked --target "$target" --bin anomalyd
        echo "cross.sh: $CARGO_TARGET_DIR/$target/release/anomalyd"
        ;;
    test)
        cargo test --locked --target "$target" --lib
        ;;
    torch)
        # A target folder of the caller's: the linker's flags are others.
        need_packages g++-aarch64-linux-gnu
        export CXX_aarch64_unknown_linux_gnu=aarch64-linux-gnu-g++
        CARGO_TARGET_DIR=$torch_target cargo build --release --locked --target "$target" --features torch --bin anomalyd-torch
        ;;
    instructions)
        cargo build --release --locked --target "$target" --bench instructions --message-format=json-render-diagnostics
        ;;
    *)
        echo "usage: scripts/cross.sh build|test|torch|instructions" >&2
        exit 2
        ;;
esac
