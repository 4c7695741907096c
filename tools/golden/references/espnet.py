"""ESPNet-C and ESPNet (Mehta et al. 2018, arXiv:1803.06815). Every norm has epsilon 1e-3, every PReLU a slope a channel."""
import torch
from torch import nn
from torch.nn import functional as F


class NormAct(nn.Sequential):
    def __init__(self, channels):
        super().__init__(nn.BatchNorm2d(channels, eps=1e-3), nn.PReLU(channels))


def conv(c_in, c_out, kernel, stride=1, dilation=1):
    return nn.Conv2d(c_in, c_out, kernel, stride, dilation * (kernel // 2), dilation, bias=False)


def up(c_in, c_out):
    return nn.ConvTranspose2d(c_in, c_out, 2, 2, bias=False)


class Esp(nn.Module):
    """Reduce, split, transform, merge (figure 1); strided, it reduces with a 3×3 convolution."""

    def __init__(self, c_in, c_out, stride=1, residual=True, hff=True):
        super().__init__()
        n = c_out // 5
        self.reduce = conv(c_in, n, 3, 2) if stride == 2 else conv(c_in, n, 1)
        self.branches = nn.ModuleList([conv(n, c_out - 4 * n if d == 1 else n, 3, dilation=d) for d in (1, 2, 4, 8, 16)])
        self.norm_act = NormAct(c_out)
        self.residual = residual and stride == 1 and c_in == c_out
        self.hff = hff

    def forward(self, x):
        y = self.reduce(x)
        first, *dilated = [branch(y) for branch in self.branches]
        if self.hff:
            for i in range(1, 4):
                dilated[i] = dilated[i - 1] + dilated[i]
        y = torch.cat([first, *dilated], 1)
        return self.norm_act(x + y if self.residual else y)


class EspNetC(nn.Module):
    """The encoder with its classifier, at an eighth of the resolution."""

    def __init__(self, classes, p=2, q=3, hff=True):
        super().__init__()
        self.level1 = nn.Sequential(conv(3, 16, 3, 2), NormAct(16))
        self.norm_act1 = NormAct(19)
        self.down2 = Esp(19, 64, stride=2, hff=hff)
        self.level2 = nn.Sequential(*[Esp(64, 64, hff=hff) for _ in range(p)])
        self.norm_act2 = NormAct(131)
        self.down3 = Esp(131, 128, stride=2, hff=hff)
        self.level3 = nn.Sequential(*[Esp(128, 128, hff=hff) for _ in range(q)])
        self.norm_act3 = NormAct(256)
        self.classifier = conv(256, classes, 1)

    def levels(self, x):
        """The maps the decoder reads: the first convolution's, level 1, level 2, and the classes of level 3."""
        half = F.avg_pool2d(x, 3, 2, 1)
        quarter = F.avg_pool2d(half, 3, 2, 1)
        first = self.level1(x)
        level1 = self.norm_act1(torch.cat([first, half], 1))
        down = self.down2(level1)
        level2 = self.norm_act2(torch.cat([self.level2(down), down, quarter], 1))
        down = self.down3(level2)
        level3 = self.norm_act3(torch.cat([down, self.level3(down)], 1))
        return first, level1, level2, self.classifier(level3)

    def forward(self, x):
        return self.levels(x)[3]


class EspNet(nn.Module):
    """Encoder and decoder; `level1` is 19 (with the pyramid) or 16 (the first convolution alone)."""

    def __init__(self, classes, p=2, q=3, level1=19, hff=True):
        super().__init__()
        self.encoder = EspNetC(classes, p, q, hff)
        self.pyramid = level1 == 19
        self.bn3, self.up3 = nn.BatchNorm2d(classes, eps=1e-3), up(classes, classes)
        self.project2 = conv(131, classes, 1)
        self.norm_act2 = NormAct(2 * classes)
        self.esp2 = Esp(2 * classes, classes, residual=False, hff=hff)
        self.up2 = nn.Sequential(up(classes, classes), NormAct(classes))
        self.fuse1 = nn.Sequential(conv(level1 + classes, classes, 3), NormAct(classes))
        self.classifier = up(classes, classes)

    def forward(self, x):
        first, level1, level2, scores = self.encoder.levels(x)
        y = self.up3(self.bn3(scores))
        y = self.esp2(self.norm_act2(torch.cat([self.project2(level2), y], 1)))
        y = torch.cat([self.up2(y), level1 if self.pyramid else first], 1)
        return self.classifier(self.fuse1(y))
