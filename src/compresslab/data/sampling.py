"""Reproducible random numbers: the same bits under every NumPy version and on every platform.

NumPy promises that its bit generators never change their stream, but makes no such promise for the methods of
``Generator`` (NEP 19). Splits and embedded data are identities that results hang on, so they are drawn from the
raw stream.
"""

import numpy as np


def uniform(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """Draw float64 numbers in [0, 1) from PCG64: the upper 53 bits of each word of its stream."""
    words = np.random.PCG64(seed).random_raw(int(np.prod(shape)))
    return ((words >> np.uint64(11)) * 2.0**-53).reshape(shape)


def permutation(seed: int, count: int) -> np.ndarray:
    """Return a permutation of ``range(count)``, int64 (count,): the order that sorts the stream's words."""
    return np.argsort(np.random.PCG64(seed).random_raw(count), kind="stable").astype(np.int64)
