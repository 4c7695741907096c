#!/usr/bin/env python3
"""Peak memory of one inference session: Sepal beside ONNX Runtime and OpenVINO, all with the same ONNX file.

Usage: tools/bench/memory.py path/to/sepal MODEL.onnx [--threads N] [--batch N]

For every engine a fresh process loads the model and runs it ten times; its peak of resident memory (VmHWM) is compared with that
of a process that only starts the engine: one that imports the Python package, and for Sepal one that runs a network of a few
kilobytes. Needs Linux, Python with numpy, onnxruntime and openvino; an engine that is not installed is left out.
"""

import argparse
import json
import subprocess
import sys

RUNS = 10
# The least that starts all of Sepal.
EMPTY = ["mobilenet_v1:width=0.05", "--size", "32"]

PEAK = """
def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))
"""

ENGINES = {
    "onnxruntime": """
import numpy, onnxruntime
def session(model, threads, batch):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    given = session.get_inputs()[0]
    x = numpy.zeros([batch, *given.shape[1:]], numpy.float32)
    return lambda: session.run(None, {given.name: x})
""",
    "openvino": """
import numpy, openvino
def session(model, threads, batch):
    core = openvino.Core()
    network = core.read_model(model)
    shape = [batch, *[d.get_length() for d in list(network.inputs[0].partial_shape)[1:]]]
    network.reshape(shape)
    hints = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    request = core.compile_model(network, "CPU", hints).create_infer_request()
    x = numpy.zeros(shape, numpy.float32)
    return lambda: request.infer([x])
""",
}


def python(code, *words):
    """The number that a fresh interpreter prints, or nothing where the engine cannot be imported."""
    done = subprocess.run([sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True)
    if done.returncode != 0:
        if "ModuleNotFoundError" in done.stderr:
            return None
        sys.exit(done.stderr)
    return int(done.stdout.split()[-1])


def engine(source, model, threads, batch):
    start = python(f"{source}{PEAK}\nprint(peak())")
    if start is None:
        return None
    run = f"import sys\nrun = session(sys.argv[1], *map(int, sys.argv[2:]))\nfor _ in range({RUNS}): run()\nprint(peak())"
    return start, python(f"{source}{PEAK}\n{run}", model, threads, batch)


def sepal(binary, model, threads, batch):
    def peak(target, batch):
        words = ["bench", *target, "--niter", RUNS, "--warmup", 0, "--threads", threads, "--batch", batch, "--json"]
        done = subprocess.run([binary, *map(str, words)], capture_output=True, text=True, check=True)
        return json.loads(done.stdout.splitlines()[-1])["peak_rss_bytes"]

    return peak(EMPTY, 1), peak([model], batch)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sepal")
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=1)
    args = parser.parse_args()
    results = {"sepal": sepal(args.sepal, args.model, args.threads, args.batch)}
    for name, source in ENGINES.items():
        results[name] = engine(source, args.model, args.threads, args.batch)
    mib = lambda size: f"{size / 2**20:8.1f} MiB"
    print(f"{'engine':12} {'started':>12} {'at most':>12} {'model':>12}")
    for name, result in results.items():
        if result is None:
            print(f"{name:12} not installed")
            continue
        start, most = result
        print(f"{name:12} {mib(start)} {mib(most)} {mib(most - start)}")


if __name__ == "__main__":
    main()
