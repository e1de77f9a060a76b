#!/bin/bash
# How often the running daemon wakes up, thread by thread, for each sample (one sensor at one instant) and
# each frame (all 51 sensors), under seven loads:
#
#   socket-100  100 rows a second as JSON lines from a client of the socket
#   socket-1    1 row a second
#   rows-100    100 rows a second as JSON lines on stdin
#   rows-1      1 row a second
#   topics      51 MQTT topics, each once a second, evenly spread, from a mosquitto as it is installed
#   topics-each the same with set_tcp_nodelay, which sends each message on its own: as many reads as can be
#   topics-row  the same with all 51 at once
#
#   scripts/wakeups.sh [SECONDS]      how long each is measured, 20 without
#
# A wake-up is a voluntary context switch: a thread had nothing to do, slept, and was woken.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/packages.sh
need_packages mosquitto python3

seconds=${1:-20}
sensors=51
anomalyd=${ANOMALYD:-target/release/anomalyd}
[ -x "$anomalyd" ] || cargo build --release --locked --bin anomalyd

work=$(mktemp -d)
processes=
cleanup() {
    for process in $processes; do kill "$process" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT

# A line a thread: its name and its wake-ups so far.
waits() {
    for task in /proc/"$daemon"/task/*; do
        awk -v thread="$(cat "$task/comm")" '$1 == "voluntary_ctxt_switches:" {print thread, $2}' "$task/status"
    done | sort
}

# measure LOAD FRAMES_A_SECOND: looks at the daemon that runs, prints a line a thread and their sum.
measure() {
    sleep 3
    kill -0 "$daemon" 2>/dev/null || { cat "$work/daemon.log" >&2; exit 1; }
    waits >"$work/before"
    local begin end
    begin=$(date +%s%N)
    sleep "$seconds"
    end=$(date +%s%N)
    waits >"$work/after"
    paste "$work/before" "$work/after" | awk -v name="$1" -v nanos=$((end - begin)) -v rate="$2" -v sensors=$sensors '
        $1 != $3 { print "threads changed meanwhile: " $0; exit 1 }
        { count = $4 - $2; sum += count; if (count > 0) threads = threads sprintf("%s %.2f, ", $1, count / (nanos / 1e9)) }
        END {
            a_second = sum / (nanos / 1e9)
            sub(/, $/, "", threads)
            printf "%-11s %8.2f %8.2f %9.4f   %s\n", name, a_second, a_second / rate, a_second / rate / sensors, threads
        }'
    kill "$daemon"
    wait "$daemon" || { cat "$work/daemon.log" >&2; exit 1; }
    sed -n 's/.*: \([0-9]* frames scored in [^,]*\).*/            \1/p' "$work/daemon.log" | tail -n 1
}

rows() {
    printf 'model = "%s"\n[source.ndjson]\n' "$PWD/models/demo.pt" >"$work/anomalyd.toml"
    rm -f "$work/rows"
    mkfifo "$work/rows"
    "$anomalyd" simulate --seed 2 --period 10s --rate "$1" >"$work/rows" 2>/dev/null &
    local simulator=$!
    processes="$processes $simulator"
    "$anomalyd" run --config "$work/anomalyd.toml" <"$work/rows" >"$work/alarms" 2>"$work/daemon.log" &
    daemon=$!
    processes="$processes $daemon"
    measure "rows-$1" "$1"
    wait "$simulator" 2>/dev/null || true
}

# client ROWS_A_SECOND: as rows, over the socket.
client() {
    printf 'model = "%s"\n[source.ndjson]\nlisten = "%s"\n' "$PWD/models/demo.pt" "$work/rows.sock" >"$work/anomalyd.toml"
    "$anomalyd" run --config "$work/anomalyd.toml" >"$work/alarms" 2>"$work/daemon.log" </dev/null &
    daemon=$!
    processes="$processes $daemon"
    for _ in $(seq 100); do [ -S "$work/rows.sock" ] && break; sleep 0.1; done
    "$anomalyd" simulate --seed 2 --period 10s --rate "$1" 2>/dev/null | python3 -c '
import socket, sys
service = socket.socket(socket.AF_UNIX)
service.connect(sys.argv[1])
for line in sys.stdin.buffer:
    service.sendall(line)' "$work/rows.sock" 2>/dev/null &
    local relay=$!
    processes="$processes $relay"
    measure "socket-$1" "$1"
    wait "$relay" 2>/dev/null || true
}

# topics LOAD SPREAD NODELAY: SPREAD is the part of a second over which the messages of one are spread,
# NODELAY mosquitto's set_tcp_nodelay.
topics() {
    local port names publisher broker
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    printf 'listener %s 127.0.0.1\nallow_anonymous true\nuser root\npersistence false\nset_tcp_nodelay %s\n' \
        "$port" "$3" >"$work/mosquitto.conf"
    PATH=$PATH:/usr/sbin mosquitto -c "$work/mosquitto.conf" >"$work/broker.log" 2>&1 &
    broker=$!
    processes="$processes $broker"
    names=$(head -n 1 benches/cases/plant.csv | tr -d '\r' | cut -d, -f2- | tr ',' ' ')
    {
        printf 'model = "%s"\nperiod = "1s"\n[source.mqtt]\nhost = "127.0.0.1"\nport = %s\n[source.mqtt.topics]\n' \
            "$PWD/models/demo.pt" "$port"
        for name in $names; do printf '%s = { topic = "plant/%s" }\n' "$name" "$name"; done
    } >"$work/anomalyd.toml"
    sleep 0.5
    "$anomalyd" run --config "$work/anomalyd.toml" >"$work/alarms" 2>"$work/daemon.log" </dev/null &
    daemon=$!
    processes="$processes $daemon"
    python3 - "$port" "$2" $((seconds + 10)) <<'END' &
import socket, sys, time
port, spread, seconds = int(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
lines = [line.strip().split(",")[1:] for line in open("benches/cases/plant.csv")]
names, rows = lines[0], lines[1:]
broker = socket.create_connection(("127.0.0.1", port))
broker.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
text = lambda s: len(s).to_bytes(2, "big") + s
broker.sendall(b"\x10\x10" + text(b"MQTT") + b"\x04\x02\x00\x00" + text(b"load"))
broker.recv(4)
start = time.monotonic()
for second in range(seconds):
    for place, name in enumerate(names):
        wait = start + second + spread * place / len(names) - time.monotonic()
        if wait > 0:
            time.sleep(wait)
        body = text(b"plant/" + name.encode()) + rows[second % len(rows)][place].encode()
        broker.sendall(b"\x30" + bytes([len(body)]) + body)
END
    publisher=$!
    processes="$processes $publisher"
    measure "$1" 1
    kill "$publisher" "$broker" 2>/dev/null || true
    wait "$publisher" "$broker" 2>/dev/null || true
}

printf '%-11s %8s %8s %9s   %s\n' "load" "a second" "a frame" "a sample" "a second, by thread"
client 100
client 1
rows 100
rows 1
topics topics 1 false
topics topics-each 1 true
topics topics-row 0 true
echo "each over $seconds s; engine native, models/demo.pt; machine $(uname -m), $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), load average $(cut -d ' ' -f 1 /proc/loadavg)"
