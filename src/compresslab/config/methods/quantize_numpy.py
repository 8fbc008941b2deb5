"""`quantize-numpy`: post-training quantization of a float NumPy network to int8, for the NumPy engines."""

from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from compresslab.config.calibration import Calibration
from compresslab.config.method import Method


class Parameters(Method):
    """Quantize to int8: with integer arithmetic throughout, or with arithmetic on dequantized values."""

    artifact: ClassVar[str] = "model.npz"
    makes: ClassVar[str] = "numpy-quantized"
    reads: ClassVar[tuple[str, ...]] = ("numpy",)

    method: Literal["quantize-numpy"] = Field("quantize-numpy", description="Quantize to int8 NumPy arrays.")
    arithmetic: Literal["integer", "dequantized"] = Field(
        "integer",
        description="`integer`: no float between input and logits. `dequantized`: int8 storage, float32 sums.",
    )
    activations: Literal["lut", "pwl"] = Field(
        "lut", description="SELU, GELU and Swish by look-up table or by piecewise-linear approximation."
    )
    granularity: Literal["channel", "tensor"] = Field(
        "channel", description="One weight scale per output channel, or one per tensor."
    )
    segments: int = Field(16, ge=2, le=128, description="Segments of the piecewise-linear approximation.")
    calibration: Calibration = Field(default_factory=Calibration, description="How activation ranges are found.")

    @model_validator(mode="before")
    @classmethod
    def _dequantized_is_per_tensor(cls, values: Any) -> Any:
        """The published method A has one scale per tensor; asking for channels there is a mistake."""
        if isinstance(values, dict) and values.get("arithmetic") == "dequantized":
            values = {"granularity": "tensor", **values}
            if values["granularity"] != "tensor":
                raise ValueError("arithmetic 'dequantized' is per tensor; leave granularity out")
        return values

    @field_validator("calibration")
    @classmethod
    def _ranges_that_numpy_knows(cls, calibration: Calibration) -> Calibration:
        if calibration.ranges == "entropy":
            raise ValueError("ranges 'entropy' are ONNX Runtime's; use minmax or percentile")
        return calibration

    @property
    def engine(self) -> str:
        """The NumPy engine of the chosen arithmetic."""
        return f"numpy-{self.arithmetic}"
