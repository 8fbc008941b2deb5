"""`export-litert`: a TensorFlow network as a LiteRT file, in float32 or quantized after training."""

from typing import ClassVar, Literal

from pydantic import Field, field_validator

from compresslab.config.calibration import Calibration
from compresslab.config.method import Method


class Parameters(Method):
    """Convert to LiteRT (the former TensorFlow Lite)."""

    artifact: ClassVar[str] = "model.tflite"
    reads: ClassVar[tuple[str, ...]] = ("tensorflow",)

    method: Literal["export-litert"] = Field("export-litert", description="Convert to LiteRT.")
    quantization: Literal["none", "int8"] = Field(
        "none", description="`int8`: weights per output channel and activations, with ranges seen on training images."
    )
    tolerance: float = Field(
        1e-4,
        gt=0,
        description="Largest accepted difference between the logits of LiteRT and TensorFlow, without int8, as a share "
        "of the largest logit, or of 1 where all are smaller.",
    )
    calibration: Calibration = Field(
        default_factory=Calibration, description="How activation ranges are found for `int8` (`minmax` only)."
    )

    @field_validator("calibration")
    @classmethod
    def _ranges_of_the_converter(cls, calibration: Calibration) -> Calibration:
        if calibration.ranges != "minmax":
            raise ValueError(f"ranges {calibration.ranges!r} are not LiteRT's; use minmax")
        return calibration

    @property
    def makes(self) -> str:  # type: ignore[override]
        """A LiteRT file, quantized or not."""
        return "litert" if self.quantization == "none" else "litert-quantized"

    @property
    def engine(self) -> str:
        """LiteRT."""
        return "litert"

    @property
    def integer(self) -> bool:
        """The audit fails when a convolution or matrix product of an int8 model is left in float."""
        return self.quantization == "int8"
