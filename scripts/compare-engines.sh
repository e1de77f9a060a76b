#!/bin/bash
# The native engine against libtorch, tract and ONNX Runtime: CPU time a window, memory, agreement.
#
#   scripts/compare-engines.sh [MODEL [OPTION...]]
#
# Without a MODEL models/demo.pt is taken (51 sensors, T = 10, H = 64). Options are those of
# benches/engines: --rounds N, --moment MILLISECONDS, --batch B. Sets up what is missing: libtorch's worker, a
# Python with ONNX Runtime, and the comparison itself, which takes some minutes the first time. Ends
# with 1 when the native engine needs more than 1/25 of libtorch's CPU time, or more than 1/4 of the
# best of the others'; for batches there is no such promise.
#
# Each engine is one thread. CPU time is that of all threads of an engine's processes, so other load
# does not count in full; it still takes cache and clock. docs/performance.md has figures.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/packages.sh

model=${1:-models/demo.pt}
[ $# -gt 0 ] && shift
need_cargo
scripts/build-torch.sh
scripts/python-env.sh
engines=$(cargo build --release --locked --features compare --bench engines --target-dir target/compare \
    --message-format=json-render-diagnostics | sed -n 's/.*"executable":"\([^"]*\/engines-[^"]*\)".*/\1/p')

# OpenBLAS, which libtorch uses, then chooses its kernel by the processor that it finds.
unset OPENBLAS_CORETYPE OPENBLAS_L2_SIZE
version() { awk -v name="name = \"$1\"" '$0 == name {getline; gsub(/[^0-9.]/, ""); print; exit}' Cargo.lock; }
echo "libtorch 2.6, tract-onnx $(version tract-onnx), ONNX Runtime $(target/python/bin/python -c 'import onnxruntime; print(onnxruntime.__version__)')"
exec "$engines" compare "$model" \
    --torch target/torch/anomalyd-torch \
    --python target/python/bin/python \
    --onnxruntime benches/engines/onnxruntime_contender.py "$@"
