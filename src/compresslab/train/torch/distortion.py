"""Elastic distortion of images, after Simard, Steinkraus and Platt (ICDAR 2003), with kornia.

A displacement for every pixel and both directions is drawn from -1 to 1; the fields are smoothed by a Gaussian, whose
weights sum to 1, and multiplied by the strength. A pixel of the result is the image at the pixel's displaced position,
between pixels bilinear, outside zero.
"""

import math

import torch
from kornia.filters import gaussian_blur2d
from kornia.geometry.transform import elastic_transform2d

from compresslab.config.training import Elastic

REACH = 4
"""The Gaussian is cut off at this many standard deviations."""


def draw(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Draw float32 numbers (N, 2, H, W) from -1 to 1, along x and y for every pixel of ``images`` (N, C, H, W)."""
    count, _, height, width = images.shape
    shape = (count, 2, height, width)
    return torch.rand(shape, generator=generator, device=generator.device, dtype=torch.float32) * 2 - 1


def displacements_px(drawn: torch.Tensor, elastic: Elastic) -> torch.Tensor:
    """Return how far to the right and down (N, 2, H, W), in pixels, each pixel of a distorted image is looked up."""
    size, sigma = _kernel_size(elastic), elastic.smoothness_px
    return gaussian_blur2d(drawn, (size, size), (sigma, sigma), border_type="constant") * elastic.strength_px


def distorted(images: torch.Tensor, drawn: torch.Tensor, elastic: Elastic) -> torch.Tensor:
    """Return float ``images`` (N, C, H, W) displaced by :func:`displacements_px` of what was ``drawn`` for them.

    Background is 0: distort pixels, not what is normalized.
    """
    height, width = images.shape[2:]
    size, sigma = _kernel_size(elastic), elastic.smoothness_px
    # An image is 2 wide and 2 high in the coordinates that kornia displaces in.
    strength = (2 * elastic.strength_px / width, 2 * elastic.strength_px / height)
    return elastic_transform2d(images, drawn, (size, size), (sigma, sigma), strength)


def _kernel_size(elastic: Elastic) -> int:
    return 2 * math.ceil(REACH * elastic.smoothness_px) + 1
