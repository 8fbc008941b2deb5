"""A small fully convolutional network (Long et al. 2015): score maps of three depths, added up.

2,359,032 parameters and 7.4 G MACs on images of 256 x 512 x 3 and 8 classes. The encoder is that of VGG at half of its
widths, and with two convolutions in each stage.
"""

from itertools import pairwise

import torch
from torch import nn

from compresslab.models.torch.layers import Addition, Cropping, two_convolutions

TASK = "segmentation"

STRIDES = (8, 16, 32)


def build(image_shape: tuple[int, int, int], classes: int, base_channels: int = 32, stride: int = 8) -> nn.Module:
    """Build the network for normalized float32 images (N, C, H, W); it returns logits (N, classes, H, W).

    ``image_shape`` is (H, W, C); any other size works, too. The encoder has 1, 2, 4, 8 and 8 times ``base_channels``
    channels, with a pooling after each. ``stride`` 32 enlarges the scores of the last map, 16 adds those of the
    fourth, and 8 those of the third: FCN-32s, FCN-16s and FCN-8s. Raises ValueError for another stride and for fewer
    than 1 channel.
    """
    if stride not in STRIDES:
        raise ValueError(f"fcn has no stride {stride}; known: {', '.join(map(str, STRIDES))}")
    if base_channels < 1:
        raise ValueError(f"fcn needs at least 1 base channel, not {base_channels}")
    return FullyConvolutional(image_shape[2], classes, base_channels, stride)


class FullyConvolutional(nn.Module):
    """Five stages of two convolutions; scores of the last ones are enlarged, cropped and added.

    Poolings round up, so an enlarged map is never smaller than the one that it is added to, and pixels stay in place.
    """

    def __init__(self, channels: int, classes: int, base: int, stride: int) -> None:
        super().__init__()
        widths = [channels, *(base * times for times in (1, 2, 4, 8, 8))]
        self.stages = nn.ModuleList(Stage(inputs, outputs) for inputs, outputs in pairwise(widths))
        self.score = nn.Conv2d(widths[-1], classes, kernel_size=1)
        fused = range(len(self.stages) - 1, STRIDES.index(stride) + 2, -1)
        self.fusions = nn.ModuleList(Fusion(widths[stage], classes) for stage in fused)
        self.enlarge = nn.Upsample(scale_factor=stride, mode="bilinear")
        self.crop = Cropping()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map images (N, C, H, W) to logits (N, classes, H, W)."""
        features, maps = images, []
        for stage in self.stages:
            features = stage(features)
            maps.append(features)
        scores = self.score(maps.pop())
        for fusion in self.fusions:
            scores = fusion(scores, maps.pop())
        return self.crop(self.enlarge(scores), images)


class Stage(nn.Sequential):
    """Two 3 x 3 convolutions and a pooling: (N, inputs, H, W) becomes (N, outputs, H / 2, W / 2), rounded up."""

    def __init__(self, inputs: int, outputs: int) -> None:
        layers = two_convolutions(inputs, outputs)
        layers["pool"] = nn.MaxPool2d(kernel_size=2, ceil_mode=True)
        super().__init__(layers)


class Fusion(nn.Module):
    """Scores, enlarged to twice their size, and the scores of an earlier map added to them."""

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.enlarge = nn.Upsample(scale_factor=2, mode="bilinear")
        self.crop = Cropping()
        self.score = nn.Conv2d(inputs, classes, kernel_size=1)
        self.add = Addition()

    def forward(self, scores: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
        """Map scores (N, classes, H / 2, W / 2) and features (N, inputs, H, W) to scores (N, classes, H, W)."""
        return self.add(self.crop(self.enlarge(scores), features), self.score(features))
