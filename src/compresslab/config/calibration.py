"""How the ranges of activations are found before they are quantized."""

from typing import Literal

from pydantic import Field

from compresslab.config.base import Section


class Calibration(Section):
    """Calibration always reads the training split, never the test split."""

    images: int = Field(512, ge=1, description="Images of the training split that are looked at.")
    ranges: Literal["minmax", "percentile", "entropy"] = Field(
        "minmax", description="How a range is chosen from the values seen (`entropy`: ONNX Runtime only)."
    )
    bins: int | None = Field(
        None,
        ge=128,
        description="Bins of the histograms behind `percentile` (2048 unset) and `entropy` (128 unset, which leaves "
        "it no choice but the whole range; ONNX Runtime only).",
    )
    percentile: float = Field(99.99, gt=50, le=100, description="The percentile kept by `ranges: percentile`.")
