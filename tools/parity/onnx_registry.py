#!/usr/bin/env python3
"""Exports every network of the registry to ONNX, and back.

For each: the ONNX checker in full, ONNX Runtime against `sepal run`, and the re-imported file against the first, with random
weights and running statistics.

    python tools/parity/onnx_registry.py --sepal target/release/sepal [SPEC…]     (needs onnx, onnxruntime, safetensors, numpy)
"""
import argparse
import pathlib
import tempfile

import numpy as np
import onnx
import onnxruntime
from safetensors import safe_open
from safetensors.numpy import save_file

import common

TOLERANCE = 1e-4
CLASSES = 10
# Options that change a network's operators; every name of the registry is tried as well.
VARIANTS = """
mobilenet_v1:block=bsconv_u  mobilenet_v1:block=pyramid_add  mobilenet_v1:stem=cifar,data_norm=yes  mobilenet_v1:activation=elu
mobilenet_v2:stem=cifar  mobilenet_v3_large:stem=cifar  mobilenet_v3_small:stem=cifar  xception:skip=no  xception:between=elu
resnet18:block=bsconv_u  resnet20:block=bsconv_u  resnet20:block=bsconv_s,p=0.25  wrn16_4:block=bsconv_u
wrn16_4:block=bsconv_s,p=0.25  pydmobilenet:merge=add,depth=29,multiplier=0.5  pydmobilenet:merge=concat,depth=56,multiplier=0.75
espnet_c:p=2,q=8  espnet:p=2,q=8  espnet:p=2,q=8,level1=16  espnet:p=2,q=3,hff=no
""".split()


def size(spec, inputs, largest):
    """A small input: the network's own, at most `largest`, as ESPNet's maps allow."""
    _, height, width = inputs[spec.split(":")[0]]
    if spec.startswith("espnet"):
        return 64, 128
    if "stem=cifar" in spec:
        return 32, 32
    return min(height, largest), min(width, largest)


def randomise(path, seed):
    """Gives norms scales, shifts and statistics as training would; fresh ones would hide mistakes."""
    rng = np.random.default_rng(seed)
    with safe_open(path, "np") as file:
        metadata, tensors = file.metadata(), {name: file.get_tensor(name) for name in file.keys()}
    for name in tensors:
        kind, shape = name.rsplit(".", 1)[-1], tensors[name].shape
        if kind == "running_var" or (kind == "weight" and len(shape) == 1):
            tensors[name] = rng.uniform(0.5, 1.5, shape).astype(np.float32)
        elif kind in ("running_mean", "bias"):
            tensors[name] = rng.normal(0, 0.1, shape).astype(np.float32)
    save_file(tensors, path, metadata)


def check(args, spec, inputs, folder):
    height, width = size(spec, inputs, args.size)
    native, exported, back = folder / "net.safetensors", folder / "net.onnx", folder / "back.safetensors"
    common.sepal(args.sepal, "export", spec, "--size", f"{height}x{width}", "--classes", CLASSES, "--seed", 1, "-o", native)
    randomise(native, 2)
    nodes = common.sepal(args.sepal, "export", native, "-o", exported)["nodes"]
    onnx.checker.check_model(str(exported), full_check=True)
    x = np.random.default_rng(3).normal(0, 1, (2, 3, height, width)).astype(np.float32)
    want = common.run(args.sepal, native, x, folder)
    session = onnxruntime.InferenceSession(str(exported), providers=["CPUExecutionProvider"])
    figures = [common.within("runtime", common.distance(want, session.run(None, {session.get_inputs()[0].name: x})[0]), TOLERANCE)]
    common.sepal(args.sepal, "import", exported, "-o", back)
    figures.append(common.within("re-import", common.distance(common.run(args.sepal, back, x, folder), want), TOLERANCE))
    return f"{height}×{width}, {nodes} nodes, " + ", ".join(figures)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sepal", required=True, help="the sepal binary")
    parser.add_argument("--size", type=int, default=96, help="greatest height and width of the input")
    parser.add_argument("specs", nargs="*", help="only these specs")
    args = parser.parse_args()
    inputs = {row["name"]: row["input"] for row in common.sepal(args.sepal, "models")["models"]}
    rows = []
    for spec in args.specs or [*inputs, *VARIANTS]:
        try:
            with tempfile.TemporaryDirectory() as folder:
                print(f"{spec:58} {check(args, spec, inputs, pathlib.Path(folder))}", flush=True)
            rows.append((spec, None))
        except Exception as error:
            print(f"{spec:58} FAILED {type(error).__name__}: {error}", flush=True)
            rows.append((spec, str(error).splitlines()[0]))
    common.report(rows)


if __name__ == "__main__":
    main()
