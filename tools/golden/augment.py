"""Writes augment.txt: operations on a small picture as torchvision does them on PIL images (hue: on tensors). Each line:
operation, strength, bytes of the result in hex.

    python augment.py > augment.txt
"""
import numpy as np
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F
from torchvision.transforms.autoaugment import _apply_op

import formula

WIDTH, HEIGHT = 19, 15


def picture():
    """A gradient with noise, so that channels differ in range and histogram."""
    noise = formula.noise(1, np.arange(HEIGHT * WIDTH * 3)).reshape(HEIGHT, WIDTH, 3)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    base = np.stack([14 * y + 30, 11 * x + 20, 7 * (x + y) + 10], axis=2)
    return np.clip(base + 25 * noise, 0, 255).astype(np.uint8)


def line(name, strength, pixels):
    print(name, strength, np.asarray(pixels, dtype=np.uint8).tobytes().hex())


def main():
    image = Image.fromarray(picture())
    line("original", 0, image)
    cases = {
        "ShearX": (0.3, -0.99), "ShearY": (0.23, -0.7), "TranslateX": (3.7, -5.0), "TranslateY": (-2.2, 4.0),
        "Rotate": (30.0, -77.0), "Brightness": (0.6, -0.35), "Color": (0.9, -0.5), "Contrast": (0.8, -0.4),
        "Sharpness": (0.9, -0.6), "Posterize": (2, 4, 8), "Solarize": (0.0, 119.0, 255.0), "AutoContrast": (0.0,),
        "Equalize": (0.0,),
    }
    for name, strengths in cases.items():
        for strength in strengths:
            line(name, strength, _apply_op(image, name, strength, InterpolationMode.NEAREST, None))
    tensor = torch.from_numpy(picture()).permute(2, 0, 1)
    for turn in (0.1, -0.25, 0.5):
        line("hue", turn, F.adjust_hue(tensor, turn).permute(1, 2, 0).numpy())


main()
