"""How far the inputs of a network's activations stay from the points where their derivatives jump."""
import torch
from torch.utils._python_dispatch import TorchDispatchMode


class Inputs(TorchDispatchMode):
    """Collects (input, kinks) of every activation that runs."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.__name__.split(".")[0].rstrip("_")
        points = {"relu": (0.0,), "_prelu_kernel": (0.0,), "hardswish": (-3.0, 3.0), "hardsigmoid": (-3.0, 3.0)}.get(name)
        if name == "hardtanh":
            points = args[1:3]
        if points:
            self.seen.append((args[0].double().clone(), points))
        return func(*args, **(kwargs or {}))


def margin(net, x):
    """The least distance of an activation's input in f64 from a kink, in units of that layer's error in f32 (RMS).

    Above about five, f32 and f64 take the same side everywhere. The network is left in f32."""
    kept = {k: v.clone() for k, v in net.state_dict().items()}
    runs = []
    for dtype in (torch.float64, torch.float32):
        net.to(dtype).train()
        with torch.no_grad(), Inputs() as inputs:
            net(x.to(dtype))
        runs.append(inputs.seen)
        net.load_state_dict(kept)
    least = float("inf")
    for (exact, points), (single, _) in zip(*runs):
        error = float((exact - single).square().mean().sqrt())
        for point in points:
            # What an activation before this one put exactly on the kink is there in both.
            off = exact[(exact != point) | (single != point)] - point
            if error > 0 and off.numel() > 0:
                least = min(least, float(off.abs().min()) / error)
    return least
