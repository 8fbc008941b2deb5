"""What the NVIDIA driver tells of a GPU: clocks, heat, power, what slows it down, and who else computes on it.

The driver's own program, ``nvidia-smi``, is asked at once after timed calls and never during them.
"""

import csv
import subprocess
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np

CLOCK_SPREAD_LIMIT = 0.10
UNTOLD = "untold"
"""Stands where the driver does not say what slows a GPU down."""

After = Literal["single", "offline"]
"""After which calls of a turn a GPU was looked at: single images, or batches."""

SLOWED_BY = {
    0x4: "power-cap",
    0x8: "hardware-slowdown",
    0x10: "sync-boost",
    0x20: "software-heat",
    0x40: "hardware-heat",
    0x80: "power-brake",
}
"""Bits of the driver's reasons for lower clocks (``nvmlClocksEventReasons``).

Those of an idle GPU (0x1), and of clocks that somebody has set (0x2, 0x100), are no disturbance.
"""

_REASONS = ("clocks_event_reasons.active", "clocks_throttle_reasons.active")
_NUMBERS = ("clocks.sm", "clocks.mem", "temperature.gpu", "power.draw", "utilization.gpu")
_LONGEST_S = 30


class UnansweredError(Exception):
    """The driver gave no answer, or does not know the question; the message says which."""


@dataclass(frozen=True)
class GpuState:
    """A GPU at one moment. NaN is a number that the driver does not tell.

    ``slowed_by`` are values of ``SLOWED_BY``, or ``UNTOLD`` alone; ``other_processes`` counts those that compute on the
    GPU and are not the session's.
    """

    sm_clock_mhz: float
    memory_clock_mhz: float
    temperature_celsius: float
    power_w: float
    utilization_percent: float
    slowed_by: tuple[str, ...]
    other_processes: float


_NAN = float("nan")
NOTHING = GpuState(_NAN, _NAN, _NAN, _NAN, _NAN, (UNTOLD,), _NAN)
"""What is known of a GPU that nobody tells of."""


@dataclass(frozen=True)
class Look:
    """A look at the GPU of a cell: in which round, after which calls, and what it showed."""

    round: int
    after: After
    state: GpuState


def look_at(board: str, own: Collection[int]) -> GpuState:
    """Return the state of the GPU with the UUID ``board``; ``own`` are the processes of the session that use it."""
    gpu = f"GPU-{board}"
    try:
        (told,) = ask("--query-gpu", _known((*_NUMBERS, *_REASONS)), gpu)
        computing = ask("--query-compute-apps", ("pid",), gpu)
    except (UnansweredError, ValueError):
        return NOTHING
    sm_clock, memory_clock, temperature, power, utilization = (_number(told.get(field, "")) for field in _NUMBERS)
    reasons = next((told[field] for field in _REASONS if field in told), "")
    others = _others([row["pid"] for row in computing], own)
    return GpuState(sm_clock, memory_clock, temperature, power, utilization, slowed_by(reasons), others)


def gpu_doubts(looks: Sequence[Look]) -> list[str]:
    """Name what makes the numbers of a cell on a GPU doubtful, the worst first; an empty list means nothing.

    ``gpu-shared``: another process computed on it; ``gpu-slowed``: heat or power held its clocks back;
    ``gpu-clocks``: after the same kind of calls, a clock differed by over 10 % between the rounds;
    ``gpu-unwatched``: the driver did not tell its clocks.
    """
    states = [look.state for look in looks]
    found = {
        "gpu-shared": any(state.other_processes > 0 for state in states),
        "gpu-slowed": any(set(state.slowed_by) - {UNTOLD} for state in states),
        "gpu-clocks": any(_moved(clocks) for clocks in _clocks(looks)),
        "gpu-unwatched": any(np.isnan(state.sm_clock_mhz) for state in states),
    }
    return [reason for reason, present in found.items() if present]


def ask(question: str, fields: Sequence[str], gpu: str | None = None, units: bool = False) -> list[dict[str, str]]:
    """Ask ``nvidia-smi`` a ``--query-...`` about one GPU or all: one dictionary per line of its answer.

    ``gpu`` is a UUID as ``nvidia-smi`` gives it; numbers come without their units unless told. Raises UnansweredError
    when there is no driver, or when it does not know a field.
    """
    command = ["nvidia-smi", f"{question}={','.join(fields)}", f"--format=csv,noheader{'' if units else ',nounits'}"]
    command += [f"--id={gpu}"] if gpu else []
    try:
        told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=_LONGEST_S).stdout
    except (OSError, subprocess.SubprocessError) as error:
        raise UnansweredError(str(error)) from error
    return [dict(zip(fields, row, strict=True)) for row in csv.reader(told.splitlines(), skipinitialspace=True) if row]


def slowed_by(mask: str) -> tuple[str, ...]:
    """Name what holds clocks back by the driver's bits, such as ``0x0000000000000024``."""
    try:
        bits = int(mask, 16)
    except ValueError:
        return (UNTOLD,)
    return tuple(name for bit, name in SLOWED_BY.items() if bits & bit)


@cache
def _known(fields: tuple[str, ...]) -> tuple[str, ...]:
    """Those of ``fields`` that this driver knows: it refuses a question with one that it does not know."""
    known = tuple(field for field in fields if _knows(field))
    if not known:
        raise UnansweredError("nvidia-smi knows none of the fields")
    return known


def _knows(field: str) -> bool:
    try:
        ask("--query-gpu", (field,))
    except UnansweredError:
        return False
    return True


def _number(text: str) -> float:
    """A number of the driver's; NaN for ``[N/A]``, ``[Not Supported]`` and the like."""
    try:
        return float(text)
    except ValueError:
        return _NAN


def _others(told: Iterable[str], own: Collection[int]) -> float:
    """Count the processes that are not ``own``; NaN where the driver does not list them, as it lists not even these.

    In a container the driver may number processes as the host does. Then none is known by its number, and as many as
    there are ``own`` ones are taken for these.
    """
    processes = [int(pid) if pid.isdecimal() else None for pid in told]
    if None in processes or len(processes) < len(own):
        return _NAN
    strangers = [process for process in processes if process not in own]
    return len(strangers) if len(strangers) < len(processes) else len(strangers) - len(own)


def _clocks(looks: Sequence[Look]) -> Iterable[np.ndarray]:
    """Both clocks after both kinds of calls, one value per round."""
    for after in ("single", "offline"):
        states = [look.state for look in looks if look.after == after]
        yield np.array([state.sm_clock_mhz for state in states])
        yield np.array([state.memory_clock_mhz for state in states])


def _moved(clocks: np.ndarray) -> bool:
    told = clocks[~np.isnan(clocks)]
    return len(told) > 1 and bool(np.ptp(told) > CLOCK_SPREAD_LIMIT * np.median(told))
