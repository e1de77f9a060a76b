#!/bin/bash
# Makes the card image and the update bundle of the appliance from Debian 13's packages, anomalyd's own
# package and rootfs-overlay/. docs/appliance.md says what is in them.
#
#   scripts/build-image.sh [--board rpi4|qemu-amd64] [--with-torch] [--out DIR] [--keys DIR]
#                          [--version TEXT] [--overlay DIR] [--keep]
#
#   --board    rpi4 (the default), or its twin for qemu-system-x86_64
#   --out      where the results go; target/image without it
#   --keys     the folder of update.key.pem and update.cert.pem, which sign updates; else ANOMALYD_KEYS,
#              else ~/.local/share/anomalyd/keys, where a pair is made when there is none
#   --version  of the image and its bundle; the program's without it
#   --overlay  files of your own, laid over the root file system last
#   --keep     leaves the folder of the work, with the root file system, in place
#
# On Debian 12 or 13, as root or with sudo. ANOMALYD names a built program, otherwise it is built. The
# same commit, packages and keys give the same image, bit for bit. Debian's packages are kept in
# ~/.cache/anomalyd once installed.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/packages.sh

usage() {
    sed -n '5,6s/^#   //p' scripts/build-image.sh >&2
    exit 2
}
fail() { echo "build-image.sh: $*" >&2; exit 1; }
say() { echo "build-image.sh: $* (${SECONDS}s)"; }

board=rpi4 torch=no keep=no overlay='' version=''
out=${CARGO_TARGET_DIR:-target}/image
keys=${ANOMALYD_KEYS:-${XDG_DATA_HOME:-$HOME/.local/share}/anomalyd/keys}
while [ $# -gt 0 ]; do
    case $1 in
        --with-torch) torch=yes ;;
        --keep) keep=yes ;;
        --board | --out | --keys | --version | --overlay)
            [ $# -ge 2 ] || usage
            declare "${1#--}=$2"
            shift
            ;;
        *) usage ;;
    esac
    shift
done
[ -f "scripts/image/board-$board.sh" ] || fail "there is no board $board: rpi4 or qemu-amd64"
[ -z "$overlay" ] || [ -d "$overlay" ] || fail "$overlay is no folder"
. "scripts/image/board-$board.sh"
: "${version:=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)}"

need_packages mmdebstrap squashfs-tools dosfstools mtools gdisk e2fsprogs zstd xz-utils cpio kmod openssl rauc python3
foreign=no
if [ "$arch" != "$(dpkg --print-architecture)" ]; then
    foreign=yes
    need_packages qemu-user-static
fi

# Everything is dated by the commit.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH
name=anomalyd-$board
work=$out/work-$board
as_root rm -rf "$work"
mkdir -p "$out" "$work"
work=$(realpath "$work")
cleanup() { [ "$keep" = yes ] || as_root rm -rf "$work"; }
trap cleanup EXIT

scripts/image/keys.sh "$keys"
certificate=$keys/update.cert.pem

# ---- Debian's packages, once for each list of them
[ "$foreign" = no ] || scripts/image/binfmt.sh "$arch"
packages=$(sed 's/#.*//' scripts/image/packages.txt | xargs | tr ' ' ,)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/anomalyd
mkdir -p "$cache"
installed() { # installed KIND VARIANT PACKAGES: prints the tar's name
    local tar
    tar=$cache/image-trixie-$arch-$1-$(echo "$2 $3" | cat - scripts/image/dpkg.conf | sha256sum | cut -c 1-8).tar
    if ! [ -s "$tar" ]; then
        say "$1: $3 of Debian 13 for $arch (once)" >&2
        # What is only unpacked stands in no list of packages: their file names are kept.
        as_root mmdebstrap --quiet --variant="$2" --architectures="$arch" --include="$3" \
            --components=main,non-free-firmware --aptopt='APT::Install-Recommends "false"' \
            --dpkgopt=scripts/image/dpkg.conf \
            --extract-hook='cd "$1" && ls var/cache/apt/archives | grep "\.deb$" >debs.txt' \
            trixie - >"$tar.part"
        mv "$tar.part" "$tar"
    fi
    echo "$tar"
}
base=$(installed base essential "$packages")
ln -s "$base" "$work/base.tar"
boot_tar=$(installed boot extract "$kernel_package,busybox-static${firmware_package:+,$firmware_package}")
mkdir -p "$work/boot"
tar -C "$work/boot" -xf "$boot_tar" --wildcards ./debs.txt ./usr/bin/busybox './boot/*' './usr/lib/modules' \
    './usr/lib/linux-image-*' './usr/lib/raspi-firmware' 2>"$work/tar.log" || true
