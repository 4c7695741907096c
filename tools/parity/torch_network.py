"""A PyTorch module from an ONNX graph, to be trained: the nodes that Sepal's networks are exported as."""
import onnx
import torch
from onnx import numpy_helper
from torch import nn
from torch.nn import functional as F


def attributes(node):
    return {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}


def symmetric(pads):
    half = len(pads) // 2
    return list(pads[:half]) if pads[:half] == pads[half:] else None


class Network(nn.Module):
    """The nodes of an ONNX graph in their order."""

    def __init__(self, graph):
        super().__init__()
        self.weights = {w.name: torch.from_numpy(numpy_helper.to_array(w).copy()) for w in graph.initializer}
        self.entry, self.exit = graph.input[0].name, graph.output[0].name
        self.nodes, self.modules_of = [], nn.ModuleList()
        for node in graph.node:
            if node.op_type == "Constant":
                self.weights[node.output[0]] = torch.from_numpy(numpy_helper.to_array(attributes(node)["value"]).copy())
                continue
            step = self.step(node, attributes(node))
            if isinstance(step, nn.Module):
                self.modules_of.append(step)
            inputs = [name for name in node.input if name and name not in self.weights]
            self.nodes.append((step, inputs, node.output[0]))
        last = {}
        for index, (_, inputs, _) in enumerate(self.nodes):
            last.update({name: index for name in inputs})
        self.drop = [[n for n in set(inputs) if last[n] == i and n != self.exit] for i, (_, inputs, _) in enumerate(self.nodes)]

    def constant(self, name):
        return self.weights[name]

    def step(self, node, a):
        op = node.op_type
        if op in ("Conv", "ConvTranspose"):
            w = self.constant(node.input[1])
            pads, groups = list(a.get("pads", [0, 0, 0, 0])), a.get("group", 1)
            even = symmetric(pads)
            kind = nn.Conv2d if op == "Conv" else nn.ConvTranspose2d
            i, o = (w.shape[1] * groups, w.shape[0]) if op == "Conv" else (w.shape[0], w.shape[1] * groups)
            conv = kind(i, o, tuple(w.shape[2:]), tuple(a.get("strides", [1, 1])), tuple(even or [0, 0]), groups=groups,
                        dilation=tuple(a.get("dilations", [1, 1])), bias=len(node.input) > 2,
                        **({"output_padding": tuple(a.get("output_padding", [0, 0]))} if op != "Conv" else {}))
            with torch.no_grad():
                conv.weight.copy_(w)
                if len(node.input) > 2:
                    conv.bias.copy_(self.constant(node.input[2]))
            top, left, bottom, right = pads
            return conv if even is not None else nn.Sequential(nn.ZeroPad2d((left, right, top, bottom)), conv)
        if op == "BatchNormalization":
            norm = nn.BatchNorm2d(len(self.constant(node.input[1])), a.get("epsilon", 1e-5))
            with torch.no_grad():
                norm.weight.copy_(self.constant(node.input[1]))
                norm.bias.copy_(self.constant(node.input[2]))
            return norm
        if op == "Gemm":
            w = self.constant(node.input[1])
            w = w if a.get("transB") else w.T
            linear = nn.Linear(w.shape[1], w.shape[0], bias=len(node.input) > 2)
            with torch.no_grad():
                linear.weight.copy_(w)
            return linear
        if op == "PRelu":
            return nn.PReLU(self.constant(node.input[1]).numel())
        if op == "Clip":
            low, high = (float(self.constant(name)) for name in node.input[1:3])
            return lambda x: torch.clamp(x, low, high)
        if op == "MaxPool":
            return nn.MaxPool2d(a["kernel_shape"], a.get("strides"), symmetric(list(a.get("pads", [0] * 4))), ceil_mode=bool(a.get("ceil_mode")))
        if op == "AveragePool":
            return nn.AvgPool2d(a["kernel_shape"], a.get("strides"), symmetric(list(a.get("pads", [0] * 4))), bool(a.get("ceil_mode")),
                                bool(a.get("count_include_pad")))
        if op == "Dropout":
            return nn.Dropout(float(self.constant(node.input[1])) if len(node.input) > 1 and node.input[1] else 0.5)
        if op == "Reshape":
            shape = [int(v) for v in self.constant(node.input[1])]
            return lambda x: x.reshape([x.shape[i] if v == 0 else v for i, v in enumerate(shape)])
        if op == "Resize":
            mode = a["mode"].decode()
            scales = self.weights.get(node.input[2]) if len(node.input) > 2 else None
            to = {"size": [int(v) for v in self.constant(node.input[3])[2:]]} if scales is None or not scales.numel() else \
                {"scale_factor": [float(v) for v in scales[2:]]}
            return lambda x: F.interpolate(x, mode="bilinear" if mode == "linear" else mode, **to)
        simple = {"Relu": F.relu, "HardSwish": F.hardswish, "HardSigmoid": F.hardsigmoid, "Sigmoid": torch.sigmoid, "Add": torch.add,
                  "Mul": torch.mul, "Identity": lambda x: x, "Flatten": lambda x: x.flatten(1), "GlobalAveragePool": lambda x: x.mean((2, 3), keepdim=True),
                  "Concat": lambda *x: torch.cat(x, a.get("axis", 1)), "Softmax": lambda x: torch.softmax(x, a.get("axis", -1))}
        if op not in simple:
            raise SystemExit(f"{node.name}: no module for {op}")
        return simple[op]

    def forward(self, x):
        values = {self.entry: x}
        for (step, inputs, output), drop in zip(self.nodes, self.drop):
            values[output] = step(*(values[name] for name in inputs))
            for name in drop:
                del values[name]
        return values[self.exit]
