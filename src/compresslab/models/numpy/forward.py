"""The plain float network: what each layer means, written to be read. The engine ``numpy`` is the fast one."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from compresslab.models.numpy.activations import activate
from compresslab.models.numpy.network import WEIGHTED, Layer, Network


class Step(NamedTuple):
    """A layer with what it computed: values before and after its activation (the same where it has none)."""

    layer: Layer
    preactivation: np.ndarray
    output: np.ndarray


def forward(network: Network, images: np.ndarray) -> Iterator[Step]:
    """Yield every layer of a float network with its values for normalized float32 ``images`` (N,H,W,C)."""
    values = images
    for layer in network.layers:
        if layer.kind in WEIGHTED:
            preactivation = weighted_sum(layer, values, layer.weight, layer.bias)
        elif layer.kind == "max_pool":
            preactivation = max_pool(values, layer.size, layer.stride)
        else:
            preactivation = values.mean((1, 2), dtype=np.float32)
        values = activate(preactivation, layer.activation)
        yield Step(layer, preactivation, values)


def weighted_sum(layer: Layer, values: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Return the convolution (N,H',W',out) or the product (N,out) of ``values`` with ``weight``, plus ``bias``.

    Works in the dtype of its arguments, integers included; padding is with zeros.
    """
    if layer.kind == "linear":
        return values.reshape(len(values), -1) @ weight + bias
    border = (layer.padding, layer.padding)
    padded = np.pad(values, ((0, 0), border, border, (0, 0)))
    windows = patches(padded, weight.shape[:2], layer.stride)
    return windows @ weight.reshape(-1, weight.shape[-1]) + bias


def patches(values: np.ndarray, window: tuple[int, ...], stride: int) -> np.ndarray:
    """Return the windows of ``values`` (N,H,W,C) as rows (N,H',W',kh*kw*C), in the order of a (kh,kw,C,out) weight."""
    views = sliding_window_view(values, window, (1, 2))[:, ::stride, ::stride]
    return views.transpose(0, 1, 2, 4, 5, 3).reshape(*views.shape[:3], -1)


def max_pool(values: np.ndarray, size: int, stride: int) -> np.ndarray:
    """Return the largest value of every ``size`` x ``size`` window of ``values`` (N,H,W,C)."""
    return sliding_window_view(values, (size, size), (1, 2))[:, ::stride, ::stride].max((4, 5))
