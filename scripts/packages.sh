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

# One at a time: apt fails where another apt is at work, and scripts/test.sh runs scripts side by side.
apt_get() {
    as_root flock /run/lock/anomalyd-apt env DEBIAN_FRONTEND=noninteractive apt-get -q "$@"
}

need_packages() {
    missing=
    for package in "$@"; do
        dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null | grep -qx installed || missing="$missing $package"
    done
    [ -z "$missing" ] && return 0
    echo "installing$missing"
    # The lists of a fresh machine may be absent or old.
    apt_get update
    # shellcheck disable=SC2086  # a list of packages
    apt_get install -y --no-install-recommends $missing
}

# Cargo 1.94 or later: the one that is there (rustup's before Debian's), else Debian's. Debian keeps a
# current one for its browsers as cargo-web, for Debian 12 at least; otherwise rustup is a package.
need_cargo() {
    [ -x "$HOME/.cargo/bin/cargo" ] && PATH=$HOME/.cargo/bin:$PATH
    cargo_is_new_enough && return 0
    if command -v rustup >/dev/null; then
        rustup toolchain install stable --profile minimal
        rustup default stable
        cargo_is_new_enough && return 0
    fi
    apt_get update
    if apt-cache show cargo-web >/dev/null 2>&1; then
        need_packages cargo-web
    elif apt-cache show rustup >/dev/null 2>&1; then
        need_packages rustup
        rustup toolchain install stable --profile minimal
        rustup default stable
    fi
    cargo_is_new_enough && return 0
    echo "cargo (Rust 1.94 or later) is missing and Debian has none: install it with rustup" >&2
    return 1
}

cargo_is_new_enough() {
    command -v cargo >/dev/null || return 1
    # "cargo 1.95.0 (...)"; one that cannot even say so (a rustup without a toolchain) is none.
    cargo_minor=$(cargo --version 2>/dev/null | sed -n 's/^cargo 1\.\([0-9]*\).*/\1/p')
    [ "${cargo_minor:-0}" -ge 94 ]
}
