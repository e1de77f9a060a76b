#!/bin/bash
# Where the service spends its CPU time and its memory under load, as pictures.
#
#   scripts/profile.sh [ROWS_A_SECOND [SECONDS]]      2000 rows a second for 20 s without
#
# Leaves in target/profile/: cpu.svg (flame graph: perf's samples, 999 a second of CPU time), heap.svg (flame
# graph: bytes in use at the peak, by heaptrack), heap.txt (heaptrack's report) and what they are made of. The
# program is the release itself, whose calls are found by its unwind tables; what the compiler put into its
# caller does not show. Load: the simulated plant's 51 sensors as JSON lines on stdin, models/demo.pt, engine
# native.
#
# Where perf may not sample (no perf_event_open, as in some containers) cpu.svg shows instructions instead of
# time, counted by valgrind's callgrind on fewer rows, function by function.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/packages.sh

rate=${1:-2000}
seconds=${2:-20}
out=$PWD/target/profile
mkdir -p "$out"
need_cargo
need_packages gcc libc6-dev binutils linux-perf heaptrack

inferno=$out/tools/bin
[ -x "$inferno/inferno-flamegraph" ] || cargo install --root "$out/tools" --locked inferno

anomalyd=${ANOMALYD:-target/release/anomalyd}
[ -n "${ANOMALYD:-}" ] || cargo build --release --locked --bin anomalyd

work=$(mktemp -d)
processes=
cleanup() {
    for process in $processes; do kill "$process" 2>/dev/null || true; done
    rm -rf "$work"
}
trap cleanup EXIT
printf 'model = "%s"\n[source.ndjson]\n' "$PWD/models/demo.pt" >"$work/anomalyd.toml"

# under_load ROWS_A_SECOND SECONDS COMMAND...: runs the service by COMMAND, feeds it, ends its input.
under_load() {
    local rows=$1 span=$2 period=10
    shift 2
    # A row of 10 s each: so much simulated time is SECONDS at ROWS_A_SECOND.
    "$anomalyd" simulate --seed 2 --period ${period}s --rate "$rows" --duration $((rows * span * period))s 2>/dev/null |
        "$@" "$anomalyd" run --config "$work/anomalyd.toml" >"$work/alarms" 2>"$work/daemon.log" ||
        { cat "$work/daemon.log" >&2; return 1; }
    sed -n 's/.*: \([0-9]* frames scored in .*\)/\1/p' "$work/daemon.log" | tail -n 1
}

# readable: Rust's names as they stand in the source, of both of its ways to write them into a program.
readable() {
    c++filt | sed -E 's/::h[0-9a-f]{16}//g; s/\[[0-9a-f]{16}\]//g; s/_?\$LT\$/</g; s/\$GT\$/>/g; s/\$u7b\$/{/g
        s/\$u7d\$/}/g; s/\$u20\$/ /g; s/\$RF\$/\&/g; s/\$C\$/,/g; s/([a-z])\.\.([a-zA-Z])/\1::\2/g'
}

# flamegraph TITLE UNIT SVG: draws collapsed stacks.
flamegraph() {
    "$inferno/inferno-flamegraph" --title "$1" --countname "$2" --hash --minwidth 0.2 >"$3"
}

what="$rate rows a second of 51 sensors for $seconds s, engine native"
if perf record -q -e cpu-clock -o "$work/try.data" true 2>/dev/null; then
    under_load "$rate" "$seconds" perf record -q -e cpu-clock -F 999 --call-graph dwarf,16384 -o "$out/cpu.data"
    perf script --no-inline -i "$out/cpu.data" 2>/dev/null >"$work/cpu.txt"
    "$inferno/inferno-collapse-perf" <"$work/cpu.txt" 2>/dev/null | readable >"$out/cpu.stacks"
    flamegraph "CPU time, $what" ns "$out/cpu.svg" <"$out/cpu.stacks"
else
    echo "profile.sh: perf may not sample here: instructions are counted instead, on 2000 rows"
    need_packages valgrind
    under_load 200 10 valgrind --tool=callgrind --callgrind-out-file="$out/cpu.callgrind"
    callgrind_annotate --threshold=95 "$out/cpu.callgrind" >"$out/cpu.txt"
    # "12,345 ( 1.2%)  file:function [object]" to "function 12345"
    sed -n 's/^ *\([0-9,]*\) *([ 0-9.%]*)  *[^:]*:\(.*\) \[.*\]$/\2;\1/p' "$out/cpu.txt" |
        awk -F';' '{ gsub(",", "", $NF); name = $1; gsub(" ", "_", name); print name, $NF }' >"$out/cpu.stacks"
    flamegraph "Instructions, 2000 rows of 51 sensors, engine native" instructions "$out/cpu.svg" <"$out/cpu.stacks"
fi

rm -f "$out"/heap.data*
under_load "$rate" "$seconds" heaptrack -o "$out/heap.data" >"$work/heaptrack.log"
tail -n 1 "$work/heaptrack.log"
heaptrack_print -f "$out"/heap.data.* --flamegraph-cost-type peak -F "$work/heap.stacks" | readable >"$out/heap.txt"
readable <"$work/heap.stacks" >"$out/heap.stacks"
flamegraph "Heap in use at its peak, $what" bytes "$out/heap.svg" <"$out/heap.stacks"
sed -n '/^total runtime/,$p' "$out/heap.txt"
echo "machine: $(uname -m), $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), load average $(cut -d ' ' -f 1 /proc/loadavg)"
ls -l "$out"/{cpu,heap}.svg "$out/heap.txt"
