#!/bin/bash
# The Debian package in a small virtual machine with a real systemd: makes a Debian 13 system, boots
# it with qemu, and runs tests/vm/guest.sh inside. A line a check, then "N passed, M failed".
#
#   scripts/vm-test.sh            8 to 14 minutes; half of it with ANOMALYD set and a second time
#   scripts/vm-test.sh --keep     leaves target/vm, with the console's output, also after a success
#   scripts/vm-test.sh --steps "install_package start leak"
#                                 only these steps (functions of guest.sh), for working on one of them
#
# amd64 only. KVM is used where a guest really boots with it, emulation (TCG) otherwise. The Debian
# system is kept in ~/.cache/anomalyd and made anew when it is not there.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/packages.sh

keep=no
steps='install_package start sandbox detection reload open_alarm killed hang leak disk_full
    clock throttled worker bench power_cut after_power_cut backlog purge'
while [ $# -gt 0 ]; do
    case $1 in
        --keep) keep=yes ;;
        --steps) steps=${2:?names of steps}; shift ;;
        *) echo "usage: scripts/vm-test.sh [--keep] [--steps NAMES]" >&2; exit 2 ;;
    esac
    shift
done
[ "$(dpkg --print-architecture)" = amd64 ] || { echo "vm-test.sh: needs an amd64 machine" >&2; exit 1; }
begin=$SECONDS
# Of the machine; what is built before it starts may take as long as it takes.
limit=${VM_TEST_SECONDS:-1000}

need_cargo
need_packages qemu-system-x86 mmdebstrap e2fsprogs gcc libc6-dev binutils

target=${CARGO_TARGET_DIR:-target}
work=$target/vm
rm -rf "$work"
mkdir -p "$work"

# ---- what goes in
deb=$(scripts/build-deb.sh amd64 | tail -n 1)
: "${ANOMALYD:=$target/release/anomalyd}"
gcc -static -O1 -Wall -o "$work/meddle" tests/vm/meddle.c
# The first piece has an alarm that clears, the second ends while one stands.
"$ANOMALYD" simulate --seed 7 --period 10s --start 2026-01-06T00:00:00Z --duration 6h \
    --faults tests/vm/faults.toml >"$work/rows.ndjson" 2>"$work/simulate.log"
head -n 540 "$work/rows.ndjson" >"$work/first.ndjson"
sed -n '541,840p' "$work/rows.ndjson" >"$work/second.ndjson"
sed -n '841,$p' "$work/rows.ndjson" >"$work/later.ndjson"
# Twice nearly as much as the queue holds.
"$ANOMALYD" simulate --seed 8 --period 10s --start 2026-02-01T00:00:00Z --duration 420m \
    >"$work/backlog.ndjson" 2>>"$work/simulate.log"
# Message::Ready => "15f9...",
sed -n 's/^ *Message::\([A-Za-z]*\) => "\([0-9a-f]*\)",$/\1 \2/p' src/message.rs >"$work/kinds.txt"

printf '%s\n' $steps >"$work/steps.txt"

# The torch worker and libtorch, on a disk of their own, where scripts/build-torch.sh has left them.
torch_disk=()
. scripts/libtorch-paths.sh
if [ -x "$target/torch/release/anomalyd-torch" ] && [ "$libtorch_system" = no ]; then
    torch=$work/torch
    mkdir -p "$torch"
    (cd "$libtorch_root" && find usr/lib -name '*.so*' -print0 | tar --null -T - -cf -) |
        tar -C "$torch" -xf -
    cp "$target/torch/release/anomalyd-torch" "$torch/worker"
    libraries=/torch/usr/lib/$libtorch_triplet
    printf '#!/bin/sh\nexec %s/%s --library-path %s/openblas-serial:%s:/torch/usr/lib /torch/worker "$@"\n' \
        "$libraries" "$libtorch_loader" "$libraries" "$libraries" >"$torch/anomalyd-torch"
    chmod 755 "$torch/anomalyd-torch"
    truncate -s 900M "$work/torch.img"
    as_root mke2fs -q -F -t ext4 -m 0 -O ^has_journal -d "$torch" "$work/torch.img"
    as_root chown "$(id -u)" "$work/torch.img"
    rm -rf "$torch"
    torch_disk=(-drive "file=$work/torch.img,if=virtio,format=raw,readonly=on")
fi

# ---- Debian 13, once
packages=systemd-sysv,udev,dbus,linux-image-cloud-amd64,initramfs-tools,zstd,kmod,socat,procps
cache=${XDG_CACHE_HOME:-$HOME/.cache}/anomalyd
base=$cache/vm-trixie-amd64-$(echo "$packages" | sha256sum | cut -c 1-8).tar
if ! [ -s "$base" ]; then
    echo "vm-test.sh: making a Debian 13 system (once)"
    mkdir -p "$cache"
    as_root mmdebstrap --quiet --variant=minbase --architectures=amd64 --include="$packages" \
        --aptopt='APT::Install-Recommends "false"' --dpkgopt='path-exclude=/usr/share/locale/*' \
        trixie - >"$base.part"
    mv "$base.part" "$base"
