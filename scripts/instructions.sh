#!/bin/bash
# How many instructions one step of each case of benches/instructions.rs takes, against a committed
# baseline: the one measure of cost that other load on the machine cannot touch.
#
#   scripts/instructions.sh check [ARCHITECTURE]      ends with 1 where a case takes over 10 % more
#   scripts/instructions.sh update [ARCHITECTURE]     writes benches/instructions.baseline anew
#   scripts/instructions.sh compare BASELINE COUNTS   the comparison alone
#
# ARCHITECTURE is x86-64 (counted by valgrind) or aarch64 (under qemu-user with a Cortex-A72's
# instructions, emulated, by a plugin); without one it is both. Needs an x86-64 machine with AVX2.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/packages.sh

baseline=benches/instructions.baseline
# Above this ratio the gate is shut.
limit=1.10

usage() {
    sed -n '5,7s/^#   //p' scripts/instructions.sh >&2
    exit 2
}

# build ARCHITECTURE: builds the cases as the release is, prints the program's path.
build() {
    case $1 in
        x86-64)
            cargo build --release --locked --bench instructions --message-format=json-render-diagnostics
            ;;
        aarch64) scripts/cross.sh instructions ;;
    esac | sed -n 's/.*"executable":"\([^"]*\/instructions-[^"]*\)".*/\1/p'
}

# plugin: builds the counter for whichever version of its interface this qemu wants.
plugin() {
    counter=$work/count.so
    for api in 1 2 3 4 5 6; do
        gcc -shared -fPIC -O2 -DQEMU_PLUGIN_API=$api -o "$counter" scripts/count-instructions.c
        emulated "$1" 2>&1 | grep -q '^instructions [0-9]' && return 0
    done
    emulated "$1" >&2 || true
    echo "instructions.sh: this $(qemu-aarch64 --version | head -n 1) does not take the counting plugin" >&2
    return 1
}

emulated() {
    qemu-aarch64 -cpu cortex-a72 -L /usr/aarch64-linux-gnu -E LD_LIBRARY_PATH=/usr/aarch64-linux-gnu/lib \
        -plugin "$counter" "$@"
}

# instructions ARCHITECTURE PROGRAM CASE STEPS: of the whole run.
instructions() {
    case $1 in
        x86-64) valgrind --tool=callgrind --callgrind-out-file=/dev/null "${@:2}" 2>&1 ;;
        aarch64) emulated "${@:2}" 2>&1 ;;
    esac | tee "$work/said.$4" | sed -n 's/.*Collected : \([0-9]*\)$/\1/p; s/^instructions \([0-9]*\)$/\1/p'
}

# measure ARCHITECTURE: a line a case, "ARCHITECTURE CASE COUNT", the compiler's version before them.
measure() {
    local architecture=$1 program name steps one two
    program=$(build "$architecture")
    [ "$architecture" = x86-64 ] || plugin "$program"
    printf '%s rustc %s\n' "$architecture" \
        "$(readelf -p .comment "$program" | sed -n 's/.*rustc version \([0-9.]*\).*/\1/p' | head -n 1)"
    # As the counting tool's processor, which may have fewer kernels than this one.
    case $architecture in
        x86-64) valgrind -q --tool=none "$program" ;;
        aarch64) emulated "$program" 2>"$work/said" ;;
    esac >"$work/cases"
    while read -r name steps; do
        instructions "$architecture" "$program" "$name" "$steps" </dev/null >"$work/one" &
        one=$!
        instructions "$architecture" "$program" "$name" $((2 * steps)) </dev/null >"$work/two" || true
        wait $one || true
        one=$(cat "$work/one") two=$(cat "$work/two")
        if [ -z "$one" ] || [ -z "$two" ]; then
            cat "$work/said.$steps" "$work/said.$((2 * steps))" >&2
            echo "instructions.sh: $name was not counted on $architecture" >&2
            return 1
        fi
        # Starting, loading and ending are the same in both runs.
        echo "$architecture $name $(((two - one) / steps))"
    done <"$work/cases"
}

