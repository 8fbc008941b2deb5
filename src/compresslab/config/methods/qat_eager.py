"""`qat-eager`: train a PyTorch network on with the fake quantization of PyTorch's eager mode."""

from typing import ClassVar, Literal

from pydantic import Field

from compresslab.config.quantization_aware import QuantizationAwareTraining


class Parameters(QuantizationAwareTraining):
    """Quantization-aware training in PyTorch's eager mode, for the kernels of qnnpack."""

    makes: ClassVar[str] = "torch-eager-simulated"

    method: Literal["qat-eager"] = Field("qat-eager", description="Quantization-aware training in eager PyTorch.")
    granularity: Literal["tensor", "channel"] = Field(
        "tensor", description="One weight scale per tensor, as PyTorch chooses for qnnpack, or one per output channel."
    )

    @property
    def engine(self) -> str:
        """Eager PyTorch with fake quantization."""
        return "torch-qat-eager"
