"""ONNX Runtime as a contender of benches/engines (contend.rs has the commands)."""

import argparse
import sys

import numpy
import onnxruntime


class Contender:
    def __init__(self, arguments):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            arguments.model, options, providers=["CPUExecutionProvider"]
        )
        self.shape = (arguments.window, arguments.sensors)
        frames = read(arguments.frames).reshape(-1, arguments.sensors)
        count = len(frames) + 1 - arguments.window
        # Views, made beforehand, so that only the call itself is measured.
        self.windows = [frames[i : i + arguments.window][None] for i in range(count)]
        self.batches = {1: self.windows}
        self.next = 0

    def run(self, windows, batch):
        if batch not in self.batches:
            starts = range(0, len(self.windows) - batch + 1, batch)
            self.batches[batch] = [numpy.concatenate(self.windows[i : i + batch]) for i in starts]
        inputs = self.batches[batch]
        run = self.session.run
        for _ in range(windows // batch):
            self.next = (self.next + 1) % len(inputs)
            run(None, {"window": inputs[self.next]})

    def check(self, windows, out):
        windows = read(windows).reshape(-1, *self.shape)
        outputs = self.session.run(None, {"window": windows})
        numpy.concatenate([output.ravel() for output in outputs]).tofile(out)


def read(path):
    return numpy.fromfile(path, dtype="<f4")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--frames", required=True)
    parser.add_argument("--window", type=int, required=True)
    parser.add_argument("--sensors", type=int, required=True)
    contender = Contender(parser.parse_args())
    for line in sys.stdin:
        match line.split():
            case ["run", windows, batch]:
                contender.run(int(windows), int(batch))
            case ["check", windows, out]:
                contender.check(windows, out)
            case _:
                sys.exit(f"was sent {line!r}")
        print("done", flush=True)


main()
