#!/usr/bin/env python3
"""Makes networks/*.json: what PyTorch computes for every network, in eval and in training mode.

Definitions are those of timm 1.0.31, bsconv 0.4.0 and references/. Weights and pictures come from a closed formula
(formula.py, `Weights::formula`), so a golden holds results only, computed in f64:

- `plain`, weights of the formula: logits in eval and in training mode, and the loss.
- `calm`, the same, but of every norm 15 channels in 16 have a quarter of the scale and 1 more of shift: the same
  and the gradient of every parameter as its norm and its dot product with `noise(2000 + p, i)`. A ReLU's
  gradient jumps at 0, where f32 and f64 may take different sides, so activations should stay clear of their kinks: most
  channels do by their norms, and the pictures (`noise(seed, i)`) are the first of which the others do (kinks.py).

`torch_f32` holds PyTorch's own errors in f32 against f64, for comparison: of logits relative to the largest, of a gradient
relative to its norm.

    python tools/golden/networks.py --sepal target/release/sepal [NAME…]     (needs torch, timm, bsconv, numpy)
"""
import argparse
import json
import pathlib
import re
import warnings

import numpy as np
import torch

import formula
import kinks
import match

HERE = pathlib.Path(__file__).parent
CLASSES, BATCH = 5, 4
# A gradient less than this share of the greatest is measured against that share: some are 0 but for rounding.
FLOOR = 1e-3
KINKED = 16
# Pictures tried until all inputs of activations are this many RMS errors of f32 from a kink.
TRIES, MARGIN = 40, 15.0


def timm(name, **options):
    import timm as package
    return lambda classes: package.create_model(name, num_classes=classes, drop_rate=0.0, **options)


def bsconv(name):
    from bsconv.pytorch import get_model
    return lambda classes: get_model(name, num_classes=classes)


def own(module, name, **options):
    import importlib
    return lambda classes: getattr(importlib.import_module(f"references.{module}"), name)(classes, **options)


