"""The engines of a GPU give the answers of those of the CPU, in float32, and a session measures both side by side."""

from pathlib import Path

import numpy as np
import pytest
import torch
from networks import NETWORKS, model, noise, preprocessing

from compresslab.config.methods.export_onnx import Parameters
from compresslab.engines import onnxruntime_cuda
from compresslab.engines.contract import open_engine
from compresslab.export.onnx import export
from compresslab.measure.gpu_state import SLOWED_BY, UNTOLD, look_at
from compresslab.measure.latency import Cell, Protocol, SessionResult, run_session
from compresslab.models.torch.artifact import save
from compresslab.train import gpus

FLOAT32_APART = 1e-5
"""How far the answers of two engines lie apart, relative to their size. TF32 would put them 3e-4 apart and more."""

SHORT = Protocol(rounds=2, calls=20, seconds=0.2, warmup_calls=4, offline_batch=4, offline_images=8)

needs_onnxruntime_cuda = pytest.mark.skipif(
    onnxruntime_cuda.unavailable() is not None, reason=str(onnxruntime_cuda.unavailable())
)


def exported(folder: Path, name: str) -> Path:
    """Write the network as ONNX and return where."""
    trained, path = model(name), folder / "model.onnx"
    export(trained.module, path, Parameters(), preprocessing(name), trained.classes, noise(name, 2, seed=3).images)
    return path


def apart(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.linalg.norm(one - other) / np.linalg.norm(other))


@pytest.mark.parametrize("name", NETWORKS)
def test_pytorch_answers_on_the_gpu_as_on_the_cpu(tmp_path: Path, gpu: torch.device, name: str) -> None:
    path, images = tmp_path / "model.safetensors", noise(name, 3, seed=4).images
    save(path, model(name))
    on_gpu, on_cpu = (open_engine(engine, path, 1) for engine in ("torch-cuda", "torch"))
    assert apart(on_gpu.predict(images), on_cpu.predict(images)) < FLOAT32_APART
    traced, wanted = on_gpu.trace(images), on_cpu.trace(images)
    assert list(traced) == list(wanted)
    assert all(apart(traced[layer], wanted[layer]) < FLOAT32_APART for layer in wanted)
    assert torch.cuda.current_device() == gpu.index


@needs_onnxruntime_cuda
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.usefixtures("gpu")
def test_onnx_runtime_answers_on_the_gpu_as_on_the_cpu(tmp_path: Path, name: str) -> None:
    path, images = exported(tmp_path, name), noise(name, 3, seed=4).images
    on_gpu, on_cpu = (open_engine(engine, path, 1) for engine in ("onnxruntime-cuda", "onnxruntime"))
    assert apart(on_gpu.predict(images), on_cpu.predict(images)) < FLOAT32_APART
    traced, wanted = on_gpu.trace(images), on_cpu.trace(images)
    assert list(traced) == list(wanted)
    assert all(apart(traced[layer], wanted[layer]) < FLOAT32_APART for layer in wanted)


def test_the_driver_tells_the_state_of_the_gpu(gpu: torch.device) -> None:
    torch.ones(1000, 1000, device=gpu).sum().item()
    state = look_at(gpus.visible()[gpu.index].board, own=[])
    assert state.sm_clock_mhz > 0
    assert state.memory_clock_mhz > 0
    assert 0 < state.temperature_celsius < 150
    assert set(state.slowed_by) <= {*SLOWED_BY.values(), UNTOLD}


def measured(folder: Path, gpu: torch.device, path: Path, *engines: tuple[str, str]) -> SessionResult:
    """Run a short session of one network on engines and their devices."""
    images = folder / "images.npy"
    np.save(images, noise("resnet18", 8, seed=5).images)
    cells = [Cell("net", "fp32", engine, path, images, 1, device=device) for engine, device in engines]
    return run_session(cells, SHORT, gpu=gpus.visible()[gpu.index].board)


def test_a_session_looks_at_the_gpu_of_those_that_use_it(
    tmp_path: Path, gpu: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(gpus.HELD, gpus.visible()[gpu.index].uuid)
    save(tmp_path / "model.safetensors", model("resnet18"))
    session = measured(tmp_path, gpu, tmp_path / "model.safetensors", ("torch", "cpu"), ("torch-cuda", "cuda"))
    session.raise_failures()
    assert [row["engine"] for row in session.rows()] == ["torch", "torch-cuda"]
    looks = session.gpu_rows()
    assert {row["engine"] for row in looks} == {"torch-cuda"}
    assert {(row["round"], row["after"]) for row in looks} == {
        (turn, after) for turn in (0, 1) for after in ("single", "offline")
    }


@needs_onnxruntime_cuda
def test_a_session_with_onnx_runtime_on_the_gpu(
    tmp_path: Path, gpu: torch.device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(gpus.HELD, gpus.visible()[gpu.index].uuid)
    path = exported(tmp_path, "resnet18")
    session = measured(tmp_path, gpu, path, ("onnxruntime", "cpu"), ("onnxruntime-cuda", "cuda"))
    session.raise_failures()
    assert [row["engine"] for row in session.rows()] == ["onnxruntime", "onnxruntime-cuda"]
