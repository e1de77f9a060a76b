#!/bin/bash
# Builds the kernel modules of packaging/kernel-modules for one kernel of Debian 13 for arm64: what the
# Raspberry Pi's own kernel can and Debian's cannot.
#
#   scripts/kernel-modules.sh RELEASE FOLDER     RELEASE as `uname -r` says it: 6.12.118+deb13-arm64
#
# Cross-compiles with Debian 13's own compiler, for the kernel wants the one that it was built by; it and
# the kernel's headers are unpacked into a temporary folder (about 700 MB). The same sources give the same files.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/packages.sh

usage='usage: scripts/kernel-modules.sh RELEASE FOLDER'
release=${1:?$usage} out=${2:?$usage}
flavour=${release##*-} series=${release%-*}
[ "$flavour" = arm64 ] || { echo "kernel-modules.sh: '$release' is no kernel of Debian for arm64" >&2; exit 2; }
need_packages mmdebstrap

work=$(mktemp -d)
trap 'as_root rm -rf "$work"' EXIT
root=$work/root
# The headers depend on a compiler that runs on arm64, so that they are fetched and unpacked by name.
as_root mmdebstrap --quiet --variant=apt --architectures=amd64,arm64 \
    --include="make,gcc-14-aarch64-linux-gnu,libc6-dev-arm64-cross,linux-kbuild-$series" \
    --customize-hook="cd \"\$1\" && APT_CONFIG=\"\$MMDEBSTRAP_APT_CONFIG\" apt-get download linux-headers-$release:arm64 linux-headers-$series-common" \
    --customize-hook='for package in "$1"/linux-headers-*.deb; do dpkg-deb -x "$package" "$1"; done' \
    trixie "$root"
as_root mkdir "$root/module"
as_root cp packaging/kernel-modules/*.c "$root/module/"
for source in packaging/kernel-modules/*.c; do
    echo "obj-m += $(basename "$source" .c).o"
done | as_root tee "$root/module/Makefile" >/dev/null
as_root chroot "$root" make -s -C "/usr/src/linux-headers-$release" M=/module \
    ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- CC=aarch64-linux-gnu-gcc-14 KCFLAGS=-Werror modules
as_root chroot "$root" sh -c 'exec aarch64-linux-gnu-strip --strip-debug /module/*.ko'
mkdir -p "$out"
cp "$root"/module/*.ko "$out"
echo "kernel-modules.sh: $(cd "$out" && echo *.ko) for $release"
