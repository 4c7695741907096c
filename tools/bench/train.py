#!/usr/bin/env python3
"""Times the training step of any network beside PyTorch's, in turns.

    tools/bench/train.py --sepal target/release/sepal --batch 128 --threads 2 resnet20:block=bsconv_u [SPEC…]

A step is forward, mean cross-entropy, backward and SGD with momentum, on one batch of noise. PyTorch trains the very network: `sepal export`
writes it as ONNX, whose nodes become modules here. It runs eagerly (N, C, H, W), eagerly in channels-last order, and through `torch.compile`
(channels-last; left out with --no-compile). A map of logits is scored at each of its places.

Needs torch, onnx and numpy.
"""
import argparse
import json
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np
import onnx
import torch
from torch.nn import functional as F

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "parity"))
from torch_network import Network


def stepper(graph, batch, order, compiled):
    torch.manual_seed(0)
    model = Network(graph).train()
    dims = [d.dim_value for d in graph.input[0].type.tensor_type.shape.dim]
    x = torch.randn(batch, *dims[1:])
    if order == "NHWC":
        model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    with torch.no_grad():
        shape = model(x).shape
    y = torch.randint(0, shape[1], (shape[0], *shape[2:]))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    forward = torch.compile(model) if compiled else model

    def step():
        optimizer.zero_grad()
        F.cross_entropy(forward(x), y).backward()
        optimizer.step()
    return step


def sample(step, seconds):
    times, end = [], time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        step()
        times.append((time.perf_counter() - start) * 1e3)
    return float(np.median(times))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("specs", nargs="+", metavar="SPEC")
    parser.add_argument("--sepal", required=True)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", help="height and width, or HxW; the network's own if absent")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1.5)
    parser.add_argument("--no-compile", action="store_true")
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    size = ["--size", a.size] if a.size else []
    for spec in a.specs:
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "net.onnx"
            subprocess.run([a.sepal, "export", spec, *size, "-o", file], check=True, capture_output=True)
            graph = onnx.load(file).graph

        def ours():
            command = [a.sepal, "bench", spec, *size, "--train", "--batch", str(a.batch), "--threads", str(a.threads), "--time", str(a.seconds), "--json"]
            out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            return json.loads(out.strip().splitlines()[-1])["median_ms"]

        engines = {"torch": ("NCHW", False), "torch (NHWC)": ("NHWC", False), "torch.compile": ("NHWC", True)}
        if a.no_compile:
            del engines["torch.compile"]
        engines = {name: stepper(graph, a.batch, *how) for name, how in engines.items()}
        for step in engines.values():
            step()
            step()
        rows = {name: [] for name in [*engines, "sepal"]}
        for _ in range(a.rounds):
            for name, step in engines.items():
                rows[name].append(sample(step, a.seconds))
            rows["sepal"].append(ours())
        print(f"{spec}, batch {a.batch}, {a.threads} threads")
        for name, row in rows.items():
            ratios = [peer / own for peer, own in zip(row, rows["sepal"])]
            versus = "" if name == "sepal" else f"   sepal is {np.median(ratios):.2f}x as fast ({min(ratios):.2f} to {max(ratios):.2f})"
            print(f"  {name:14s} median {np.median(row):9.2f} ms   min {min(row):9.2f}   max {max(row):9.2f}{versus}", flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"  peak memory of this process: {peak:.0f} MiB")


main()
