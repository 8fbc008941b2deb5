"""Ask variants what they see: one at a time, on one thread, with the time that it took."""

import time
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from threading import Lock

import numpy as np

from compresslab.demo.results import Variant
from compresslab.engines.contract import Engine, open_engine

MOST_OPEN = 8
"""Networks that are kept open at once."""
WARM_UP_CALLS = 3
TIMED_CALLS, FEWEST_CALLS = 31, 5
PATIENCE_S = 0.5
"""A slow network is timed for so long, and at least ``FEWEST_CALLS`` times."""


@dataclass(frozen=True, eq=False)
class Answer:
    """What a variant says to one image: a probability for every class, float64 (classes,), and how long it took.

    ``p50_ms`` is the median of ``calls`` single-image calls, without preparing the input.
    """

    probabilities: np.ndarray
    p50_ms: float
    calls: int

    @property
    def answer(self) -> int:
        """The class of the highest probability."""
        return int(self.probabilities.argmax())

    def top(self, count: int) -> list[int]:
        """The most probable classes, the most probable one first; equal ones in the order of classes."""
        return [int(place) for place in np.argsort(-self.probabilities, kind="stable")[:count]]


class Classifier:
    """Opened variants behind one lock: engines need not be safe for threads, and two at once would spoil the times."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._open: OrderedDict[Path, Engine] = OrderedDict()

    def ask(self, variant: Variant, image: np.ndarray) -> Answer:
        """Let ``variant`` classify one image, uint8 (H, W, C). Raises what opening or running it raises."""
        with self._lock:
            engine = self._opened(variant)
            native = engine.prepare(np.ascontiguousarray(image[np.newaxis]))
            # A copy: engines may hand out the memory that they compute in.
            logits = engine.run(native)[0].astype(np.float64)
            for _ in range(WARM_UP_CALLS):
                engine.run(native)
            times_ms = _timed(engine, native)
        return Answer(softmax(logits), median(times_ms), len(times_ms))

    def _opened(self, variant: Variant) -> Engine:
        engine = self._open.get(variant.file)
        if engine is None:
            engine = self._open[variant.file] = open_engine(variant.engine, variant.file, threads=1)
        self._open.move_to_end(variant.file)
        while len(self._open) > MOST_OPEN:
            self._open.popitem(last=False)
        return engine


def softmax(logits: np.ndarray) -> np.ndarray:
    """Probabilities, float64 (classes,), that sum to one."""
    powers = np.exp(logits - logits.max())
    return np.asarray(powers / powers.sum(), np.float64)


def _timed(engine: Engine, native: object) -> list[float]:
    times: list[float] = []
    until = time.perf_counter() + PATIENCE_S
    while len(times) < FEWEST_CALLS or (len(times) < TIMED_CALLS and time.perf_counter() < until):
        begun = time.perf_counter()
        engine.run(native)
        times.append((time.perf_counter() - begun) * 1000)
    return times
