"""Progress bars: lively on a terminal, seldom in a log."""

import sys
from typing import NoReturn

from tqdm import tqdm

_LOG_INTERVAL_S = 10.0
_TERMINAL_INTERVAL_S = 0.2


def progress_bar(
    description: str, total: int | None, unit: str, initial: int = 0, shown: bool = True, delay_s: float = 0
) -> "tqdm[NoReturn]":
    """Return a bar on stderr that is told its progress by ``update``; bytes (unit ``B``) are shown as kB, MB, GB.

    Nothing is shown of what takes less than ``delay_s`` seconds.
    """
    interval = _TERMINAL_INTERVAL_S if sys.stderr.isatty() else _LOG_INTERVAL_S
    return tqdm(
        desc=description,
        total=total,
        initial=initial,
        unit=unit,
        unit_scale=unit == "B",
        mininterval=interval,
        maxinterval=interval,
        disable=not shown,
        delay=delay_s,
    )
