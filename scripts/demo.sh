#!/bin/bash
# The whole job on a recorded plant: builds anomalyd, simulates a week of a water-treatment plant with
# five faults in it, and lets the shipped model say what it would have raised.
#
#   scripts/demo.sh                   needs no libtorch; a Debian package or cargo that is missing
#                                     is installed
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/packages.sh

bold='' plain=''
if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
    bold=$(printf '\033[1m') plain=$(printf '\033[0m')
fi
title() { printf '\n%s%s%s\n' "$bold" "$*" "$plain"; }

need_cargo
need_packages gcc libc6-dev

target=${CARGO_TARGET_DIR:-target}
folder=$target/demo
mkdir -p "$folder"
if ! [ -x "$target/release/anomalyd" ]; then
    echo "building anomalyd (the first time takes some minutes)"
fi
if ! cargo build --quiet --release --locked --bin anomalyd >"$folder/build.log" 2>&1; then
    cat "$folder/build.log" >&2
    echo "demo.sh: the build failed (see above)" >&2
    exit 1
fi
anomalyd=$target/release/anomalyd

title "A week of a water-treatment plant, 51 sensors, with a fault on five of its days"
"$anomalyd" simulate --seed 7 --start 2026-01-05T00:00:00Z --duration 7d --period 10s \
    --faults models/demo-faults.toml --out "$folder/week.csv" 2>&1

title "What the model raises; it never saw this week, nor any fault, and may be wrong once a day"
"$anomalyd" replay --model models/demo.pt "$folder/week.csv" 2>&1

title "Next"
cat <<END
  how good was that:     $anomalyd evaluate --model models/demo.pt \\
                           --data $folder/week.csv --events $folder/week.events.json
  learn your own plant:  $anomalyd train --heads neighbour,raw \\
                           --data YOUR.csv --out your.pt
END
