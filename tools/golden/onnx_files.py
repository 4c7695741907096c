"""Makes the ONNX fixtures of sepal-formats: small files by other tools, and ONNX Runtime's outputs for all of them.

    python tools/golden/onnx_files.py crates/sepal-formats/tests/fixtures/onnx

needs torch, onnx, onnxruntime and numpy. Files that the test suite itself wrote (SEPAL_WRITE_FIXTURES=1) are only run.
The input of every file is x[i] = (7919·i mod 1000)/500 − 1, two images.
"""

import pathlib
import sys
import warnings

import numpy as np
import onnx
import onnxruntime as ort
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

warnings.filterwarnings("ignore")
folder = pathlib.Path(sys.argv[1])
rng = np.random.default_rng(0)


class File:
    """A graph under construction: one input, a chain of nodes, constants by value."""

    def __init__(self, name, opset, shape, inputs_list_constants=False):
        self.name, self.opset, self.shape = name, opset, shape
        self.nodes, self.stored, self.count = [], [], 0
        self.listed = inputs_list_constants

    def const(self, value, dtype=np.float32, name=None):
        self.count += 1
        name = name or f"c{self.count}"
        self.stored.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def weight(self, *shape, name=None, dtype=np.float32):
        return self.const(rng.uniform(-0.5, 0.5, shape), dtype, name)

    def ints(self, *values):
        return self.const(values, np.int64)

    def node(self, op, *inputs, outputs=1, **attributes):
        self.count += 1
        names = [f"v{self.count}_{i}" for i in range(outputs)]
        self.nodes.append(helper.make_node(op, list(inputs), names, name=f"{op}_{self.count}", **attributes))
        return names[0] if outputs == 1 else names

    def save(self, output):
        self.nodes.append(helper.make_node("Identity", [output], ["output"], name="last"))
        info = helper.make_tensor_value_info
        inputs = [info("input", TensorProto.FLOAT, ["batch", *self.shape])]
        if self.listed:
            inputs += [info(t.name, t.data_type, t.dims) for t in self.stored]
        outputs = [info("output", TensorProto.FLOAT, ["batch", "features"])]
        graph = helper.make_graph(self.nodes, self.name, inputs, outputs, self.stored)
        ir = 3 if self.listed else 8
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=ir)
        onnx.save(model, folder / f"{self.name}.onnx")


