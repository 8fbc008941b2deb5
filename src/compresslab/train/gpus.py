"""One training per GPU: who trains on one holds its lock, and the next training takes another one or waits."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

POLL_S = 1.0


@contextmanager
def one_alone(gpus: Sequence[str], log: Callable[[str], None], folder: Path | None = None) -> Iterator[int]:
    """Hold the first of ``gpus`` (their UUIDs) that no other training of this user holds; yield its position.

    While all are taken, this waits, after one line that says so. A lock is the operating system's, in ``folder`` (in
    the temporary directory unless told), and ends with its process, however that ends.
    """
    folder = folder or Path(tempfile.gettempdir()) / f"compresslab-{os.getuid()}"
    folder.mkdir(parents=True, exist_ok=True)
    locks = [FileLock(folder / f"{gpu}.lock") for gpu in gpus]
    position = _first_free(locks)
    if position is None:
        taken = "the GPU is taken" if len(gpus) == 1 else f"all {len(gpus)} GPUs are taken"
        log(f"waiting: {taken} by other trainings; this one goes on when one of them has ended")
    while position is None:
        time.sleep(POLL_S)
        position = _first_free(locks)
    try:
        yield position
    finally:
        locks[position].release()


def _first_free(locks: Sequence[FileLock]) -> int | None:
    for position, lock in enumerate(locks):
        try:
            lock.acquire(blocking=False)
        except Timeout:
            continue
        return position
    return None
