"""Settings that the methods which quantize ONNX files share."""

from typing import ClassVar, Literal

from pydantic import Field

from compresslab.config.calibration import Calibration
from compresslab.config.method import Method


class IntegerOnnx(Method):
    """An ONNX model whose products ONNX Runtime computes in integers."""

    artifact: ClassVar[str] = "model.onnx"
    makes: ClassVar[str] = "onnx-quantized"

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


class OnnxQuantization(IntegerOnnx):
    """Such a model from a float one."""

    reads: ClassVar[tuple[str, ...]] = ("onnx",)

    reduce_range: Literal["auto"] | bool = Field(
        "auto", description="7-bit weights; `auto`: only where the CPU that quantizes has no VNNI."
    )


class StaticQuantization(OnnxQuantization):
    """How weights and activations become integers when ranges are found beforehand."""

    activations: Literal["uint8", "int8"] = Field(
        "uint8", description="Type of activations; on x86 `uint8` is the fast one, with int8 weights."
    )
    granularity: Literal["channel", "tensor"] = Field(
        "channel", description="One weight scale per output channel, or one per tensor."
    )
    calibration: Calibration = Field(default_factory=Calibration, description="How activation ranges are found.")
