"""How quiet the machine was while a cell was measured, and whether its numbers can be trusted."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import psutil

OTHERS_SHARE_LIMIT = 0.10
STOLEN_SHARE_LIMIT = 0.02
ROUND_SPREAD_LIMIT = 0.10
_SHORTEST_WATCH_S = 0.2
_BUSY_FIELDS = ("user", "nice", "system", "irq", "softirq")


@dataclass(frozen=True)
class Disturbance:
    """Seconds that a cell was watched, and processor seconds that others took or the hypervisor withheld."""

    watched_s: float
    others_s: float
    stolen_s: float

    @property
    def others_share(self) -> float:
        """Share of the whole machine that other processes used, 0 to 1."""
        return self._share(self.others_s)

    @property
    def stolen_share(self) -> float:
        """Share of the whole machine that the hypervisor gave to somebody else, 0 to 1."""
        return self._share(self.stolen_s)

    def _share(self, seconds: float) -> float:
        # Processor times tick in 10 ms, so that a shorter watch would see noise of its own making.
        if self.watched_s < _SHORTEST_WATCH_S:
            return 0.0
        return max(0.0, seconds / (self.watched_s * logical_cores()))


class CpuWatch:
    """Sums up what the rest of the machine did while chosen processes were measured."""

    def __init__(self) -> None:
        self._watched = self._others = self._stolen = 0.0

    @contextmanager
    def watching(self, process_id: int) -> Iterator[None]:
        """Watch the block; the processor time of ``process_id`` and of this process is not a disturbance."""
        processes = [psutil.Process(process_id), psutil.Process()]
        start, own, machine = time.monotonic(), _processor_seconds(processes), psutil.cpu_times()
        yield
        later = psutil.cpu_times()
        busy = sum(getattr(later, name, 0.0) - getattr(machine, name, 0.0) for name in _BUSY_FIELDS)
        self._others += busy - (_processor_seconds(processes) - own)
        self._stolen += getattr(later, "steal", 0.0) - getattr(machine, "steal", 0.0)
        self._watched += time.monotonic() - start

    def disturbance(self) -> Disturbance:
        """Return the sums so far."""
        return Disturbance(self._watched, self._others, self._stolen)


def noise_reasons(disturbance: Disturbance, round_p50_ms: Sequence[float], warmed_up: bool) -> list[str]:
    """Name what makes a cell's numbers doubtful, the worst first; an empty list means quiet.

    ``other-processes``: they used over 10 % of the machine; ``stolen-time``: the hypervisor withheld over 2 % of
    it; ``round-spread``: the rounds' p50 lie over 10 % apart; ``unstable-warm-up``: two consecutive windows never
    agreed.
    """
    medians = np.asarray(round_p50_ms, dtype=np.float64)
    found = {
        "other-processes": disturbance.others_share > OTHERS_SHARE_LIMIT,
        "stolen-time": disturbance.stolen_share > STOLEN_SHARE_LIMIT,
        "round-spread": bool(np.ptp(medians) > ROUND_SPREAD_LIMIT * np.median(medians)),
        "unstable-warm-up": not warmed_up,
    }
    return [reason for reason, present in found.items() if present]


def load_average() -> list[float] | str:
    """Return the system's load over 1, 5 and 15 minutes, or why it cannot be said."""
    if not hasattr(os, "getloadavg"):
        return "not exposed by this operating system"
    return [round(load, 2) for load in os.getloadavg()]


def logical_cores() -> int:
    """Return the number of hardware threads of the machine, at least 1."""
    return psutil.cpu_count(logical=True) or 1


def _processor_seconds(processes: Sequence[psutil.Process]) -> float:
    times = [process.cpu_times() for process in processes]
    return sum(used.user + used.system for used in times)
