"""Structured pruning in PyTorch: whole channels and features leave, and with them everything that read them.

The dependency graph of torch-pruning (Fang et al. 2023, DepGraph) finds what has to shrink together.
"""

import torch
import torch_pruning
from torch import nn

WEIGHTED = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)


def remove_channels(module: nn.Module, image_shape: tuple[int, int, int], ratio: float) -> tuple[int, ...]:
    """Remove the share ``ratio`` (0 to 1) of each layer's outputs, in place, and return the widths that are left.

    Outputs go by the size of their weights (L1 norm over the group that must shrink together). The last layer keeps
    its outputs, which are the classes. ``image_shape`` is (H, W, C); the widths are those of all weighted layers but
    the last one, in order.
    """
    height, width, channels = image_shape
    *_, last = _weighted(module)
    pruner = torch_pruning.pruner.MagnitudePruner(
        module,
        torch.zeros(1, channels, height, width),
        importance=torch_pruning.importance.GroupMagnitudeImportance(p=1),
        pruning_ratio=ratio,
        ignored_layers=[last],
    )
    pruner.step()
    return tuple(_outputs(layer) for layer in _weighted(module)[:-1])


def _weighted(module: nn.Module) -> list[nn.Module]:
    return [child for child in module.modules() if isinstance(child, WEIGHTED)]


def _outputs(layer: nn.Module) -> int:
    return int(layer.weight.shape[0])  # type: ignore[index]
