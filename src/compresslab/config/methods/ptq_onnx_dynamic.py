"""`ptq-onnx-dynamic`: int8 weights, and activations quantized anew for every image while the model runs."""

from typing import Literal

from pydantic import Field

from compresslab.config.quantization import OnnxQuantization


class Parameters(OnnxQuantization):
    """Quantize an ONNX model without calibration; ONNX Runtime means this for transformers, not for convolutions."""

    method: Literal["ptq-onnx-dynamic"] = Field("ptq-onnx-dynamic", description="Quantize while running.")
