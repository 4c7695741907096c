#!/usr/bin/env python3
"""Writes the convolutions of networks to bench/shapes/NETWORK.txt, which the kernels' benchmarks run.

Usage: tools/bench/shapes.py path/to/sepal

A line is a shape of the network's graph and how often it occurs; the shapes come from the graph that `sepal export` writes and
from `sepal summary`. Needs nothing but Python.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

NETWORKS = [
    ("mobilenet_v1", "224"),
    ("mobilenet_v2", "224"),
    ("mobilenet_v3_large", "224"),
    ("resnet50", "224"),
    ("espnet", "512x1024"),
]
HEAD = "times channels filters  height width  out_height out_width  kernel stride padding dilation groups"


def graph_of(path):
    """The graph in a model file's metadata."""
    data = path.read_bytes()
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return json.loads(header["__metadata__"]["sepal.graph"])


def shapes_of(sepal, spec, size):
    def run(*words):
        return subprocess.run([sepal, *words], check=True, capture_output=True, text=True).stdout

    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "net.safetensors"
        run("export", spec, "--size", size, "-o", str(path))
        nodes = {node["path"]: node["op"] for node in graph_of(path)["nodes"]}
    layers = json.loads(run("summary", spec, "--size", size, "--json"))["layers"]
    counts = {}
    for layer in layers:
        conv = nodes[layer["name"]].get("conv2d")
        if conv is None:
            continue
        (channels, *size_in), (filters, *size_out) = layer["input"], layer["output"]
        kernel, stride, padding, dilation = (
            "x".join(map(str, conv[key][:2])) for key in ("kernel", "stride", "padding", "dilation")
        )
        shape = (channels, filters, *size_in, *size_out, kernel, stride, padding, dilation, conv["groups"])
        counts[shape] = counts.get(shape, 0) + 1
    return counts


def main():
    (sepal,) = sys.argv[1:]
    out = pathlib.Path(__file__).resolve().parents[2] / "bench" / "shapes"
    for spec, size in NETWORKS:
        counts = shapes_of(sepal, spec, size)
        lines = [f"# Convolutions of {spec} at {size} pixels, for one picture; written by tools/bench/shapes.py.", f"# {HEAD}"]
        for (c, f, h, w, oh, ow, *rest), times in counts.items():
            lines.append(f"{times}  {c} {f}  {h} {w}  {oh} {ow}  {' '.join(map(str, rest))}")
        (out / f"{spec}.txt").write_text("\n".join(lines) + "\n")
        print(f"{spec}: {len(counts)} shapes")


if __name__ == "__main__":
    main()
