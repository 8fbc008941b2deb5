"""`export-onnx`: a PyTorch network as an ONNX file, checked against PyTorch's logits."""

from typing import ClassVar, Literal

from pydantic import Field

from compresslab.config.method import Method


class Parameters(Method):
    """Export to ONNX with a dynamic batch."""

    artifact: ClassVar[str] = "model.onnx"
    makes: ClassVar[str] = "onnx"
    reads: ClassVar[tuple[str, ...]] = ("torch",)

    method: Literal["export-onnx"] = Field("export-onnx", description="Export to ONNX.")
    # Below 20 GELU is eight operators, each of which a quantizer would round.
    opset: int = Field(20, ge=18, description="ONNX operator set; 20 is the first with GELU as one operator.")
    tolerance: float = Field(
        1e-4,
        gt=0,
        description="Largest accepted difference between ONNX and PyTorch logits, as a share of the largest logit, or "
        "of 1 where all are smaller.",
    )

    @property
    def engine(self) -> str:
        """ONNX Runtime."""
        return "onnxruntime"
