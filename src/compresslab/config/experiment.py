"""The configuration as one model: what `config.yaml` may say, with defaults and descriptions."""

from functools import reduce
from importlib import import_module
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, create_model, model_validator

from compresslab.config.base import Name, Section
from compresslab.config.inventory import methods, module_name, studies
from compresslab.config.method import Method
from compresslab.config.study import Study
from compresslab.config.training import Recipe

Scale = Literal["smoke", "quick", "full"]
Source = Literal["upstream", "mirror", "embedded"]
Language = Literal["zh-TW", "en"]

METHODS: dict[str, type[Method]] = {
    name: import_module(f"compresslab.config.methods.{module_name(name)}").Parameters for name in methods()
}
if TYPE_CHECKING:
    AnyMethod = Method
else:
    AnyMethod = Annotated[reduce(or_, METHODS.values()), Field(discriminator="method")]

STUDIES: dict[str, type[Study]] = {
    name: import_module(f"compresslab.config.studies.{module_name(name)}").Settings for name in studies()
}


class Data(Section):
    """Where datasets come from."""

    source: Source = Field(
        "upstream", description="`upstream`: the public address; `mirror`: a local copy; `embedded`: generated."
    )
    mirror: str | None = Field(None, description="Directory that holds a copy in the upstream's layout.")
    instead: dict[Name, Name] = Field(
        default_factory=dict,
        description="Datasets to read in place of others, such as `cifar10: cifar10-jpeg75` where only that copy is at "
        "hand; the reports name what was read.",
    )


class TrainingLimits(Section):
    """Caps on what a training sees and how long it takes; none means the whole protocol."""

    train_images: int | None = Field(None, ge=10, description="Images of the training split.")
    validation_images: int | None = Field(None, ge=10, description="Images of the validation split.")
    epochs: int | None = Field(None, ge=1, description="Epochs of any training.")
    fine_tuning_epochs: int | None = Field(
        None, ge=1, description="Epochs of a training that goes on from a parent's weights."
    )
    batch: int | None = Field(None, ge=1, description="Images per step of any training, so that few images make steps.")


class Limits(TrainingLimits):
    """Caps that make a scale smaller than the protocol; none means the whole protocol."""

    test_images: int | None = Field(None, ge=10, description="Images of the test split.")
    calibration_images: int | None = Field(
        None, ge=1, description="Images that a calibration looks at, or that layers are probed with."
    )


class LabLimits(Limits):
    """Caps of one lab at one scale, on seeds, images, epochs and the latency session; the smaller one holds."""

    seeds: int | None = Field(None, ge=1, description="Number of seeds, the first ones of the run.")
    rounds: int | None = Field(None, ge=1, description="Rounds of the latency session and of studies.")
    calls: int | None = Field(None, ge=10, description="Timed single-image calls per cell.")
    seconds: float | None = Field(None, gt=0, description="Seconds of timed single-image calls per cell.")
    warmup_calls: int | None = Field(None, ge=1, description="Calls before timing.")
    offline_batch: int | None = Field(None, ge=1, description="Images per batch of the throughput measurement.")
    offline_images: int | None = Field(None, ge=1, description="Images of the throughput measurement.")


class Benchmark(Section):
    """The protocol of every latency session."""

    host: Name = Field("local", description="Name of the machine that this run measures on.")
    other_hosts: list[Name] = Field(
        default_factory=list, description="Hosts whose sessions were brought here, shown beside it."
    )
    threads: list[int | Literal["all"]] = Field([1, "all"], min_length=1, description="Thread counts to measure.")
    rounds: int = Field(5, ge=1, description="Rounds over all cells, each in a new random order.")
    calls: int = Field(662, ge=10, description="Timed single-image calls per cell at least (662 support a p99).")
    seconds: float = Field(3.0, gt=0, description="Seconds of timed single-image calls per cell at least.")
    warmup_calls: int = Field(50, ge=1, description="Calls before timing, at least; it goes on until stable.")
    offline_batch: int = Field(256, ge=1, description="Images per batch of the throughput measurement.")
    offline_images: int | None = Field(None, ge=1, description="Images of the throughput measurement; all when unset.")
    timeout_s: float = Field(600.0, gt=0, description="Seconds after which a silent worker is given up.")


