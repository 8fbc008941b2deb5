"""Every architecture in PyTorch, as large as its lab has it or smaller, with noise to train on and to answer."""

from typing import Any

import numpy as np
import torch
from torch import nn

from compresslab.data.masks import VOID
from compresslab.data.prepared import Split
from compresslab.data.preprocessing import Preprocessing
from compresslab.models.torch.artifact import TorchModel, build

CLASSES = 8
DIGITS, PHOTOS, STREETS = (28, 28, 1), (32, 32, 3), (64, 128, 3)

NETWORKS: dict[str, tuple[str, tuple[int, int, int], dict[str, Any]]] = {
    "lenet5": ("lenet5", DIGITS, {}),
    "gapcnn": ("gapcnn", DIGITS, {}),
    "ciresan": ("ciresan", DIGITS, {}),
    "resnet18": ("resnet18", PHOTOS, {}),
    "alexnet": ("alexnet", (224, 224, 3), {}),
    "unet": ("unet", STREETS, {"base_channels": 8}),
    "fcn": ("fcn", STREETS, {}),
    "deeplabv3": ("deeplabv3", STREETS, {}),
    "efficient-unet": ("efficient-unet", STREETS, {}),
    "efficient-unet-pixels": (
        "efficient-unet",
        STREETS,
        {"base_channels": 12, "depth": 3, "reduction": 2, "reading": "pixels"},
    ),
    "efficient-unet-means": (
        "efficient-unet",
        STREETS,
        {"base_channels": 12, "depth": 3, "reduction": 2, "reading": "means"},
    ),
}


def segments(name: str) -> bool:
    """Whether the network answers every pixel."""
    return NETWORKS[name][1] == STREETS


def network(name: str) -> nn.Module:
    architecture, shape, arguments = NETWORKS[name]
    torch.manual_seed(0)
    return build(architecture, shape, CLASSES, **arguments)


def preprocessing(name: str) -> Preprocessing:
    channels = NETWORKS[name][1][2]
    return Preprocessing((0.5,) * channels, (0.25,) * channels)


def model(name: str) -> TorchModel:
    """The network in evaluation mode, whose normalizations do something, as after a training."""
    module = network(name).eval()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            for tensor in (part.bias, part.running_mean):
                nn.init.uniform_(tensor, -0.1, 0.1)
    architecture, shape, arguments = NETWORKS[name]
    classes = tuple(f"class {number}" for number in range(CLASSES))
    return TorchModel(module, architecture, shape, preprocessing(name), classes, arguments)


def noise(name: str, count: int, seed: int) -> Split:
    """Return ``count`` images of noise with labels of chance; of masks, a tenth is void."""
    generator = np.random.default_rng(seed)
    height, width, channels = NETWORKS[name][1]
    images = generator.integers(0, 256, (count, height, width, channels), dtype=np.uint8)
    if segments(name):
        labels = generator.integers(0, CLASSES, (count, height, width)).astype(np.uint8)
        labels[generator.random(labels.shape) < 0.1] = VOID
    else:
        labels = generator.integers(0, CLASSES, count)
    return Split(images, labels, np.arange(count, dtype=np.int64))
