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
# ~/.cache/anomalyd once fetched.
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

[ "$foreign" = no ] || scripts/image/binfmt.sh "$arch"
scripts/image/keys.sh "$keys"
certificate=$keys/update.cert.pem

# ---- Debian's packages, fetched once for each list of them
cache=${XDG_CACHE_HOME:-$HOME/.cache}/anomalyd
mkdir -p "$cache"
fetch() { # fetch KIND SUITE PACKAGES: prints the folder of the packages and all that they depend on
    local folder
    folder=$cache/image-$2-$arch-$1-$(sha256sum <<<"$3" | cut -c 1-8)
    if ! [ -d "$folder" ]; then
        say "packages of Debian ($2) for $1, $arch" >&2
        rm -rf "$folder.part"
        mkdir "$folder.part"
        # Nothing is installed: mmdebstrap finds what belongs together, and where it is. A mirror that
        # keeps an older state of Debian is as good as another; its signature is checked all the same.
        as_root mmdebstrap --quiet --variant=extract --format=null --architectures="$arch" --include="$3" \
            --components=main,non-free-firmware --aptopt='APT::Install-Recommends "false"' \
            --aptopt='Acquire::Check-Valid-Until "false"' \
            --extract-hook="cp \"\$1\"/var/cache/apt/archives/*.deb '$folder.part/' && chmod a+r '$folder.part'/*" \
            "$2" /dev/null
        mv "$folder.part" "$folder"
    fi
    echo "$folder"
}
packages=$(sed 's/#.*//; /^-/d' scripts/image/packages.txt | xargs | tr ' ' ,)
ln -s "$(fetch root trixie "$packages")" "$work/packages"
boot_packages=$(fetch boot trixie "$kernel_package,busybox-static")
mkdir -p "$work/boot" "$work/boot-packages"
ln -s "$boot_packages"/linux-image-[0-9]*.deb "$boot_packages"/busybox-static_*.deb "$work/boot-packages/"
if [ -n "$firmware_package" ]; then
    # The firmware knows [boot_partition=N] since spring 2025; Debian 13 has that of 2024.
    ln -s "$(fetch firmware sid "$firmware_package")/${firmware_package}"_*.deb "$work/boot-packages/"
fi
for package in "$work"/boot-packages/*.deb; do
    dpkg-deb --extract "$package" "$work/boot"
    basename "$package" | sed 's/%3a/:/; s/\.deb$//; y/_/\t/'
done >"$work/boot-packages.txt"

# ---- our kernel modules, once for each kernel
if [ "$board" = rpi4 ]; then
    release=$(ls "$work/boot/usr/lib/modules")
    made=$cache/modules-$release-$(sha256sum packaging/kernel-modules/*.c | sha256sum | cut -c 1-8)
    if [ ! -d "$made" ]; then
        rm -rf "$made.part"
        scripts/kernel-modules.sh "$release" "$made.part"
        mv "$made.part" "$made"
    fi
    cp -r "$made" "$work/modules"
fi

# ---- anomalyd
deb=$(scripts/build-deb.sh "$arch" | tail -n 1)
torch_folder=
if [ "$torch" = yes ]; then
    torch_folder=$work/torch
    scripts/image/torch.sh "$arch" "$torch_folder" "$work/packages"
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