[ -s "$work/boot/usr/bin/busybox" ] || fail "no busybox was unpacked: $(tail -n 1 "$work/tar.log")"
# Of what is unpacked only these are on the card. The name has the version: name_version_arch.deb
grep -E "^(linux-image-[0-9]|busybox-static_|raspi-firmware_)" "$work/boot/debs.txt" | sed 's/%3a/:/; s/\.deb$//; y/_/\t/' >"$work/boot-packages.txt"

# ---- our kernel module, once for each kernel
if [ "$board" = rpi4 ]; then
    release=$(ls "$work/boot/usr/lib/modules")
    module=$cache/tryboot-$release-$(sha256sum packaging/tryboot/*.c | sha256sum | cut -c 1-8).ko
    [ -s "$module" ] || scripts/tryboot-module.sh "$release" "$module"
    mkdir -p "$work/modules"
    cp "$module" "$work/modules/anomalyd-tryboot.ko"
fi

# ---- anomalyd
deb=$(scripts/build-deb.sh "$arch" | tail -n 1)
torch_folder=
if [ "$torch" = yes ]; then
    torch_folder=$work/torch
    scripts/image/torch.sh "$arch" "$torch_folder" "$base"
fi

# ---- the parts
say "root file system"
as_root env board="$board" work="$work" deb="$deb" version="$version" certificate="$certificate" overlay="$overlay" \
    torch_folder="$torch_folder" SOURCE_DATE_EPOCH="$SOURCE_DATE_EPOCH" bash scripts/image/root.sh
say "card: root $(stat -c %s "$work/root.squashfs") bytes"
env board="$board" work="$work" bash scripts/image/card.sh
python3 scripts/image/bmap.py "$work/card.img" $(cat "$work/mapped.txt") >"$work/card.bmap"
python3 scripts/image/sbom.py "$name" "$version" "$work/packages.txt" Cargo.lock >"$work/sbom.json"

# ---- the update
mkdir -p "$work/bundle"
ln "$work/root.squashfs" "$work/bundle/rootfs.squashfs"
ln "$work/boot.vfat" "$work/bundle/boot.vfat"
cat >"$work/bundle/manifest.raucm" <<EOF
[update]
compatible=$name
version=$version
build=$(git log -1 --format=%h 2>/dev/null || echo unknown)

[bundle]
format=verity

[image.rootfs]
filename=rootfs.squashfs

[image.boot]
filename=boot.vfat
EOF
rm -f "$work/update.raucb"
rauc --cert="$certificate" --key="$keys/update.key.pem" bundle "$work/bundle" "$work/update.raucb" >"$work/rauc.log" 2>&1 \
    || fail "no update bundle: $(tail -n 2 "$work/rauc.log")"

# ---- results, each whole or not there
say "compressing"
zstd -q -T0 -12 -f "$work/card.img" -o "$work/card.img.zst"
publish() { mv -f "$work/$1" "$out/$2"; }
publish card.img.zst "$name.img.zst"
publish card.bmap "$name.bmap"
publish packages.txt "$name.packages.txt"
publish sbom.json "$name.cdx.json"
publish update.raucb "$name.raucb"
(cd "$out" && sha256sum "$name.img.zst" "$name.bmap" "$name.packages.txt" "$name.cdx.json" "$name.raucb" >"$name.sha256")
say "$out/$name.img.zst, $(($(stat -c %s "$out/$name.img.zst") / 1000000)) MB"
(cd "$out" && ls -l "$name".*)
