"""`prune-channels`: remove whole channels and features, and train on with the smaller network."""

from typing import ClassVar, Literal

from pydantic import Field

from compresslab.config.method import Method
from compresslab.config.training import FineTuning


class Parameters(FineTuning, Method):
    """Structured pruning in PyTorch, followed by fine-tuning; the architecture must take `widths`."""

    artifact: ClassVar[str] = "model.safetensors"
    makes: ClassVar[str] = "torch"
    reads: ClassVar[tuple[str, ...]] = ("torch",)
    needs_arguments: ClassVar[tuple[str, ...]] = ("widths",)

    method: Literal["prune-channels"] = Field("prune-channels", description="Prune channels of a PyTorch network.")
    ratio: float = Field(0.5, gt=0, lt=1, description="Share of each layer's channels or features that is removed.")

    @property
    def engine(self) -> str:
        """Eager PyTorch."""
        return "torch"
