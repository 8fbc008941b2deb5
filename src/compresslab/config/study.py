"""What every study says of itself, so that the workflow can wire its files without knowing the question."""

from typing import ClassVar

from pydantic import Field

from compresslab.config.base import Section


class Study(Section):
    """A question that a lab measures on its own: one class of settings, one module and one table per study."""

    reads: ClassVar[tuple[str, ...]] = ()
    """What the variants that it looks into may hold."""

    @property
    def variants(self) -> tuple[str, ...]:
        """The variants that it looks into, as `model/variant`; none for a question about no network in particular."""
        return ()

    @property
    def built_architectures(self) -> tuple[str, ...]:
        """Architectures of PyTorch that it builds by name, without weights of a variant."""
        return ()


class StudyOfVariant(Study):
    """A study that looks into one variant."""

    of: str = Field(description="The variant that is studied, as `model/variant`.")

    @property
    def variants(self) -> tuple[str, ...]:
        """The one variant."""
        return (self.of,)
