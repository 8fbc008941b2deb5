"""`convolutions`: what a depthwise separable convolution saves on a regular one, in products and in time."""

from typing import Annotated

from pydantic import AfterValidator, Field

from compresslab.config.study import Study


def _odd(side: int) -> int:
    if side % 2 == 0:
        raise ValueError(f"{side} is even; a kernel of an odd side can keep the size of its map")
    return side


Extent = Annotated[int, Field(ge=1)]
Side = Annotated[int, Field(ge=1), AfterValidator(_odd)]

CHANNELS = [(16, 16), (64, 64), (64, 128), (128, 64), (128, 128)]
"""Alike, growing and shrinking; with 256 channels one round of all calls would take seconds, not tenths of one."""


class Settings(Study):
    """What a depthwise separable convolution saves on a regular one: parameters, products and time."""

    kernels: list[Side] = Field([3, 5, 7], min_length=1, description="Sides of the square kernels, all odd.")
    channels: list[tuple[Extent, Extent]] = Field(
        CHANNELS, min_length=1, description="Input and output channels of each convolution."
    )
    map_sizes: list[Extent] = Field(
        [7, 14, 28, 56],
        min_length=1,
        description="Sides of the square feature maps, the same before and after; unset, those of a ResNet.",
    )
