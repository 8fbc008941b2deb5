"""Small networks as if they had been trained, and images for them."""

from dataclasses import replace

import numpy as np
import torch
from textures import CLASSES, PREPROCESSING, textures
from torch import nn

from compresslab.data.prepared import Split
from compresslab.models.torch.artifact import TorchModel, build
from compresslab.train.loop import TrainingData

NETWORKS = {
    "lenet5": ("lenet5", (16, 16, 1), {}),
    "resnet18": ("resnet18", (8, 8, 3), {"stem": "3x3"}),
    "efficient-unet": ("efficient-unet", (33, 38, 3), {"base_channels": 4, "depth": 2}),
    "small-unet": ("efficient-unet", (17, 18, 3), {"base_channels": 8, "depth": 1}),
    "reduced": ("efficient-unet", (21, 26, 3), {"base_channels": 4, "depth": 2, "reduction": 2, "attention": False}),
}


def network(name: str, seed: int = 0) -> TorchModel:
    """A network as if it had been trained: with statistics, and in every layer a channel with weights of one sign."""
    architecture, shape, arguments = NETWORKS[name]
    torch.manual_seed(seed)
    module = build(architecture, shape, len(CLASSES), **arguments).eval()
    for child in module.modules():
        if isinstance(child, nn.BatchNorm2d):
            child.running_mean.normal_()
            child.running_var.uniform_(0.5, 2)
            nn.init.uniform_(child.weight, 0.5, 1.5)
            nn.init.normal_(child.bias)
        if isinstance(child, nn.Conv2d):
            with torch.no_grad():
                child.weight[0].abs_()
    channels = shape[2]
    preprocessing = replace(PREPROCESSING, mean=(0.5,) * channels, std=(0.25,) * channels)
    return TorchModel(module, architecture, shape, preprocessing, CLASSES, arguments)


def quiet(line: str) -> None:
    del line


def images(shape: tuple[int, int, int], count: int = 4) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, *shape), dtype=np.uint8)


def normalized(model: TorchModel, pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(model.preprocessing.normalize(pixels).transpose(0, 3, 1, 2).copy(order="C"))


def enlarged(count: int, seed: int) -> Split:
    """Textures of 16 x 16 pixels, which LeNet-5 can read."""
    split = textures(count, seed)
    return replace(split, images=split.images.repeat(2, axis=1).repeat(2, axis=2))


def learnable(count: int) -> TrainingData:
    """What LeNet-5 learns in a moment, and a third of it to be validated on."""
    return TrainingData(enlarged(count, seed=1), enlarged(count // 3, seed=2), PREPROCESSING)
