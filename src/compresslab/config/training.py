"""How a model is trained: the recipe that all frameworks understand."""

from collections.abc import Mapping
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from compresslab.config.base import Section


class Optimizer(Section):
    """The optimizer and its step size."""

    name: Literal["adam", "adamw", "sgd"] = Field("adam", description="Optimizer.")
    lr: float = Field(0.001, gt=0, description="Learning rate; the peak of a one-cycle schedule.")
    momentum: float = Field(0.9, ge=0, lt=1, description="Momentum of `sgd`; the others ignore it.")
    weight_decay: float = Field(0.0, ge=0, description="Weight decay.")


class Optimization(Section):
    """What every training has: from first weights, or on from a parent's."""

    epochs: int = Field(5, ge=1, description="Passes over the training split.")
    batch: int = Field(64, ge=1, description="Images per step.")
    optimizer: Optimizer = Field(default_factory=Optimizer, description="Optimizer and its settings.")
    schedule: Literal["constant", "one-cycle", "cosine", "step"] = Field(
        "constant", description="How the learning rate changes over the training."
    )
    step_epochs: int | None = Field(None, ge=1, description="Epochs between two halvings of a `step` schedule.")
    augmentation: Literal["none", "symmetries"] = Field(
        "none", description="`symmetries`: in every epoch each image is turned by quarter turns and mirrored at random."
    )
    label_smoothing: float = Field(0.0, ge=0, lt=1, description="Label smoothing of the cross-entropy.")
    threads: int = Field(1, ge=1, description="Threads of a training on the CPU; part of the result's identity.")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="`auto` takes a GPU when there is one.")

    @model_validator(mode="after")
    def _step_needs_epochs(self) -> Self:
        if self.schedule == "step" and self.step_epochs is None:
            raise ValueError("schedule 'step' needs step_epochs")
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
