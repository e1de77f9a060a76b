#!/bin/bash
# Boots a card image in qemu and checks what docs/appliance.md promises: start, caps, overlays, the
# user's file, updates and their falling back, pulled plugs. A line a check, then "N passed, M failed".
#
#   scripts/boot-test.sh [--board qemu-amd64|rpi4] [--image FILE] [--steps "start slots"] [--pulls N]
#                        [--seed N] [--rounds N] [--keys DIR] [--keep]
#
# Without --image, scripts/build-image.sh makes today's in target/image. The steps of a board:
# tests/appliance/boot_test.py. Emulated (TCG), and qemu runs no firmware of a Raspberry Pi:
# tests/appliance/firmware.py plays it.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/packages.sh

board=qemu-amd64 image='' arguments=()
while [ $# -gt 0 ]; do
    case $1 in
        --board) board=${2:?a board}; shift ;;
        --image) image=${2:?a file}; shift ;;
        --steps | --pulls | --seed | --rounds | --keys) arguments+=("$1" "${2:?a value for $1}"); shift ;;
        --keep) arguments+=("$1") ;;
        *) sed -n '5,6s/^#   //p' scripts/boot-test.sh >&2; exit 2 ;;
    esac
    shift
done
# The machine raspi4b came with qemu 9.0. Where Debian's own is older, that of Debian 13 is unpacked and
# run by its own loader: nothing of this system changes.
raspi4b() {
    if [ -n "${QEMU_AARCH64:-}" ] || qemu-system-aarch64 -M help 2>/dev/null | grep -q '^raspi4b '; then return; fi
    local cache=${XDG_CACHE_HOME:-$HOME/.cache}/anomalyd/qemu-trixie
    if [ ! -x "$cache/run" ]; then
        need_packages mmdebstrap
        as_root rm -rf "$cache"
        mkdir -p "$(dirname "$cache")"
        echo "boot-test.sh: unpacking Debian 13's qemu (once)"
        as_root mmdebstrap --quiet --variant=extract --include=qemu-system-arm trixie "$cache"
        as_root tee "$cache/run" >/dev/null <<'END'
#!/bin/sh
here=$(dirname "$0")
libraries=$(echo "$here"/usr/lib/*-linux-gnu)
exec "$libraries"/ld-linux-*.so.* --library-path "$libraries:$here/usr/lib" "$here/usr/bin/qemu-system-aarch64" -L "$here/usr/share/qemu" "$@"
END
        as_root chmod 755 "$cache/run"
    fi
    export QEMU_AARCH64=$cache/run
}

case $board in
    qemu-amd64) need_packages qemu-system-x86 ;;
    rpi4)
        need_packages device-tree-compiler
        raspi4b
        ;;
    *) echo "boot-test.sh: no board $board: qemu-amd64 or rpi4" >&2; exit 2 ;;
esac
need_packages python3 gdisk dosfstools exfatprogs mtools e2fsprogs zstd squashfs-tools rauc openssl openssh-client

export PYTHONDONTWRITEBYTECODE=1
python3 -m unittest discover -q -s tests/appliance

target=${CARGO_TARGET_DIR:-target}
if [ -z "$image" ]; then
    image=$target/image/anomalyd-$board.img.zst
    scripts/build-image.sh --board "$board"
fi
# Two runs would take each other's card away.
mkdir -p "$target"
exec 9>"$target/boot-test-$board.lock"
flock -n 9 || { echo "boot-test.sh: another run for $board is under way in $target" >&2; exit 1; }
begin=$SECONDS status=0
rm -rf "$target/boot-test-$board"
python3 tests/appliance/boot_test.py --board "$board" --image "$image" --work "$target/boot-test-$board" \
    "${arguments[@]}" || status=$?
echo "boot-test.sh: $((SECONDS - begin)) s, emulated ($board)"
exit "$status"
