"""`prune-tfmot`: set the smallest weights of a TensorFlow network to zero and train it on."""

from typing import ClassVar, Literal

from pydantic import Field

from compresslab.config.method import Method
from compresslab.config.training import KNOWN_IN_TENSORFLOW, FineTuning, Known


class Parameters(FineTuning, Method):
    """Prune by magnitude with the TensorFlow Model Optimization Toolkit, at a constant sparsity."""

    artifact: ClassVar[str] = "model.safetensors"
    makes: ClassVar[str] = "tensorflow"
    reads: ClassVar[tuple[str, ...]] = ("tensorflow",)
    known: ClassVar[Known] = KNOWN_IN_TENSORFLOW

    method: Literal["prune-tfmot"] = Field("prune-tfmot", description="Prune a TensorFlow network.")
    sparsity: float = Field(0.5, gt=0, lt=1, description="Share of zeros in the weights of every layer.")
    mask_every: int = Field(
        100, ge=1, description="Steps between two choices of the weights to remove; the first is at the first step."
    )

    @property
    def engine(self) -> str:
        """TensorFlow, traced to a graph."""
        return "tf-graph"
