"""`training-steps`: how long a step of training takes in several networks, side by side."""

from typing import ClassVar, Self

from pydantic import Field, model_validator

from compresslab.config.study import Study


class Settings(Study):
    """How long a step of training (forward, backward, update) takes in several networks."""

    reads: ClassVar[tuple[str, ...]] = ("torch",)

    of: list[str] = Field(min_length=1, description="The variants whose networks are timed, as `model/variant`.")
    baseline: str = Field(description="The one of them that the others are held against.")
    batch: int = Field(16, ge=1, description="Images of a step.")

    @model_validator(mode="after")
    def _baseline_is_timed(self) -> Self:
        if self.baseline not in self.of:
            raise ValueError(f"the baseline '{self.baseline}' is none of those that are timed: {', '.join(self.of)}")
        return self

    @property
    def variants(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(self.of)