fi

# ---- the disk
root=$work/root
as_root bash -euo pipefail -s "$root" "$base" "$work" "$deb" <<'END'
root=$1 base=$2 work=$3 deb=$4
mkdir -p "$root"
tar -C "$root" -xf "$base" --exclude='./dev/*'
mkdir -p "$root/vm" "$root/var/log/journal"
cp "$deb" "$root/vm/anomalyd.deb"
cp "$work"/{meddle,kinds.txt,steps.txt,first.ndjson,second.ndjson,later.ndjson,backlog.ndjson} tests/vm/guest.sh "$root/vm/"
cp tests/vm/vm-test.service "$root/etc/systemd/system/"
ln -sf /etc/systemd/system/vm-test.service "$root/etc/systemd/system/multi-user.target.wants/"
# A character device in the mailbox's place, for the sandbox to let through.
printf 'c /dev/vcio 0660 root video - 1:3\n' >"$root/etc/tmpfiles.d/vcio.conf"
ln -sf /dev/null "$root/etc/systemd/system/systemd-timesyncd.service"
ln -sf /dev/null "$root/etc/systemd/system/serial-getty@ttyS0.service"
# What costs time under emulation and has no part in the test: generators run at each daemon-reload,
# udev loads drivers for what qemu and the processor have. What the root disk needs is in the initrd.
rm -rf "$root"/usr/lib/systemd/system-generators/* "$root"/usr/lib/modules/*/kernel
ln -sf /dev/null "$root/etc/systemd/system/timers.target"
ln -sf /dev/null "$root/etc/systemd/system/systemd-logind.service"
ln -sf /dev/null "$root/etc/systemd/system/getty.target"
echo vm >"$root/etc/hostname"
: >"$root/etc/machine-id"
END
cp "$root"/boot/vmlinuz-* "$work/vmlinuz"
cp "$root"/boot/initrd.img-* "$work/initrd"

boot() { # ACCELERATOR...: starts qemu, sets $qemu
    echo "$1" | as_root tee "$root/vm/accelerator" >/dev/null
    rm -f "$work/disk.img"
    truncate -s 1200M "$work/disk.img"
    as_root mke2fs -q -F -t ext4 -d "$root" "$work/disk.img"
    as_root chown "$(id -u)" "$work/disk.img"
    : >"$work/console.log"
    : >"$work/checks.log"
    shift
    qemu-system-x86_64 "$@" -smp 2 -m 768 -nodefaults -display none -no-user-config \
        -kernel "$work/vmlinuz" -initrd "$work/initrd" \
        -append 'root=/dev/vda rw console=ttyS0 panic=-1 quiet loglevel=4 systemd.show_status=0 mitigations=off audit=0' \
        -drive "file=$work/disk.img,if=virtio,format=raw,cache=unsafe" \
        "${torch_disk[@]}" \
        -serial "file:$work/console.log" -serial "file:$work/checks.log" \
        >"$work/qemu.log" 2>&1 &
    qemu=$!
}
qemu='' follow=''
cleanup() {
    for process in $qemu $follow; do kill "$process" 2>/dev/null || true; done
}
trap cleanup EXIT

accelerator=TCG
if [ -w /dev/kvm ]; then
    boot KVM -accel kvm -cpu host
    for _ in $(seq 40); do
        if grep -q 'up after' "$work/checks.log"; then accelerator=KVM; break; fi
        kill -0 "$qemu" 2>/dev/null || break
        # A guest that KVM cannot run is paused for ever.
        grep -q 'KVM internal error' "$work/qemu.log" && break
        sleep 0.5
    done
    if [ "$accelerator" != KVM ]; then
        { kill "$qemu" || true; wait "$qemu" || true; } 2>/dev/null
        qemu=
    fi
fi
[ "$accelerator" = KVM ] || boot "TCG emulation" -accel tcg,thread=multi -cpu max
echo "vm-test.sh: $accelerator, prepared in $((SECONDS - begin)) s"
started=$SECONDS

tail -n +1 -f "$work/checks.log" &
follow=$!
while kill -0 "$qemu" 2>/dev/null; do
    if [ $((SECONDS - started)) -ge "$limit" ]; then
        echo "vm-test.sh: stopped after $limit s" >&2
        break
    fi
    sleep 1
done
sleep 1
cleanup

passed=$(grep -c '^ok ' "$work/checks.log" || true)
failed=$(grep -c '^FAIL ' "$work/checks.log" || true)
if ! grep -q '^== end' "$work/checks.log"; then
    echo "FAIL  the machine ended before its checks did; the end of its console:"
    tail -n 20 "$work/console.log"
    failed=$((failed + 1))
fi
as_root rm -rf "$root"
[ "$failed" != 0 ] || [ "$keep" = yes ] || rm -rf "$work"
echo "vm-test.sh: $((SECONDS - begin)) s"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