# Spec; height and width, or both and the batch; and who defines the network.
ROWS = [
    ("mobilenet_v1:activation=relu6", 64, timm("mobilenetv1_100")),
    ("mobilenet_v1:activation=relu6,width=1.25", 64, timm("mobilenetv1_125")),
    ("mobilenet_v1:block=bsconv_u,data_norm=yes", 64, bsconv("mobilenetv1_w1_bsconvu")),
    ("mobilenet_v1:stem=cifar,data_norm=yes", 32, bsconv("cifar_mobilenetv1_w1")),
    ("mobilenet_v1:stem=cifar,width=0.5,data_norm=yes", 32, bsconv("cifar_mobilenetv1_w1d2")),
    ("mobilenet_v1:stem=cifar,width=0.5,block=bsconv_u,data_norm=yes", 32, bsconv("cifar_mobilenetv1_w1d2_bsconvu")),
    ("mobilenet_v2", 64, timm("mobilenetv2_100")),
    ("mobilenet_v2:width=1.4", 64, timm("mobilenetv2_140")),
    ("mobilenet_v2:stem=cifar,data_norm=yes", 32, bsconv("cifar_mobilenetv2_w1")),
    ("mobilenet_v3_large", 64, timm("mobilenetv3_large_100")),
    ("mobilenet_v3_small", 64, timm("mobilenetv3_small_100")),
    ("mobilenet_v3_large:stem=cifar,data_norm=yes", 32, bsconv("cifar_mobilenetv3_large_w1")),
    ("mobilenet_v3_small:stem=cifar,data_norm=yes", 32, bsconv("cifar_mobilenetv3_small_w1")),
    ("mobilenet_v4_conv_small", (64, 64, 8), timm("mobilenetv4_conv_small")),
    ("efficientnet_lite0", 64, timm("tf_efficientnet_lite0")),
    ("xception", 71, timm("legacy_xception")),
    ("xception41", (71, 71, 2), timm("xception41")),
    ("xception65", (71, 71, 2), timm("xception65")),
    ("xception71", (71, 71, 2), timm("xception71")),
    ("inception_v3", (107, 107, 2), timm("inception_v3", aux_logits=False)),
    ("resnet18:data_norm=yes", 64, bsconv("resnet18")),
    ("resnet18:block=bsconv_u,data_norm=yes", 64, bsconv("resnet18_bsconvu")),
    ("resnet26", 64, timm("resnet26")),
    ("resnet34", 64, timm("resnet34")),
    ("resnet50", 64, timm("resnet50")),
    ("resnext50_32x4d", 64, timm("resnext50_32x4d")),
    ("densenet121", 64, timm("densenet121")),
    ("resnet20:data_norm=yes", 32, bsconv("cifar_resnet20")),
    ("resnet20:block=bsconv_u,data_norm=yes", 32, bsconv("cifar_resnet20_bsconvu")),
    ("resnet20:block=bsconv_s,p=0.25,data_norm=yes", 32, bsconv("cifar_resnet20_bsconvs_p1d4")),
    ("wrn16_1:data_norm=yes", 32, bsconv("cifar_wrn16_1")),
    ("wrn16_4:block=bsconv_u,data_norm=yes", 32, bsconv("cifar_wrn16_4_bsconvu")),
    ("wrn16_4:block=bsconv_s,p=0.25,data_norm=yes", 32, bsconv("cifar_wrn16_4_bsconvs_p1d4")),
    ("resdsc26", 32, own("resdsc", "ResDSC26")),
    ("pydmobilenet:merge=add,depth=29,multiplier=0.5", 32, own("pydmobilenet", "PydMobileNet", merge="add", depth=29, multiplier=0.5)),
    ("pydmobilenet:merge=concat,depth=29,multiplier=0.5", 32, own("pydmobilenet", "PydMobileNet", merge="concat", depth=29, multiplier=0.5)),
    ("pydmobilenet:merge=add,depth=56,multiplier=1", 32, own("pydmobilenet", "PydMobileNet", merge="add", depth=56, multiplier=1)),
    ("pydmobilenet:merge=concat,depth=56,multiplier=0.75", 32, own("pydmobilenet", "PydMobileNet", merge="concat", depth=56, multiplier=0.75)),
    ("espnet_c:p=2,q=3", (64, 96), own("espnet", "EspNetC", p=2, q=3)),
    ("espnet:p=2,q=3", (64, 96), own("espnet", "EspNet", p=2, q=3)),
    ("espnet:p=2,q=3,level1=16", (64, 96), own("espnet", "EspNet", p=2, q=3, level1=16)),
]


def probe(p, values):
    """A tensor's norm and its dot product with the formula's noise of ordinal `p`."""
    values = values.detach().double().flatten().numpy()
    return float(np.linalg.norm(values)), float(values @ formula.noise(p, np.arange(values.size)))


def step(net, x, labels, rows):
    """Logits, loss and gradients of one step in training mode; running statistics are put back."""
    kept = {k: v.clone() for k, v in net.state_dict().items()}
    net.train()
    net.zero_grad()
    logits = net(x)
    loss = torch.nn.functional.cross_entropy(logits, labels)
    loss.backward()
    gradients = [tensor.grad.double() if isinstance(tensor, torch.nn.Parameter) else None for _, tensor, *_ in rows]
    net.load_state_dict(kept)
    return logits.detach().double(), float(loss.detach()), gradients


def evaluated(net, x):
    with torch.no_grad():
        return net.eval()(x).double()


def distance(got, want):
    return float((got - want).abs().max() / want.abs().max())


