"""`ptq-onnx`: static post-training quantization of an ONNX file by ONNX Runtime."""

from typing import Literal

from pydantic import Field

from compresslab.config.quantization import StaticQuantization


class Parameters(StaticQuantization):
    """Quantize an ONNX model to INT8 (QDQ form)."""

    method: Literal["ptq-onnx"] = Field("ptq-onnx", description="Quantize an ONNX model.")
