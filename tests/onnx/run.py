"""What ONNX's checker and ONNX Runtime make of each FOLDER/NAME.onnx, for tests/onnx.rs.

Reads NAME.windows, writes NAME.OUTPUT for each output (raw float32), and prints a JSON object a file:
its name and its properties.
"""

import json
import pathlib
import sys

import numpy
import onnx
import onnxruntime

for path in sorted(pathlib.Path(sys.argv[1]).glob("*.onnx")):
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    # Warnings are for us: a file that needs one is not finished.
    options.log_severity_level = 2
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    (window,) = session.get_inputs()
    assert window.name == "window" and window.shape[0] == "batch", (window.name, window.shape)
    windows = numpy.fromfile(path.with_suffix(".windows"), dtype="<f4")
    windows = windows.reshape(-1, *window.shape[1:])

    names = [output.name for output in session.get_outputs()]
    together = session.run(names, {"window": windows})
    alone = [session.run(names, {"window": one[None]}) for one in windows]
    for number, (name, output) in enumerate(zip(names, together)):
        one_by_one = numpy.concatenate([outputs[number] for outputs in alone])
        assert output.shape == one_by_one.shape, (name, output.shape, one_by_one.shape)
        difference = numpy.abs(output - one_by_one).max()
        assert difference < 1e-5, f"{name}: a window alone is {difference} off the same in a batch"
        output.astype("<f4").tofile(path.with_suffix(f".{name}"))
    properties = {entry.key: entry.value for entry in model.metadata_props}
    print(json.dumps({"file": path.stem, "outputs": names, "properties": properties}))
