#!/bin/bash
# Boots a card image in qemu and checks what docs/appliance.md promises: start, caps, overlays, the
# user's file, updates and their falling back, pulled plugs. A line a check, then "N passed, M failed".
#
#   scripts/boot-test.sh [--board qemu-amd64|rpi4] [--image FILE] [--steps "start slots"] [--pulls N]
#                        [--seed N] [--rounds N] [--keys DIR] [--keep]
#
# Without --image it is that of scripts/build-image.sh in target/image, which is built if it is not
# there. The steps of a board: tests/appliance/boot_test.py. Emulated (TCG), and qemu runs no firmware
# of a Raspberry Pi: tests/appliance/firmware.py plays it.
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
case $board in
    qemu-amd64) need_packages qemu-system-x86 ;;
    rpi4)
        if ! qemu-system-aarch64 -M help 2>/dev/null | grep -q '^raspi4b '; then
            need_packages qemu-system-arm
            qemu-system-aarch64 -M help | grep -q '^raspi4b ' || {
                echo "boot-test.sh: this qemu has no raspi4b: install qemu-system-arm of 9.0 or later (Debian 12: from backports)" >&2
                exit 1
            }
        fi
        ;;
    *) echo "boot-test.sh: no board $board: qemu-amd64 or rpi4" >&2; exit 2 ;;
esac
need_packages python3 gdisk dosfstools mtools e2fsprogs zstd squashfs-tools rauc openssl openssh-client

export PYTHONDONTWRITEBYTECODE=1
python3 -m unittest discover -q -s tests/appliance

target=${CARGO_TARGET_DIR:-target}
if [ -z "$image" ]; then
    image=$target/image/anomalyd-$board.img.zst
    [ -e "$image" ] || scripts/build-image.sh --board "$board"
fi
begin=$SECONDS status=0
rm -rf "$target/boot-test-$board"
python3 tests/appliance/boot_test.py --board "$board" --image "$image" --work "$target/boot-test-$board" \
    "${arguments[@]}" || status=$?
echo "boot-test.sh: $((SECONDS - begin)) s, emulated ($board)"
exit "$status"
