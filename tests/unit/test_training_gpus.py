"""Every training has a GPU for itself: the first free one, or a wait that says why."""

import multiprocessing
import os
import signal
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from compresslab.train import gpus
from compresslab.train.gpus import one_alone

PROCESSES = multiprocessing.get_context("fork")
UUIDS = ("first", "second")


def hold(folder: Path, holds: Event, let_go: Event, positions: "multiprocessing.Queue[int]") -> None:
    with one_alone(UUIDS, print, folder) as position:
        positions.put(position)
        holds.set()
        let_go.wait(20)


class Holder:
    """Another training, in a process of its own."""

    def __init__(self, folder: Path) -> None:
        holds, self.let_go, positions = PROCESSES.Event(), PROCESSES.Event(), PROCESSES.Queue()
        self.process = PROCESSES.Process(target=hold, args=(folder, holds, self.let_go, positions), daemon=True)
        self.process.start()
        assert holds.wait(20)
        self.position = positions.get(timeout=20)

    def end(self) -> None:
        self.let_go.set()
        self.process.join()

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.join()


def test_trainings_take_different_gpus_and_free_them_when_they_end(tmp_path: Path) -> None:
    first, second = Holder(tmp_path), Holder(tmp_path)
    assert (first.position, second.position) == (0, 1)
    first.end()
    with one_alone(UUIDS, pytest.fail, tmp_path) as position:
        assert position == 0
    second.kill()
    with (
        one_alone(UUIDS, pytest.fail, tmp_path),
        one_alone(UUIDS[1:], pytest.fail, tmp_path) as other,
    ):
        assert other == 0


def test_a_training_waits_for_a_gpu_after_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "POLL_S", 0.01)
    holders = [Holder(tmp_path), Holder(tmp_path)]
    lines: list[str] = []
    naps = []

    def nap(seconds: float, sleep=time.sleep) -> None:
        naps.append(seconds)
        sleep(seconds)
        if len(naps) == 3:
            holders[1].kill()

    monkeypatch.setattr(gpus.time, "sleep", nap)
    with one_alone(UUIDS, lines.append, tmp_path) as position:
        assert position == 1
    assert len(naps) >= 3
    assert lines == ["waiting: all 2 GPUs are taken by other trainings; this one goes on when one of them has ended"]
    holders[0].end()


def test_only_the_gpus_that_are_seen_are_taken(tmp_path: Path) -> None:
    holder = Holder(tmp_path)
    with one_alone(["second"], pytest.fail, tmp_path) as position:
        assert position == 0
    holder.end()


def test_locks_lie_in_a_folder_of_this_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus.tempfile, "gettempdir", lambda: str(tmp_path))
    with one_alone(["GPU-1"], pytest.fail):
        assert [path.relative_to(tmp_path) for path in tmp_path.rglob("*.lock")] == [
            Path(f"compresslab-{os.getuid()}") / "GPU-1.lock"
        ]
