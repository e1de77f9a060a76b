#!/bin/bash
# Makes the Debian package, from the release build and rootfs-overlay/service.
#
#   scripts/build-deb.sh [amd64|arm64] [--check]
#
# Without an architecture it is this machine's. Builds the program first (arm64 on amd64 through
# scripts/cross.sh) unless ANOMALYD names one. The same sources give the same file. --check runs
# lintian over it, and fails on errors and warnings. Prints the file's name last.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/packages.sh

arch=$(dpkg --print-architecture) check=no
for argument; do
    case $argument in
        amd64 | arm64) arch=$argument ;;
        --check) check=yes ;;
        *) echo "usage: scripts/build-deb.sh [amd64|arm64] [--check]" >&2; exit 2 ;;
    esac
done
case $arch in
    amd64) tools=x86_64-linux-gnu- ;;
    arm64) tools=aarch64-linux-gnu- ;;
    *) echo "build-deb.sh: packages are for amd64 and arm64, not for $arch" >&2; exit 2 ;;
esac

# The C code of some crates is compiled anew where this variable is another than the last time, and whatever
# depends on it: with it from build-image.sh and without it from here, that was four minutes each time. None
# of that code asks for the date.
build() { env -u SOURCE_DATE_EPOCH "$@"; }

need_packages binutils
if [ "$arch" = "$(dpkg --print-architecture)" ]; then
    tools=
    if [ -z "${ANOMALYD:-}" ]; then
        need_cargo
        need_packages gcc libc6-dev
        build cargo build --release --locked --bin anomalyd
        ANOMALYD=${CARGO_TARGET_DIR:-target}/release/anomalyd
    fi
elif [ -z "${ANOMALYD:-}" ]; then
    build scripts/cross.sh build
    ANOMALYD=target/cross/aarch64-unknown-linux-gnu/release/anomalyd
fi

version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
# Files are dated by the commit, so that a second build gives the same package.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
export SOURCE_DATE_EPOCH
date=$(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")
maintainer='anomalyd maintainers <anomalyd@localhost>'

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
umask 022

# What the target machine has, as the SD-card image takes it too.
cp -r rootfs-overlay/service/. "$stage"
mkdir -p "$stage"/usr/bin "$stage"/usr/share/{anomalyd,man/man1,doc/anomalyd} "$stage/DEBIAN"
install -m 755 "$ANOMALYD" "$stage/usr/bin/anomalyd"
"${tools}strip" --remove-section=.comment --remove-section=.note "$stage/usr/bin/anomalyd"
install -m 755 scripts/anomalyd-bench "$stage/usr/bin/anomalyd-bench"
cp models/demo.pt models/demo-faults.toml "$stage/usr/share/anomalyd/"
gzip -9n <packaging/deb/anomalyd.1 >"$stage/usr/share/man/man1/anomalyd.1.gz"
ln -s anomalyd.1.gz "$stage/usr/share/man/man1/anomalyd-bench.1.gz"

documentation=$stage/usr/share/doc/anomalyd
cp docs/*.md "$documentation/"
mv "$documentation/README.md" "$documentation/index.md"
cp README.md packaging/deb/copyright "$documentation/"
cp CHANGELOG.md "$documentation/"
gzip -9n >"$documentation/changelog.gz" <<END
anomalyd ($version) stable; urgency=medium

  * What changed is in CHANGELOG.md.

 -- $maintainer  $date
END

# The C library's oldest version that has every symbol, and nothing but the C library.
readelf --dynamic "$ANOMALYD" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' | while read -r library; do
    case $library in
        libc.so.6 | libm.so.6 | libgcc_s.so.1 | ld-linux-*) ;;
        *) echo "build-deb.sh: anomalyd needs $library, which no dependency is known for" >&2; exit 1 ;;
    esac
done
libc=$(readelf --version-info --wide "$ANOMALYD" | grep -o 'GLIBC_[0-9.]*' | sed 's/GLIBC_//' | sort -uV | tail -n 1)

cat >"$stage/DEBIAN/control" <<END
Package: anomalyd
Version: $version
Architecture: $arch
Maintainer: $maintainer
Installed-Size: $(du -sk --apparent-size --exclude=DEBIAN "$stage" | cut -f 1)
Depends: libc6 (>= $libc), libgcc-s1 (>= 4.2), systemd (>= 252), init-system-helpers (>= 1.54)
Section: net
Priority: optional
Description: watches sensors and raises explained alarms
 Learns the normal behaviour of the sensors of a plant or a machine from a
 recording, and says when they depart from it, which sensors they are and what
 they should have read. Takes MQTT, JSON lines and CSV; needs no cloud and few
 resources.
END
(cd "$stage" && find etc -type f -printf '/%p\n' | sort) >"$stage/DEBIAN/conffiles"
install -m 755 packaging/deb/{postinst,prerm,postrm} "$stage/DEBIAN/"
(cd "$stage" && find . -path ./DEBIAN -prune -o -type f -printf '%P\0' | sort -z | grep -zv '^etc/' \
    | xargs -0 md5sum) >"$stage/DEBIAN/md5sums"
chmod -R u=rwX,go=rX "$stage"
find "$stage" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +

folder=${CARGO_TARGET_DIR:-target}/deb
mkdir -p "$folder"
deb=$folder/anomalyd_${version}_$arch.deb
dpkg-deb --build --root-owner-group -Zxz "$stage" "$deb" >/dev/null
if [ "$check" = yes ]; then
    need_packages lintian
    # The project has no mail address to name.
    lintian --allow-root --fail-on error,warning --suppress-tags bogus-mail-host,bogus-mail-host-in-debian-changelog "$deb"
fi
echo "$deb"
