"""`qat-tfmot`: train a TensorFlow network on with fake quantization and convert it to an integer LiteRT model."""

from typing import ClassVar, Literal

from pydantic import Field

from compresslab.config.method import Method
from compresslab.config.training import KNOWN_IN_TENSORFLOW, FineTuning, Known


class Parameters(FineTuning, Method):
    """Quantization-aware training with the TensorFlow Model Optimization Toolkit: int8 weights and activations."""

    artifact: ClassVar[str] = "model.tflite"
    makes: ClassVar[str] = "litert-quantized"
    reads: ClassVar[tuple[str, ...]] = ("tensorflow",)
    known: ClassVar[Known] = KNOWN_IN_TENSORFLOW

    method: Literal["qat-tfmot"] = Field("qat-tfmot", description="Quantization-aware training for LiteRT.")

    @property
    def engine(self) -> str:
        """LiteRT."""
        return "litert"

    @property
    def integer(self) -> bool:
        """The audit fails when a convolution or matrix product is left in float."""
        return True
