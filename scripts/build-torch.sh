#!/bin/sh
# Builds the torch worker and trainer, and puts a launcher at target/torch/anomalyd-torch.
#
#   scripts/build-torch.sh       the first time about 5 minutes, most of it torch-sys
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
if [ "$libtorch_system" = no ]; then
    # The libraries want a newer C library than this system's: leave their symbols to the loader
    # that starts the worker.
    libraries=$libtorch_root/usr/lib/$libtorch_triplet
    export RUSTFLAGS="-Clink-arg=-Wl,--allow-shlib-undefined -Clink-arg=-Wl,-rpath-link,$libraries:$libraries/blas:$libraries/lapack:$libtorch_root/usr/lib"
fi
cargo build --manifest-path "$project/Cargo.toml" --target-dir "$target" --release \
    --features torch --bin anomalyd-torch "$@"

binary=$target/release/anomalyd-torch
launcher=$target/anomalyd-torch
# Written aside and renamed: a worker may be starting through the old one.
{
    echo '#!/bin/sh'
    echo '# Made by scripts/build-torch.sh.'
    if [ "$libtorch_system" = yes ]; then
        echo "exec '$binary' \"\$@\""
    else
        # Debian 13's libraries with Debian 13's loader; openblas-serial comes before the reference BLAS.
        blas=$libraries/blas lapack=$libraries/lapack
        [ -e "$libraries/openblas-serial/libblas.so.3" ] && blas=$libraries/openblas-serial lapack=$blas
        echo "exec '$libraries/$libtorch_loader' \\"
        echo "    --library-path '$blas:$lapack:$libraries:$libtorch_root/usr/lib' \\"
        echo "    '$binary' \"\$@\""
    fi
} >"$launcher.new"
chmod 755 "$launcher.new"
mv "$launcher.new" "$launcher"
echo "build-torch.sh: $launcher"
