"""Splits of a published training set into training and validation data."""

import numpy as np

from compresslab.data.sampling import permutation


def stratified_holdout(labels: np.ndarray, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Hold ``count`` samples out, each class in proportion; return (kept, held out) as sorted int64 indices.

    Classes are rounded by largest remainder, so that exactly ``count`` samples are held out. Raises ValueError unless
    0 < ``count`` < number of labels.
    """
    if not 0 < count < len(labels):
        raise ValueError(f"cannot hold {count} of {len(labels)} samples out")
    order = permutation(seed, len(labels))
    shuffled = labels[order]
    held_out = np.zeros(len(labels), bool)
    for label, quota in _quotas(labels, count).items():
        held_out[order[shuffled == label][:quota]] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def _quotas(labels: np.ndarray, count: int) -> dict[int, int]:
    classes, sizes = np.unique(labels, return_counts=True)
    quotas, remainders = np.divmod(sizes * count, len(labels))
    most_short = np.argsort(-remainders, kind="stable")[: count - int(quotas.sum())]
    quotas[most_short] += 1
    return dict(zip(classes.tolist(), quotas.tolist(), strict=True))
