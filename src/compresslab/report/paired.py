"""The paired comparisons of two variants, one row of ``comparisons`` per seed, taken together."""

import pandas as pd

from compresslab.tables.statistics import Estimate, seed_mean

_DIFFERENCE = ("accuracy_difference_points", "accuracy_difference_low_points", "accuracy_difference_high_points")


def mean_difference(runs: pd.DataFrame) -> Estimate:
    """Difference of the accuracies in points: the mean over seeds with Student's interval, or one seed with Tango's."""
    if len(runs) == 1:
        return Estimate(*(float(runs[name].iloc[0]) for name in _DIFFERENCE))
    return seed_mean(runs[_DIFFERENCE[0]].tolist())


def common_verdict(runs: pd.DataFrame) -> str:
    """``better``, ``worse`` or ``noise`` when all seeds say so, else ``mixed``."""
    verdicts = set(runs["accuracy_verdict"])
    return str(verdicts.pop()) if len(verdicts) == 1 else "mixed"
