"""The errors of all model files."""


class ArtifactError(ValueError):
    """A model file that cannot be used; says which one, what is wrong, and what to do."""


class UnquantizableError(ArtifactError):
    """A network with an operation that cannot be made integer; names it."""
