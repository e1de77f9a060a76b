#!/bin/bash
# The checks, run inside the virtual machine of scripts/vm-test.sh as root by vm-test.service.
# A line a check goes to the second serial port. A power cut in the middle starts it a second time.
set -u
cd /vm
exec 3>/dev/ttyS1

ok() { echo "ok    $*" >&3; }
bad() { echo "FAIL  $*" >&3; }
skip() { echo "skip  $*" >&3; }
note() { echo "      $*" >&3; }
# check NAME COMMAND...: the command's success is the check's.
check() {
    local name=$1 output
    shift
    if output=$("$@" 2>&1); then ok "$name"; else bad "$name: $(tail -n 6 <<<"$output" | tr '\n' '|')"; fi
}

# The command says nothing at all.
silent() {
    local said
    said=$("$@" 2>&1)
    echo "$said"
    [ -z "$said" ]
}

uptime() { cut -d ' ' -f 1 /proc/uptime; }
property() { systemctl show anomalyd -P "$1"; }
pid() { property MainPID; }
is_active() { [ "$(property ActiveState)" = active ] && [ "$(property SubState)" = running ]; }
# wait_for SECONDS COMMAND...: the wall clock is set about here, so time is the kernel's uptime.
wait_for() {
    local until
    until=$(($(cut -d . -f 1 /proc/uptime) + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$(cut -d . -f 1 /proc/uptime)" -lt "$until" ] || return 1
        sleep 0.3
    done
}

# The journal since `mark`.
mark() { cursor=$(journalctl -n 0 --show-cursor | sed -n 's/^-- cursor: //p'); }
journal() { journalctl -q --after-cursor="$cursor" -u anomalyd "$@"; }
told() { journal -o cat | grep -qE -- "$1"; }
# message KIND: the journal has an entry with the MESSAGE_ID of this kind (kinds.txt comes from src/message.rs).
message() { [ -n "$(journal -o cat "MESSAGE_ID=$(identity "$1")")" ]; }
identity() { awk -v kind="$1" '$1 == kind {print $2}' kinds.txt; }
# What a check prints when it fails: the end of the journal.
tail_of_journal() { journal -o short-monotonic | tail -n "${1:-4}" | cut -c 1-200; return 1; }
expect() { # NAME SECONDS COMMAND...
    local name=$1 seconds=$2
    shift 2
    if wait_for "$seconds" "$@"; then ok "$name"; else check "$name ($*)" tail_of_journal; fi
}

feed() { socat -u "FILE:$1" UNIX-CONNECT:/run/anomalyd/ingest.sock; }
# The next ten rows after those.
feed_more() {
    fed=$((fed + 10))
    head -n "$fed" later.ndjson | tail -n 10 >more.ndjson
    feed more.ndjson
}
fed=0
restarted_once() { is_active && [ "$(property NRestarts)" = $((restarts + 1)) ]; }
count_restarts() { restarts=$(property NRestarts); before=$(pid); mark; }
alarms() { journal -o cat "MESSAGE_ID=$(identity "$1")" | sed -n 's/^alarm \([0-9a-z]*\) .*/\1/p'; }
drop_in() { mkdir -p /run/systemd/system/anomalyd.service.d; cat >"/run/systemd/system/anomalyd.service.d/$1.conf"; systemctl daemon-reload; }
no_drop_in() {
    rm -f "/run/systemd/system/anomalyd.service.d/$1.conf"
    rmdir --ignore-fail-on-non-empty /run/systemd/system/anomalyd.service.d
    systemctl daemon-reload
}
configure() { cat >"/etc/anomalyd/anomalyd.toml.d/$1.toml"; }

install_package() {
    check "the package installs" dpkg -i /vm/anomalyd.deb
    check "the user exists" id anomalyd
    check "not enabled by itself" test "$(systemctl is-enabled anomalyd)" = disabled
    check "not started by itself" test "$(systemctl is-active anomalyd)" = inactive
    check "the configuration is a conffile" grep -q /etc/anomalyd/anomalyd.toml /var/lib/dpkg/info/anomalyd.conffiles
    check "systemd-analyze verify has nothing to say" silent systemd-analyze verify --man=no /usr/lib/systemd/system/anomalyd.service
    mkdir -p /etc/anomalyd/anomalyd.toml.d
    configure 10-vm <<END
model = "/usr/share/anomalyd/demo.pt"
END
}

start() {
    mark
    check "systemctl enable --now returns when it is ready" systemctl enable --now anomalyd
    check "it runs" is_active
    local from to
    from=$(property ExecMainStartTimestampMonotonic)
    to=$(property ActiveEnterTimestampMonotonic)
    note "exec to READY: $(((to - from) / 1000)) ms in this machine ($(cat /vm/accelerator); not judged)"
    check "STATUS= is worth reading" grep -q "demo-plant" <<<"$(property StatusText)"
    note "status: $(property StatusText)"
    check "Type=notify-reload" test "$(property Type)" = notify-reload
    check "the watchdog is armed" test "$(property WatchdogUSec)" = 30s
    check "the kernel has the caps" test "$(cat /sys/fs/cgroup/system.slice/anomalyd.service/memory.{high,max,swap.max} | tr '\n' ' ')" = "94371840 104857600 0 "
    check "ready is journaled with its MESSAGE_ID" message Ready
    note "memory: $(($(property MemoryCurrent) / 1024)) KiB in the cgroup, $(awk '$1 == "VmRSS:" {print $2}' /proc/"$(pid)"/status) KiB RSS"
}

sandbox() {
    local score unit=/usr/lib/systemd/system/anomalyd.service
    score=$(systemd-analyze security --offline=true --no-pager "$unit" 2>/dev/null | sed -n 's/.*level for .*: \([0-9.]*\) .*/\1/p')
    check "systemd-analyze security: $score, at most 1.0" awk -v score="$score" 'BEGIN {exit !(score != "" && score <= 1.0)}'
    local status=/proc/$(pid)/status
    check "no capabilities" grep -qx "CapBnd:.0*" "$status"
    check "own user" grep -q "^Uid:.$(id -u anomalyd)" "$status"
    check "no new privileges, system calls filtered" test "$(awk '$1 ~ /^(NoNewPrivs|Seccomp):/ {printf "%s ", $2}' "$status")" = "1 2 "
    inside() { nsenter -t "$(pid)" -m -- "$@"; }
    check "/usr and /etc are read-only" inside sh -c '! touch /usr/x && ! touch /etc/x && ! touch /etc/anomalyd/x'
    check "its state directory is not" inside sh -c 'touch /var/lib/anomalyd/x && rm /var/lib/anomalyd/x'
    check "no disk in its /dev" inside sh -c '! test -e /dev/vda'
    check "the mailbox is in its /dev" inside test -c /dev/vcio
    check "group and mode of the mailbox by the udev rule" udev_rule
    check "the socket is for the group" test "$(stat -c '%U:%G %a' /run/anomalyd/ingest.sock)" = "anomalyd:anomalyd 660"
    check "others cannot get there" sh -c '! setpriv --reuid=65534 --regid=65534 --clear-groups ls /run/anomalyd'
}
# There is no mailbox here for the rule to act on: that it is read and means what we think is what can be seen.
udev_rule() { udevadm verify --no-summary /usr/lib/udev/rules.d/60-anomalyd.rules; }

detection() {
    mark
    check "socat delivers 1 h 30 min of JSON lines" feed first.ndjson
    expect "an alarm under the sandbox" 120 told '^alarm [0-9a-z]+ raised: score '
    expect "and its end" 120 told '^alarm [0-9a-z]+ cleared after '
    check "the raise has its MESSAGE_ID" message AlarmRaised
    check "the clear has its MESSAGE_ID" message AlarmCleared
    local field json
    json=$(journal -o json "MESSAGE_ID=$(identity AlarmRaised)" | head -n 1)
    for field in ALARM_ID SENSOR SCORE THRESHOLD MODEL THROTTLED; do
        check "the raise has the field ANOMALYD_$field" grep -q "\"ANOMALYD_$field\"" <<<"$json"
    done
    check "PRIORITY is warning" grep -q '"PRIORITY":"4"' <<<"$json"
    check "journalctl -x explains it" test -n "$(journal -x "MESSAGE_ID=$(identity AlarmRaised)" | grep -F 'anomalyd ack')"
    check "journalctl -x fills in the alarm's id" test -z "$(journal -x "MESSAGE_ID=$(identity AlarmRaised)" | grep -F '@ANOMALYD')"
    check "the catalog has every kind" catalog_is_whole
}
catalog_is_whole() {
    local kind id
    while read -r kind id; do
        journalctl --list-catalog "$id" | grep -q anomalyd || { echo "$kind is missing"; return 1; }
    done <kinds.txt
}

reload() {
    local old
    old=$(pid)
    configure 20-reload <<END
max_false_alarms_per_week = 3
END
    mark
    check "reload of a good configuration returns 0" systemctl reload anomalyd
    check "told, with its MESSAGE_ID" message Reloaded
    configure 20-reload <<END
max_false_alarms_per_weak = 3
END
    mark
    systemctl reload anomalyd
    expect "a bad configuration is refused" 10 told 'refused.*20-reload.toml:1.*max_false_alarms_per_week'
    check "the refusal has its MESSAGE_ID" message ReloadRefused
    check "still the same process, running" test "$(pid) $(property ActiveState)" = "$old active"
    rm /etc/anomalyd/anomalyd.toml.d/20-reload.toml
    mark
    check "reload of the good one again" systemctl reload anomalyd
}

worker_pid() { grep -vx "$(pid)" /sys/fs/cgroup/system.slice/anomalyd.service/cgroup.procs; }
another_worker() { local now; now=$(worker_pid) && [ -n "$now" ] && [ "$now" != "$1" ]; }
worker() {
    if ! [ -e /dev/vdb ]; then
        skip "kill -9 of the torch worker: there was none to put into this machine (scripts/build-torch.sh makes it)"
        return
    fi
    mkdir -p /torch
    mount -o ro /dev/vdb /torch
    install -D -m 0644 /usr/share/anomalyd/20-torch.conf -t /etc/systemd/system/anomalyd.service.d
    configure 50-torch <<END
engine = "torch"
torch_worker = "/torch/anomalyd-torch"
END
    # qemu's emulation of AVX computes libtorch's products wrongly, which the golden vectors refuse
    # ("differs by 14"): plain kernels here.
    drop_in openblas <<END
[Service]
Environment=OPENBLAS_CORETYPE=Haswell ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 DNNL_MAX_CPU_ISA=SSE41
END
    check "it starts with the torch engine under the sandbox" systemctl restart anomalyd
    check "status says so" sh -c 'anomalyd status --json | grep -q "\"engine\": \"torch\""'
    count_restarts
    local first
    first=$(worker_pid)
    check "the worker is in the same cgroup and the first to be killed" test "$(cat "/proc/$first/oom_score_adj" "/proc/$before/oom_score_adj" | tr '\n' ' ')" = "1000 0 "
    note "memory with libtorch: $(($(property MemoryCurrent) / 1048576)) MiB in the cgroup, worker $(($(awk '$1 == "VmRSS:" {print $2}' "/proc/$first/status") / 1024)) MiB RSS"
    check "kill -9 of the worker" kill -9 "$first"
    feed_more
    expect "it is started again" 120 another_worker "$first"
    expect "told with its MESSAGE_ID" 60 message WorkerRestarted
    check "the daemon goes on" test "$(pid) $(property ActiveState)" = "$before active"
    wait_for 60 told 'ready again'
    feed_more
    expect "frames are scored again" 60 message ScoredAgain
    rm /etc/systemd/system/anomalyd.service.d/20-torch.conf /etc/anomalyd/anomalyd.toml.d/50-torch.toml
    rmdir /etc/systemd/system/anomalyd.service.d
    no_drop_in openblas
    systemctl restart anomalyd
    umount /torch
}

# An alarm is open from here on; each restart must keep it under its id.
open_alarm() {
    mark
    feed second.ndjson
    expect "a second alarm" 120 told '^alarm [0-9a-z]+ raised: score '
    open=$(alarms AlarmRaised | tail -n 1)
    [ -n "$open" ] || open=$(journal -o cat | sed -n 's/^alarm \([0-9a-z]*\) raised.*/\1/p' | tail -n 1)
    note "alarm $open stands"
    echo "$open" >/var/lib/vm-open-alarm
    # Written by a thread of its own, as soon as the disk lets it.
    expect "and is saved" 60 alarm_is_saved
}
alarm_is_saved() { [ -n "$open" ] && grep -q "\"open\":{\"id\":\"$open\"" /var/lib/anomalyd/state.json; }
state_kept() { [ -n "$open" ] && journal -o cat "MESSAGE_ID=$(identity Resumed)" | grep -q "$open"; }

killed() {
    count_restarts
    kill -9 "$before"
    expect "kill -9 of the daemon: one restart" 30 restarted_once
    expect "the open alarm is kept" 10 state_kept
}

hang() {
    drop_in watchdog <<END
[Service]
WatchdogSec=8s
END
    # The new time counts from the next start.
    systemctl restart anomalyd
    count_restarts
    sleep 10
    check "a pipeline without samples feeds the watchdog" test "$(pid) $(property NRestarts)" = "$before $restarts"
    ./meddle freeze "$before" infer >/dev/ttyS0 2>&1 &
    sleep 1
    feed_more
    expect "inference hangs: the watchdog restarts it once" 60 restarted_once
    check "the watchdog did it" journal_of_systemd 'Watchdog timeout'
    expect "the open alarm is kept" 10 state_kept
    no_drop_in watchdog
    systemctl restart anomalyd
}
journal_of_systemd() { journalctl -q --after-cursor="$cursor" -o cat _PID=1 + _TRANSPORT=kernel | grep -qE -- "$1"; }

leak() {
    count_restarts
    # In the background: until it is killed it sleeps where it is over MemoryHigh.
    ./meddle leak "$before" 200000000 >/dev/ttyS0 2>&1 &
    expect "a leak reaches MemoryMax: one restart" 90 restarted_once
    check "the kernel killed it for its memory" journal_of_systemd "Memory cgroup out of memory: Killed process $before"
    expect "told with its MESSAGE_ID" 15 message OutOfMemory
    expect "the open alarm is kept" 10 state_kept
    note "$(journalctl -q --after-cursor="$cursor" -o cat _PID=1 | grep -iE 'oom|result' | head -n 3 | tr '\n' '|')"
    sleep 3
    check "and only one" restarted_once
}

disk_full() {
    systemctl stop anomalyd
    rm -rf /vm/state
    cp -a /var/lib/anomalyd /vm/state
    mount -t tmpfs -o size=2m,mode=0750,uid="$(id -u anomalyd)",gid="$(id -g anomalyd)" none /var/lib/anomalyd
    cp -a /vm/state/. /var/lib/anomalyd/
    systemctl start anomalyd
    dd if=/dev/zero of=/var/lib/anomalyd/filler bs=4k 2>/dev/null
    count_restarts
    feed_more
    # What changes is saved at once; without a change it is the next hour's turn.
    check "what a person says is taken" anomalyd mute FIT101 --for 1h
    expect "a full disk is told" 30 message StateUnwritable
    check "the service goes on" test "$(pid) $(property ActiveState)" = "$before active"
    mark
    feed_more
    check "and takes samples" is_active
    check "the state of before is whole" test -s /var/lib/anomalyd/state.json
    systemctl restart anomalyd
    check "it starts on a full disk" is_active
    rm /var/lib/anomalyd/filler
    touch /tmp/stamp
    feed_more
    check "what a person says is taken again" anomalyd mute FIT101 --for 1h
    expect "with room again the state is saved" 30 test /var/lib/anomalyd/state.json -nt /tmp/stamp
    systemctl stop anomalyd
    rm -rf /vm/state
    cp -a /var/lib/anomalyd /vm/state
    umount /var/lib/anomalyd
    cp -a /vm/state/. /var/lib/anomalyd/
    systemctl start anomalyd
}

# jump WHICH OFFSET
jump() {
    count_restarts
    date -s "$2" >/dev/null
    sleep 3
    expect "clock $1: told with its MESSAGE_ID" 20 message ClockStepped
    feed_more
    sleep 1
    check "clock $1: the service goes on, no restart" test "$(pid) $(property ActiveState) $(property NRestarts)" = "$before active $restarts"
    systemctl restart anomalyd
    check "clock $1: it restarts" is_active
    expect "clock $1: the open alarm is kept" 10 state_kept
}

throttled() {
    # The bits as the firmware gives them: 0 under-voltage, 2 throttled; a plain file in the
    # mailbox's place, which the service is shown in /sys as well.
    printf '0' >/vm/get_throttled
    drop_in throttled <<END
[Service]
BindPaths=
BindReadOnlyPaths=/vm/get_throttled:/dev/vcio
END
    systemctl restart anomalyd
    check "it runs with a made-up mailbox" is_active
    mark
    printf '50005' >/vm/get_throttled
    expect "under-voltage and throttling are told with their MESSAGE_ID" 60 message HealthRaised
    mark
    printf '50000' >/vm/get_throttled
    expect "and their end" 120 message HealthCleared
    no_drop_in throttled
    systemctl restart anomalyd
}

# The figures are an emulator's: what counts is that it is measured, and under which cap.
bench() {
    local seen
    systemctl stop anomalyd
    anomalyd-bench --quick --out bench.json --report bench.html >bench.txt 2>&1 &
    expect "it measures the first load" 180 grep -q 'native: dense' bench.txt
    # In the middle of the second.
    kill -INT $!
    wait $!
    seen=$(grep -o '"cap":{[^}]*}' bench.json)
    check "the benchmark runs the service in a scope of systemd's: $seen" grep -qF '"active":true,"how":"scope of systemd","max_bytes":104857600,"high_bytes":94371840' <<<"$seen"
    check "the control group's memory is measured" grep -qE '"id":"cgroup_peak"[^}]*"value":[1-9]' bench.json
    check "and the service's, its CPU and latency" was_measured memory cpu latency_p99
    check "Ctrl-C half-way leaves a result that says so" grep -q '"partial":true' bench.json
    check "and a report" grep -q '<svg' bench.html
    check "nothing of it goes on running" sh -c '! pgrep -x anomalyd && ! systemctl list-units --all --plain --no-legend "anomalyd-bench*" | grep .'
    check "the service starts again" systemctl start anomalyd
}
was_measured() {
    local id
    for id in "$@"; do
        grep -qE "\"id\":\"$id\"[^}]*\"value\":[0-9]" bench.json || { tail -n 6 bench.txt; return 1; }
    done
}

# More than an emulated processor judges in the time that the watchdog grants.
backlog() {
    local begin
    drop_in watchdog <<<$'[Service]\nWatchdogSec=12'
    systemctl restart anomalyd
    count_restarts
    begin=$(uptime)
    head -n 1260 backlog.ndjson >more.ndjson
    check "more comes at once than can be judged at once" feed more.ndjson
    check "status answers meanwhile" answers
    check "what a person says is taken meanwhile" anomalyd mute FIT101 --for 1h
    check "so is a reload, once all of it is judged" systemctl reload anomalyd
    note "1260 rows took $(awk "BEGIN {print $(uptime) - $begin}") s"
    tail -n +1261 backlog.ndjson >more.ndjson
    check "as much once more" feed more.ndjson
    check "a stop waits until that is judged" systemctl stop anomalyd
    check "orderly, and the watchdog let it go on" test "$(property Result) $(property NRestarts)" = "success $restarts"
    expect "none is lost" 10 told '2[45][0-9][0-9] frames scored'
    no_drop_in watchdog
    systemctl start anomalyd
}
answers() { anomalyd status --json >status.json && ! grep -q 'does not answer' status.json; }

power_cut() {
    sync
    sleep 2
    echo b >/proc/sysrq-trigger
    sleep 60
}

after_power_cut() {
    wait_for 30 is_active
    cursor=$(journalctl -b -n 1 --reverse --show-cursor -o cat | sed -n 's/^-- cursor: //p')
    check "after a power cut it runs from boot" is_active
    local boot
    boot=$(journalctl -q -b -u anomalyd -o cat "MESSAGE_ID=$(identity Resumed)")
    check "the open alarm is kept over the power cut" grep -q "${open:-none was open}" <<<"$boot"
    mark
    # What a person asks for comes after an orderly end.
    check "it stops at once" systemctl stop anomalyd
    check "orderly" test "$(property Result)" = success
    check "the end is journaled with its MESSAGE_ID" message Stopping
    systemctl start anomalyd
}

purge() {
    check "the package is removed" dpkg -r anomalyd
    check "a removed package keeps configuration and state" test -d /etc/anomalyd -a -d /var/lib/anomalyd
    check "the service is stopped" test "$(pgrep -c -x anomalyd)" = 0
    check "it installs again" dpkg -i /vm/anomalyd.deb
    systemctl start anomalyd
    check "and runs" is_active
    check "the package is purged" dpkg -P anomalyd
    local left
    left=$(find / -xdev \( -path /vm -o -path /proc -o -path /sys -o -path /var/log \) -prune -o -name '*anomalyd*' -print; find /run -name '*anomalyd*')
    check "purge leaves no file: $left" test -z "$left"
    check "nor the user or group" sh -c '! getent passwd anomalyd && ! getent group anomalyd'
    check "nor the unit" sh -c '! systemctl cat anomalyd'
    check "nor the catalog" test -z "$(journalctl --list-catalog "$(identity AlarmRaised)" 2>/dev/null | grep anomalyd)"
}

clock() {
    jump "a year on" "+1 year"
    jump "a year back" "-1 year"
}

# steps.txt has the names of what is to be done; a power cut leaves the rest for the next boot.
echo "up after $(uptime) s: systemd $(systemctl --version | sed -n '1s/systemd \([0-9]*\).*/\1/p'), kernel $(uname -r), $(nproc) processors, $(awk '$1 == "MemTotal:" {print int($2 / 1024)}' /proc/meminfo) MiB" >&3
open=$(cat /var/lib/vm-open-alarm 2>/dev/null)
while read -r step <&4 && [ -n "$step" ]; do
    sed -i 1d steps.txt
    echo "== $step ($(uptime) s)" >&3
    $step
done 4< <(cat steps.txt)
echo "== end ($(uptime) s)" >&3
sync
systemctl poweroff --force
