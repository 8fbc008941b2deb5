"""`convert-pt2e`: a network trained by `qat-pt2e` as an integer ONNX file."""

from typing import ClassVar, Literal

from pydantic import Field

from compresslab.config.quantization import IntegerOnnx


class Parameters(IntegerOnnx):
    """Convert a network that was trained with torchao's fake quantization to an ONNX model in QDQ form."""

    reads: ClassVar[tuple[str, ...]] = ("torch-pt2e-simulated",)

    method: Literal["convert-pt2e"] = Field("convert-pt2e", description="Convert a network of `qat-pt2e` to ONNX.")
    opset: int = Field(20, ge=18, description="ONNX operator set; 20 is the first with GELU as one operator.")
