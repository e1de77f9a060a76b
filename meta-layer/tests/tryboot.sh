#!/bin/sh
# Tests of the appliance's boot loader backend, on a made-up root. scripts/lint-layer.sh runs them.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
layer=$(dirname "$here")
program=$layer/../rootfs-overlay/appliance/usr/libexec/anomalyd/tryboot
bsp=$layer/recipes-bsp
TRYBOOT_ROOT=$(mktemp -d)
export TRYBOOT_ROOT
trap 'rm -rf "$TRYBOOT_ROOT"' EXIT
passed=0

# A card as it is flashed, started from the slot given.
card() {
    rm -rf "$TRYBOOT_ROOT"
    mkdir -p "$TRYBOOT_ROOT/boot" "$TRYBOOT_ROOT/proc" "$TRYBOOT_ROOT/run" "$TRYBOOT_ROOT/data"
    cp "$bsp/anomalyd-boot-files/files/autoboot.txt" "$TRYBOOT_ROOT/boot/"
    start "$1"
}

# The next start: what is in /run is gone, and the kernel got the slot's own command line.
start() {
    rm -rf "$TRYBOOT_ROOT/run"
    mkdir "$TRYBOOT_ROOT/run"
    cp "$bsp/anomalyd-boot-image/files/cmdline-$(echo "$1" | tr AB ab).txt" "$TRYBOOT_ROOT/proc/cmdline"
}

is() { # is EXPECTED CALL...
    expected=$1
    shift
    got=$("$program" "$@") || { echo "tryboot.sh: '$*' failed" >&2; exit 1; }
    [ "$got" = "$expected" ] || { echo "tryboot.sh: '$*' said '$got', not '$expected'" >&2; exit 1; }
    passed=$((passed + 1))
}

refuses() { # refuses WORD CALL...: the call fails, and the message has the word
    word=$1
    shift
    if message=$("$program" "$@" 2>&1); then echo "tryboot.sh: '$*' succeeded" >&2; exit 1; fi
    case $message in
        *"$word"*) passed=$((passed + 1)) ;;
        *) echo "tryboot.sh: '$*' said '$message', without '$word'" >&2; exit 1 ;;
    esac
}

check() { # check WHAT COMMAND...
    what=$1
    shift
    "$@" || { echo "tryboot.sh: $what" >&2; exit 1; }
    passed=$((passed + 1))
}

first_boot_partition() { sed -n 's/^boot_partition=//p' "$TRYBOOT_ROOT/boot/autoboot.txt" | head -n 1; }
parameter() { cat "$TRYBOOT_ROOT/run/systemd/reboot-param" 2>/dev/null || echo none; }

# As flashed.
card A
is A get-primary
is A get-current
is good get-state B
check "a slot as flashed is not on trial" sh -c '! "$1" on-trial' - "$program"

# An update as RAUC does it: the slot is bad while it is written, then primary.
"$program" set-state B bad
is bad get-state B
"$program" set-primary B
is good get-state B
is B get-primary
check "the flag is not asked for" [ "$(parameter)" = "0 tryboot" ]
check "a trial must not be committed" [ "$(first_boot_partition)" = 2 ]

# A slot that is made primary was written: it is not the empty one of a new card any more.
mkdir -p "$TRYBOOT_ROOT/data/rauc"
touch "$TRYBOOT_ROOT/data/rauc/empty-A" "$TRYBOOT_ROOT/data/rauc/empty-B"
"$program" set-primary B
check "a written slot stays marked as empty" [ ! -e "$TRYBOOT_ROOT/data/rauc/empty-B" ]
check "the other slot's mark went, too" [ -e "$TRYBOOT_ROOT/data/rauc/empty-A" ]
rm "$TRYBOOT_ROOT/data/rauc/empty-A"

# It fails: the next start is without the flag, and the slot before is primary.
start A
is A get-primary
check "the flag outlived a start" [ "$(parameter)" = none ]

# It is well: marking it good commits it.
"$program" set-primary B
start B
check "the started slot is on trial" "$program" on-trial
"$program" set-state A good
check "marking the other slot good commits nothing" [ "$(first_boot_partition)" = 2 ]
"$program" set-state B good
check "the slot on trial is not committed" [ "$(first_boot_partition)" = 3 ]
is B get-primary
check "the other slot is not the one to try" [ "$(sed -n 's/^boot_partition=//p' "$TRYBOOT_ROOT/boot/autoboot.txt" | tail -n 1)" = 2 ]
check "the file grew" [ "$(wc -c <"$TRYBOOT_ROOT/boot/autoboot.txt")" = "$(wc -c <"$bsp/anomalyd-boot-files/files/autoboot.txt")" ]
check "more than a sector" [ "$(wc -c <"$TRYBOOT_ROOT/boot/autoboot.txt")" -le 512 ]

# And back to what was flashed, byte for byte.
"$program" set-primary A
start A
"$program" set-state A good
check "autoboot.txt is not what it was" cmp -s "$TRYBOOT_ROOT/boot/autoboot.txt" "$bsp/anomalyd-boot-files/files/autoboot.txt"

# Taken back before the start.
"$program" set-primary B
"$program" set-primary A
is A get-primary
check "the flag stays after the trial was taken back" [ "$(parameter)" = none ]
"$program" set-primary B
"$program" set-state B bad
is A get-primary

# Both slots marked bad: the firmware does not ask, and either can be made primary.
"$program" set-state A bad
is A get-primary
"$program" set-primary B
is B get-primary

# autoboot.txt lost: an error that says what to do, and the running slot puts it right.
card B
rm "$TRYBOOT_ROOT/boot/autoboot.txt"
refuses "set-state SLOT good" get-primary
refuses "set-state SLOT good" set-primary A
check "a trial begun without autoboot.txt" [ "$(parameter)" = none ]
"$program" set-state B good
is B get-primary
seq 100 >"$TRYBOOT_ROOT/boot/autoboot.txt"
refuses "neither partition 2 nor 3" get-primary
"$program" set-state B good
is B get-primary
check "something of the damaged file is left" [ "$(wc -l <"$TRYBOOT_ROOT/boot/autoboot.txt")" = 5 ]

# What is no call.
refuses "neither A nor B" set-primary C
refuses "neither good nor bad" set-state A fine
refuses "unknown call" frobnicate
echo "console=tty0" >"$TRYBOOT_ROOT/proc/cmdline"
refuses "rauc.slot=" get-current

echo "tryboot.sh: $passed checks passed"
