#!/bin/bash
# Writes the list of Debian packages that the Yocto recipe libtorch-bin is made of: libtorch for arm64
# and every library that it loads, each with its checksum.
#
#   scripts/libtorch-inc.sh       writes meta-layer/recipes-anomalyd/libtorch-bin/libtorch-debian.inc
#
# Needs Debian, and asks its archive for Debian 13's packages of today: to be run again when a
# point release of Debian has replaced one of them.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/packages.sh

list=meta-layer/recipes-anomalyd/libtorch-bin/libtorch-debian.inc
runtime="libtorch2.6 libopenblas0-serial"
# These are Yocto's own.
ours="libc6 libgcc-s1 libstdc++6"

fail() { echo "libtorch-inc.sh: $*" >&2; exit 1; }
need_packages binutils debian-archive-keyring

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{lists/partial,cache/archives/partial,state,parts,debs,tree}
: >"$work/status"
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | head -n 1)
[ -n "$mirror" ] || fail "apt knows no archive of Debian"
echo "deb [arch=arm64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >"$work/sources.list"
cat >"$work/apt.conf" <<END
Dir::Etc::sourcelist "$work/sources.list";
Dir::Etc::sourceparts "$work/parts";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "$work/parts";
Dir::State "$work/state";
Dir::State::lists "$work/lists";
Dir::State::status "$work/status";
Dir::Cache "$work/cache";
APT::Architecture "arm64";
APT::Architectures { "arm64"; };
APT::Sandbox::User "root";
END
export APT_CONFIG=$work/apt.conf
apt-get update -q >&2

# Everything that is installed with libtorch; what of it is loaded is found out below.
# shellcheck disable=SC2086  # a list of packages
mapfile -t packages < <(apt-get install --print-uris -q -y --no-install-recommends $runtime | sed -n "s/^'[^']*' \([^_]*\)_.*/\1/p")
[ "${#packages[@]}" -gt 0 ] || fail "apt does not say what $runtime needs"
(cd "$work/debs" && apt-get download -q "${packages[@]}" >&2)
for deb in "$work"/debs/*.deb; do
    package=${deb##*/}
    mkdir "$work/tree/${package%%_*}"
    dpkg-deb -x "$deb" "$work/tree/${package%%_*}"
done

# soname TAB package TAB path in the package, of every library; the serial OpenBLAS before others.
find "$work/tree" -type f -name '*.so*' -path '*/usr/lib/*' | LC_ALL=C sort | while read -r file; do
    # Some are no libraries but scripts of the linker, which readelf refuses.
    soname=$(readelf -d "$file" 2>/dev/null | sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p') || soname=
    path=${file#"$work/tree/"}
    [ -z "$soname" ] || printf '%s\t%s\t%s\n' "$soname" "${path%%/*}" "${path#*/}"
done >"$work/libraries"

# What libtorch loads, and what that loads.
declare -A seen
todo=(libtorch.so.2.6 libtorch_cpu.so.2.6 libc10.so.2.6)
: >"$work/loaded"
while [ "${#todo[@]}" -gt 0 ]; do
    soname=${todo[0]}
    todo=("${todo[@]:1}")
    [ -z "${seen[$soname]:-}" ] || continue
    seen[$soname]=yes
    line=$(awk -F '\t' -v soname="$soname" '$1 == soname { print; exit }' "$work/libraries")
    [ -n "$line" ] || fail "no package has $soname"
    IFS=$'\t' read -r _ package path <<<"$line"
    [[ " $ours " == *" $package "* ]] && continue
    echo "$line" >>"$work/loaded"
    while read -r needed; do todo+=("$needed"); done < <(readelf -d "$work/tree/$package/$path" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p')
done

mapfile -t taken < <({ cut -f 2 "$work/loaded"; echo libtorch-dev; } | LC_ALL=C sort -u)
{
    echo "# Made by scripts/libtorch-inc.sh from Debian 13's archive: do not edit."
    printf '\n# Every package says what its licence is.\n'
    printf 'LIC_FILES_CHKSUM = "\\\n'
    for package in "${taken[@]}"; do
        [ "$package" = libtorch-dev ] && continue
        copyright=usr/share/doc/$package/copyright
        [ -f "$work/tree/$package/$copyright" ] || continue
        echo "    file://$copyright;md5=$(md5sum <"$work/tree/$package/$copyright" | cut -d ' ' -f 1) \\"
    done
    echo '"'
    printf '\n# Their versions are those of Debian.\n# nooelint: oelint.vars.downloadfilename\n'
    printf 'SRC_URI += "\\\n'
    for package in "${taken[@]}"; do
        file=$(apt-cache show --no-all-versions "$package" | sed -n 's/^Filename: pool\///p')
        echo "    \${DEBIAN_MIRROR}/$file;name=$package;subdir=\${BP} \\"
    done
    printf '"\n\n'
    for package in "${taken[@]}"; do
        echo "SRC_URI[$package.sha256sum] = \"$(apt-cache show --no-all-versions "$package" | sed -n 's/^SHA256: //p')\""
    done
    printf '\n# What of it is installed: its path, and the name by which it is loaded (":", since bitbake writes the list into shell text).\n'
    printf 'LIBTORCH_LIBRARIES = "\\\n'
    LC_ALL=C sort "$work/loaded" | awk -F '\t' '{ print "    " $3 ":" $1 " \\" }'
    echo '"'
} >"$work/new"
cat "$work/new" >"$list"
echo "$list: ${#taken[@]} packages, $(wc -l <"$work/loaded") libraries"
