"""Finds the module of a PyTorch network that is each layer of a Sepal graph, and fills it with the closed formula."""
import json
import subprocess

import numpy as np
import torch
from torch import nn

import formula

NORMS = (nn.BatchNorm2d,)


def layers(sepal, spec, size, classes):
    """The layers of a spec that hold tensors, in the graph's order, as `sepal summary` lists them."""
    size = "x".join(map(str, size))
    out = subprocess.run([sepal, "summary", spec, "--size", size, "--classes", str(classes), "--json"],
                         check=True, capture_output=True, text=True).stdout
    rows = json.loads(out.splitlines()[-1])["layers"]
    return [row for row in rows if row["params"] > 0 or row["type"] == "BatchNorm"]


def shapes(layer):
    """Names and shapes of a layer's tensors, in the order of the graph, and the scale of its weight."""
    c_in, c_out, params = layer["input"][0], layer["output"][0], layer["params"]
    kind = layer["type"]
    if kind == "BatchNorm":
        names = ["weight", "bias"] if params else []
        return [(name, (c_in,)) for name in [*names, "running_mean", "running_var"]], None
    if kind == "PReLU":
        return [("weight", (params,))], None
    if kind == "Linear":
        weight, scale = (c_out, c_in), np.sqrt(3.0 / c_in)
    else:
        kernel, groups = layer["kernel"], layer["groups"]
        weight = (c_in, c_out // groups, *kernel) if kind == "ConvTranspose2d" else (c_out, c_in // groups, *kernel)
        scale = np.sqrt(6.0 / (c_in // groups * kernel[0] * kernel[1]))
    bias = params > np.prod(weight)
    return [("weight", weight), *([("bias", (c_out,))] if bias else [])], scale


def executed(net, x):
    """The modules that hold tensors, in the order in which they run, but shortcuts that timm computes last first."""
    order = []
    own = [m for m in net.modules() if any(True for _ in m.parameters(False)) or any(True for _ in m.buffers(False))]
    hooks = [module.register_forward_pre_hook(lambda module, _: order.append(module)) for module in own]
    with torch.no_grad():
        net(x)
    for hook in hooks:
        hook.remove()
    missed = {id(m) for m in own} - {id(m) for m in order}
    assert not missed and len(order) == len(own), f"{len(missed)} modules of {len(own)} never ran"
    names = {id(module): name for name, module in net.named_modules()}
    for module in [m for m in order if ".downsample." in names[id(m)]]:
        block = names[id(module)].split("downsample.")[0]
        order.remove(module)
        inside = [names[id(m)].startswith(block) and ".downsample." not in names[id(m)] for m in order]
        order.insert(inside.index(True), module)
    return order


def signature(module):
    """What must agree: the kind, the names and shapes of tensors (1×1 convolutions of pooled maps may be linear layers)."""
    kind = "norm" if isinstance(module, NORMS) else "slope" if isinstance(module, nn.PReLU) else "product"
    tensors = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
    tensors = [(name, tuple(t.shape)) for name, t in tensors if name != "num_batches_tracked"]
    stride = tuple(module.stride) if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)) else (1, 1)
    return kind, tensors, stride


def agrees(module, layer):
    kind, tensors, stride = signature(module)
    want = "norm" if layer["type"] == "BatchNorm" else "slope" if layer["type"] == "PReLU" else "product"
    squeezed = [(name, shape[:2] if layer["type"] == "Linear" else shape) for name, shape in tensors]
    if want != kind or squeezed != shapes(layer)[0]:
        return False
    if want != "product" or layer["type"] in ("Linear", "ConvTranspose2d"):
        return True
    # A stride of 1 keeps a "same" map, and shrinks a valid one by less than half.
    return (stride[0] > 1) == (layer["output"][1] <= (layer["input"][1] + 1) // 2 < layer["input"][1])


def match(layers, net, x):
    """The module of each layer: both are in the order of computation."""
    modules = executed(net, x)
    assert len(modules) == len(layers), f"{len(modules)} modules for {len(layers)} layers"
    for layer, module in zip(layers, modules):
        assert agrees(module, layer), f"{layer['name']} is no {module}"
    return modules


def parameters(layers, modules):
    """(path, PyTorch tensor, centre, scale) of every tensor, in the graph's order, as `Weights::formula` counts them."""
    rows = []
    for layer, module in zip(layers, modules):
        tensors, weight_scale = shapes(layer)
        for name, _ in tensors:
            centre, scale = {"bias": (0.0, 0.1), "running_mean": (0.0, 0.1), "running_var": (1.0, 0.5)}.get(name, (0.0, weight_scale))
            if name == "weight" and layer["type"] == "BatchNorm":
                centre, scale = 1.0, 0.25
            if name == "weight" and layer["type"] == "PReLU":
                centre, scale = 0.25, 0.1
            rows.append((f"{layer['name']}.{name}", getattr(module, name), centre, scale))
    return rows


def fill(rows, kinked=1):
    """Fills all tensors. Of every norm, only one channel in `kinked` keeps the formula's scale and shift: the others
    have a quarter of the scale and 1 more of shift, in f32."""
    for p, (path, tensor, centre, scale) in enumerate(rows):
        values = formula.tensor(p, tuple(tensor.shape), centre, scale)
        calm = np.arange(len(values)) % kinked > 0
        if centre == 1.0 and path.endswith(".weight"):
            values[calm] *= np.float32(0.25)
        elif path.endswith(".bias") and rows[p - 1][2] == 1.0:
            values[calm] += np.float32(1.0)
        with torch.no_grad():
            tensor.copy_(torch.from_numpy(values))
