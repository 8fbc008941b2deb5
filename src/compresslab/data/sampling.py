"""Reproducible random numbers: the same bits under every NumPy version and on every platform.

NumPy promises that its bit generators never change their stream, but makes no such promise for the methods of
``Generator`` (NEP 19). Splits and embedded data are identities that results hang on, so they are drawn from the
raw stream.
"""

from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np

_WORDS_AT_ONCE = 256  # one by one, the way through NumPy would take longer than drawing
_T = TypeVar("_T")


def uniform(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    """Draw float64 numbers in [0, 1) from PCG64: the upper 53 bits of each word of its stream."""
    words = np.random.PCG64(seed).random_raw(int(np.prod(shape)))
    return ((words >> np.uint64(11)) * 2.0**-53).reshape(shape)


def permutation(seed: int, count: int) -> np.ndarray:
    """Return a permutation of ``range(count)``, int64 (count,): the order that sorts the stream's words."""
    return np.argsort(np.random.PCG64(seed).random_raw(count), kind="stable").astype(np.int64)


class Dice:
    """Random choices one after another, from PCG64 seeded with a seed and the number of a sample."""

    def __init__(self, seed: int, number: int) -> None:
        self._stream = np.random.PCG64([seed, number])
        self._words = self._taken()

    def between(self, low: float, high: float) -> float:
        """Draw a number from [low, high)."""
        return low + (high - low) * ((next(self._words) >> 11) * 2.0**-53)

    def happens(self, chance: float) -> bool:
        """Say whether something happens that has this chance."""
        return self.between(0, 1) < chance

    def chosen(self, choices: Sequence[_T]) -> _T:
        """Choose one of several things, each as likely as the others."""
        return choices[int(self.between(0, len(choices)))]

    def many(self, shape: tuple[int, ...]) -> np.ndarray:
        """Draw numbers from [0, 1): float32 of a shape."""
        words = self._stream.random_raw(int(np.prod(shape)))
        return ((words >> np.uint64(40)) * np.float32(2.0**-24)).astype(np.float32).reshape(shape)

    def _taken(self) -> Iterator[int]:
        while True:
            yield from self._stream.random_raw(_WORDS_AT_ONCE).tolist()
