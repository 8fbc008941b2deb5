"""Parameters and multiply-accumulates of a PyTorch network by layer, as the library torchinfo counts them.

torchinfo multiplies all parameters of a convolution with its output's pixels, biases included, and gives the
parameters of a normalization as products. So its products are taken of the network without biases, and of
convolutions and linear layers alone: the convention of ``measure.cost``. A transposed convolution multiplies every
pixel of its input, not of its output, with all weights; the library's products are set right by these two sizes.
"""

from copy import deepcopy
from math import prod
from typing import Any

import torch
import torchinfo
from torch import nn

from compresslab.measure.cost import ImageShape

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
COUNTED = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear, *TRANSPOSED)


def count_layers(network: nn.Module, image_shape: ImageShape) -> dict[str, tuple[int, int]]:
    """Map every module without children to its parameters and its MACs for one image (H, W, C).

    The network is copied in shape alone: neither its values nor its mode change.
    """
    shapes = deepcopy(network).to("meta").eval()
    parameters = {name: info.num_params for name, info in _summary(shapes, image_shape).items()}
    for module in shapes.modules():
        if isinstance(module, COUNTED):
            module.bias = None
    macs = {name: _macs(info) for name, info in _summary(shapes, image_shape).items()}
    return {name: (parameters[name], macs[name]) for name in parameters}


def _macs(info: Any) -> int:
    if not isinstance(info.module, COUNTED):
        return 0
    if isinstance(info.module, TRANSPOSED):
        return int(info.macs) // prod(info.output_size[2:]) * prod(info.input_size[2:])
    return int(info.macs)


def _summary(network: nn.Module, image_shape: ImageShape) -> dict[str, Any]:
    height, width, channels = image_shape
    images = torch.empty(1, channels, height, width, device="meta")
    summary = torchinfo.summary(network, input_data=images, verbose=0)
    return {_path(info): info for info in summary.summary_list if info.is_leaf_layer}


def _path(info: Any) -> str:
    """Return the name of the module in the whole network: ``layer1.0.conv1``."""
    names: list[str] = []
    while info.parent_info is not None:
        names.insert(0, info.var_name)
        info = info.parent_info
    return ".".join(names)
