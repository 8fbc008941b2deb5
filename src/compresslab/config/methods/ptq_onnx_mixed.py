"""`ptq-onnx-mixed`: static quantization that leaves the layers in float which suffer most from it."""

from typing import ClassVar, Literal

from pydantic import Field

from compresslab.config.quantization import StaticQuantization


class Parameters(StaticQuantization):
    """Quantize an ONNX model to INT8 (QDQ form), but for its most sensitive layers."""

    measures_sensitivity: ClassVar[bool] = True

    method: Literal["ptq-onnx-mixed"] = Field("ptq-onnx-mixed", description="Quantize all but the sensitive layers.")
    float_layers: int = Field(
        2, ge=1, description="Layers that stay float: those that change the logits most when quantized alone."
    )
    probe_images: int = Field(
        256, ge=1, description="Images of the validation split on which every layer is quantized alone."
    )
