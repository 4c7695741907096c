#!/usr/bin/env python3
"""Trains one network for many domains by every protocol of sharing, and prints what each comes to.

    tools/domains/table.py --sepal target/release/sepal --trunk TRUNK --out DIR FOLDER… [--model SPEC] [--size N] [--epochs N]

TRUNK is the data of the first domain, FOLDER those of the others (tools/domains/make.py makes some); all are image folders. For each protocol a bundle
of its own begins with the same trunk, and every domain is added to it; `soft` goes last, over the kernels of all domains of
`share-pointwise`. What is there already is not trained again. DIR holds runs, bundles and `table.csv`.

Shown are accuracy on the test pictures, private parameters and seconds of training of each domain, and the memory of the
bundles beside that of separate models. That the first domain's weights have the same bits after everything was added is checked.
"""
import argparse
import csv
import json
import pathlib
import shutil
import subprocess

PROTOCOLS = ["scratch", "finetune", "features", "share-pointwise", "share-depthwise", "soft"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=pathlib.Path, metavar="FOLDER")
    parser.add_argument("--sepal", required=True)
    parser.add_argument("--trunk", required=True, type=pathlib.Path)
    parser.add_argument("--out", required=True, type=pathlib.Path)
    parser.add_argument("--model", default="resdsc26:width=0.25")
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--trunk-epochs", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    a = parser.parse_args()
    a.out.mkdir(parents=True, exist_ok=True)

    def sepal(*words):
        command = [a.sepal, *map(str, words), "--json"]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}\n{done.stderr[-2000:]}")
        return json.loads(done.stdout.strip().splitlines()[-1])

    machine = ["--size", a.size, "--crop-padding", a.size // 8, "--threads", a.threads, "--progress", "none"]
    trunk = a.out / "trunk"
    if not (trunk / "results.csv").exists():
        recipe = ["--recipe", "resdsc", "--epochs", a.trunk_epochs]
        print("trunk", sepal("train", a.trunk, "--model", a.model, *recipe, *machine, "--out", trunk)["top1"], flush=True)
    first = a.out / "trunk.safetensors"
    if not first.exists():
        sepal("domains", "init", trunk, "-o", first, "--name", a.trunk.name)
        extract(sepal, first, a.trunk.name, a.out / "trunk-before.safetensors")

    rows = []
    for protocol in PROTOCOLS:
        bundle = a.out / f"{protocol}.safetensors"
        if not bundle.exists():
            shutil.copyfile(a.out / "share-pointwise.safetensors" if protocol == "soft" else first, bundle)
        for folder in a.folders:
            name = f"{folder.name}-soft" if protocol == "soft" else folder.name
            run = a.out / f"{protocol}-{folder.name}"
            if not run.exists():
                sepal("domains", "add", bundle, folder, "--name", name, "--protocol", protocol, "--epochs", a.epochs, *machine, "--out", run)
        extract(sepal, bundle, a.trunk.name, a.out / f"trunk-after-{protocol}.safetensors")
        same = (a.out / "trunk-before.safetensors").read_bytes() == (a.out / f"trunk-after-{protocol}.safetensors").read_bytes()
        listed = sepal("domains", "list", bundle)
        print(protocol, "first domain unchanged" if same else "FIRST DOMAIN CHANGED", json.dumps(listed), flush=True)
        for domain in listed["domains"]:
            rows.append({"protocol": protocol, **{key: value for key, value in domain.items() if not isinstance(value, (list, dict))}})
        separate = sum(path.stat().st_size for path in a.out.glob(f"{protocol}-*/weights/best.safetensors"))
        print(f"{protocol}: {bundle.stat().st_size} bytes; the domains' models by themselves {separate}", flush=True)
    with open(a.out / "table.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, sorted({key for row in rows for key in row}))
        writer.writeheader()
        writer.writerows(rows)


def extract(sepal, bundle, name, to):
    sepal("domains", "extract", bundle, "--domain", name, "-o", to)


main()
