# Installs Debian packages that are missing. Read (not run) by the other scripts:
#
#   . scripts/packages.sh; need_packages gcc pkg-config
#
# shellcheck shell=sh

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        echo "'$*' needs root and there is no sudo: run this script as root" >&2
        return 1
    fi
}

need_packages() {
    missing=
    for package in "$@"; do
        dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing="$missing $package"
    done
    [ -z "$missing" ] && return 0
    echo "installing$missing"
    # The lists of a fresh machine may be absent or old.
    as_root apt-get update -q
    # shellcheck disable=SC2086  # a list of packages
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $missing
}

# Cargo itself: Debian 12's is too old for this project, so an absent one is only named.
need_cargo() {
    command -v cargo >/dev/null && return 0
    if [ -x "$HOME/.cargo/bin/cargo" ]; then
        PATH=$HOME/.cargo/bin:$PATH
        return 0
    fi
    echo "cargo (Rust 1.94 or later) is missing: install it with rustup, or Debian 13's backports" >&2
    return 1
}
