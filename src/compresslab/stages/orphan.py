"""The end of a job whose Snakemake has ended.

A Snakemake that is killed leaves its jobs running. An orphan with older settings must not write over what the next run
makes, and two latency sessions must not measure each other.
"""

import logging
import os
import signal
import threading
import time

SNAKEMAKE = "COMPRESSLAB_SNAKEMAKE"
"""Variable with the number of the process that runs the job; a stage that a person runs has none."""

LOOK_EVERY_S = 0.5
GRACE_S = 10.0

log = logging.getLogger("compresslab")


class OrphanedError(Exception):
    """There is nobody left for whom this job would work."""


def end_with_snakemake() -> None:
    """Have this process interrupted (SIGTERM) when the Snakemake that runs it ends, and ended where that is of no use.

    Raises OrphanedError when Snakemake has ended before this process came so far.
    """
    number = os.environ.get(SNAKEMAKE)
    if number is None:
        return
    snakemake, parent = int(number), os.getppid()
    if parent != snakemake and _has_ended(snakemake):
        raise OrphanedError(f"Snakemake (process {snakemake}) ended before this job began; run it again")
    threading.Thread(target=_watch, args=(snakemake, parent), daemon=True).start()


def _watch(snakemake: int, parent: int) -> None:
    # The parent is Snakemake, unless a container or a wrapper is between them. A process that was killed keeps its
    # number until somebody asks for its status, but its children get another parent at once.
    while os.getppid() == parent and not _has_ended(snakemake):
        time.sleep(LOOK_EVERY_S)
    log.warning("Snakemake (process %d) has ended, and so does this job", snakemake)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S)
    os._exit(1)


def _has_ended(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        pass  # It is somebody else's, and lives.
    return False
