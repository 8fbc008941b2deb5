"""Warm-up and steady-state sampling of one call, and the percentiles that a number of calls supports."""

import gc
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import numpy as np

EARLY_STOPPING_CONFIDENCE = 0.99
PERCENTILES = (50, 90, 99)
WARMUP_WINDOW = 25

Call = Callable[[int], object]


@dataclass(frozen=True)
class WarmUp:
    """How a warm-up went: calls made, and whether the last two windows agreed."""

    calls: int
    stable: bool


def warm_up(call: Call, *, calls: int, tolerance: float, longest_s: float) -> WarmUp:
    """Call until the medians of two consecutive windows agree within ``tolerance``, and at least ``calls`` times.

    ``call`` gets the number of the call. A window is 25 calls, or half of ``calls`` where that is fewer. After
    ``longest_s`` seconds the warm-up ends in any case, ``stable`` or not.
    """
    window = max(1, min(WARMUP_WINDOW, calls // 2))
    deadline = time.perf_counter() + longest_s
    times: list[int] = []
    with collector_paused():
        while time.perf_counter() < deadline:
            times.append(_timed(call, len(times)))
            if len(times) >= calls and len(times) % window == 0 and _agree(times, window, tolerance):
                return WarmUp(len(times), True)
    return WarmUp(len(times), _agree(times, window, tolerance))


def sample(call: Call, *, calls: int, seconds: float, longest_s: float) -> np.ndarray:
    """Time single calls until there are ``calls`` of them and they took ``seconds`` in total: (N,) int64 nanoseconds.

    ``call`` gets the number of the call. After ``longest_s`` seconds the sampling ends with the calls it has, at
    least one.
    """
    enough, longest = int(seconds * 1e9), int(longest_s * 1e9)
    times: list[int] = []
    total = 0
    with collector_paused():
        while (len(times) < calls or total < enough) and (not times or total < longest):
            elapsed = _timed(call, len(times))
            times.append(elapsed)
            total += elapsed
    return np.asarray(times, dtype=np.int64)


@contextmanager
def collector_paused() -> Iterator[None]:
    """Collect garbage now and then keep the collector out of the timed calls; nothing where it is paused already."""
    if not gc.isenabled():
        yield
        return
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@cache
def calls_needed(percentile: int) -> int:
    """Return how many calls a latency percentile needs: 64 for the 90th, 662 for the 99th.

    MLPerf Inference's early stopping at its smallest: with one call allowed above the bound, the chance that fewer
    than ``percentile`` per cent of all calls are below it stays under 1 %.
    """
    share = percentile / 100
    calls = 2
    while share**calls + calls * (1 - share) * share ** (calls - 1) > 1 - EARLY_STOPPING_CONFIDENCE:
        calls += 1
    return calls


def supported_percentiles(times: np.ndarray) -> dict[int, float]:
    """Return the percentiles 50, 90 and 99 of times (N,) in the same unit; NaN where N calls do not support one."""
    return {
        percentile: float(np.quantile(times, percentile / 100, method="inverted_cdf"))
        if len(times) >= calls_needed(percentile)
        else math.nan
        for percentile in PERCENTILES
    }


def _timed(call: Call, number: int) -> int:
    start = time.perf_counter_ns()
    call(number)
    return time.perf_counter_ns() - start


def _agree(times: list[int], window: int, tolerance: float) -> bool:
    if len(times) < 2 * window:
        return False
    earlier, later = np.median(times[-2 * window : -window]), np.median(times[-window:])
    return bool(abs(later - earlier) <= tolerance * earlier)
