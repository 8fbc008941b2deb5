"""`export-numpy`: the trained weights as a float network for the NumPy engine."""

from typing import ClassVar, Literal

from pydantic import Field

from compresslab.config.method import Method


class Parameters(Method):
    """Write a PyTorch network as NumPy arrays, layer by layer."""

    artifact: ClassVar[str] = "model.npz"
    makes: ClassVar[str] = "numpy"
    reads: ClassVar[tuple[str, ...]] = ("torch",)

    method: Literal["export-numpy"] = Field("export-numpy", description="Export to NumPy arrays.")

    @property
    def engine(self) -> str:
        """Float32 NumPy."""
        return "numpy"
