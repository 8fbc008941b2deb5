"""What a segmentation costs for what it finds: FLOPs^2 x size^2 / (mIoU - 0.65), lower is better.

As the figure has a pole at 0.65, a mean IoU a little above makes any figure one likes. So it is given with the interval
that the mean IoU leaves it, and where that reaches the pole the upper side is open; beside it stands the front of
cost and mean IoU, which has no pole.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from compresslab.data.confusion import mean_intersection_over_union
from compresslab.measure.intervals import CONFIDENCE, Interval
from compresslab.measure.segmentation import Confusions, mean_iou, mean_iou_difference
from compresslab.tables.segmentation import miou_verdict

POLE = 0.65
"""Mean IoU at and below which the figure is not defined."""


@dataclass(frozen=True)
class Candidate:
    """A variant, ``model/variant``, that is weighed: FLOPs of one image, bytes of the stored model, what it answers.

    ``validation_miou_percent`` is that of the weights that its own training kept, NaN where it has none.
    """

    name: str
    flops: int
    stored_bytes: int
    counted: Confusions
    validation_miou_percent: float = np.nan

    @property
    def gflops(self) -> float:
        """FLOPs of one image in 1e9, two for each multiply-accumulate."""
        return self.flops / 1e9

    @property
    def megabytes(self) -> float:
        """Bytes of the stored model in 1e6."""
        return self.stored_bytes / 1e6

    @property
    def cost(self) -> float:
        """FLOPs^2 x size^2 in GFLOPs^2 MB^2."""
        return self.gflops**2 * self.megabytes**2


def figures_of_merit(candidates: Sequence[Candidate], baseline_name: str) -> pd.DataFrame:
    """Rows of ``figure_of_merit.csv`` without lab and seed: the candidates of one seed, held against one of them.

    ``condition`` is ``undefined`` at or below the pole, ``ill_conditioned`` where the interval of the mean IoU reaches
    it, else ``defined``. ``on_front``: no other candidate costs no more and has no lower a mean IoU, one of them
    strictly. Ratios to the baseline are of the candidate over the baseline, below 1 where the candidate is better.
    A baseline that is none of the candidates is a ValueError.
    """
    named = {candidate.name: candidate for candidate in candidates}
    if baseline_name not in named:
        raise ValueError(f"{baseline_name} has no costs of its own; choose another baseline of the lab")
    baseline = named[baseline_name]
    mious = [mean_iou(candidate.counted) for candidate in candidates]
    points = [(candidate.cost, miou.estimate) for candidate, miou in zip(candidates, mious, strict=True)]
    rows = [
        {
            **_identity(candidate),
            "gflops": candidate.gflops,
            "model_mb": candidate.megabytes,
            "cost_gflops2_mb2": candidate.cost,
            **_percent("miou", miou),
            "validation_miou_percent": candidate.validation_miou_percent,
            **_merit(candidate.cost, miou),
            "on_front": not any(_dominates(other, point) for other in points),
            "baseline": baseline_name,
            **_to_baseline(candidate, baseline),
        }
        for candidate, miou, point in zip(candidates, mious, points, strict=True)
    ]
    return pd.DataFrame(rows)


def _identity(candidate: Candidate) -> dict[str, Any]:
    model, _, variant = candidate.name.partition("/")
    return {"model": model, "variant": variant}


def _percent(name: str, interval: Interval) -> dict[str, float]:
    return {
        f"{name}_percent": 100 * interval.estimate,
        f"{name}_low_percent": 100 * interval.low,
        f"{name}_high_percent": 100 * interval.high,
    }


def _merit(cost: float, miou: Interval) -> dict[str, Any]:
    """The figure with its interval; a bound beyond the pole, where there is none, is NaN."""

    def merit(value: float) -> float:
        return cost / (value - POLE) if value > POLE else np.nan

    condition = "undefined" if miou.estimate <= POLE else "ill_conditioned" if miou.low <= POLE else "defined"
    known = condition != "undefined"
    return {
        "merit_gflops2_mb2": merit(miou.estimate),
        "merit_low_gflops2_mb2": merit(miou.high) if known else np.nan,
        "merit_high_gflops2_mb2": merit(miou.low) if known else np.nan,
        "condition": condition,
    }


def _dominates(other: tuple[float, float], point: tuple[float, float]) -> bool:
    """Whether the other (cost, mean IoU) is at least as good in both and better in one."""
    return other[0] <= point[0] and other[1] >= point[1] and other != point


def _to_baseline(candidate: Candidate, baseline: Candidate) -> dict[str, Any]:
    difference = mean_iou_difference(candidate.counted, baseline.counted)
    ratio, low, high = _merit_ratio(candidate, baseline)
    return {
        "cost_to_baseline_ratio": candidate.cost / baseline.cost,
        "miou_to_baseline_points": 100 * difference.estimate,
        "miou_to_baseline_low_points": 100 * difference.low,
        "miou_to_baseline_high_points": 100 * difference.high,
        "miou_to_baseline_verdict": miou_verdict(difference),
        "merit_to_baseline_ratio": ratio,
        "merit_to_baseline_low_ratio": low,
        "merit_to_baseline_high_ratio": high,
    }


def _merit_ratio(candidate: Candidate, baseline: Candidate) -> tuple[float, float, float]:
    """The quotient of two figures with its paired bootstrap interval; NaN for it, or for a side of it that is open."""
    sides = (candidate, baseline)
    own, base = (float(mean_intersection_over_union(side.counted.whole)) - POLE for side in sides)
    if own <= 0 or base <= 0:
        return np.nan, np.nan, np.nan
    above, base_above = (mean_intersection_over_union(side.counted.resampled) - POLE for side in sides)
    costs = candidate.cost / baseline.cost
    quotient = np.divide(base_above, above, out=np.full_like(above, np.nan), where=(above > 0) & (base_above > 0))
    # Without a figure the candidate is worse than any, and so is the baseline; without both, either may be said.
    most = np.where(above <= 0, np.inf, np.where(base_above <= 0, 0, quotient))
    least = np.where(base_above <= 0, 0, np.where(above <= 0, np.inf, quotient))
    tail = (1 - CONFIDENCE) / 2
    low = float(np.quantile(least, tail, method="lower"))
    high = float(np.quantile(most, 1 - tail, method="higher"))
    ratio = base / own
    bounds = (min(low, ratio) if low > 0 else np.nan, max(high, ratio) if np.isfinite(high) else np.nan)
    return costs * ratio, costs * bounds[0], costs * bounds[1]
