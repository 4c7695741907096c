"""ResDSC-26 (Guo et al. 2019, arXiv:1902.00927): a ResNet-26 whose every convolution is depthwise separable."""
import torch
from torch import nn
from torch.nn import functional as F


def separable(c_in, c_out, stride=1):
    """Depthwise 3×3, then pointwise, nothing between."""
    return nn.Sequential(nn.Conv2d(c_in, c_in, 3, stride, 1, groups=c_in, bias=False), nn.Conv2d(c_in, c_out, 1, bias=False))


class Block(nn.Module):
    """The basic block; where the shape changes, the shortcut is an average pool, its channels doubled with zeros."""

    def __init__(self, c_in, c_out, stride):
        super().__init__()
        self.sep1, self.bn1 = separable(c_in, c_out, stride), nn.BatchNorm2d(c_out)
        self.sep2, self.bn2 = separable(c_out, c_out), nn.BatchNorm2d(c_out)
        self.grows = stride > 1

    def forward(self, x):
        y = self.bn2(self.sep2(F.relu(self.bn1(self.sep1(x)))))
        if self.grows:
            x = F.avg_pool2d(x, 2)
            x = torch.cat([x, torch.zeros_like(x)], 1)
        return F.relu(y + x)


class ResDSC26(nn.Module):
    def __init__(self, classes, width=1.0, dropout=0.0):
        super().__init__()
        channels = [int(c * width) for c in (64, 128, 256, 512)]
        self.stem, self.stem_bn = separable(3, channels[0]), nn.BatchNorm2d(channels[0])
        self.stages = nn.Sequential(*[
            Block(c_in if i == 0 else c_out, c_out, 2 if i == 0 else 1)
            for c_in, c_out in zip(channels, channels[1:]) for i in range(4)])
        self.last_bn = nn.BatchNorm2d(channels[-1])
        self.dropout = dropout
        self.classifier = nn.Linear(channels[-1], classes)

    def forward(self, x):
        x = self.stages(self.stem_bn(self.stem(x)))
        x = F.relu(self.last_bn(x)).mean((2, 3))
        return self.classifier(F.dropout(x, self.dropout, self.training))
