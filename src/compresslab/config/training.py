"""How a model is trained: the recipe that all frameworks understand."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from compresslab.config.base import Section


class Optimizer(Section):
    """The optimizer and its step size."""

    name: Literal["adam", "adamw", "sgd"] = Field("adam", description="Optimizer.")
    lr: float = Field(0.001, gt=0, description="Learning rate; the peak of a one-cycle schedule.")
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum of `sgd`; the others ignore it.")
    weight_decay: float = Field(0.0, ge=0, description="Weight decay.")


class Elastic(Section):
    """Elastic distortion after Simard, Steinkraus and Platt (ICDAR 2003), whose values for 28 x 28 digits are these."""

    strength_px: float = Field(
        34.0,
        ge=0,
        description="Displacements are drawn from -1 to 1 for every pixel, smoothed, and multiplied by this.",
    )
    smoothness_px: float = Field(4.0, gt=0, description="Standard deviation of the Gaussian that smooths them.")


class Scenes(Section):
    """How `augmentation: scenes` shows an image and its mask; every image draws its own numbers in every epoch."""

    mirror: bool = Field(True, description="Mirror half of the images left to right.")
    scale_low: float = Field(
        0.75,
        gt=0,
        description="Smallest factor of size; what then lies beyond the image is void, and shows its mirror.",
    )
    scale_high: float = Field(
        2.0, gt=0, description="Largest factor of size; a part as large as the image is cut out at a random place."
    )
    brightness: float = Field(
        0.2, ge=0, lt=1, description="Pixels are multiplied by a factor that lies at most this far from 1."
    )
    contrast: float = Field(
        0.2, ge=0, lt=1, description="So are their distances from the image's mean, by another such factor."
    )

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if self.scale_low > self.scale_high:
            raise ValueError(f"scale_low {self.scale_low:g} is above scale_high {self.scale_high:g}")
        return self


class Loss(Section):
    """What a training makes small: a sum of losses, each times its weight."""

    cross_entropy: float = Field(
        1.0, ge=0, description="Weight of the cross-entropy: a mean over images, or over pixels that are not void."
    )
    dice: float = Field(
        0.0,
        ge=0,
        description="Weight of the Dice loss, in which a small class counts as much as a large one (segmentation in "
        "PyTorch only).",
    )
    lovasz: float = Field(
        0.0,
        ge=0,
        description="Weight of the Lovász-softmax loss (Berman et al., 2018), which follows the intersection over "
        "union (segmentation in PyTorch only).",
    )

    @model_validator(mode="after")
    def _asks_something(self) -> Self:
        if not any(self.weights.values()):
            raise ValueError("all weights are 0; give at least one loss a weight")
        return self

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each loss, by its name."""
        return {name: getattr(self, name) for name in type(self).model_fields}

    def __str__(self) -> str:
        """The losses that have a weight: ``1 cross_entropy + 0.5 lovasz``."""
        return " + ".join(f"{weight:g} {name}" for name, weight in self.weights.items() if weight)


Known = Mapping[str, tuple[object, ...]]
"""Of some settings of a training, the values that a framework or a task knows; it knows all values of the others."""

KNOWN_IN_TENSORFLOW: Known = {
    "precision": ("float32",),
    "ema": (None,),
    "augmentation": ("none", "symmetries", "crops"),
    "loss": (Loss(),),
}
KNOWN_IN_NUMPY: Known = {**KNOWN_IN_TENSORFLOW, "device": ("auto", "cpu")}

KNOWN_IN_TASK: Mapping[str, Known] = {
    "classification": {"augmentation": ("none", "symmetries", "crops", "elastic"), "loss": (Loss(),)},
    "segmentation": {"augmentation": ("none", "scenes")},
}
"""By the task of a dataset. An augmentation of segmentation has to move the masks as well."""


