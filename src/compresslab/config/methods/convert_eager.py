"""`convert-eager`: a network trained by `qat-eager` in the integers of PyTorch."""

from typing import ClassVar, Literal

from pydantic import Field

from compresslab.config.method import Method


class Parameters(Method):
    """Convert a network that was trained with fake quantization in PyTorch's eager mode to int8."""

    artifact: ClassVar[str] = "model.safetensors"
    makes: ClassVar[str] = "torch-quantized"
    reads: ClassVar[tuple[str, ...]] = ("torch-eager-simulated",)

    method: Literal["convert-eager"] = Field("convert-eager", description="Convert a network of `qat-eager` to int8.")

    @property
    def engine(self) -> str:
        """PyTorch's integer kernels."""
        return "torch-int8"

    @property
    def integer(self) -> bool:
        """The audit fails when a convolution or matrix product is left in float."""
        return True
