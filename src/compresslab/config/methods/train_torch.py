"""`train-torch`: train the architecture in PyTorch, from a seeded initialization."""

from typing import ClassVar, Literal

from pydantic import Field

from compresslab.config.method import Method
from compresslab.config.training import Recipe


class Parameters(Recipe, Method):
    """Train in PyTorch. Takes the model's `train` block; settings given here replace it one by one."""

    artifact: ClassVar[str] = "model.safetensors"
    makes: ClassVar[str] = "torch"

    method: Literal["train-torch"] = Field("train-torch", description="Train in PyTorch.")

    @property
    def engine(self) -> str:
        """Eager PyTorch."""
        return "torch"
