#!/bin/bash
# Memory and CPU time of the running daemon under the reference load: the simulated plant's 51 sensors,
# 100 frames a second as JSON lines on stdin, an LSTM of 64 units.
#
#   scripts/rss.sh [MODEL [SECONDS]]
#
# Without a MODEL one is trained first (20 steps: what it knows does not matter here), which needs the
# torch worker. Prints what was measured, on what machine, with which engine and load. Ends with 1 when
# the daemon's RSS is above 16 MiB, or its peak above 24.
set -euo pipefail
cd "$(dirname "$0")/.."

model=${1:-}
seconds=${2:-60}
rate=100
anomalyd=${ANOMALYD:-target/release/anomalyd}
[ -x "$anomalyd" ] || cargo build --release --locked --bin anomalyd

work=$(mktemp -d)
daemon=
simulator=
cleanup() {
    for process in $daemon $simulator; do kill "$process" 2>/dev/null || true; done
    rm -rf "$work"
}
trap cleanup EXIT

if [ -z "$model" ]; then
    model=$work/model.pt
    "$anomalyd" simulate --seed 1 --duration 2h --out "$work/normal.csv" 2>"$work/log"
    "$anomalyd" train --data "$work/normal.csv" --steps 20 --hidden 64 --out "$model" >"$work/log" 2>&1 \
        || { cat "$work/log" >&2; exit 1; }
fi
printf 'model = "%s"\n[source.ndjson]\n' "$(realpath "$model")" >"$work/anomalyd.toml"

mkfifo "$work/rows"
"$anomalyd" simulate --seed 2 --rate $rate >"$work/rows" 2>/dev/null &
simulator=$!
"$anomalyd" run --config "$work/anomalyd.toml" <"$work/rows" >"$work/alarms" 2>"$work/daemon.log" &
daemon=$!

field() { awk -v key="$1:" '$1 == key {print $2}' "/proc/$daemon/status"; }
# User and system time of all threads, in clock ticks.
ticks() { sed 's/.*) //' "/proc/$daemon/stat" | awk '{print $12 + $13}'; }
# Waits of all threads: one for each time that there was nothing to do.
waits() { cat /proc/"$daemon"/task/*/status | awk '$1 == "voluntary_ctxt_switches:" {sum += $2} END {print sum}'; }

sleep 2
kill -0 "$daemon" 2>/dev/null || { cat "$work/daemon.log" >&2; exit 1; }
begin=$(date +%s%N) ticks=$(ticks) waits=$(waits)
sleep "$seconds"
nanos=$(($(date +%s%N) - begin)) ticks=$(($(ticks) - ticks)) waits=$(($(waits) - waits))
rss=$(field VmRSS) anon=$(field RssAnon) file=$(field RssFile) peak=$(field VmHWM)
written=$(awk '$1 == "write_bytes:" {print $2}' "/proc/$daemon/io")
threads=$(field Threads)
kill "$daemon"
wait "$daemon" || { cat "$work/daemon.log" >&2; exit 1; }
daemon=
engine=$(sed -n 's/.*, engine \([a-z]*\),.*/\1/p' "$work/daemon.log" | head -n 1)
judged=$(sed -n 's/.*: \([0-9]*\) frames scored in \(.*\), .*/\1 frames scored in \2/p' "$work/daemon.log")

awk -v rss="$rss" -v anon="$anon" -v file="$file" -v peak="$peak" -v ticks="$ticks" -v hz="$(getconf CLK_TCK)" \
    -v nanos="$nanos" -v waits="$waits" -v rate=$rate -v written="$written" -v threads="$threads" 'BEGIN {
    wall = nanos / 1e9
    printf "RSS        %.1f MiB (anonymous %.1f, file %.1f), peak %.1f\n", rss / 1024, anon / 1024, file / 1024, peak / 1024
    printf "CPU        %.2f %% of one core\n", 100 * ticks / hz / wall
    printf "wake-ups   %.2f a frame, all %d threads together\n", waits / wall / rate, threads
    printf "written    %d bytes\n", written
}'
echo "load       $rate frames a second of 51 sensors, JSON lines on stdin, for ${seconds} s after 2 s; $judged"
echo "engine     $engine, $(file_size=$(stat -c %s "$model"); echo "model of $file_size bytes")"
echo "machine    $(uname -m), $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), load average $(cut -d ' ' -f 1 /proc/loadavg)"
if [ "$rss" -gt $((16 * 1024)) ] || [ "$peak" -gt $((24 * 1024)) ]; then
    echo "FAIL       more than 16 MiB, or a peak of more than 24 MiB"
    exit 1
fi
echo "ok         at most 16 MiB, peak at most 24 MiB"
