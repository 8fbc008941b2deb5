"""`convert-pt2e`: a network trained by `qat-pt2e` as an integer ONNX file."""

from typing import ClassVar, Literal

from pydantic import Field

from compresslab.config.method import Method


class Parameters(Method):
    """Convert a network that was trained with torchao's fake quantization to an ONNX model in QDQ form."""

    artifact: ClassVar[str] = "model.onnx"
    makes: ClassVar[str] = "onnx-quantized"
    reads: ClassVar[tuple[str, ...]] = ("torch-pt2e-simulated",)

    method: Literal["convert-pt2e"] = Field("convert-pt2e", description="Convert a network of `qat-pt2e` to ONNX.")
    opset: int = Field(20, ge=18, description="ONNX operator set; 20 is the first with GELU as one operator.")
    allow_float: list[str] = Field(
        default_factory=list,
        description="Compute nodes that may stay float: names or patterns such as `layer4.*`; `*` allows all.",
    )

    @property
    def engine(self) -> str:
        """ONNX Runtime."""
        return "onnxruntime"

    @property
    def integer(self) -> bool:
        """The audit fails when a compute node stays float that `allow_float` does not name."""
        return True
