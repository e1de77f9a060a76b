#!/bin/bash
# Has the kernel run programs of another architecture through qemu-user, unless it does.
#
#   scripts/image/binfmt.sh arm64|amd64
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/packages.sh

case $1 in
    arm64) machine=aarch64 ;;
    amd64) machine=x86_64 ;;
    *) echo "binfmt.sh: unknown architecture $1" >&2; exit 2 ;;
esac
folder=/proc/sys/fs/binfmt_misc
[ -e "$folder/register" ] || as_root mount -t binfmt_misc binfmt_misc "$folder"
if [ -e "$folder/qemu-$machine" ]; then exit 0; fi

# In a container nothing has done this at the start.
for file in /usr/lib/binfmt.d/qemu-$machine*.conf; do
    [ -e "$file" ] || continue
    as_root sh -c "cat '$file' >'$folder/register'"
    exit 0
done
echo "binfmt.sh: the kernel does not run $1 programs: is qemu-user-static installed?" >&2
exit 1
