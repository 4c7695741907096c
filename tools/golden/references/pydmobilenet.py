"""PydMobileNet (Hoang & Jo 2019, arXiv:1811.07083), its networks for CIFAR."""
import torch
from torch import nn
from torch.nn import functional as F


class Block(nn.Module):
    """Pre-activation bottleneck around parallel depthwise convolutions of 3×3, 5×5 and 7×7 (figure 2)."""

    def __init__(self, c_in, c_out, mid, stride, merge):
        super().__init__()
        self.concat = merge == "concat"
        self.bn1, self.reduce = nn.BatchNorm2d(c_in), nn.Conv2d(c_in, mid, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(mid)
        self.pyramid = nn.ModuleList([nn.Conv2d(mid, mid, k, stride, k // 2, groups=mid, bias=False) for k in (3, 5, 7)])
        wide = 3 * mid if self.concat else mid
        self.bn3, self.expand = nn.BatchNorm2d(wide), nn.Conv2d(wide, c_out, 1, bias=False)
        self.bn4 = nn.BatchNorm2d(c_out)
        self.shortcut = nn.Identity()
        if stride > 1:
            self.shortcut = nn.Sequential(nn.Conv2d(c_in, c_out, 1, stride, bias=False), nn.BatchNorm2d(c_out))

    def forward(self, x):
        y = F.relu(self.bn2(self.reduce(F.relu(self.bn1(x)))))
        branches = [conv(y) for conv in self.pyramid]
        y = torch.cat(branches, 1) if self.concat else branches[0] + branches[1] + branches[2]
        y = self.bn4(self.expand(F.relu(self.bn3(y))))
        return y + self.shortcut(x)


class PydMobileNet(nn.Module):
    def __init__(self, classes, merge, depth, multiplier):
        super().__init__()
        repeats = {29: 3, 56: 6}[depth]
        self.data_bn = nn.BatchNorm2d(3, affine=False)
        self.stem = nn.Conv2d(3, 32, 3, 1, 1, bias=False)
        blocks, c = [], 32
        for stage, channels in enumerate((32, 64, 128)):
            for i in range(repeats):
                stride = 2 if stage > 0 and i == 0 else 1
                blocks.append(Block(c, channels, int(channels * multiplier), stride, merge))
                c = channels
        self.blocks = nn.Sequential(*blocks)
        self.classifier = nn.Linear(c, classes)

    def forward(self, x):
        x = self.blocks(self.stem(self.data_bn(x)))
        return self.classifier(x.mean((2, 3)))
