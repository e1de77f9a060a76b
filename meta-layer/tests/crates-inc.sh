#!/bin/sh
# Tests of scripts/crates-inc.sh on made-up lock files. scripts/lint-layer.sh runs them.
set -eu
cd "$(dirname "$0")/../.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export CARGO_LOCK="$work/Cargo.lock" CRATES_INC="$work/crates.inc"
passed=0
registry='source = "registry+https://github.com/rust-lang/crates.io-index"'
sum=320119579fcad9c21884f5c4861d16174d0e06250625266f50fe6898340abefa

lock() { # lock NAME VERSION LINE...
    printf '[[package]]\nname = "%s"\nversion = "%s"\n' "$1" "$2"
    shift 2
    [ "$#" = 0 ] || printf '%s\n' "$@"
    printf 'dependencies = [\n "other 1.0.0",\n]\n\n'
}

fails() { # fails WORD [ARGUMENT]
    word=$1
    shift
    if message=$(scripts/crates-inc.sh "$@" 2>&1); then echo "crates-inc.sh: it passed, without '$word'" >&2; exit 1; fi
    case $message in
        *"$word"*) passed=$((passed + 1)) ;;
        *) echo "crates-inc.sh: said '$message', without '$word'" >&2; exit 1 ;;
    esac
}

# The workspace is no crate to fetch, and two versions of a crate are two.
{ printf 'version = 4\n\n'; lock ours 0.1.0; lock adler 1.0.0 "$registry" "checksum = \"$sum\""; lock adler 2.0.1 "$registry" "checksum = \"$sum\""; } >"$CARGO_LOCK"
scripts/crates-inc.sh >/dev/null
grep -v '^#' "$CRATES_INC" >"$work/got"
cat >"$work/expected" <<END
SRC_URI += "\\
    crate://crates.io/adler/1.0.0 \\
    crate://crates.io/adler/2.0.1 \\
"

SRC_URI[adler-1.0.0.sha256sum] = "$sum"
SRC_URI[adler-2.0.1.sha256sum] = "$sum"
END
cmp "$work/got" "$work/expected"
scripts/crates-inc.sh --check
passed=$((passed + 2))

lock new 3.0.0 "$registry" "checksum = \"$sum\"" >>"$CARGO_LOCK"
fails "does not agree" --check

# What bitbake could not fetch is an error that names the crate.
lock fork 1.2.3 'source = "git+https://example.org/fork#0123"' >"$CARGO_LOCK"
fails "fork 1.2.3 comes from git+"
lock bare 1.2.3 "$registry" >"$CARGO_LOCK"
fails "bare 1.2.3 has no SHA-256 checksum"
lock ours 0.1.0 >"$CARGO_LOCK"
fails "no crate"
rm "$CARGO_LOCK"
fails "cannot be read"

echo "crates-inc.sh: $passed checks passed"
