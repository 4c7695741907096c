#!/usr/bin/env python3
"""Trains a network with PyTorch by a recipe of Sepal's, on a folder of pictures of one size, to compare what both come to.

    tools/parity/training.py --sepal target/release/sepal RUN DATA [--seed N] [--threads N]

RUN is a run folder of `sepal train DATA …` whose recipe says: SGD with momentum, cosine schedule to 0, warm-up, random crops of a padded
picture, mirroring. The network, its initial weights (of the seed), sizes, rates, decay and the pictures' mean and deviation are taken from
there; order, crops and mirroring are PyTorch's own draws. Prints the accuracy on DATA/test after every epoch.

Needs torch, onnx, numpy and Pillow.
"""
import argparse
import json
import math
import pathlib
import subprocess
import tempfile
import time
import tomllib

import numpy as np
import onnx
import torch
from PIL import Image
from torch.nn import functional as F
from torch_network import Network


def pictures(folder, classes):
    files = [(file, label) for label, name in enumerate(classes) for file in sorted((folder / name).iterdir())]
    x = np.stack([np.asarray(Image.open(file).convert("RGB")) for file, _ in files])
    return torch.from_numpy(x).permute(0, 3, 1, 2).contiguous(), torch.tensor([label for _, label in files])


def augmented(x, padding, mirror):
    """Crops at random of pictures with zeros around them (of normalised pictures: their mean), some mirrored."""
    n, _, h, w = x.shape
    padded = F.pad(x, [padding] * 4)
    top, left = (torch.randint(0, 2 * padding + 1, (n, 1, 1)) for _ in range(2))
    rows = top + torch.arange(h).view(1, h, 1)
    columns = torch.arange(w).expand(n, 1, w)
    flip = torch.rand(n, 1, 1) < mirror
    columns = left + torch.where(flip, w - 1 - columns, columns)
    return padded[torch.arange(n).view(n, 1, 1), :, rows, columns].permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=pathlib.Path)
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("--sepal", required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    a = parser.parse_args()
    torch.set_num_threads(a.threads)
    torch.manual_seed(a.seed)
    recipe = tomllib.loads((a.run / "recipe.toml").read_text())
    if recipe["optimizer"]["kind"] != "sgd" or recipe["schedule"]["kind"] != "cosine" or not recipe["decay_norms"]:
        raise SystemExit("this trains by SGD, a cosine schedule and decay of all parameters")
    last = a.run / "weights" / "last.safetensors"
    header = last.open("rb").read(8)
    with last.open("rb") as file:
        file.seek(8)
        meta = json.loads(file.read(int.from_bytes(header, "little")))["__metadata__"]
    meta = {key: json.loads(value) for key, value in meta.items() if value[:1] in "[{"}
    find = lambda key: next(value[key] for value in meta.values() if isinstance(value, dict) and key in value)
    classes = sorted(folder.name for folder in (a.data / "train").iterdir() if folder.is_dir())
    mean, std = (torch.tensor(find(key)).view(1, -1, 1, 1) for key in ("mean", "std"))
    x, y = pictures(a.data / "train", classes)
    test_x, test_y = pictures(a.data / "test", classes)
    prepare = lambda x: (x.float() / 255 - mean) / std

    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder) / "net.onnx"
        size = str(recipe["size"])
        options = ["--size", size, "--classes", str(len(classes)), "--seed", str(a.seed)]
        subprocess.run([a.sepal, "export", recipe["model"], *options, "-o", file], check=True, capture_output=True)
        model = Network(onnx.load(file).graph).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), recipe["lr"], recipe["optimizer"]["momentum"],
                                nesterov=recipe["optimizer"]["nesterov"], weight_decay=recipe["weight_decay"])
    batch, epochs = recipe["batch"], recipe["epochs"]
    steps = len(x) // batch
    total, warm = epochs * steps, recipe["warmup_epochs"] * steps
    start, done = time.time(), 0
    for epoch in range(epochs):
        model.train()
        order = torch.randperm(len(x))
        for index in range(steps):
            rate = (done + 1) / warm if done < warm else 0.5 * (1 + math.cos(math.pi * (done - warm) / (total - warm)))
            for group in optimizer.param_groups:
                group["lr"] = recipe["lr"] * min(rate, 1.0)
            take = order[index * batch:(index + 1) * batch]
            images = augmented(prepare(x[take]), recipe["augment"]["crop_padding"], recipe["augment"]["hflip"])
            optimizer.zero_grad()
            F.cross_entropy(model(images), y[take], label_smoothing=recipe["label_smoothing"]).backward()
            optimizer.step()
            done += 1
        model.eval()
        with torch.no_grad():
            right = sum(int((model(prepare(part)).argmax(1) == labels).sum())
                        for part, labels in zip(test_x.split(500), test_y.split(500)))
        print(f"epoch {epoch + 1}/{epochs}  test {right / len(test_y):.4f}  {time.time() - start:.0f} s", flush=True)


main()
