"""The facts that a sentence is built on: plain numbers beside the verdict that a table gave."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Score:
    """Accuracy of a variant over its seeds, in percent, and the half-width of one training's 95 % interval."""

    mean: float
    low: float
    high: float
    seeds: int
    images: int
    half_width_points: float


@dataclass(frozen=True)
class Size:
    """Bytes of a variant, and how many times smaller it is than its model's first variant."""

    stored_bytes: float
    weight_bytes: float
    table_bytes: float
    file_bytes: float
    activation_peak_bytes: float
    ratio: float


@dataclass(frozen=True)
class Change:
    """A variant against a reference over seeds: ``verdicts`` counts better, worse and noise."""

    variant: str
    reference: str
    agreement_percent: float
    difference_points: float
    seeds: int
    verdicts: Mapping[str, int]
    relative_l2_percent: float
    detectable_points: float

    @property
    def verdict(self) -> str:
        """``better``, ``worse`` or ``noise`` when all seeds say so, else ``mixed``."""
        return next((verdict for verdict, seeds in self.verdicts.items() if seeds == self.seeds), "mixed")


@dataclass(frozen=True)
class Speed:
    """A cell against its baseline on one host: ratios above 1 are faster; throughput may not have been measured."""

    variant: str
    engine: str
    baseline_variant: str
    baseline_engine: str
    threads: int
    verdict: str
    ratio: float
    low: float
    high: float
    throughput_ratio: float | None


@dataclass(frozen=True)
class LayerError:
    """The layer after which a variant is farthest from its reference, and the error of the last layer, in percent."""

    reference: str
    layer: str
    percent: float
    last_layer: str
    last_percent: float


@dataclass(frozen=True)
class Slimming:
    """What a method took away from a variant's parent: shares of the parent's numbers, in percent."""

    parent: str
    sparsity_percent: float
    macs_percent: float
    file_percent: float
    gzip_percent: float
    sparse_percent: float


@dataclass(frozen=True)
class BreakEven:
    """From which sparsity on a layer's sparse product is faster, and its storage smaller; None: not even at the most.

    ``most_percent`` is the highest sparsity that was tried.
    """

    layer: str
    batch: int
    faster_percent: float | None
    smaller_percent: float | None
    most_percent: float


@dataclass(frozen=True)
class HardestClass:
    """The class with the lowest mean recall, and what it is most often taken for (empty when it never is)."""

    name: str
    recall_percent: float
    taken_for: str
    images: int
