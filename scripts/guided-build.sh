#!/bin/bash
# Builds the program for this machine's architecture guided by a profile: once with counters in it, which
# runs under load, and once more with what they counted (docs/decisions/0026-guided-builds.md).
#
#   scripts/guided-build.sh      target/guided/…/release/anomalyd, whose path is printed last
#
#   ANOMALYD=$(scripts/guided-build.sh | tail -n 1) scripts/build-deb.sh
#
# Load: the simulated plant with ten faults over a local socket, at 1000 rows a second and at 100, and its
# CSV by `replay`; models/demo.pt, engine native. Other seeds than the benchmark's. Takes two whole builds
# and a minute. Two runs need not give the same file.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/packages.sh

need_cargo
need_packages gcc libc6-dev socat
host=$(rustc -vV | sed -n 's/^host: //p')
profdata=$(rustc --print sysroot)/lib/rustlib/$host/bin/llvm-profdata
# Profiles are read by the LLVM that wrote them: the compiler's own tool, no other.
if [ ! -x "$profdata" ]; then
    command -v rustup >/dev/null || {
        echo "guided-build.sh: llvm-profdata of $(rustc --version) is missing and there is no rustup to install it" >&2
        exit 1
    }
    rustup component add llvm-tools
fi

folder=${CARGO_TARGET_DIR:-target}/guided
work=$(mktemp -d)
service=
cleanup() {
    [ -z "$service" ] || kill "$service" 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT
anomalyd=$folder/$host/release/anomalyd

# build FLAG: with a target named, so that build scripts go without it.
build() { RUSTFLAGS=$1 cargo build --release --locked --target "$host" --target-dir "$folder" --bin anomalyd; }

build "-Cprofile-generate=$work/counts"

model=$PWD/models/demo.pt
mkdir "$work/state"
cat >"$work/anomalyd.toml" <<END
model = "$model"
engine = "native"
period = "10s"
state_directory = "$work/state"
control_socket = "$work/control.sock"
[source.ndjson]
listen = "$work/rows.sock"
END
"$anomalyd" run --config "$work/anomalyd.toml" >/dev/null 2>"$work/log" &
service=$!
for _ in $(seq 100); do
    [ -S "$work/rows.sock" ] && break
    sleep 0.1
done
# rows SEED START ROWS_A_SECOND SECONDS
rows() {
    "$anomalyd" simulate --seed "$1" --start "$2" --period 10s --rate "$3" --duration $(($3 * $4 * 10))s \
        --random-faults 5 | socat -u - "UNIX-CONNECT:$work/rows.sock"
}
rows 101 2026-01-01T00:00:00Z 1000 20
rows 102 2026-02-01T00:00:00Z 100 20
kill "$service"
wait "$service" || { cat "$work/log" >&2; exit 1; }
service=
frames=$(sed -n 's/.*: \([0-9]*\) frames scored in .*/\1/p' "$work/log" | tail -n 1)
[ "${frames:-0}" -ge 20000 ] || {
    cat "$work/log" >&2
    echo "guided-build.sh: ${frames:-no} frames were scored of 22000: such a profile would mislead" >&2
    exit 1
}
"$anomalyd" simulate --seed 103 --period 10s --duration 48h --random-faults 5 --out "$work/plant.csv" 2>/dev/null
"$anomalyd" replay --model "$model" --engine native "$work/plant.csv" >/dev/null

"$profdata" merge -o "$work/profile" "$work/counts"
build "-Cprofile-use=$work/profile"
echo "$anomalyd"
