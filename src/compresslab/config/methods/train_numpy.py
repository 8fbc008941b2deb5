"""`train-numpy`: train the architecture in nothing but NumPy, from a seeded initialization."""

from typing import ClassVar, Literal

from pydantic import Field

from compresslab.config.method import Method
from compresslab.config.training import KNOWN_IN_NUMPY, Known, Recipe


class Parameters(Recipe, Method):
    """Train in NumPy, on the CPU. Takes the model's `train` block; settings given here replace it one by one."""

    artifact: ClassVar[str] = "model.npz"
    makes: ClassVar[str] = "numpy"
    known: ClassVar[Known] = KNOWN_IN_NUMPY

    method: Literal["train-numpy"] = Field("train-numpy", description="Train in NumPy.")

    @property
    def engine(self) -> str:
        """The float NumPy engine."""
        return "numpy"
