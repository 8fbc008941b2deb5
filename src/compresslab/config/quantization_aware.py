"""Settings that both ways to train a PyTorch network for integers share."""

from typing import ClassVar

from pydantic import Field

from compresslab.config.method import Method
from compresslab.config.training import FineTuning, Known


class QuantizationAwareTraining(FineTuning, Method):
    """A training with fake quantization: every value is rounded as integers will round it, in float."""

    artifact: ClassVar[str] = "model.safetensors"
    reads: ClassVar[tuple[str, ...]] = ("torch",)
    simulates: ClassVar[bool] = True
    # An average of ranges over steps is not the range of averaged weights, and ranges need all bits of float32.
    known: ClassVar[Known] = {"ema": (None,), "precision": ("float32",)}

    still_share: float = Field(
        0.25,
        ge=0,
        lt=1,
        description="Last part of the epochs in which ranges and the statistics of batch normalizations stand still, "
        "so that the weights settle on what will run.",
    )
