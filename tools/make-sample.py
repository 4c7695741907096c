#!/usr/bin/env python3
"""Cut the embedded sample out of Fashion-MNIST.

usage: make-sample.py INPUT OUTPUT [--png FILE]

INPUT holds the four original gz-compressed IDX files (Debian: package dataset-fashion-mnist,
/usr/share/datasets/fashion-mnist). OUTPUT receives the same four names with the first 500 training and
the first 100 test pictures of each class, in the original order. --png writes the first test picture
(an ankle boot) as a grey PNG. The same input gives the same bytes: no time stamps, a fixed level.
"""
import argparse
import gzip
import io
import pathlib
import struct
import zlib

CLASSES = 10
SPLITS = (("train", 500), ("t10k", 100))


def read(path, dims):
    data = gzip.decompress(path.read_bytes())
    head = struct.unpack(f">{1 + dims}I", data[: 4 * (1 + dims)])
    if head[0] != 0x0800 + dims:
        raise SystemExit(f"{path}: magic {head[0]:#x}, expected {0x0800 + dims:#x}")
    return head[1:], data[4 * (1 + dims):]


def write(path, shape, body):
    head = struct.pack(f">{1 + len(shape)}I", 0x0800 + len(shape), *shape)
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", fileobj=buffer, mode="wb", compresslevel=9, mtime=0) as out:
        out.write(head + body)
    path.write_bytes(buffer.getvalue())


def png(path, width, height, grey):
    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = b"".join(b"\0" + grey[y * width:(y + 1) * width] for y in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", type=pathlib.Path)
    parser.add_argument("output", type=pathlib.Path)
    parser.add_argument("--png", type=pathlib.Path)
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    for split, per_class in SPLITS:
        (count, height, width), pixels = read(args.input / f"{split}-images-idx3-ubyte.gz", 3)
        (labels_count,), labels = read(args.input / f"{split}-labels-idx1-ubyte.gz", 1)
        if labels_count != count:
            raise SystemExit(f"{split}: {count} pictures but {labels_count} labels")
        taken, chosen = [0] * CLASSES, []
        for i, label in enumerate(labels):
            if taken[label] < per_class:
                taken[label] += 1
                chosen.append(i)
        size = height * width
        body = b"".join(pixels[i * size:(i + 1) * size] for i in chosen)
        write(args.output / f"{split}-images-idx3-ubyte.gz", (len(chosen), height, width), body)
        write(args.output / f"{split}-labels-idx1-ubyte.gz", (len(chosen),), bytes(labels[i] for i in chosen))
        if split == "t10k" and args.png:
            png(args.png, width, height, pixels[:size])


if __name__ == "__main__":
    main()
