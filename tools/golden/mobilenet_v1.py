#!/usr/bin/env python3
"""Makes mobilenet_v1.json: what PyTorch computes for a narrow MobileNet V1 in its CIFAR form.

An independent definition (Howard et al. 2017, table 1; first two strides 1), with SiLU in place of ReLU: at
ReLU's kinks f32 and f64 part by 1 % in PyTorch itself, with a smooth activation by 1e-5. Weights and pictures come
from a closed formula, so the file holds results only: logits in eval mode, then ten steps of SGD
(momentum .9, Nesterov, weight decay on convolutions and the classifier), with every gradient of the
first step as its norm and first values.

    python tools/golden/mobilenet_v1.py        (needs torch and numpy)
"""
import json
import pathlib

import numpy as np
import torch

import formula

BATCH, SIZE, CLASSES, WIDTH = 16, 32, 10, 0.25


def unit(c_in, c_out, stride):
    return torch.nn.Sequential(
        torch.nn.Conv2d(c_in, c_in, 3, stride, 1, groups=c_in, bias=False), torch.nn.BatchNorm2d(c_in), torch.nn.SiLU(),
        torch.nn.Conv2d(c_in, c_out, 1, bias=False), torch.nn.BatchNorm2d(c_out), torch.nn.SiLU())


def network():
    rows = [(64, 1), (128, 1), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1)]
    c = int(32 * WIDTH)
    layers = [torch.nn.Conv2d(3, c, 3, 1, 1, bias=False), torch.nn.BatchNorm2d(c), torch.nn.SiLU()]
    for filters, stride in rows:
        layers.append(unit(c, int(filters * WIDTH), stride))
        c = int(filters * WIDTH)
    return torch.nn.Sequential(*layers, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(c, CLASSES))


def numbers(values, count=4):
    return [float(v) for v in values.detach().flatten()[:count]]


torch.manual_seed(0)
torch.set_num_threads(1)
net = network()
formula.fill(net, torch)
x = torch.from_numpy(formula.tensor(1000, (BATCH, 3, SIZE, SIZE)))
labels = torch.tensor([(7 * i + 3) % CLASSES for i in range(BATCH)])
golden = {"spec": f"mobilenet_v1:stem=cifar,width={WIDTH},activation=silu", "batch": BATCH, "size": SIZE, "classes": CLASSES, "labels": labels.tolist()}

# f64 is the truth that both implementations round from.
exact = network().double()
exact.load_state_dict({k: v.double() if v.is_floating_point() else v for k, v in net.state_dict().items()})
golden["eval_logits"] = exact.eval()(x.double()).flatten().tolist()

loss_function = torch.nn.CrossEntropyLoss(label_smoothing=0.1)
for name, model, pictures in (("f32", net, x), ("f64", exact, x.double())):
    model.train()
    decay = [p for p in model.parameters() if p.dim() > 1]
    plain = [p for p in model.parameters() if p.dim() == 1]
    sgd = torch.optim.SGD([{"params": decay, "weight_decay": 1e-3}, {"params": plain, "weight_decay": 0.0}],
                          lr=0.001, momentum=0.9, nesterov=True)
    losses = []
    for step in range(10):
        sgd.zero_grad()
        loss = loss_function(model(pictures), labels)
        loss.backward()
        losses.append(loss.item())
        if step == 0 and name == "f64":
            golden["gradients"] = [{"norm": float(p.grad.norm()), "first": numbers(p.grad)} for p in model.parameters()]
            stats = [b for n, b in model.named_buffers() if "running" in n]
            golden["running"] = [{"sum": float(b.sum()), "first": numbers(b)} for b in stats]
        sgd.step()
    golden[f"losses_{name}"] = losses
    golden[f"final_{name}"] = [numbers(p) for p in model.parameters()][-2:]

pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(golden, indent=1) + "\n")
print("eval", golden["eval_logits"][:3], "losses", golden["losses_f32"], golden["losses_f64"])
