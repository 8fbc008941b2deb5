"""Files from the future, which a clock that was set back leaves behind."""

import os
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def give_present_time(files: Iterable[Path]) -> list[Path]:
    """Give every file whose time lies in the future the present one; return those that had to be changed.

    Snakemake fails a job whose inputs are newer than its outputs can be, until the clock has caught up. Nothing is made
    again for the new time, since Snakemake compares contents. A file that cannot be touched stays as it is.
    """
    now = time.time()
    changed = []
    for path in sorted(files):
        with suppress(OSError):
            if path.stat().st_mtime > now:
                os.utime(path)
                changed.append(path)
    return changed