class CodecShift(Section):
    """Which variants answer test images that went through JPEG, and at which qualities."""

    of: list[str] = Field(min_length=1, description="The variants, as `model/variant`.")
    baseline: str = Field(description="The one of them whose loss the others' losses are held against.")
    qualities: list[Annotated[int, Field(ge=1, le=100)]] = Field(
        [95, 90, 75, 50], min_length=1, description="JPEG qualities, as Pillow counts them."
    )

    @model_validator(mode="after")
    def _baseline_answers(self) -> Self:
        if self.baseline not in self.of:
            raise ValueError(f"the baseline '{self.baseline}' is none of those that answer: {', '.join(self.of)}")
        return self


class Model(Section):
    """One architecture of a lab, how it is trained, and the variants made of it."""

    architecture: Name | None = Field(None, description="Architecture; the model's own name when unset.")
    arguments: dict[str, bool | int | float | str | list[int]] = Field(
        default_factory=dict, description="Settings of the architecture itself, such as an activation or widths."
    )
    dataset: Name | None = Field(None, description="Dataset of this model; the lab's when unset.")
    train: Recipe = Field(default_factory=Recipe, description="Training settings that its variants start from.")
    variants: dict[Name, AnyMethod] = Field(description="Variants: a parent and a method each.", min_length=1)
    limits: dict[Scale, TrainingLimits] = Field(
        default_factory=dict, description="Caps of this model's trainings by scale, under those of the lab."
    )


class StudiesOfLab(Section):
    """Questions that a lab measures on its own; each has settings of its own."""

    @property
    def chosen(self) -> dict[str, Study]:
        """The studies that the lab asks for, by name."""
        named = {field.alias or name: getattr(self, name) for name, field in type(self).model_fields.items()}
        return {name: settings for name, settings in named.items() if settings is not None}


if TYPE_CHECKING:
    Studies = StudiesOfLab
else:
    Studies = create_model(
        "Studies",
        __base__=StudiesOfLab,
        __doc__=StudiesOfLab.__doc__,
        **{
            module_name(name): (
                # A study without a word behind it takes its defaults.
                Annotated[settings | None, BeforeValidator(lambda given: {} if given is None else given)],
                Field(None, alias=name, description=settings.__doc__),
            )
            for name, settings in STUDIES.items()
        },
    )


class Lab(Section):
    """One study: a dataset, its models and its report."""

    title: dict[Language, str] = Field(default_factory=dict, description="Title of the report, per language.")
    dataset: Name = Field(description="Name of the dataset.")
    models: dict[Name, Model] = Field(min_length=1, description="Models by name.")
    engines: dict[str, list[Name]] = Field(
        default_factory=dict,
        description="Engines per variant (`variant` or `model/variant`); unnamed ones take their natural engine. "
        "The first one answers the test images. `torch-cuda` and `onnxruntime-cuda` need an NVIDIA GPU: a session on a "
        "host without one skips them.",
    )
    baseline: str | None = Field(
        None, description="Variant that speed is compared with; each model's first variant when unset."
    )
    comparisons: dict[str, list[str]] = Field(
        default_factory=dict,
        description="Variants to compare a variant's answers with, image by image, beside its parent.",
    )
    codec_shift: CodecShift | None = Field(
        None, description="Variants that also answer test images after JPEG; none unless given."
    )
    studies: Studies = Field(default_factory=Studies, description="Questions measured on their own.")
    limits: dict[Scale, LabLimits] = Field(
        default_factory=dict,
        description="Caps of this lab by scale, for networks that are too large for those of the run.",
    )
    layer_references: dict[str, list[str]] = Field(
        default_factory=dict,
        description="Variants to hold a quantized variant against, layer by layer, beside its parent.",
    )


class Experiment(Section):
    """Everything that a run does."""

    scale: Scale = Field("full", description="How much of the protocol is run; an overlay in `workflow/scales`.")
    run: Name | None = Field(None, description="Folder of the results; the scale's name when unset.")
    seeds: list[int] = Field([0, 1, 2], min_length=1, description="One training per seed.")
    languages: list[Language] = Field(["zh-TW", "en"], min_length=1, description="Languages of figures and reports.")
    data: Data = Field(default_factory=Data, description="Where datasets come from.")
    limits: Limits = Field(default_factory=Limits, description="Caps on images and epochs.")
    benchmark: Benchmark = Field(default_factory=Benchmark, description="The protocol of every latency session.")
    labs: dict[Name, Lab] = Field(min_length=1, description="The studies, by name.")

    @property
    def run_name(self) -> str:
        """Folder below `results/`."""
        return self.run or self.scale


def json_schema() -> dict[str, Any]:
    """JSON Schema of `config.yaml`, for editors and for the reference page."""
    return Experiment.model_json_schema(by_alias=True)
