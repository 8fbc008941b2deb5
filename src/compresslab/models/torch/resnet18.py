"""ResNet-18 (He et al. 2016, table 1): 11,689,512 parameters on images with 3 channels and 1000 classes.

Weights have the names that torchvision gives them. Their first values are PyTorch's own, as in every network here,
not the Kaiming initialization of torchvision.
"""

from collections import OrderedDict

import torch
from torch import nn

from compresslab.models.torch.layers import Addition

WIDTHS = (64, 128, 256, 512)
STEMS = ("7x7", "3x3")


def build(image_shape: tuple[int, int, int], classes: int, stem: str = "7x7") -> nn.Module:
    """Build ResNet-18 for normalized float32 images (N,C,H,W); it returns logits (N, classes).

    ``image_shape`` is (H, W, C). ``stem`` is ``7x7`` (stride 2, and a max-pooling that halves once more) or, for small
    images, ``3x3`` (stride 1, no pooling). Every layer has a name, which exports and layer comparisons keep. Raises
    ValueError for an unknown stem.
    """
    if stem not in STEMS:
        raise ValueError(f"resnet18 has no stem {stem!r}; known: {', '.join(STEMS)}")
    layers = _stem(image_shape[2], stem)
    inputs = WIDTHS[0]
    for number, outputs in enumerate(WIDTHS, 1):
        stride = 1 if number == 1 else 2
        layers[f"layer{number}"] = nn.Sequential(Block(inputs, outputs, stride), Block(outputs, outputs, 1))
        inputs = outputs
    layers["avgpool"] = nn.AdaptiveAvgPool2d(1)
    layers["flatten"] = nn.Flatten()
    layers["fc"] = nn.Linear(inputs, classes)
    return nn.Sequential(layers)


class Block(nn.Module):
    """Two 3 x 3 convolutions, and what they read added to what they make; a 1 x 1 convolution makes both alike."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            projection = nn.Conv2d(inputs, outputs, kernel_size=1, stride=stride, bias=False)
            self.downsample = nn.Sequential(projection, nn.BatchNorm2d(outputs))
        self.add = Addition()
        self.relu2 = nn.ReLU()

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Map features (N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        residual = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(features)))))
        shortcut = features if self.downsample is None else self.downsample(features)
        return self.relu2(self.add(residual, shortcut))


def _stem(channels: int, stem: str) -> OrderedDict[str, nn.Module]:
    width = WIDTHS[0]
    if stem == "3x3":
        convolution = nn.Conv2d(channels, width, kernel_size=3, padding=1, bias=False)
        return OrderedDict(conv1=convolution, bn1=nn.BatchNorm2d(width), relu1=nn.ReLU())
    return OrderedDict(
        conv1=nn.Conv2d(channels, width, kernel_size=7, stride=2, padding=3, bias=False),
        bn1=nn.BatchNorm2d(width),
        relu1=nn.ReLU(),
        pool1=nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
    )
