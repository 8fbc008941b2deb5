"""An exponential moving average of a network's weights and buffers over the steps of its training."""

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn


def averaged(module: nn.Module, decay: float) -> AveragedModel:
    """Return a copy of ``module`` that each ``update_parameters`` moves towards it by 1 - ``decay``.

    The first update copies, so the average starts from the weights after the first step, as PyTorch defines it.
    Statistics of batch normalization are averaged like weights.
    """
    _forget_gradients(module)
    return AveragedModel(module, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)


def _forget_gradients(module: nn.Module) -> None:
    """Cut off the masked weights of ``torch.nn.utils.prune`` from their gradients, with which they have no copies.

    They are computed anew from weight and mask whenever the layer is used.
    """
    for child in module.modules():
        for name, value in vars(child).items():
            if isinstance(value, torch.Tensor) and not value.is_leaf:
                setattr(child, name, value.detach())
