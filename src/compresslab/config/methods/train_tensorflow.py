"""`train-tensorflow`: train the architecture in TensorFlow, from a seeded initialization."""

from typing import ClassVar, Literal

from pydantic import Field

from compresslab.config.method import Method
from compresslab.config.training import KNOWN_IN_TENSORFLOW, Known, Recipe


class Parameters(Recipe, Method):
    """Train in TensorFlow. Takes the model's `train` block; settings given here replace it one by one."""

    artifact: ClassVar[str] = "model.safetensors"
    makes: ClassVar[str] = "tensorflow"
    known: ClassVar[Known] = KNOWN_IN_TENSORFLOW

    method: Literal["train-tensorflow"] = Field("train-tensorflow", description="Train in TensorFlow.")

    @property
    def engine(self) -> str:
        """TensorFlow, traced to a graph."""
        return "tf-graph"
