"""Every job has a GPU for itself: the first free one, or a wait that says why; without one it hears what is missing."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest
from fake_gpus import FIRST, NO_DEVICE, SECOND, fake_driver, see, see_no_driver

from compresslab.train import gpus
from compresslab.train.gpus import Gpu, NoGpuError, one_alone

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
    assert lines == ["waiting: all 2 GPUs are taken by other jobs; this one goes on when one of them has ended"]
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


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process with two GPUs and with locks of its own."""
    monkeypatch.setattr(gpus.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(gpus, "_kept", gpus.ExitStack())
    monkeypatch.delenv(gpus.HELD, raising=False)
    gpus.one_until_the_end.cache_clear()
    see(monkeypatch, FIRST, SECOND)


@pytest.mark.usefixtures("host")
def test_the_gpus_are_those_of_the_driver_in_its_order() -> None:
    assert gpus.visible() == [Gpu(FIRST, FIRST), Gpu(SECOND, SECOND)]
    assert gpus.absence() is None
    assert gpus.cuda_version() == "13.0"


def test_a_part_of_a_board_has_a_lock_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus, "CDLL", lambda _: fake_driver([(SECOND, FIRST)]))
    assert gpus.visible() == [Gpu(SECOND, FIRST)]


@pytest.mark.parametrize("lacking", ["cuDeviceGetUuid", "cuDeviceGetUuid_v2"])
def test_one_way_to_ask_for_a_uuid_is_enough(lacking: str, monkeypatch: pytest.MonkeyPatch) -> None:
    driver = fake_driver([(FIRST, FIRST)])
    delattr(driver, lacking)
    monkeypatch.setattr(gpus, "CDLL", lambda _: driver)
    assert gpus.visible() == [Gpu(FIRST, FIRST)]


def test_a_host_without_a_gpu_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    see_no_driver(monkeypatch)
    assert gpus.absence() == "no NVIDIA GPU is visible: this host has no NVIDIA driver"
    see(monkeypatch, status=NO_DEVICE)
    assert gpus.absence() == "no NVIDIA GPU is visible: the driver answers CUDA_ERROR_NO_DEVICE"
    see(monkeypatch, status=7)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert gpus.absence() == "no NVIDIA GPU is visible: the driver answers error 7; CUDA_VISIBLE_DEVICES is '-1'"
    with pytest.raises(NoGpuError, match="no NVIDIA GPU is visible"):
        gpus.visible()


@pytest.mark.usefixtures("host")
def test_a_process_keeps_the_gpu_that_it_has_taken(tmp_path: Path) -> None:
    assert [gpus.one_until_the_end(), gpus.one_until_the_end()] == [0, 0]
    # The lock is this process's until it ends, so another one takes the second.
    script = f"from compresslab.train.gpus import *\nwith one_alone({[FIRST, SECOND]!r}, print) as at: print(at)"
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"
    gpus._kept.close()


@pytest.mark.usefixtures("host")
def test_children_compute_on_the_gpu_that_their_parent_holds(tmp_path: Path) -> None:
    folder = tmp_path / f"compresslab-{os.getuid()}"
    with one_alone([FIRST], pytest.fail, folder), gpus.one_for_children(pytest.fail) as gpu:
        assert gpu.uuid == SECOND
        # They take no lock, which their parent has, and so do not wait.
        assert gpus.one_until_the_end() == 1
    assert gpus.HELD not in os.environ


@pytest.mark.usefixtures("host")
def test_a_held_gpu_that_is_not_seen_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(gpus.HELD, "another")
    with pytest.raises(NoGpuError, match="the GPU another, which COMPRESSLAB_HELD_GPU names, is none"):
        gpus.one_until_the_end()
