#!/bin/sh
# Writes the list of crates that the Yocto recipes fetch, from Cargo.lock.
#
#   scripts/crates-inc.sh            writes meta-layer/recipes-anomalyd/anomalyd/anomalyd-crates.inc
#   scripts/crates-inc.sh --check    says whether that file still agrees with Cargo.lock
#
# bitbake builds without a network: it fetches every crate of the lock file beforehand, each with its
# checksum, those for tests and for other systems too, because cargo looks at all of them.
# CARGO_LOCK and CRATES_INC name other files.
set -eu
cd "$(dirname "$0")/.."

lock=${CARGO_LOCK:-Cargo.lock}
list=${CRATES_INC:-meta-layer/recipes-anomalyd/anomalyd/anomalyd-crates.inc}

fail() { echo "crates-inc.sh: $*" >&2; exit 1; }
[ -r "$lock" ] || fail "$lock cannot be read"

new=$(mktemp)
trap 'rm -f "$new"' EXIT

awk -v lock="$lock" '
    function value(line) { sub(/^[a-z]+ = "/, "", line); sub(/"$/, "", line); return line }
    # A package without a source is the workspace itself. A source other than the one registry has no
    # place in the list, and leaving it out would only fail much later, in the build.
    function finish() {
        if (source == "") { name = ""; return }
        if (source != "registry+https://github.com/rust-lang/crates.io-index")
            stop(name " " version " comes from " source ", for which this script knows no fetcher")
        if (checksum !~ /^[0-9a-f]+$/ || length(checksum) != 64)
            stop(name " " version " has no SHA-256 checksum")
        uris = uris "    crate://crates.io/" name "/" version " \\\n"
        sums = sums "SRC_URI[" name "-" version ".sha256sum] = \"" checksum "\"\n"
        count++
        name = source = checksum = ""
    }
    function stop(why) { print "crates-inc.sh: " lock ": " why > "/dev/stderr"; stopped = 1; exit 1 }
    /^\[\[package\]\]$/ { finish(); version = "" }
    /^name = /     { name = value($0) }
    /^version = "/ { version = value($0) }
    /^source = /   { source = value($0) }
    /^checksum = / { checksum = value($0) }
    END {
        if (stopped) exit 1
        finish()
        if (stopped) exit 1
        if (!count) stop("there is no crate in it")
        print "# Made by scripts/crates-inc.sh from Cargo.lock: do not edit. \"crate://crates.io\" is how"
        print "# bitbake names its fetcher of crates."
        printf "SRC_URI += \"\\\n%s\"\n\n%s", uris, sums
    }
' "$lock" >"$new"

case ${1:-} in
    --check)
        if ! cmp -s "$new" "$list"; then
            fail "$list does not agree with $lock: run scripts/crates-inc.sh"
        fi
        ;;
    '')
        cat "$new" >"$list"
        echo "$list: $(grep -c '^    crate:' "$list") crates"
        ;;
    *) echo "usage: scripts/crates-inc.sh [--check]" >&2; exit 2 ;;
esac
