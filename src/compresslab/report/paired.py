"""The paired comparisons of two variants, one row per seed, taken together."""

import pandas as pd

from compresslab.tables.statistics import Estimate, seed_mean


def mean_difference(runs: pd.DataFrame, quantity: str = "accuracy_difference") -> Estimate:
    """Difference of a quantity in points: the mean over seeds with Student's interval, or one seed with its own."""
    if len(runs) == 1:
        return Estimate(*(float(runs[f"{quantity}{end}_points"].iloc[0]) for end in ("", "_low", "_high")))
    return seed_mean(runs[f"{quantity}_points"].tolist())


def common_verdict(runs: pd.DataFrame) -> str:
    """``better``, ``worse`` or ``noise`` when all seeds say so, else ``mixed``."""
    verdicts = set(runs["accuracy_verdict"])
    return str(verdicts.pop()) if len(verdicts) == 1 else "mixed"
