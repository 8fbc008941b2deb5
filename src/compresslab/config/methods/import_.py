"""`import`: a trained model of the user's own, as weights for an architecture or as an ONNX graph."""

from pathlib import PurePath
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from compresslab.config.method import Method

KINDS = {".safetensors": "torch", ".pth": "torch", ".pt": "torch", ".onnx": "onnx"}
"""What a file holds, by its suffix."""

LARGEST_BYTES = 2_000_000_000
"""Size above which a file is refused: this is a house for small models, and protobuf ends at 2 GiB."""

# YAML reads `0` as a number; classes of digits are called "0".
ClassName = Annotated[str, Field(coerce_numbers_to_str=True, min_length=1)]
NamePart = Annotated[str, Field(min_length=1)]
Std = Annotated[float, Field(gt=0)]


class Parameters(Method):
    """Bring in a model that was trained elsewhere. Nothing that it holds is executed."""

    method: Literal["import"] = Field("import", description="Bring in a model of one's own.")
    file: str = Field(
        description="A `.safetensors`, `.pth` or `.pt` file of PyTorch weights for the model's architecture, or an "
        "`.onnx` file; absolute, or relative to the project's folder. What it holds matters, not where it lies."
    )
    classes: list[ClassName] | None = Field(
        None,
        min_length=2,
        description="Classes in the order of the model's outputs; the dataset's, in its order, when unset.",
    )
    mean: list[float] | None = Field(
        None,
        min_length=1,
        description="Mean per channel of pixels divided by 255 that it was trained with; the dataset's when unset.",
    )
    std: list[Std] | None = Field(
        None, min_length=1, description="Standard deviation per channel, likewise; given together with `mean`."
    )
    rename: dict[NamePart, str] = Field(
        default_factory=dict,
        description="Parts of tensor names and what stands for them here, such as `linear.: fc.`; where several fit, "
        "the longest one is replaced.",
    )

    @field_validator("file")
    @classmethod
    def _known_suffix(cls, file: str) -> str:
        if _suffix(file) not in KINDS:
            raise ValueError(f"'{file}' cannot be imported; the name of a file that can ends in {', '.join(KINDS)}")
        return file

    @field_validator("classes")
    @classmethod
    def _different(cls, classes: list[str] | None) -> list[str] | None:
        twice = sorted({name for name in classes or [] if (classes or []).count(name) > 1})
        if twice:
            raise ValueError(f"a class is named twice: {', '.join(twice)}")
        return classes

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.mean is None) != (self.std is None):
            raise ValueError("mean and std belong together; give both, or none for the dataset's own")
        if self.mean is not None and self.std is not None and len(self.mean) != len(self.std):
            raise ValueError(f"mean has {len(self.mean)} channels and std {len(self.std)}; give one number per channel")
        if self.rename and self.makes == "onnx":
            raise ValueError("rename is for files of weights; an .onnx file holds its own graph")
        return self

    @property
    def makes(self) -> str:  # type: ignore[override]
        """Weights of PyTorch, or an ONNX graph."""
        return KINDS[_suffix(self.file)]

    @property
    def artifact(self) -> str:  # type: ignore[override]
        """The name that every variant of this kind has."""
        return "model.onnx" if self.makes == "onnx" else "model.safetensors"

    @property
    def builds(self) -> str | None:
        """An ONNX file needs no architecture."""
        return None if self.makes == "onnx" else self.makes

    @property
    def engine(self) -> str:
        """Eager PyTorch, or ONNX Runtime."""
        return "onnxruntime" if self.makes == "onnx" else "torch"

    def parameters(self) -> dict[str, Any]:
        """The settings without the file's place, so that a moved file makes nothing anew."""
        return {name: value for name, value in super().parameters().items() if name != "file"}


def _suffix(file: str) -> str:
    return PurePath(file).suffix.lower()
