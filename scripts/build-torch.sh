#!/bin/sh
# Builds the torch worker and trainer, and puts a launcher at target/torch/anomalyd-torch.
#
#   scripts/build-torch.sh          the first time 4 minutes on two cores, most of it torch-sys
#   scripts/build-torch.sh --test   runs the worker's unit tests besides
#
# It has a target folder of its own (target/torch): its linker flags differ, and would throw away
# what the main build has compiled. Call the launcher from anywhere, or name it in ANOMALYD_TORCH;
# anomalyd itself finds it beside its own executable and in target/torch.
set -eu

scripts=$(cd "$(dirname "$0")" && pwd)
project=$(dirname "$scripts")
"$scripts/libtorch.sh"
. "$scripts/libtorch-paths.sh"

target=$project/target/torch
export LIBTORCH="$libtorch_links" LIBTORCH_CXX11_ABI=1
if [ "$libtorch_system" = yes ]; then
    start=
else
    # Debian 13's libraries want a newer C library than this system's: they are started with their
    # own loader, and the linker leaves their symbols to it.
    libraries=$libtorch_root/usr/lib/$libtorch_triplet
    # openblas-serial has both libraries and comes before the reference ones.
    search=$libraries/openblas-serial:$libraries/blas:$libraries/lapack:$libraries:$libtorch_root/usr/lib
    export RUSTFLAGS="-Clink-arg=-Wl,--allow-shlib-undefined -Clink-arg=-Wl,-rpath-link,$search"
    start="'$libraries/$libtorch_loader' --library-path '$search' "
fi

cargo_torch() {
    command=$1
    shift
    cargo "$command" --manifest-path "$project/Cargo.toml" --target-dir "$target" --release \
        --features torch --bin anomalyd-torch "$@"
}

# launcher FILE COMMAND: written aside and renamed, for a worker may be starting through the old one.
launcher() {
    printf '#!/bin/sh\n# Made by scripts/build-torch.sh.\nexec %s"$@"\n' "$2" >"$1.new"
    chmod 755 "$1.new"
    mv "$1.new" "$1"
}

cargo_torch build
launcher "$target/anomalyd-torch" "$start'$target/release/anomalyd-torch' "
echo "build-torch.sh: $target/anomalyd-torch"

case ${1:-} in
    '') ;;
    --test)
        launcher "$target/with-libtorch" "$start"
        host=$(rustc -vV | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')
        export "CARGO_TARGET_${host}_RUNNER=$target/with-libtorch"
        cargo_torch test
        ;;
    *) echo "build-torch.sh: unknown argument $1 (only --test is known)" >&2; exit 2 ;;
esac