def upsample_9():
    f = File("upsample_9", 9, [3, 5, 6], inputs_list_constants=True)
    x = f.node("Upsample", "input", f.const([1, 1, 2, 3]), mode="nearest")
    x = f.node("Conv", x, f.weight(4, 3, 3, 3), f.weight(4), auto_pad="SAME_UPPER", strides=[2, 2])
    x = f.node("Clip", x, min=0.0, max=6.0)
    x = f.node("Dropout", x, ratio=0.3)
    a, b = f.node("Split", x, outputs=2, axis=1, split=[1, 3])
    b = f.node("Slice", b, starts=[1], ends=[9223372036854775807], axes=[1])
    x = f.node("Concat", a, b, axis=1)
    x = f.node("Pad", x, pads=[0, 0, 1, 0, 0, 0, 2, 1], mode="reflect")
    x = f.node("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2])
    x = f.node("Upsample", x, f.const([1, 1, 1, 2]), mode="linear")
    x = f.node("GlobalAveragePool", x)
    x = f.node("Squeeze", x, axes=[2, 3])
    x = f.node("Unsqueeze", x, axes=[2])
    x = f.node("Flatten", x)
    x = f.node("Gemm", x, f.weight(3, 5), f.weight(5), alpha=0.5, beta=2.0)
    f.save(f.node("Softmax", x))


def odd_11():
    f = File("odd_11", 11, [8, 6, 7])
    x = f.node("Conv", "input", f.weight(8, 2, 3, 2), auto_pad="SAME_LOWER", group=4)
    x = f.node("PRelu", x, f.weight(8, 1, 1))
    x = f.node("MaxPool", x, kernel_shape=[2, 3], strides=[2, 2], pads=[0, 1, 0, 1], ceil_mode=1)
    x = f.node("DepthToSpace", x, blocksize=2, mode="CRD")
    y = f.node("SpaceToDepth", f.node("DepthToSpace", x, blocksize=1), blocksize=2)
    size = f.node("Concat", f.node("Slice", f.node("Shape", y), f.ints(0), f.ints(1)), f.ints(8, 5, 9), axis=0)
    y = f.node("Resize", y, f.const([]), f.const([]), size, mode="linear",
               coordinate_transformation_mode="align_corners")
    x = f.node("Resize", x, f.const([]), f.const([1, 1, 1.5, 0.7]), mode="nearest",
               coordinate_transformation_mode="half_pixel", nearest_mode="round_prefer_ceil")
    x = f.node("AveragePool", x, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)
    x = f.node("HardSigmoid", x)
    shape = f.node("Shape", x)
    batch = f.node("Gather", shape, f.const(0, np.int64), axis=0)
    parts = f.node("Concat", f.node("Unsqueeze", batch, axes=[0]), f.ints(-1), axis=0)
    x = f.node("Reshape", x, parts)
    y = f.node("ReduceMean", y, axes=[-2, -1], keepdims=0)
    y = f.node("Pow", f.node("Neg", y), f.const(3))
    y = f.node("Div", f.const(2), f.node("Add", y, f.const([[4] * 8])))
    y = f.node("Max", f.node("Min", y, f.const(0.6)), f.const(0.45))
    f.save(f.node("Concat", x, y, axis=-1))


def odd_18():
    f = File("odd_18", 18, [4, 6, 6])
    x = f.node("ConvTranspose", "input", f.weight(4, 3, 3, 3), f.weight(6), group=2, strides=[2, 2],
               pads=[1, 0, 1, 1], output_padding=[1, 1])
    x = f.node("Mish", x)
    a, b = f.node("Split", x, outputs=2, axis=1, num_outputs=2)
    x = f.node("Sub", a, f.node("Sum", b, a, f.const(np.ones((1, 3, 1, 1)))))
    x = f.node("Pad", x, f.ints(1, 0, 0, 2), f.const(0.25), f.ints(2, 3))
    shape = f.node("Shape", x)
    n = f.node("Slice", shape, f.ints(0), f.ints(1), f.ints(0))
    # Pixels as tokens, with one more before them.
    x = f.node("Reshape", x, f.node("Concat", n, f.ints(3, -1), axis=0))
    x = f.node("Transpose", x, perm=[0, 2, 1])
    token = f.weight(1, 1, 3, name="token")
    size = f.node("Concat", n, f.ints(-1, -1), axis=0)
    ones = f.node("ConstantOfShape", f.ints(3), value=numpy_helper.from_array(np.array([1], np.int64)))
    size = f.node("Where", f.node("Equal", size, f.node("Mul", ones, f.ints(-1))), ones, size)
    x = f.node("Concat", f.node("Expand", token, size), x, axis=1)
    half = f.node("Cast", f.weight(3, 5, dtype=np.float16, name="fc.weight"), to=TensorProto.FLOAT)
    x = f.node("Add", f.node("MatMul", x, half), f.weight(5))
    # A layer norm and a GELU in small pieces.
    d = f.node("Sub", x, f.node("ReduceMean", x, f.ints(-1)))
    v = f.node("ReduceMean", f.node("Pow", d, f.const(2)), f.ints(-1))
    x = f.node("Div", d, f.node("Sqrt", f.node("Add", v, f.const(1e-5))))
    x = f.node("Add", f.node("Mul", x, f.weight(5)), f.weight(5))
    s = f.node("Add", f.node("Erf", f.node("Div", x, f.const(np.sqrt(2)))), f.const(1))
    x = f.node("Mul", f.node("Mul", x, s), f.const(0.5))
    s = f.node("Tanh", f.node("Mul", f.const(np.sqrt(2 / np.pi)), f.node(
        "Add", x, f.node("Mul", f.const(0.044715), f.node("Pow", x, f.const(3))))))
    x = f.node("Mul", f.const(0.5), f.node("Mul", x, f.node("Add", f.const(1), s)))
    x = f.node("Div", f.node("Mul", x, f.node("Clip", f.node("Add", x, f.const(3)), f.const(0), f.const(6))), f.const(6))
    x = f.node("Softmax", x, axis=1)
    first = f.node("Gather", x, f.const(0, np.int64), axis=1)
    last = f.node("Gather", x, f.ints(2, 4, 6), axis=1)
    f.save(f.node("Concat", first, f.node("ReduceMean", last, f.ints(1), keepdims=0), axis=1))


class Squeeze(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(c, 2, 1), nn.Conv2d(2, c, 1)

    def forward(self, x):
        y = self.fc2(nn.functional.silu(self.fc1(x.mean((2, 3), keepdim=True))))
        return x * nn.functional.hardsigmoid(y)


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8, momentum=0.03), nn.Hardswish())
        self.se = Squeeze(8)
        self.mix = nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1, groups=8), nn.Mish(), nn.Conv2d(8, 8, 1), nn.SiLU())
        self.norm, self.fc = nn.LayerNorm(8), nn.Linear(8, 12)
        self.gamma = nn.Parameter(torch.full((12,), 0.3))
        self.head = nn.Linear(12 * 4, 5)

    def forward(self, x):
        x = self.se(self.stem(x))
        x = x + self.mix(x)
        x = nn.functional.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        x = nn.functional.adaptive_avg_pool2d(x, 2).permute(0, 2, 3, 1)
        x = nn.functional.gelu(self.fc(self.norm(x))) * self.gamma
        x = torch.cat(x.permute(0, 3, 1, 2).chunk(2, 1)[::-1], 1)
        return self.head(x.reshape(x.size(0), -1))


def by_torch(opset):
    torch.manual_seed(opset)
    net = Network()
    for _ in range(3):
        net(torch.randn(4, 3, 8, 8))
    torch.onnx.export(net.eval(), torch.randn(2, 3, 8, 8), folder / f"torch_{opset}.onnx", dynamo=False,
                      opset_version=opset, input_names=["input"], output_names=["logits"],
                      dynamic_axes={"input": {0: "batch"}, "logits": {0: "batch"}})


folder.mkdir(parents=True, exist_ok=True)
for make in [upsample_9, odd_11, odd_18]:
    make()
for opset in [13, 17]:
    by_torch(opset)
for path in sorted(folder.glob("*.onnx")):
    onnx.checker.check_model(onnx.load(path), full_check=True)
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    shape = [2, *session.get_inputs()[0].shape[1:]]
    x = (np.arange(np.prod(shape)) * 7919 % 1000).astype(np.float32) / np.float32(500) - np.float32(1)
    y = session.run(None, {session.get_inputs()[0].name: x.reshape(shape)})[0]
    np.save(path.with_suffix(".npy"), y)
    print(path.name, path.stat().st_size, "bytes", y.shape)
