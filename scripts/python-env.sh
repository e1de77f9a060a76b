#!/bin/bash
# Makes a Python with ONNX's own checker, ONNX Runtime, a Modbus server and an OpenTelemetry collector in target/python,
# for the tests and scripts/compare-engines.sh. Half a minute; nothing when it is there already.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/packages.sh

# Fixed, so that a new release of theirs breaks nothing here by itself.
wanted="numpy==2.4.6 onnx==1.23.2 onnxruntime==1.32.0 pymodbus==3.16.1 opentelemetry-proto==1.45.2 rotel==0.0.1a15"
python=target/python
if [ "$(cat "$python/wanted" 2>/dev/null)" = "$wanted" ]; then
    echo "python-env.sh: $python is there"
    exit 0
fi
need_packages python3-venv
rm -rf "$python"
mkdir -p target
# Debian's, whatever else is on PATH: the venv module is sure to be with it.
/usr/bin/python3 -m venv "$python"
# shellcheck disable=SC2086  # a list of packages
"$python/bin/pip" install --quiet --disable-pip-version-check $wanted
# Last: an interrupted run leaves no folder that looks complete.
echo "$wanted" >"$python/wanted"
echo "python-env.sh: $python/bin/python"