def digits(value):
    if isinstance(value, dict):
        return {k: digits(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [digits(v) for v in value]
    return float(f"{value:.9g}") if isinstance(value, float) else value


def outputs(logits):
    """Logits of pictures in full, of maps as norm and dot product with `noise(1001, i)`."""
    return logits.flatten().tolist() if logits.dim() == 2 else list(probe(1001, logits))


def clear(net, shape):
    """The first seed whose pictures keep every activation clear of its kinks, or the best of those tried."""
    best = (0.0, 0)
    for seed in range(1000, 1000 + TRIES):
        best = max(best, (kinks.margin(net, torch.from_numpy(formula.tensor(seed, tuple(shape)))), -seed))
        if best[0] >= MARGIN:
            break
    margin, seed = best
    return -seed, torch.from_numpy(formula.tensor(-seed, tuple(shape))), margin


def golden(sepal, spec, size, build):
    *size, batch = (size, size, BATCH) if isinstance(size, int) else (*size, BATCH)[:3]
    layers = match.layers(sepal, spec, size, CLASSES)
    x = torch.from_numpy(formula.tensor(1000, (batch, 3, *size)))
    torch.manual_seed(0)
    net = build(CLASSES).eval()
    modules = match.match(layers, net, x)
    rows = match.parameters(layers, modules)
    result = {"spec": spec, "size": size, "classes": CLASSES, "batch": batch, "kinked": KINKED}
    for variant, kinked in (("plain", 1), ("calm", KINKED)):
        match.fill(rows, kinked)
        if variant == "calm":
            result["seed"], x, margin = clear(net, x.shape)
            print(f"  seed {result['seed']}: {margin:.1f} errors from a kink", flush=True)
            rows = match.parameters(layers, modules)
        runs = []
        for dtype in (torch.float64, torch.float32):
            net.to(dtype)
            pictures = x.to(dtype)
            # Parameters are converted in place, statistics are not: name them anew.
            rows = match.parameters(layers, modules)
            logits = evaluated(net, pictures)
            labels = torch.tensor([(7 * i + 3) % CLASSES for i in range(logits[:, 0].numel())])
            labels = labels.reshape(logits[:, 0].shape)
            runs.append((logits, *step(net, pictures, labels, rows)))
        exact, single = runs
        out = {"eval_logits": outputs(exact[0]), "train_logits": outputs(exact[1]), "loss": exact[2]}
        errors = {"eval_logits": distance(single[0], exact[0]), "train_logits": distance(single[1], exact[1])}
        largest = max(float(g.norm()) for g in exact[3] if g is not None)
        worst, where = 0.0, ""
        for (path, *_), got, want in zip(rows, single[3], exact[3]):
            if want is not None:
                error = float((got - want).norm() / max(float(want.norm()), FLOOR * largest))
                worst, where = max((worst, where), (error, path))
        errors["gradients"] = worst
        if variant == "calm":
            out["gradients"] = [probe(2000 + p, g) for p, g in enumerate(exact[3]) if g is not None]
        out["torch_f32"] = errors
        result[variant] = out
        print(f"  {variant}: eval {distance(single[0], exact[0]):.1e} train {errors['train_logits']:.1e} gradients {worst:.1e} ({where})"
              f" loss {exact[2]:.4f} largest {float(exact[1].abs().max()):.3g} {float(exact[0].abs().max()):.3g}")
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sepal", required=True, help="the sepal binary")
    parser.add_argument("names", nargs="*", help="only the specs that contain one of these")
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    (HERE / "networks").mkdir(exist_ok=True)
    failed = 0
    for spec, size, build in ROWS:
        if args.names and not any(name in spec for name in args.names):
            continue
        print(spec, flush=True)
        try:
            result = golden(args.sepal, spec, size, build)
        except Exception as error:
            detail = getattr(error, "stderr", None) or error
            print(f"  FAILED: {type(error).__name__}: {detail}", flush=True)
            failed += 1
            continue
        name = re.sub(r"[^a-z0-9_.]+", "-", spec.replace("activation=", ""))
        (HERE / "networks" / f"{name}.json").write_text(json.dumps(digits(result), separators=(",", ":")) + "\n")
    raise SystemExit(1 if failed else 0)


if __name__ == "__main__":
    main()
