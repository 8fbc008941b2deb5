"""The process that runs one model on one engine: ``python -m compresslab.measure.worker``.

It reads one JSON command per line from its standard input and answers each with one JSON line. What libraries
print to standard output goes to standard error instead, so that no chatter can break into the answers.
"""

import importlib
import json
import os
import resource
import select
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO

import numpy as np

from compresslab.measure import steady

SINGLE_IMAGES = 32

Reply = dict[str, Any]


class EngineUnavailableError(Exception):
    """This engine cannot run here; the message says why, in words."""


class Subject:
    """One opened model and the measurements that it answers to."""

    def __init__(self, engine: str, path: str, threads: int, images: str) -> None:
        started = time.perf_counter_ns()
        module = import_engine(engine)
        imported = time.perf_counter_ns()
        self._model = module.open_model(Path(path), threads)
        opened = time.perf_counter_ns()
        self._images = np.load(images, mmap_mode="r", allow_pickle=False)
        self._singles = [self._model.prepare(image) for image in _spread(self._images, SINGLE_IMAGES)]
        self._warmed_shapes: set[int] = set()
        self.timings = {
            "import_ms": (imported - started) / 1e6,
            "load_ms": (opened - imported) / 1e6,
            "first_call_ms": self._first_call_ms(),
        }

    def warm_up(self, calls: int, tolerance: float, longest_s: float) -> Reply:
        """Warm up single-image calls; see ``steady.warm_up``."""
        result = steady.warm_up(self._call, calls=calls, tolerance=tolerance, longest_s=longest_s)
        return {"calls": result.calls, "stable": result.stable}

    def measure(self, calls: int, seconds: float, longest_s: float) -> Reply:
        """Time single-image calls; see ``steady.sample``."""
        times = steady.sample(self._call, calls=calls, seconds=seconds, longest_s=longest_s)
        return {"times_ns": times.tolist()}

    def offline(self, batch: int, images: int | None) -> Reply:
        """Time batches over the first ``images`` of the images; preparing a batch is not timed."""
        chosen = self._images[:images]
        self._warm_batches(chosen, batch)
        elapsed = 0
        with steady.collector_paused():
            for start in range(0, len(chosen), batch):
                native = self._model.prepare(np.array(chosen[start : start + batch]))
                begun = time.perf_counter_ns()
                self._model.run(native)
                elapsed += time.perf_counter_ns() - begun
        return {"images": len(chosen), "seconds": elapsed / 1e9}

    def close(self) -> Reply:
        """Tell the largest memory that this process ever held."""
        return {"peak_rss_bytes": peak_rss_bytes()}

    def _call(self, number: int) -> np.ndarray:
        return self._model.run(self._singles[number % len(self._singles)])

    def _first_call_ms(self) -> float:
        begun = time.perf_counter_ns()
        self._call(0)
        return (time.perf_counter_ns() - begun) / 1e6

    def _warm_batches(self, chosen: np.ndarray, batch: int) -> None:
        # A compiled engine specializes on every batch size it meets; the last batch is often a smaller one.
        for size in {min(batch, len(chosen)), len(chosen) % batch} - {0} - self._warmed_shapes:
            self._model.run(self._model.prepare(np.array(chosen[:size])))
            self._warmed_shapes.add(size)


def import_engine(name: str) -> ModuleType:
    """Import the adapter of engine ``name``; a name with a dot is a module of somebody else.

    Raises EngineUnavailableError when the engine's package is missing or the engine says it cannot run here.
    """
    try:
        module = importlib.import_module(name if "." in name else f"compresslab.engines.{name.replace('-', '_')}")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "compresslab":
            raise
        raise EngineUnavailableError(f"the package {error.name} is not installed") from error
    reason = module.unavailable()
    if reason is not None:
        raise EngineUnavailableError(reason)
    return module


def peak_rss_bytes() -> int:
    """Return the largest resident memory of this process so far.

    On Linux the kernel's own high-water mark is read: ``getrusage`` there also counts the parent that started us.
    """
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text(encoding="ascii", errors="replace").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def serve(commands: TextIO, answers: TextIO) -> None:
    """Answer commands until ``close`` or the end of the input."""
    subject: Subject | None = None
    for line in commands:
        request = json.loads(line)
        name = request.pop("command")
        try:
            if name == "open":
                subject = Subject(**request)
                result = subject.timings
            else:
                result = getattr(subject, name)(**request)
            reply = {"status": "ok", **result}
        except EngineUnavailableError as error:
            reply = {"status": "unavailable", "reason": str(error)}
        except Exception as error:
            traceback.print_exc()
            reply = {"status": "failed", "reason": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(reply) + "\n")
        answers.flush()
        if name == "close":
            return


def main() -> None:
    """Serve on the standard streams, which libraries then cannot reach."""
    commands = os.fdopen(os.dup(0), "r", encoding="utf-8")
    # Only a worker with a process group of its own has been started by a session.
    if os.getpgrp() == os.getpid():
        threading.Thread(target=_end_with_session, args=(commands.fileno(),), daemon=True).start()
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    serve(commands, answers)


def _end_with_session(commands: int) -> None:
    """End this process, and compilers that it has started, when the session at the pipe's other end has ended.

    Killed in the middle of a command, a session would else leave a worker that is at the next one's side. This waits in
    the kernel, so that it takes nothing from what is measured.
    """
    hang_up = select.poll()
    hang_up.register(commands, 0)
    hang_up.poll()
    os.killpg(os.getpid(), signal.SIGKILL)


def _spread(images: np.ndarray, count: int) -> list[np.ndarray]:
    positions = np.unique(np.linspace(0, len(images) - 1, count).astype(np.int64))
    return [np.array(images[position : position + 1]) for position in positions]


if __name__ == "__main__":
    main()
