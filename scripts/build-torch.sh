#!/bin/sh
# Builds the torch worker and trainer, and puts a launcher at target/torch/anomalyd-torch.
#
#   scripts/build-torch.sh          the first time 4 to 7 minutes on two cores
#   scripts/build-torch.sh --test   runs the worker's unit tests besides
#
# What the worker and anomalyd have in common is compiled once, in the release build's target folder; its linker
# flags go to the program alone. The tests, whose linker flags cargo gives to all that it compiles, have
# target/torch to themselves. Call the launcher from anywhere, or name it in ANOMALYD_TORCH; anomalyd
# itself finds it beside its own executable and in target/torch.
set -eu

scripts=$(cd "$(dirname "$0")" && pwd)
project=$(dirname "$scripts")
"$scripts/libtorch.sh"
. "$scripts/libtorch-paths.sh"

target=$project/target/torch
export LIBTORCH="$libtorch_links" LIBTORCH_CXX11_ABI=1
if [ "$libtorch_system" = yes ]; then
    start= flags=
else
    # Debian 13's libraries want a newer C library than this system's: they are started with their
    # own loader, and the linker leaves their symbols to it.
    libraries=$libtorch_root/usr/lib/$libtorch_triplet
    # openblas-serial has both libraries and comes before the reference ones.
    search=$libraries/openblas-serial:$libraries/blas:$libraries/lapack:$libraries:$libtorch_root/usr/lib
    flags="-Clink-arg=-Wl,--allow-shlib-undefined -Clink-arg=-Wl,-rpath-link,$search"
    start="'$libraries/$libtorch_loader' --library-path '$search' "
fi

cargo_torch() {
    command=$1
    shift
    cargo "$command" --manifest-path "$project/Cargo.toml" --release --features torch --bin anomalyd-torch "$@"
}

# launcher FILE COMMAND: written aside and renamed, for a worker may be starting through the old one.
launcher() {
    printf '#!/bin/sh\n# Made by scripts/build-torch.sh.\nexec %s"$@"\n' "$2" >"$1.new"
    chmod 755 "$1.new"
    mv "$1.new" "$1"
}

built=${CARGO_TARGET_DIR:-$project/target}
# shellcheck disable=SC2086 # flags are several
cargo_torch rustc --target-dir "$built" -- $flags
# Not left beside anomalyd, where it would be found without its launcher. Cargo links the files, so a copy.
mkdir -p "$target/release"
cp "$built/release/anomalyd-torch" "$target/release/anomalyd-torch.new"
mv "$target/release/anomalyd-torch.new" "$target/release/anomalyd-torch"
rm "$built/release/anomalyd-torch"
launcher "$target/anomalyd-torch" "$start'$target/release/anomalyd-torch' "
echo "build-torch.sh: $target/anomalyd-torch"

case ${1:-} in
    '') ;;
    --test)
        launcher "$target/with-libtorch" "$start"
        host=$(rustc -vV | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')
        export "CARGO_TARGET_${host}_RUNNER=$target/with-libtorch"
        RUSTFLAGS=$flags cargo_torch test --target-dir "$target"
        ;;
    *) echo "build-torch.sh: unknown argument $1 (only --test is known)" >&2; exit 2 ;;
esac
