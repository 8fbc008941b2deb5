"""A session holds one GPU for its workers, and only where it needs one."""

import os
from pathlib import Path

import pytest
from fake_gpus import FIRST, see, see_no_driver

from compresslab.measure.latency import Cell
from compresslab.stages.benchmark import _gpu_for
from compresslab.train import gpus

ON_CPU = Cell("net", "fp32", "torch", Path("model"), Path("images"), 1)
ON_GPU = Cell("net", "fp32", "torch-cuda", Path("model"), Path("images"), 1, device="cuda")


@pytest.fixture(autouse=True)
def _locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpus.tempfile, "gettempdir", lambda: str(tmp_path))


def test_a_session_with_a_cell_on_a_gpu_holds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    see(monkeypatch, FIRST)
    with _gpu_for([ON_CPU, ON_GPU]) as board:
        assert (board, os.environ[gpus.HELD]) == (FIRST, FIRST)
    assert gpus.HELD not in os.environ


def test_a_session_without_one_holds_none(monkeypatch: pytest.MonkeyPatch) -> None:
    see(monkeypatch, FIRST)
    with _gpu_for([ON_CPU]) as board:
        assert board is None
        assert gpus.HELD not in os.environ
    see_no_driver(monkeypatch)
    with _gpu_for([ON_CPU, ON_GPU]) as board:
        assert board is None
