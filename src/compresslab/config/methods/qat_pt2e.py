"""`qat-pt2e`: train a PyTorch network on with the fake quantization of torchao, for ONNX Runtime."""

from typing import ClassVar, Literal

from pydantic import Field

from compresslab.config.quantization_aware import QuantizationAwareTraining


class Parameters(QuantizationAwareTraining):
    """Quantization-aware training with torchao on the exported graph, for the integer operators of ONNX Runtime."""

    makes: ClassVar[str] = "torch-pt2e-simulated"

    method: Literal["qat-pt2e"] = Field("qat-pt2e", description="Quantization-aware training with torchao.")
    reduce_range: Literal["auto"] | bool = Field(
        "auto", description="7-bit weights; `auto`: only where the CPU that trains has no VNNI."
    )

    @property
    def engine(self) -> str:
        """PyTorch with fake quantization."""
        return "torch-qat-pt2e"
