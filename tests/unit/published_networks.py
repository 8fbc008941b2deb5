"""Architectures with published counts, written down from their papers in the layout that torchvision gives them.

Parameters and multiply-accumulates (which torchvision calls FLOPS) are those of torchvision's documentation for
224 x 224 x 3 images and 1000 classes.
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import nn


class Published(NamedTuple):
    build: Callable[[], nn.Module]
    parameters: int
    giga_macs: float


def alexnet() -> nn.Module:
    """Krizhevsky 2014, "One weird trick for parallelizing convolutional neural networks"."""
    return nn.Sequential(
        *(nn.Conv2d(3, 64, 11, 4, 2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
        *(nn.Conv2d(192, 384, 3, padding=1), nn.ReLU(), nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2), nn.AdaptiveAvgPool2d((6, 6))),
        *(nn.Flatten(), nn.Dropout(), nn.Linear(256 * 6 * 6, 4096), nn.ReLU()),
        *(nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, 1000)),
    )


def vgg16() -> nn.Module:
    """Simonyan and Zisserman 2015, configuration D."""

    def features() -> Iterator[nn.Module]:
        inputs = 3
        for outputs, depth in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
            for _ in range(depth):
                yield from (nn.Conv2d(inputs, outputs, 3, padding=1), nn.ReLU())
                inputs = outputs
            yield nn.MaxPool2d(2)

    hidden = (nn.Linear(512 * 7 * 7, 4096), nn.ReLU(), nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout())
    return nn.Sequential(*features(), nn.AdaptiveAvgPool2d((7, 7)), nn.Flatten(), *hidden, nn.Linear(4096, 1000))


def normalized(inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return [convolution, nn.BatchNorm2d(outputs)]


class Bottleneck(nn.Module):
    """Narrow, convolve, widen, and add what was read."""

    def __init__(self, inputs: int, width: int, outputs: int, stride: int, groups: int) -> None:
        super().__init__()
        narrow, middle = normalized(inputs, width, 1), normalized(width, width, 3, stride, groups)
        self.body = nn.Sequential(*narrow, nn.ReLU(), *middle, nn.ReLU(), *normalized(width, outputs, 1))
        alike = stride == 1 and inputs == outputs
        self.shortcut = nn.Identity() if alike else nn.Sequential(*normalized(inputs, outputs, 1, stride))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.body(features) + self.shortcut(features))


def resnet50(groups: int = 1, width: int = 64) -> nn.Module:
    """He et al. 2016; with 32 groups of width 4, ResNeXt-50 (Xie et al. 2017). The stride is in the 3 x 3."""
    layers = [*normalized(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    inputs = 64
    for stage, depth in enumerate((3, 4, 6, 3)):
        for block in range(depth):
            outputs = 256 * 2**stage
            stride = 2 if stage and not block else 1
            layers.append(Bottleneck(inputs, width * groups * 2**stage, outputs, stride, groups))
            inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 1000))


def resnext50() -> nn.Module:
    return resnet50(groups=32, width=4)


class InvertedResidual(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        widen = [] if expansion == 1 else [*normalized(inputs, wide, 1), nn.ReLU6()]
        depthwise = [*normalized(wide, wide, 3, stride, groups=wide), nn.ReLU6()]
        self.body = nn.Sequential(*widen, *depthwise, *normalized(wide, outputs, 1))
        self.adds = stride == 1 and inputs == outputs

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return features + self.body(features) if self.adds else self.body(features)


def mobilenet_v2() -> nn.Module:
    """Sandler et al. 2018, table 2."""
    layers = [*normalized(3, 32, 3, 2), nn.ReLU6()]
    inputs = 32
    rows = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    for expansion, outputs, repeats, stride in rows:
        for repeat in range(repeats):
            layers.append(InvertedResidual(inputs, outputs, 1 if repeat else stride, expansion))
            inputs = outputs
    last = [*normalized(inputs, 1280, 1), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    return nn.Sequential(*layers, *last, nn.Dropout(0.2), nn.Linear(1280, 1000))


class Fire(nn.Module):
    def __init__(self, inputs: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Sequential(nn.Conv2d(inputs, squeezed, 1), nn.ReLU())
        self.expand1 = nn.Sequential(nn.Conv2d(squeezed, expanded, 1), nn.ReLU())
        self.expand3 = nn.Sequential(nn.Conv2d(squeezed, expanded, 3, padding=1), nn.ReLU())

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        squeezed = self.squeeze(features)
        return torch.cat([self.expand1(squeezed), self.expand3(squeezed)], dim=1)


def squeezenet() -> nn.Module:
    """Iandola et al. 2016, version 1.1 of its repository; its poolings round up."""

    def pool() -> nn.Module:
        return nn.MaxPool2d(3, 2, ceil_mode=True)

    return nn.Sequential(
        *(nn.Conv2d(3, 64, 3, 2), nn.ReLU(), pool(), Fire(64, 16, 64), Fire(128, 16, 64), pool()),
        *(Fire(128, 32, 128), Fire(256, 32, 128), pool(), Fire(256, 48, 192), Fire(384, 48, 192)),
        *(Fire(384, 64, 256), Fire(512, 64, 256), nn.Dropout(), nn.Conv2d(512, 1000, 1), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    )


class DenseLayer(nn.Module):
    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        narrow = nn.Conv2d(inputs, 4 * growth, 1, bias=False)
        grow = nn.Conv2d(4 * growth, growth, 3, padding=1, bias=False)
        first = (nn.BatchNorm2d(inputs), nn.ReLU(), narrow)
        self.body = nn.Sequential(*first, nn.BatchNorm2d(4 * growth), nn.ReLU(), grow)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return torch.cat((features, self.body(features)), 1)


class Logits(nn.Module):
    """A classifier that reshapes by a function rather than by a module."""

    def __init__(self, features: int) -> None:
        super().__init__()
        self.pool, self.linear = nn.AdaptiveAvgPool2d(1), nn.Linear(features, 1000)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return self.linear(torch.flatten(self.pool(features), 1))


def densenet121() -> nn.Module:
    """Huang et al. 2017, growth 32."""
    layers: list[nn.Module] = [*normalized(3, 64, 7, 2), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    channels = 64
    for block, depth in enumerate((6, 12, 24, 16)):
        if block:
            shrink = nn.Conv2d(channels, channels // 2, 1, bias=False)
            layers += [nn.BatchNorm2d(channels), nn.ReLU(), shrink, nn.AvgPool2d(2)]
            channels //= 2
        for _ in range(depth):
            layers.append(DenseLayer(channels, 32))
            channels += 32
    return nn.Sequential(*layers, nn.BatchNorm2d(channels), nn.ReLU(), Logits(channels))


PUBLISHED = {
    "alexnet": Published(alexnet, 61_100_840, 0.71),
    "vgg16": Published(vgg16, 138_357_544, 15.47),
    "resnet50": Published(resnet50, 25_557_032, 4.09),
    "resnext50_32x4d": Published(resnext50, 25_028_904, 4.23),
    "mobilenet_v2": Published(mobilenet_v2, 3_504_872, 0.30),
    "squeezenet1_1": Published(squeezenet, 1_235_496, 0.35),
    "densenet121": Published(densenet121, 7_978_856, 2.83),
}
