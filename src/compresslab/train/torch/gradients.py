"""Gradients that PyTorch has on a GPU, but not with the same bits every time, or not in good time.

The gradient of bilinear upsampling is added up in the order in which a GPU's threads come, and refused among
deterministic algorithms; a module then computes the upsampling itself from its parts, whose gradients are slow. That of
the weights of a pointwise convolution takes cuDNN, with the rules by which it keeps the bits, more than everything else
in a network of such convolutions. Both are matrix products. ``benchmarks/gpu_training.py`` measures what they gain.
"""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache, partial
from math import gcd
from typing import Any

import torch
from torch import nn
from torch.library import Library
from torch.nn import functional

PIECES = 64
"""Into how many pieces an image's pixels are cut for a product: a sum over a million of them keeps few cores busy."""


@contextmanager
def own_gradients(module: nn.Module, device: torch.device) -> Iterator[None]:
    """Let ``module`` compute on a GPU with the gradients of this file, and go back afterwards; on a CPU do nothing."""
    if device.type != "cuda":
        yield
        return
    take_over_upsampling()
    # An attribute of the object hides the method of its class.
    changed: list[tuple[nn.Module, str, Any]] = []
    for part in module.modules():
        if isinstance(part, nn.Upsample) and part.mode == "bilinear":
            changed.append((part, "forward", partial(_upsampled, part)))
        elif _is_pointwise(part):
            changed.append((part, "_conv_forward", _convolved))
    for part, method, own in changed:
        setattr(part, method, own)
    try:
        yield
    finally:
        for part, method, _ in changed:
            delattr(part, method)


@cache
def take_over_upsampling() -> Library:
    """Let :func:`upsampling_gradient` take the place of PyTorch's own, on GPUs, for as long as the process lives."""
    library = Library("aten", "IMPL")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Warning only once for all operators")
        library.impl("upsample_bilinear2d_backward", upsampling_gradient, "CUDA")
    return library


def upsampling_gradient(
    upper: torch.Tensor,
    upsampled_size: Sequence[int],
    size: Sequence[int],
    align_corners: bool,
    factor_down: float | None = None,
    factor_across: float | None = None,
) -> torch.Tensor:
    """Return the gradient of an image (N, C, H, W) of the given ``size`` from that of its upsampled one, ``upper``.

    Upsampling is linear along both sides, so this is two matrix products, summed in float32 or wider.
    """
    wide = upper if upper.dtype == torch.float64 else upper.float()
    rows = _shares(size[2], upsampled_size[0], align_corners, factor_down, wide)
    columns = _shares(size[3], upsampled_size[1], align_corners, factor_across, wide)
    return (rows @ (wide @ columns.T)).to(upper.dtype)


def _shares(count: int, upsampled: int, align_corners: bool, factor: float | None, like: torch.Tensor) -> torch.Tensor:
    """Return by how much each of ``count`` values counts in each of the ``upsampled``: (count, upsampled)."""
    single = torch.eye(count, dtype=like.dtype, device=like.device)[None]
    shares: torch.Tensor = torch.ops.aten.upsample_linear1d(single, [upsampled], align_corners, factor)[0]
    return shares


def pointwise_gradient(images: torch.Tensor, upper: torch.Tensor) -> torch.Tensor:
    """Return the gradient (O, I, 1, 1) of a pointwise convolution's weights, of ``images`` (N, I, H, W).

    ``upper`` (N, O, H, W) is the gradient of what comes out.
    """
    pixels = images.shape[2] * images.shape[3]
    pieces = gcd(pixels, PIECES)
    read, made = (part.reshape(*part.shape[:2], pieces, -1).transpose(1, 2) for part in (images, upper))
    return (made @ read.mT).sum((0, 1))[..., None, None]


class Pointwise(torch.autograd.Function):
    """A pointwise convolution of images (N, I, H, W) with weights (O, I, 1, 1) and a bias (O,) or None."""

    @staticmethod
    def forward(ctx: Any, images: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        """Return images (N, O, H, W)."""
        ctx.save_for_backward(images, weight)
        return functional.conv2d(images, weight, bias)

    @staticmethod
    def backward(ctx: Any, *uppers: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Return the gradients of images, weights and bias, of those that are asked for."""
        (upper,), (images, weight) = uppers, ctx.saved_tensors
        of_images, of_weight, of_bias = ctx.needs_input_grad
        return (
            functional.conv_transpose2d(upper, weight) if of_images else None,
            pointwise_gradient(images, upper) if of_weight else None,
            upper.sum((0, 2, 3)) if of_bias else None,
        )


def _is_pointwise(part: nn.Module) -> bool:
    return (
        isinstance(part, nn.Conv2d)
        and part.kernel_size == part.stride == (1, 1)
        and part.padding == (0, 0)
        and part.groups == 1
    )


def _upsampled(part: nn.Upsample, images: torch.Tensor) -> torch.Tensor:
    size, factors = (_both(value) if value is not None else None for value in (part.size, part.scale_factor))
    upsampled: torch.Tensor = torch.ops.aten.upsample_bilinear2d.vec(images, size, bool(part.align_corners), factors)
    return upsampled


def _both(value: Any) -> list[Any]:
    return list(value) if isinstance(value, tuple) else [value, value]


def _convolved(images: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
    if torch.is_autocast_enabled("cuda"):
        # In bfloat16 cuDNN has fast gradients, and autocasting does not look into a function of one's own.
        return functional.conv2d(images, weight, bias)
    convolved: torch.Tensor = Pointwise.apply(images, weight, bias)
    return convolved