# compare BASELINE COUNTS: prints the table; 1 where something is wrong.
compare() {
    awk -v limit="$limit" '
        /^#/ || NF == 0 { next }
        NF != 3 { printf "%s:%d: not \"architecture case count\": %s\n", FILENAME, FNR, $0; wrong = 1; next }
        FNR == NR { base[$1, $2] = $3; order[++known] = $1 " " $2; next }
        $2 == "rustc" {
            if (base[$1, $2] != $3)
                note = note sprintf("note: %s was built by rustc %s, the baseline by %s\n", $1, $3, base[$1, $2])
            measured[$1] = 1
            next
        }
        {
            if (!head++) printf "%-8s %-22s %12s %12s %7s\n", "", "instructions a step", "baseline", "now", "ratio"
            seen[$1, $2] = 1
            if (!(($1, $2) in base)) {
                printf "%-8s %-22s %12s %12d %7s  NEW: not in the baseline\n", $1, $2, "-", $3, "-"
                wrong = 1
                next
            }
            ratio = base[$1, $2] > 0 ? $3 / base[$1, $2] : 999
            verdict = ""
            if (ratio > limit) { verdict = "  MORE"; wrong = 1 }
            if (ratio < 1 / limit) verdict = "  less: update the baseline, so that it stays"
            printf "%-8s %-22s %12d %12d %7.3f%s\n", $1, $2, base[$1, $2], $3, ratio, verdict
        }
        END {
            for (i = 1; i <= known; i++) {
                split(order[i], key, " ")
                if (key[2] != "rustc" && (key[1] in measured) && !((key[1], key[2]) in seen)) {
                    printf "%-8s %-22s GONE: in the baseline, not counted here\n", key[1], key[2]
                    wrong = 1
                }
            }
            printf "%s", note
            if (!head) { print "nothing was counted"; wrong = 1 }
            if (wrong) {
                printf "FAIL: more than %.0f %% more instructions, or cases that do not match; where that is wanted, run\n", 100 * (limit - 1)
                print "scripts/instructions.sh update, and say why in the commit"
            }
            exit wrong
        }' "$1" "$2"
}

architectures="x86-64 aarch64"
case "${1:-} $#" in
    "compare 3") compare "$2" "$3"; exit ;;
    "check 1" | "update 1") ;;
    "check 2" | "update 2")
        case $2 in
            x86-64 | aarch64) architectures=$2 ;;
            *) usage ;;
        esac
        ;;
    *) usage ;;
esac

[ "$(uname -m)" = x86_64 ] || { echo "instructions.sh: counts are taken on x86-64 machines" >&2; exit 2; }
need_cargo
need_packages valgrind binutils gcc libc6-dev qemu-user
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
case $architectures in
    *aarch64*)
        if [[ $(qemu-aarch64 -h) != *-plugin* ]]; then
            # Debian 13 has a static qemu-user, which cannot load any.
            echo "instructions.sh: this $(qemu-aarch64 --version | head -n 1) takes no plugins, so aarch64 is" \
                "not counted; Debian 12's does" >&2
            [ -z "${CI:-}" ] || exit 1
            architectures=${architectures%aarch64}
        fi
        ;;
esac
touch "$work/counts"
for architecture in $architectures; do
    measure "$architecture" >>"$work/counts"
done
if [ "$1" = check ]; then
    compare "$baseline" "$work/counts"
    echo "ok: no case takes more than 10 % more instructions than the baseline (aarch64 emulated)"
    exit
fi
{
    cat <<'END'
# Instructions that one step of each case of benches/instructions.rs takes, release build; aarch64 emulated
# (qemu-user, Cortex-A72). Written by scripts/instructions.sh update, compared by its check.
# architecture case count
END
    for architecture in x86-64 aarch64; do
        case " $architectures " in
            *" $architecture "*) grep "^$architecture " "$work/counts" ;;
            *) grep "^$architecture " "$baseline" || true ;;
        esac
    done
} >"$work/baseline"
cp "$work/baseline" "$baseline"
cat "$baseline"
