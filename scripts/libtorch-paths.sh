# Where libtorch is on this machine. Read (not run) by libtorch.sh and build-torch.sh.
#
#   libtorch_arch     Debian's name of the processor: amd64, arm64; LIBTORCH_ARCH names another than
#                     this machine's
#   libtorch_triplet  the same as a folder name below usr/lib
#   libtorch_cache    our folder in the user's cache
#   libtorch_system   "yes" when this Debian ships libtorch 2.6 or later itself
#   libtorch_root     the folder whose usr/ holds libtorch; empty for the system's own
#   libtorch_links    the folder of links that is given to torch-sys as LIBTORCH
# shellcheck shell=sh disable=SC2034

command -v dpkg >/dev/null || { echo "libtorch comes from Debian packages, and this system has no dpkg" >&2; exit 1; }
libtorch_arch=${LIBTORCH_ARCH:-$(dpkg --print-architecture)}
case $libtorch_arch in
    amd64) libtorch_triplet=x86_64-linux-gnu libtorch_loader=ld-linux-x86-64.so.2 ;;
    arm64) libtorch_triplet=aarch64-linux-gnu libtorch_loader=ld-linux-aarch64.so.1 ;;
    *) echo "Debian builds libtorch for amd64 and arm64 only, not for $libtorch_arch" >&2; exit 1 ;;
esac
libtorch_cache=${XDG_CACHE_HOME:-$HOME/.cache}/anomalyd
libtorch_links=$libtorch_cache/libtorch-$libtorch_arch
# trixie/sid before its release has no VERSION_ID.
libtorch_debian=$(. /etc/os-release; echo "${VERSION_ID:-99}")
if [ "${libtorch_debian%%.*}" -ge 13 ] && [ "$libtorch_arch" = "$(dpkg --print-architecture)" ]; then
    libtorch_system=yes libtorch_root=
else
    libtorch_system=no libtorch_root=$libtorch_cache/trixie-$libtorch_arch
fi
