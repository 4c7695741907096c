#!/usr/bin/env python3
"""Imports timm networks that are not in the registry: exported from PyTorch, imported, run, compared with PyTorch.

Both of PyTorch's exporters are tried, the one that traces (opset 17) and the one that captures (`--dynamo`, opset 18).

    python tools/parity/timm_zoo.py --sepal target/release/sepal [NAME…]     (needs torch, timm, onnx, onnxscript, numpy)
"""
import argparse
import contextlib
import io
import pathlib
import tempfile
import warnings

import timm
import torch

import common

TOLERANCE = 1e-4
NAMES = """
regnety_002  regnetx_002  ghostnet_050  convnext_atto  mobileone_s0  repvgg_a0  fbnetc_100  mnasnet_050  hrnet_w18_small  dla34
res2net50_26w_4s  seresnet18  ecaresnet26t  edgenext_xx_small  cspresnet50  vgg11_bn  tinynet_e  lcnet_050  hardcorenas_a
mixer_s32_224  gmlp_s16_224  resmlp_12_224  efficientnet_b0  spnasnet_100  selecsls42b  skresnet18  semnasnet_050  rexnet_100
mobilevit_xxs  mobilenetv4_hybrid_medium  repghostnet_050  fasternet_t0  starnet_s1  inception_v4  vit_tiny_patch16_224
""".split()


def network(name):
    """The network with random weights, norms as training would leave them."""
    torch.manual_seed(0)
    net = timm.create_model(name, num_classes=10).eval()
    with torch.no_grad():
        for module in net.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
                if module.affine:
                    module.weight.uniform_(0.5, 1.5)
                    module.bias.normal_(0, 0.1)
        # What starts at zero, such as some classifiers, would hide everything before it.
        for parameter in net.parameters():
            if not parameter.any():
                parameter.normal_(0, 0.05)
    return net


def export(net, x, path, dynamo):
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        kwargs = {"external_data": False} if dynamo else {}
        torch.onnx.export(net, (x,), str(path), dynamo=dynamo, opset_version=18 if dynamo else 17,
                          input_names=["input"], output_names=["output"], **kwargs)


def check(args, name, dynamo, folder):
    net = network(name)
    x = torch.randn(1, *net.default_cfg["input_size"])
    with torch.no_grad():
        want = net(x).numpy()
    try:
        export(net, x, folder / "net.onnx", dynamo)
    except Exception as error:
        raise common.Failure(f"PyTorch does not export it: {str(error).splitlines()[0]}") from error
    done = common.sepal(args.sepal, "import", folder / "net.onnx", "-o", folder / "net.safetensors")
    got = common.run(args.sepal, folder / "net.safetensors", x.numpy(), folder)
    return f"{done['nodes']} nodes, {done['params']:,} params, " + common.within("error", common.distance(got, want), TOLERANCE)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sepal", required=True, help="the sepal binary")
    parser.add_argument("--exporter", choices=["trace", "dynamo", "both"], default="both")
    parser.add_argument("names", nargs="*", help="only these networks of timm")
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name in args.names or NAMES:
        for exporter in ["trace", "dynamo"] if args.exporter == "both" else [args.exporter]:
            label = f"{name} ({exporter})"
            try:
                with tempfile.TemporaryDirectory() as folder:
                    print(f"{label:44} {check(args, name, exporter == 'dynamo', pathlib.Path(folder))}", flush=True)
                rows.append((label, None))
            except Exception as error:
                print(f"{label:44} FAILED {type(error).__name__}: {error}", flush=True)
                rows.append((label, str(error).splitlines()[0]))
    common.report(rows)


if __name__ == "__main__":
    main()
