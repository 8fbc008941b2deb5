"""Processes that are waited for, killed, and looked for afterwards."""

import time
from collections.abc import Callable
from typing import TypeVar

import psutil

Found = TypeVar("Found")

PATIENCE_S = 30


def until(condition: Callable[[], Found | None], patience_s: float = PATIENCE_S) -> Found:
    """Wait until a condition holds, and return what it found."""
    deadline = time.monotonic() + patience_s
    while not (found := condition()):
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.02)
    return found


def kill_all(process: psutil.Process) -> None:
    """What the end of the machine does: everything at once."""
    for each in [process, *process.children(recursive=True)]:
        each.kill()
    process.wait(PATIENCE_S)


def has_ended(process: psutil.Process) -> bool:
    """An orphan that has ended stays a zombie where nobody asks for its status."""
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


def command(process: psutil.Process) -> str:
    """The command line of a process; of one that has just ended nothing, or what remains of it."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:
        return ""


def marked(variable: str, value: str) -> list[psutil.Process]:
    """The living processes that were started with this value of a variable, or whose ancestors were."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(variable) == value and not has_ended(process):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found
