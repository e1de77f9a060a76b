#!/bin/bash
# Checks the Yocto layer without bitbake: the recipe linter, the list of crates, the scripts that the
# layer ships and their tests.
#
#   scripts/lint-layer.sh         the first time it installs the linter into the user's cache
#
# The last line says what passed.
set -euo pipefail
cd "$(dirname "$0")/.."

# One version, so that a new rule is a change that somebody made.
linter_version=9.11.2
cache=${XDG_CACHE_HOME:-$HOME/.cache}/anomalyd
linter=$cache/oelint-adv-$linter_version

fail() { echo "lint-layer.sh: $*" >&2; exit 1; }

if [ ! -x "$linter/bin/oelint-adv" ]; then
    . scripts/packages.sh
    command -v python3 >/dev/null && python3 -c 'import ensurepip' 2>/dev/null || need_packages python3 python3-venv
    mkdir -p "$cache"
    rm -rf "$linter"
    python3 -m venv "$linter"
    "$linter/bin/pip" install --quiet --disable-pip-version-check "oelint-adv==$linter_version" \
        || { rm -rf "$linter"; fail "oelint-adv $linter_version could not be installed: is there a network?"; }
fi

# What the project does not have, or the rule does not fit: a public address and a bug tracker; recipes
# that are of use on the build machine; a test of addresses over the network; a licence file that is
# fetched, where the recipe is our own and fetches nothing.
suppressed=(
    oelint.var.mandatoryvar.HOMEPAGE
    oelint.var.suggestedvar.BUGTRACKER
    oelint.var.bbclassextend
    oelint.vars.homepageping
    oelint.var.licenseremotefile
)
mapfile -t recipes < <(find meta-layer -name '*.bb' -o -name '*.bbappend' -o -name '*.conf' | grep -v /files/ | LC_ALL=C sort)
findings=$("$linter/bin/oelint-adv" --release wrynose --quiet --relpaths --exit-zero \
    --constantmods +meta-layer/oelint-known.json "${suppressed[@]/#/--suppress=}" -- "${recipes[@]}" 2>&1)
[ -z "$findings" ] || { echo "$findings"; fail "$(wc -l <<<"$findings") findings of oelint-adv (above)"; }

scripts/crates-inc.sh --check

# bitbake writes a list into the text of a shell function as it is: a ; in it breaks the parsing.
grep -rhoE 'for [a-z]+ in \$\{[A-Z_]+\}' meta-layer --include='*.bb' --include='*.inc' | grep -oE '[A-Z_]+' | sort -u | while read -r list; do
    ! sed -n "/^$list = /,/^[[:space:]]*\"\$/p" -r meta-layer/recipes-*/*/*.bb meta-layer/recipes-*/*/*.inc | grep -n '[;&|<>()]' \
        || fail "$list is used in a shell function and holds what the shell would read as its own (above)"
done

# The series that is promised is the one that kas builds, at commits that were tried.
series=$(sed -n 's/^LAYERSERIES_COMPAT_[^=]*= "\(.*\)"/\1/p' meta-layer/conf/layer.conf)
grep -q "branch: $series" meta-layer/kas.yml || fail "meta-layer/kas.yml builds another series than $series"

mapfile -t scripts < <(grep -rlE "^#!/bin/sh" meta-layer rootfs-overlay/appliance rootfs-overlay/debian | LC_ALL=C sort)
for script in "${scripts[@]}"; do
    sh -n "$script" || fail "$script does not parse"
    [ -x "$script" ] || fail "$script is not executable"
done
units=$(find rootfs-overlay -name "*.service" -o -name '*.mount' | wc -l)
tests=
for test in meta-layer/tests/*.sh; do
    tests="$tests; $(sh "$test")"
done

# The files that the firmware reads, read as it would.
(cd tests/appliance && PYTHONDONTWRITEBYTECODE=1 python3 -m unittest -q test_firmware.OfTheLayer) 2>/dev/null \
    || fail "the firmware would not start from the layer's files: cd tests/appliance && python3 -m unittest test_firmware"
tests="$tests; firmware: the layer's files start both slots"

echo "lint-layer.sh: ${#recipes[@]} recipes and configurations, ${#scripts[@]} scripts, $units units: no finding$tests"
