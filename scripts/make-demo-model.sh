#!/bin/bash
# Makes models/demo.pt: a week of the simulated plant without faults, learnt with all heads.
#
#   scripts/make-demo-model.sh        10 to 15 minutes, most of it training; needs libtorch once
#
# The recording is the same on every machine. The weights come from libtorch, which is deterministic
# on one machine but may round differently on another; tests/demo.rs says whether a new model still
# finds what the old one found.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/packages.sh

need_cargo
need_packages gcc libc6-dev
cargo build --release --locked --bin anomalyd
if [ -z "${ANOMALYD_TORCH:-}" ]; then
    scripts/build-torch.sh
    export ANOMALYD_TORCH=$PWD/target/torch/anomalyd-torch
fi

# The command is kept in the model's manifest: short names, no folders of this machine.
target=$(cd "${CARGO_TARGET_DIR:-target}" && pwd)
PATH=$target/release:$PATH
# The date in the manifest, so that the same command makes the same file.
export SOURCE_DATE_EPOCH=1767225600 # 2026-01-01

mkdir -p "$target/demo"
repository=$PWD
cd "$target/demo"
anomalyd simulate --seed 1 --duration 7d --period 10s --out normal.csv --units units.csv
anomalyd train --data normal.csv --units units.csv --name demo-plant --out demo.pt
anomalyd model verify demo.pt
cp demo.pt "$repository/models/demo.pt"
ls -l "$repository/models/demo.pt"
