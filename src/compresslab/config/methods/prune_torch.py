"""`prune-torch`: set the smallest weights of every layer to zero, and train on with the others."""

from typing import ClassVar, Literal

from pydantic import Field

from compresslab.config.method import Method
from compresslab.config.training import FineTuning


class Parameters(FineTuning, Method):
    """Unstructured magnitude pruning in PyTorch, followed by fine-tuning."""

    artifact: ClassVar[str] = "model.safetensors"
    makes: ClassVar[str] = "torch"
    reads: ClassVar[tuple[str, ...]] = ("torch",)

    method: Literal["prune-torch"] = Field("prune-torch", description="Prune single weights of a PyTorch network.")
    sparsity: float = Field(0.5, gt=0, lt=1, description="Share of each layer's weights that become zero.")

    @property
    def engine(self) -> str:
        """Eager PyTorch."""
        return "torch"