class Optimization(Section):
    """What every training has: from first weights, or on from a parent's."""

    known: ClassVar[Known] = {}

    epochs: int = Field(5, ge=1, description="Passes over the training split.")
    batch: int = Field(64, ge=1, description="Images per step.")
    optimizer: Optimizer = Field(default_factory=Optimizer, description="Optimizer and its settings.")
    schedule: Literal["constant", "one-cycle", "cosine", "step"] = Field(
        "constant", description="How the learning rate changes over the training."
    )
    step_epochs: int | None = Field(None, ge=1, description="Epochs between two halvings of a `step` schedule.")
    loss: Loss = Field(default_factory=Loss, description="What is made small; weights of its parts.")
    augmentation: Literal["none", "symmetries", "crops", "elastic", "scenes"] = Field(
        "none",
        description="`symmetries`: in every epoch each image is turned by quarter turns and mirrored at random; "
        "`crops`: it is mirrored left to right at random and shifted by up to 4 pixels in both directions, its border "
        "reflected; `elastic`: it is distorted like rubber (PyTorch only); `scenes`: image and mask are mirrored, "
        "scaled and cut together, and the image gets another brightness and contrast (segmentation in PyTorch only).",
    )
    elastic: Elastic = Field(default_factory=Elastic, description="Settings of `augmentation: elastic`.")
    scenes: Scenes = Field(default_factory=Scenes, description="Settings of `augmentation: scenes`.")
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="Label smoothing of the cross-entropy.")
    precision: Literal["float32", "bfloat16", "auto"] = Field(
        "float32",
        description="Of the products in forward and backward pass; weights stay float32. `bfloat16` is for PyTorch "
        "only; `auto` takes it where the device computes it in hardware.",
    )
    ema: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="Decay per step of an exponential moving average of the weights, which is then what is validated "
        "and kept (PyTorch only).",
    )
    keep: Literal["last", "best"] = Field(
        "last",
        description="Which epoch's weights are kept: the last, or the best on the validation split, by accuracy, or by "
        "mean intersection over union where there are masks.",
    )
    patience: int | None = Field(
        None, ge=1, description="Epochs without a better one after which a training ends; needs `keep: best`."
    )
    threads: int = Field(1, ge=1, description="Threads of a training on the CPU; part of the result's identity.")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="`auto` takes a GPU when there is one.")

    def contradiction(self) -> str | None:
        """What two settings say against each other, or None."""
        if self.schedule == "step" and self.step_epochs is None:
            return "schedule 'step' needs step_epochs"
        if self.patience is not None and self.keep != "best":
            return "patience needs keep: best"
        return None

    def unknown_in(self, task: str) -> Iterator[tuple[str, str]]:
        """Yield (setting, message) for what is set here and means nothing for a dataset of this ``task``."""
        for name, known in KNOWN_IN_TASK[task].items():
            if (value := getattr(self, name)) not in known:
                fitting = ", ".join(str(choice) for choice in known)
                yield name, f"{name} '{value}' is not for {task}; known there: {fitting}"

    @model_validator(mode="after")
    def _holds_together(self) -> Self:
        if message := self.contradiction():
            raise ValueError(message)
        return self

    @classmethod
    def among(cls, parameters: Mapping[str, Any]) -> Self:
        """Take the settings of a training from all parameters of a method."""
        return cls.model_validate({name: parameters[name] for name in cls.model_fields})


class Recipe(Optimization):
    """Training settings. A model's `train` block holds for all its variants; a variant may override any of them."""

    initialization: Literal["framework", "he"] = Field(
        "framework",
        description="First weights: as the framework draws them, or `he`: the same He-normal bits in every framework.",
    )


class FineTuning(Optimization):
    """Settings of a training that goes on from a parent's weights: few epochs at a tenth of the usual rate."""

    optimizer: Optimizer = Field(
        default_factory=lambda: Optimizer(lr=0.0001), description="Optimizer and its settings; `lr` is 0.0001 if unset."
    )


FROM_RECIPE = (
    "batch", "loss", "augmentation", "elastic", "scenes", "label_smoothing", "precision", "threads", "device",
)  # fmt: skip
"""What a training that goes on from a parent takes from the model's recipe: not epochs, rate and schedule."""


def merged(training: Optimization, recipe: Recipe) -> dict[str, Any]:
    """Return the settings of a training: those that it sets itself, over those that it takes from the recipe."""
    taken = FROM_RECIPE if isinstance(training, FineTuning) else Recipe.model_fields
    settings = {name: getattr(recipe, name) for name in taken}
    return settings | {name: getattr(training, name) for name in training.model_fields_set}
