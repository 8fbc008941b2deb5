"""Unstructured magnitude pruning in PyTorch: in every layer the smallest weights become zero and stay zero.

The masks are those of ``torch.nn.utils.prune``: while a mask is in place, the layer computes with the masked weights,
and a masked weight has no gradient.
"""

import torch
from torch import nn
from torch.nn.utils import prune

PRUNED = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)


def mask_smallest(module: nn.Module, sparsity: float) -> None:
    """Mask the share ``sparsity`` (0 to 1) of the weights of each convolution and linear layer; biases stay."""
    for child in module.modules():
        if isinstance(child, PRUNED):
            prune.l1_unstructured(child, "weight", amount=sparsity)


def make_permanent(module: nn.Module) -> None:
    """Replace masked weights by plain ones that hold the zeros."""
    for child in module.modules():
        if isinstance(child, PRUNED):
            prune.remove(child, "weight")


def checked_sparsity(module: nn.Module, sparsity: float) -> dict[str, float]:
    """Count the zeros of every pruned layer, in percent of its weights.

    Raises ValueError, naming the layer, when they are not the share ``sparsity`` (0 to 1) that was asked for; it can
    only be met to the nearest whole weight.
    """
    found: dict[str, float] = {}
    for name, child in module.named_modules():
        if isinstance(child, PRUNED):
            count = child.weight.numel()
            zeros = count - int(torch.count_nonzero(child.weight))
            found[name] = 100 * zeros / count
            if abs(zeros - sparsity * count) > 1:
                raise ValueError(
                    f"layer {name}: {zeros} of {count} weights are zero, not the share {sparsity} that was asked for"
                )
    return found
