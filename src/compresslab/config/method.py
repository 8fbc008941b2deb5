"""What every method says of itself, so that the workflow can wire a variant without knowing the method."""

from typing import ClassVar

from pydantic import Field

from compresslab.config.base import Name, Section


class Method(Section):
    """How a variant comes from its parent: one subclass, one stage and one rule per method."""

    artifact: ClassVar[str]
    """File name of the variant that this method makes."""
    makes: ClassVar[str]
    """What that file holds: a framework (`torch`, `tensorflow`, `numpy`, `onnx`, `litert`), `-quantized` or not."""
    reads: ClassVar[tuple[str, ...]] = ()
    """What its parent may hold; empty for a method that starts from data."""

    needs_arguments: ClassVar[tuple[str, ...]] = ()
    """Arguments that the architecture must take for this method."""

    simulates: ClassVar[bool] = False
    """Whether it only simulates integer arithmetic in float: then it is scored, but neither timed nor weighed."""

    measures_sensitivity: ClassVar[bool] = False
    """Whether making the variant also says what every layer costs when it is quantized alone (`sensitivity.csv`)."""

    method: str = Field(description="Name of the method.")
    parent: Name | None = Field(None, alias="from", description="The variant it starts from.")

    @property
    def builds(self) -> str | None:
        """The framework whose architecture it builds; None for one that has a parent, or that needs no architecture."""
        return None if self.reads else self.makes

    @property
    def engine(self) -> str:
        """The engine that runs the variant when none is named."""
        raise NotImplementedError

    @property
    def integer(self) -> bool:
        """Whether the variant promises integer arithmetic, so that its executed graph is audited."""
        return False

    @classmethod
    def computes_in(cls) -> str:
        """In what its variants compute: `float`, `simulated` integers, or `integer`."""
        # What an import makes is known by its file alone; it is float.
        return "simulated" if cls.simulates else "integer" if str(cls.makes).endswith("-quantized") else "float"

    def parameters(self) -> dict[str, object]:
        """The method's own settings as plain values, defaults included."""
        return self.model_dump(mode="json", exclude={"method", "parent"})
