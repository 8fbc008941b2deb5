"""What a user's model and the lab's dataset have to agree on: a file, the classes, the normalization.

Nothing here knows a framework. What the configuration leaves out is taken from the dataset's card, and said.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compresslab.artifacts import file_sha256
from compresslab.config.methods.import_ import LARGEST_BYTES, Parameters
from compresslab.data.card import DataCard
from compresslab.data.preprocessing import Preprocessing

Say = Callable[[str], None]
"""Takes a line for the log."""


class ImportRefusedError(ValueError):
    """A file that is not brought in; says in one line what is wrong with it and what to do."""


@dataclass(frozen=True)
class Terms:
    """How a user's model is used here.

    ``classes`` are the dataset's, in its order; ``outputs`` gives, for each of them, the position of its output in the
    user's model. ``defaults`` names the settings that were left to the dataset.
    """

    image_shape: tuple[int, int, int]
    preprocessing: Preprocessing
    classes: tuple[str, ...]
    outputs: tuple[int, ...]
    defaults: tuple[str, ...]

    @property
    def permuted(self) -> bool:
        """Whether the user's model answers in another order than the dataset's."""
        return self.outputs != tuple(range(len(self.classes)))

    def described(self) -> dict[str, Any]:
        """For the card: normalization, order of the outputs, and what was left to the dataset."""
        return {
            "preprocessing": self.preprocessing.to_json(),
            "outputs_reordered": list(self.outputs) if self.permuted else None,
            "from_the_dataset": list(self.defaults),
        }


def agreed(parameters: Parameters, card: DataCard, say: Say) -> Terms:
    """Settle classes and normalization; raises ImportRefusedError where they are not those of the dataset."""
    defaults = tuple(name for name in ("classes", "mean", "std") if getattr(parameters, name) is None)
    if defaults:
        say(f"{', '.join(defaults)}: not given, so those of {card.dataset} are taken")
    mean, std = parameters.mean or card.mean, parameters.std or card.std
    if len(mean) != (channels := card.image_shape[2]):
        raise ImportRefusedError(
            f"mean and std have {len(mean)} channels and the images of {card.dataset} {channels}; "
            "give one number per channel"
        )
    outputs = order(parameters.classes or card.classes, card)
    terms = Terms(card.image_shape, Preprocessing(tuple(mean), tuple(std)), tuple(card.classes), outputs, defaults)
    if terms.permuted:
        say(f"the outputs are brought into the order of {card.dataset}: {', '.join(terms.classes)}")
    return terms


def order(classes: Sequence[str], card: DataCard) -> tuple[int, ...]:
    """Position of every class of the dataset among ``classes``; ImportRefusedError unless they are the same ones."""
    missing = [name for name in card.classes if name not in classes]
    unknown = [name for name in classes if name not in card.classes]
    if missing or unknown:
        raise ImportRefusedError(
            f"the classes are not those of {card.dataset}: missing: {', '.join(missing) or 'none'}; "
            f"unknown: {', '.join(unknown) or 'none'}"
        )
    return tuple(classes.index(name) for name in card.classes)


def require_file(path: Path, sha256: str) -> None:
    """Raise ImportRefusedError for a file that is too large, or that is not the one the job was planned with."""
    if not path.is_file():
        raise ImportRefusedError(f"{path}: there is no such file")
    if path.stat().st_size > LARGEST_BYTES:
        raise ImportRefusedError(f"{path}: more than {LARGEST_BYTES / 1e9:g} GB; no file of this size is imported")
    if file_sha256(path) != sha256:
        raise ImportRefusedError(f"{path}: it was changed since this run was planned; run again")
