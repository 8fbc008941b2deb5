"""Several ways to do the same work, timed in turns on this machine, so that whatever disturbs it disturbs all alike."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from compresslab.measure.intervals import Interval, paired_ratio, round_quantile_interval
from compresslab.measure.steady import Call, collector_paused, sample


@dataclass(frozen=True)
class Effort:
    """How long each side is timed in every round: ``calls`` calls and ``seconds``, at least.

    ``longest_s`` ends the calls of a slow side before.
    """

    rounds: int = 5
    seconds: float = 0.02
    calls: int = 10
    longest_s: float = 0.2


@dataclass(frozen=True)
class Times:
    """Times of single calls in ms, float64 (N,), and the round that each was taken in, int64 (N,)."""

    ms: np.ndarray
    rounds: np.ndarray

    def median(self) -> Interval:
        """Return the median over rounds of the rounds' medians, in ms."""
        return round_quantile_interval(self.ms, self.rounds)

    def ratio_to(self, other: "Times") -> Interval:
        """Return how many times as long as the other's a call takes, both sides paired by round."""
        return paired_ratio(self.ms, self.rounds, other.ms, other.rounds)


def in_turns(sides: Mapping[str, Call], effort: Effort) -> dict[str, Times]:
    """Time every side in every round, one after the other; the first call of a turn is not timed."""
    taken: dict[str, list[np.ndarray]] = {side: [] for side in sides}
    with collector_paused():
        for _ in range(effort.rounds):
            for side, call in sides.items():
                call(0)
                nanoseconds = sample(call, calls=effort.calls, seconds=effort.seconds, longest_s=effort.longest_s)
                taken[side].append(nanoseconds / 1e6)
    return {
        side: Times(np.concatenate(turns), np.repeat(np.arange(effort.rounds), [len(turn) for turn in turns]))
        for side, turns in taken.items()
    }


def interval_columns(name: str, unit: str, interval: Interval) -> dict[str, float]:
    """Spell an interval as three columns of a table: ``name``, ``name_low`` and ``name_high``, each with its unit."""
    ends = {"": interval.estimate, "_low": interval.low, "_high": interval.high}
    return {f"{name}{end}{unit}": value for end, value in ends.items()}
