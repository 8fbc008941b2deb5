"""What a training needs to go on after it was killed, as if it had never stopped.

A state folder holds ``checkpoint`` (one line of JSON with the fingerprint of what is trained, its history and a
SHA-256, then the framework's own snapshot, and that of the epoch whose weights are kept where this is an earlier one),
``lock``, and ``owner.json`` (who holds the lock).
A checkpoint is renamed into place when it is complete.
"""

import hashlib
import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from compresslab.artifacts import read_json, write_json, written_whole

Log = Callable[[str], None]

LOCK = "lock"


@contextmanager
def locked(state: Path, log: Log) -> Iterator[None]:
    """Hold the state folder alone; wait, after a line that says for whom, while another process trains in it.

    A killed Snakemake leaves its training running: the next run must not write beside it, but go on from where the
    other one ends. The lock is the operating system's and ends with its process, however that ends. A process that
    holds it may take it again: hold it around training, writing the results and :func:`discard` to do all three alone.
    """
    lock = _lock(state)
    try:
        _acquire(lock, state, blocking=False)
    except Timeout:
        log(f"waiting: {_owner(state)} is training in {state}; this one goes on when that one has ended")
        _acquire(lock, state, blocking=True)
    try:
        state.mkdir(parents=True, exist_ok=True)
        write_json(state / "owner.json", {"process": os.getpid(), "host": socket.gethostname()})
        yield
    finally:
        lock.release()


@dataclass(frozen=True)
class Checkpoint:
    """Where a training stands: a row per epoch that is done, and its framework's snapshot after the last one.

    ``kept`` is the snapshot of the epoch whose weights are kept; None when that is the last one.
    """

    history: list[dict[str, Any]]
    snapshot: bytes
    kept: bytes | None = None


def save(state: Path, fingerprint: str, saved: Checkpoint) -> None:
    """Replace the checkpoint."""
    described = {
        "fingerprint": fingerprint,
        "history": saved.history,
        "snapshot_bytes": len(saved.snapshot),
        "sha256": _digest(saved),
    }
    with written_whole(_checkpoint(state)) as temporary, temporary.open("wb") as file:
        for part in (json.dumps(described).encode(), b"\n", saved.snapshot, saved.kept or b""):
            file.write(part)


def load(state: Path, fingerprint: str, log: Log) -> Checkpoint | None:
    """Return the last checkpoint; None when there is none that fits.

    One that is damaged or of another fingerprint is not used, and a line says so.
    """
    path = _checkpoint(state)
    if not path.exists():
        return None
    header, _, content = path.read_bytes().partition(b"\n")
    try:
        described = json.loads(header)
        found, size = described["fingerprint"], described["snapshot_bytes"]
        saved = Checkpoint(described["history"], content[:size], content[size:] or None)
        intact = described["sha256"] == _digest(saved)
    except (ValueError, KeyError, TypeError):
        intact = False
    if not intact:
        log(f"starting afresh: {path} is damaged")
        return None
    if found != fingerprint:
        log(f"starting afresh: {path} is of another configuration, code, data set or library version")
        return None
    return saved


def discard(state: Path) -> None:
    """Remove the state folder of a training whose results are written; call it after they are.

    Where another process is training in the folder by now, it is left to that one.
    """
    if not state.exists():
        return
    lock = _lock(state)
    try:
        lock.acquire(blocking=False)
    except Timeout:
        return
    try:
        # The lock's file goes last; a process that makes it anew from then on keeps the folder.
        for path in sorted(state.iterdir(), key=lambda path: path.name == LOCK):
            path.unlink()
        with suppress(OSError):
            state.rmdir()
    finally:
        lock.release()


def _digest(saved: Checkpoint) -> str:
    digest = hashlib.sha256(json.dumps([saved.history, len(saved.snapshot)]).encode())
    digest.update(saved.snapshot)
    digest.update(saved.kept or b"")
    return digest.hexdigest()


def _checkpoint(state: Path) -> Path:
    return state / "checkpoint"


def _lock(state: Path) -> FileLock:
    # One object per file and process: whoever holds the lock may take it again.
    return FileLock(state / LOCK, is_singleton=True)


def _acquire(lock: FileLock, state: Path, blocking: bool) -> None:
    while True:
        state.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(blocking=blocking)
            return
        except FileNotFoundError:
            # The process that was waited for has finished, and has removed the folder with its state.
            continue


def _owner(state: Path) -> str:
    try:
        owner = read_json(state / "owner.json")
        return f"process {owner['process']} on {owner['host']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
