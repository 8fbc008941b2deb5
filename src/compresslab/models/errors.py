"""The error of all model files."""


class ArtifactError(ValueError):
    """A model file that cannot be used; says which one, what is wrong, and what to do."""
