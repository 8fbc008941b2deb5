"""The session's side of a worker: start it, ask it, and say in words how it ended when it did."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from typing import Any, Self

from compresslab.engines.contract import THREAD_VARIABLES

STDERR_LINES = 8


class WorkerSkippedError(Exception):
    """The worker said that its engine cannot run here; the message is the reason."""


class WorkerFailedError(Exception):
    """The worker crashed, gave a wrong answer or none; ``stderr`` has the last lines that it wrote."""

    def __init__(self, reason: str, stderr: str) -> None:
        super().__init__(reason)
        self.stderr = stderr


class Worker:
    """One worker process; as a context manager it is gone, with its children, when the block ends."""

    def __init__(self, threads: int, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._ended = False
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as the worker)
        # A session of its own, so that killing the worker also ends the compilers that it may have started.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "compresslab.measure.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env=thread_environment(threads),
            encoding="utf-8",
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def process_id(self) -> int:
        """Number of the process."""
        return self._process.pid

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """Send one command and block until its answer comes; nothing is polled, so the worker has its core alone.

        Raises WorkerSkippedError when the engine is unavailable, WorkerFailedError when the command failed, the
        process ended, or nothing came for the worker's timeout.
        """
        expired = threading.Event()
        watchdog = threading.Timer(self._timeout_s, self._expire, [expired])
        watchdog.start()
        try:
            line = self._exchange(json.dumps({"command": command, **arguments}))
        finally:
            watchdog.cancel()
        if expired.is_set():
            raise self._failure(f"gave no answer to '{command}' within {self._timeout_s:g} s and was stopped")
        if not line.endswith("\n"):
            raise self._failure(f"ended during '{command}' with {self._ending()}")
        answer: dict[str, Any] = json.loads(line)
        match answer.pop("status"):
            case "ok":
                return answer
            case "unavailable":
                raise WorkerSkippedError(answer["reason"])
            case _:
                raise self._failure(f"failed in '{command}': {answer['reason']}")

    def kill(self) -> None:
        """End the process and its children, whatever they are doing; a second call does nothing."""
        # The number of a process that is gone may already belong to another one.
        if self._ended:
            return
        self._ended = True
        self._kill_group()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._stderr):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()

    def _exchange(self, request: str) -> str:
        if self._process.stdin is None or self._process.stdout is None:
            raise ValueError("the worker was started without pipes")
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(request + "\n")
            self._process.stdin.flush()
        return self._process.stdout.readline()

    def _expire(self, expired: threading.Event) -> None:
        expired.set()
        self._kill_group()

    def _kill_group(self) -> None:
        # macOS answers "not permitted" for a group whose members are all zombies.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _ending(self) -> str:
        status = self._process.wait()
        if status >= 0:
            return f"exit status {status}"
        name = signal.Signals(-status).name
        return f"{name} (out of memory?)" if name == "SIGKILL" else name

    def _failure(self, reason: str) -> WorkerFailedError:
        self._stderr.seek(0)
        lines = self._stderr.read().decode("utf-8", errors="replace").splitlines()
        return WorkerFailedError(reason, "\n".join(lines[-STDERR_LINES:]))


def thread_environment(threads: int) -> dict[str, str]:
    """Return this process's environment with every library's thread count set to ``threads``.

    Idle OpenMP threads sleep instead of spinning, so that a worker that waits for its turn takes no processor time.
    """
    counts = dict.fromkeys(THREAD_VARIABLES, str(threads))
    return {**os.environ, **counts, "OMP_WAIT_POLICY": "PASSIVE"}
