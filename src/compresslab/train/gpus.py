"""One process per GPU: who computes on one holds its lock, and the next process takes another one or waits.

GPUs are those that the driver shows this process, which are those of ``CUDA_VISIBLE_DEVICES``: the position of one is
its number in every framework. The driver itself is asked, which needs no framework and starts nothing on a GPU.
"""

import logging
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from ctypes import CDLL, byref, c_char_p, c_int, c_ubyte
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

from filelock import FileLock, Timeout

POLL_S = 1.0

HELD = "COMPRESSLAB_HELD_GPU"
"""Environment variable with the UUID of the GPU that a process holds for those that it starts."""

_DRIVER = "libcuda.so.1"
_kept = ExitStack()


class NoGpuError(Exception):
    """There is no GPU to compute on; the message says why, in words."""


@dataclass(frozen=True)
class Gpu:
    """A GPU, or the part of one that MIG made of it: its UUID, and the UUID of the whole board."""

    uuid: str
    board: str


def visible() -> list[Gpu]:
    """Return the GPUs that this process may use, in the driver's order; raises NoGpuError when there are none."""
    driver, count, found = _driver(), c_int(), []
    _call(driver, "cuDeviceGetCount", byref(count))
    for position in range(count.value):
        device = c_int()
        _call(driver, "cuDeviceGet", byref(device), position)
        # The second version of the question tells the parts of a board apart, the first names the board. Drivers before
        # 470 have no second one; should some later one have no first, what is asked of the board goes unanswered.
        versions = [name for name in ("cuDeviceGetUuid_v2", "cuDeviceGetUuid") if hasattr(driver, name)]
        uuids = [_uuid(driver, name, device) for name in versions]
        found.append(Gpu(uuids[0], uuids[-1]))
    return found


def absence() -> str | None:
    """Return why this process has no GPU, in words; None when it has one."""
    try:
        visible()
    except NoGpuError as reason:
        return str(reason)
    return None


def cuda_version() -> str:
    """Return the CUDA that the driver speaks, such as ``13.0``; raises NoGpuError where there is no GPU."""
    driver, version = _driver(), c_int()
    _call(driver, "cuDriverGetVersion", byref(version))
    return f"{version.value // 1000}.{version.value % 1000 // 10}"


@contextmanager
def one_alone(gpus: Sequence[str], log: Callable[[str], None], folder: Path | None = None) -> Iterator[int]:
    """Hold the first of ``gpus`` (their UUIDs) that no other process of this user holds; yield its position.

    While all are taken, this waits, after one line that says so. A lock is the operating system's, in ``folder`` (in
    the temporary directory unless told), and ends with its process, however that ends.
    """
    folder = folder or Path(tempfile.gettempdir()) / f"compresslab-{os.getuid()}"
    folder.mkdir(parents=True, exist_ok=True)
    locks = [FileLock(folder / f"{gpu}.lock") for gpu in gpus]
    position = _first_free(locks)
    if position is None:
        taken = "the GPU is taken" if len(gpus) == 1 else f"all {len(gpus)} GPUs are taken"
        log(f"waiting: {taken} by other jobs; this one goes on when one of them has ended")
    while position is None:
        time.sleep(POLL_S)
        position = _first_free(locks)
    try:
        yield position
    finally:
        locks[position].release()


@contextmanager
def one_for_children(log: Callable[[str], None]) -> Iterator[Gpu]:
    """Hold a GPU for the processes that this one starts, which find it by :func:`one_until_the_end`; yield it.

    Raises NoGpuError when there is none.
    """
    gpus = visible()
    with one_alone([gpu.uuid for gpu in gpus], log) as position:
        os.environ[HELD] = gpus[position].uuid
        try:
            yield gpus[position]
        finally:
            del os.environ[HELD]


@cache
def one_until_the_end() -> int:
    """Return the position of the GPU that this process computes on from now on, always the same one.

    It is the one that a parent holds for it, or else one that it takes and holds itself. Raises NoGpuError when there
    is none.
    """
    uuids, held = [gpu.uuid for gpu in visible()], os.environ.get(HELD)
    if held is None:
        return _kept.enter_context(one_alone(uuids, logging.getLogger("compresslab").info))
    if held not in uuids:
        raise NoGpuError(f"the GPU {held}, which {HELD} names, is none that this process sees; unset the variable")
    return uuids.index(held)


def _driver() -> Any:
    try:
        driver = CDLL(_DRIVER)
    except OSError:
        raise NoGpuError("no NVIDIA GPU is visible: this host has no NVIDIA driver") from None
    _call(driver, "cuInit", 0)
    return driver


def _call(driver: Any, function: str, *arguments: Any) -> None:
    """Call the driver; see https://docs.nvidia.com/cuda/cuda-driver-api for its functions."""
    if status := getattr(driver, function)(*arguments):
        name = c_char_p()
        driver.cuGetErrorName(status, byref(name))
        told = name.value.decode() if name.value else f"error {status}"
        chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
        hint = "" if chosen is None else f"; CUDA_VISIBLE_DEVICES is '{chosen}'"
        raise NoGpuError(f"no NVIDIA GPU is visible: the driver answers {told}{hint}")


def _uuid(driver: Any, function: str, device: c_int) -> str:
    told = (c_ubyte * 16)()
    _call(driver, function, byref(told), device)
    return str(UUID(bytes=bytes(told)))


def _first_free(locks: Sequence[FileLock]) -> int | None:
    for position, lock in enumerate(locks):
        try:
            lock.acquire(blocking=False)
        except Timeout:
            continue
        return position
    return None
