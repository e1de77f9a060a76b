#!/bin/bash
# Makes a signed bundle of a model, for appliances: `rauc install FILE` there takes it without a restart.
#
#   scripts/model-bundle.sh MODEL.pt [--board rpi4|qemu-amd64] [--keys DIR] [--out FILE]
#
# Keys are those of scripts/build-image.sh: an appliance takes models of whom it takes updates of.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
. "$here/packages.sh"

usage() { sed -n '4s/^#   //p' "$here/model-bundle.sh" >&2; exit 2; }
fail() { echo "model-bundle.sh: $*" >&2; exit 1; }

model='' board=rpi4 out=''
keys=${ANOMALYD_KEYS:-${XDG_DATA_HOME:-$HOME/.local/share}/anomalyd/keys}
while [ $# -gt 0 ]; do
    case $1 in
        --board | --keys | --out)
            [ $# -ge 2 ] || usage
            declare "${1#--}=$2"
            shift
            ;;
        -*) usage ;;
        *) [ -z "$model" ] || usage; model=$1 ;;
    esac
    shift
done
[ -n "$model" ] || usage
[ -s "$model" ] || fail "$model is missing or empty"
[ -s "$keys/update.key.pem" ] && [ -s "$keys/update.cert.pem" ] || fail "$keys has no update.key.pem and update.cert.pem: scripts/build-image.sh makes them"
: "${out:=$(basename "$model" .pt).raucb}"

need_packages rauc squashfs-tools
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bundle"
cp "$model" "$work/bundle/model.pt"
cat >"$work/bundle/manifest.raucm" <<END_OF_MANIFEST
[update]
compatible=anomalyd-$board
version=$(sha256sum <"$model" | cut -c 1-12)
description=a model of anomalyd

[bundle]
format=verity

[image.models/model]
filename=model.pt
END_OF_MANIFEST
rauc --cert="$keys/update.cert.pem" --key="$keys/update.key.pem" bundle "$work/bundle" "$work/model.raucb" >"$work/log" 2>&1 \
    || { cat "$work/log" >&2; fail "no bundle was made"; }
mv "$work/model.raucb" "$out"
echo "model-bundle.sh: $out"
