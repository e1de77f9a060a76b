#!/bin/bash
# The torch worker for a card image, with the libraries that it loads in a folder of their own, as Debian
# 13 has them. Laid out as by the Yocto layer.
#
#   scripts/image/torch.sh arm64|amd64 FOLDER PACKAGES      FOLDER becomes what is laid over the root
#
# PACKAGES is the folder of the root's packages: what they have is not put in a second time. The first time for an
# architecture 10 minutes on two cores, most of it torch-sys, and 850 MB to unpack.
set -euo pipefail
cd "$(dirname "$0")/../.."
. scripts/packages.sh

arch=$1 folder=$2 packages=$3
export LIBTORCH_ARCH=$arch
scripts/libtorch.sh
. scripts/libtorch-paths.sh

place=/usr/lib/libtorch/lib
libraries=${libtorch_root:-}/usr/lib/$libtorch_triplet
# openblas-serial has both libraries and comes before the reference ones.
search=("$libraries/openblas-serial" "$libraries" "${libtorch_root:-}/usr/lib")
link=$(IFS=:; echo "${search[*]}")
export LIBTORCH="$libtorch_links" LIBTORCH_CXX11_ABI=1
# libtorch's own libraries carry no path: with the old kind of tag the worker's counts for them, too.
export RUSTFLAGS="-Clink-arg=-Wl,--allow-shlib-undefined -Clink-arg=-Wl,-rpath-link,$link -Clink-arg=-Wl,--disable-new-dtags,-rpath,$place"
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$PWD/target}/image-torch
if [ "$arch" = "$(dpkg --print-architecture)" ]; then
    need_cargo
    need_packages g++ binutils
    cargo build --release --locked --features torch --bin anomalyd-torch
    worker=$CARGO_TARGET_DIR/release/anomalyd-torch
else
    scripts/cross.sh torch
    worker=$CARGO_TARGET_DIR/aarch64-unknown-linux-gnu/release/anomalyd-torch
fi
install -D -m 755 "$worker" "$folder/usr/libexec/anomalyd/anomalyd-torch"

# ---- what it loads, and what that loads
mkdir -p "$folder$place"
for package in "$packages"/*.deb; do dpkg-deb --fsys-tarfile "$package" | tar -t; done | sed -n "s#^\./usr/lib/$libtorch_triplet/\([^/]*\.so[^/]*\)\$#\1#p" | sort >"$folder.there"
needed() { readelf --dynamic "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'; }
queue=$(needed "$worker")
seen=' '
while [ -n "$queue" ]; do
    next=
    for name in $queue; do
        case $seen in *" $name "*) continue ;; esac
        seen="$seen$name "
        if grep -qxF "$name" "$folder.there"; then continue; fi
        file=
        for place_there in "${search[@]}"; do
            if [ -e "$place_there/$name" ]; then file=$place_there/$name; break; fi
        done
        [ -n "$file" ] || { echo "torch.sh: $name is in none of ${search[*]}" >&2; exit 1; }
        # As it is: changing libtorch's libraries breaks their page alignment.
        install -m 644 "$(readlink -f "$file")" "$folder$place/$name"
        next="$next $(needed "$file")"
    done
    queue=$next
done
rm "$folder.there"
echo "torch.sh: $(find "$folder$place" -type f | wc -l) libraries, $(du -sm "$folder" | cut -f 1) MB"
