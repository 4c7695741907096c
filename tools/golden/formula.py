"""The closed formula that fills weights and inputs of golden files (see `Weights::formula` in sepal-graph)."""
import numpy as np


def noise(p, i):
    """Pseudo-random values in [-1, 1), multiples of 2^-23, for parameter `p` and indices `i`."""
    i = np.asarray(i, dtype=np.uint64)
    mask = np.uint64(0xFFFFFFFF)
    h = (i * np.uint64(2654435761) + np.uint64(p * 2246822519 + 1)) & mask
    h = ((h ^ (h >> np.uint64(15))) * np.uint64(2246822519)) & mask
    h = ((h ^ (h >> np.uint64(13))) * np.uint64(3266489917)) & mask
    h = h ^ (h >> np.uint64(16))
    return (h >> np.uint64(8)).astype(np.float64) / 8388608.0 - 1.0


def tensor(p, shape, centre=0.0, scale=1.0):
    """An f32 array of `shape` filled with `centre + scale * noise`."""
    count = int(np.prod(shape))
    return (centre + scale * noise(p, np.arange(count))).astype(np.float32).reshape(shape)


def fill(module, torch):
    """Fills a PyTorch module whose parameters are registered in the order of the graph."""
    p = 0
    for name, value in module.state_dict().items():
        if name.endswith("num_batches_tracked"):
            continue
        kind = name.rsplit(".", 1)[1]
        shape = tuple(value.shape)
        if kind == "weight" and len(shape) == 4:
            centre, scale = 0.0, np.sqrt(6.0 / (shape[1] * shape[2] * shape[3]))
        elif kind == "weight" and len(shape) == 2:
            centre, scale = 0.0, np.sqrt(3.0 / shape[1])
        elif kind == "weight":
            centre, scale = 1.0, 0.25
        elif kind == "running_var":
            centre, scale = 1.0, 0.5
        else:
            centre, scale = 0.0, 0.1
        value.copy_(torch.from_numpy(tensor(p, shape, centre, scale)))
        p += 1
