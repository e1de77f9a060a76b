#!/bin/sh
# Gets libtorch 2.6 as Debian 13 builds it, the version the `tch` crate of Cargo.toml pairs with, and
# makes a folder of links to it in the shape that torch-sys wants (lib/, include/).
#
#   scripts/libtorch.sh          prints what it does; safe to run again
#
# Debian 13 or later: installs libtorch-dev with apt. Debian 12: unpacks Debian 13's package and all
# it needs into the cache with mmdebstrap, so that the system's own C library stays as it is.
# The last lines of its output name the folders; scripts/build-torch.sh uses them.
set -eu

. "$(dirname "$0")/packages.sh"
. "$(dirname "$0")/libtorch-paths.sh"

say() { echo "libtorch.sh: $*"; }
fail() { echo "libtorch.sh: $*" >&2; exit 1; }

# openblas is named because libtorch's own dependency is satisfied by the reference BLAS, with which
# training takes a third longer; the serial build because a process has a core to itself.
packages="libtorch-dev libopenblas0-serial"

if [ "$libtorch_system" = yes ]; then
    # shellcheck disable=SC2086  # a list of packages
    need_packages $packages
elif [ -e "$libtorch_root/usr/lib/$libtorch_triplet/libtorch_cpu.so" ] &&
    [ -e "$libtorch_root/usr/lib/$libtorch_triplet/openblas-serial" ]; then
    say "already unpacked in $libtorch_root"
else
    # With gpg mmdebstrap finds out which keyring is Debian 13's, where this system's own is not.
    need_packages mmdebstrap gpg
    mkdir -p "$libtorch_cache"
    part="$libtorch_root.part"
    as_root rm -rf "$part"
    say "unpacking Debian 13's $packages ($libtorch_arch) into $libtorch_root (about 850 MB)"
    as_root mmdebstrap --variant=extract --architectures="$libtorch_arch" \
        --include="$(echo "$packages" | tr ' ' ',')" trixie "$part" \
        || fail "unpacking failed (see above); the usual cause is no network or too little room in $libtorch_cache"
    as_root chown -R "$(id -u):$(id -g)" "$part"
    rm -rf "$libtorch_root"
    # Renamed last: an interrupted run leaves no folder that looks complete.
    mv "$part" "$libtorch_root"
fi

# torch-sys looks for LIBTORCH/lib and LIBTORCH/include; Debian's multi-arch folders are neither.
rm -rf "$libtorch_links"
mkdir -p "$libtorch_links/lib" "$libtorch_links/include"
for library in "$libtorch_root/usr/lib/$libtorch_triplet"/libtorch*.so* "$libtorch_root/usr/lib/$libtorch_triplet"/libc10*.so*; do
    ln -s "$library" "$libtorch_links/lib/"
done
for headers in torch ATen c10 caffe2; do
    [ -d "$libtorch_root/usr/include/$headers" ] || fail "$libtorch_root/usr/include/$headers is missing: remove $libtorch_root and run this again"
    ln -s "$libtorch_root/usr/include/$headers" "$libtorch_links/include/"
done
say "libtorch is in ${libtorch_root:-/}"
say "LIBTORCH=$libtorch_links"
