"""`architecture-costs`: parameters and multiply-accumulates of whole architectures, by formula and by two counters."""

from typing import Annotated, Any

from pydantic import Field

from compresslab.config.base import Name, Section
from compresslab.config.study import Study

Extent = Annotated[int, Field(ge=1)]


class Architecture(Section):
    """An architecture of PyTorch, for images of one shape."""

    image_shape: tuple[Extent, Extent, Extent] = Field(description="Height, width and channels of an image.")
    classes: int = Field(ge=1, description="Number of classes.")
    arguments: dict[str, Any] = Field(default_factory=dict, description="The architecture's own arguments.")


class Settings(Study):
    """What architectures cost, layer by layer: by formula, by our counter and by torchinfo."""

    architectures: dict[Name, Architecture] = Field(description="The architectures that are counted.", min_length=1)

    @property
    def built_architectures(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(self.architectures)
