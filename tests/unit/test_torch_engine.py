"""PyTorch artifacts and engines: a file rebuilds the network, an engine gives its answers, errors name the mistake."""

import json
import struct
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_gpus import FIRST, see, see_no_driver
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from textures import CLASSES, PREPROCESSING, SHAPE, gapcnn, textures
from torch import nn

from compresslab.engines import torch as torch_engine
from compresslab.engines import torch_compile, torch_cuda
from compresslab.engines.contract import open_engine
from compresslab.models.torch.artifact import ArtifactError, TorchModel, load, save
from compresslab.models.torch.float32 import keep_float32
from compresslab.models.torch.layers import layer_outputs

IMAGES = textures(9, seed=5).images


def model() -> TorchModel:
    torch.manual_seed(0)
    return TorchModel(gapcnn().eval(), "gapcnn", SHAPE, PREPROCESSING, CLASSES)


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    save(path, model())
    return path


def test_a_file_rebuilds_the_network_and_what_belongs_to_it(artifact: Path) -> None:
    loaded, saved = load(artifact), model()
    assert replace(loaded, module=saved.module) == saved
    assert not loaded.module.training
    for name, tensor in saved.module.state_dict().items():
        assert torch.equal(loaded.module.state_dict()[name], tensor)


def test_equal_networks_are_equal_bytes_in_every_process(artifact: Path, tmp_path: Path) -> None:
    script = "import sys, test_torch_engine as t; from pathlib import Path; t.save(Path(sys.argv[1]), t.model())"
    arguments = [sys.executable, "-c", script, str(tmp_path / "other")]
    subprocess.run(arguments, check=True, cwd=Path(__file__).parent)
    assert (tmp_path / "other").read_bytes() == artifact.read_bytes()


def test_the_header_is_one_that_safetensors_aligns(artifact: Path) -> None:
    blob = artifact.read_bytes()
    (length,) = struct.unpack("<Q", blob[:8])
    assert length % 8 == 0
    assert json.loads(blob[8 : 8 + length])["__metadata__"]["architecture"] == "gapcnn"


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(part=st.floats(0, 1, exclude_max=True))
def test_a_truncated_file_is_one_clear_line(artifact: Path, part: float) -> None:
    whole = artifact.read_bytes()
    cut = artifact.with_name("cut.safetensors")
    cut.write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(ArtifactError, match="truncated, damaged or not a safetensors file") as error:
        load(cut)
    assert str(cut) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_file_of_another_program_is_named(tmp_path: Path) -> None:
    path = tmp_path / "foreign.safetensors"
    save_file({"weight": torch.ones(2)}, path, {"format": "pt"})
    with pytest.raises(ArtifactError, match="comes from another program"):
        load(path)


def test_an_unknown_architecture_is_named_with_the_known_ones(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save(path, replace(model(), architecture="gapcn"))
    with pytest.raises(ArtifactError, match=r"no PyTorch architecture 'gapcn'; there are: .*gapcnn"):
        load(path)


@pytest.mark.parametrize("name", ["artifact", "layers", "..numpy.network", "os"])
def test_only_architectures_are_imported_by_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / "model.safetensors"
    save(path, replace(model(), architecture=name))
    with pytest.raises(ArtifactError, match="no PyTorch architecture"):
        load(path)


def test_all_tensors_that_do_not_fit_are_named(tmp_path: Path) -> None:
    module = gapcnn()
    module.conv1 = nn.Conv2d(1, 8, 5)
    module.linear = nn.Linear(32, 4, bias=False)
    module.extra = nn.Linear(1, 1, bias=False)
    module.conv2 = module.conv2.half()
    path = tmp_path / "model.safetensors"
    save(path, replace(model(), module=module))
    with pytest.raises(ArtifactError) as error:
        load(path)
    for words in (
        "conv1.weight is float32 [8, 1, 5, 5], not float32 [8, 1, 3, 3]",
        "conv2.bias is float16 [16], not float32 [16]",
        "linear.bias is missing",
        "extra.weight is unknown",
    ):
        assert words in str(error.value)
    assert "conv3" not in str(error.value)


def test_a_missing_file_stays_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "model.safetensors")


@pytest.mark.parametrize("count", [1, 9])
def test_the_engine_answers_as_the_network_does(artifact: Path, count: int) -> None:
    engine = open_engine("torch", artifact, threads=1)
    images = IMAGES[:count]
    inputs = torch.from_numpy(PREPROCESSING.normalize(images)).permute(0, 3, 1, 2).contiguous()
    expected = model().module(inputs).detach().numpy()
    logits = engine.run(engine.prepare(images))
    assert logits.dtype == np.float32
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    np.testing.assert_allclose(engine.predict(images), expected, atol=1e-5)


def test_trace_gives_every_layer_after_its_activation_in_nhwc(artifact: Path) -> None:
    engine = torch_engine.open_model(artifact, threads=1)
    trace = engine.trace(IMAGES)
    shapes = {name: values.shape[1:] for name, values in trace.items()}
    assert shapes == {
        "conv1": (8, 8, 8),
        "conv2": (8, 8, 16),
        "pool2": (4, 4, 16),
        "conv3": (4, 4, 32),
        "gap": (32,),
        "linear": (4,),
    }
    np.testing.assert_array_equal(trace["linear"], engine.run(engine.prepare(IMAGES)))
    # Each layer from the one before, in plain NumPy.
    pooled = trace["conv2"].reshape(9, 4, 2, 4, 2, 16).max(axis=(2, 4))
    np.testing.assert_array_equal(trace["pool2"], pooled)
    np.testing.assert_allclose(trace["gap"], trace["conv3"].mean(axis=(1, 2)), atol=1e-6)
    weights = {name: tensor.numpy() for name, tensor in model().module.state_dict().items()}
    padded = np.pad(PREPROCESSING.normalize(IMAGES)[..., 0], ((0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
    convolved = np.einsum("nhwij,oij->nhwo", windows, weights["conv1.weight"][:, 0]) + weights["conv1.bias"]
    np.testing.assert_allclose(trace["conv1"], np.maximum(convolved, 0), atol=1e-5)
    np.testing.assert_allclose(
        trace["linear"], trace["gap"] @ weights["linear.weight"].T + weights["linear.bias"], atol=1e-5
    )


def test_layers_own_what_follows_them_and_reshaping_is_none() -> None:
    network = nn.Sequential(
        nn.Conv2d(1, 2, 3),
        nn.BatchNorm2d(2),
        nn.Hardswish(),
        nn.Dropout(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(2, 2),
    )
    assert layer_outputs(network) == {"0": "2", "4": "4", "6": "6"}
    nested = nn.Sequential(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU()), nn.Linear(2, 2))
    assert layer_outputs(nested) == {"0.0": "0.1", "1": "1"}


def test_compilation_without_a_compiler_is_unavailable_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", "")
    assert "no C++ compiler" in (torch_compile.unavailable() or "")
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert "no-such-compiler" in (torch_compile.unavailable() or "")


@pytest.mark.parametrize("count", [1, 9])
def test_the_engine_of_a_gpu_answers_as_the_one_of_the_cpu(artifact: Path, count: int) -> None:
    """With the CPU in the place of the GPU: copies there and back, and everything between, are the same."""
    loaded = load(artifact)
    engine = torch_cuda.TorchCudaEngine(loaded.module, loaded.preprocessing, torch.device("cpu"))
    expected = torch_engine.open_model(artifact, threads=1)
    logits = engine.run(engine.prepare(IMAGES[:count]))
    assert (type(logits), logits.dtype) == (np.ndarray, np.float32)
    np.testing.assert_allclose(logits, expected.predict(IMAGES[:count]), atol=1e-5)
    for layer, values in expected.trace(IMAGES).items():
        np.testing.assert_allclose(engine.trace(IMAGES)[layer], values, atol=1e-5)


def test_float32_on_a_gpu_is_not_tf32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    keep_float32()
    assert torch.backends.cudnn.conv.fp32_precision != "tf32"
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32


def test_pytorch_without_a_gpu_is_unavailable_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    see_no_driver(monkeypatch)
    assert torch_cuda.unavailable() == "no NVIDIA GPU is visible: this host has no NVIDIA driver"
    see(monkeypatch, FIRST)
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: False)
    assert torch_cuda.unavailable() == "this PyTorch is built without CUDA"
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "cannot use the GPU with a driver for CUDA 13.0" in (torch_cuda.unavailable() or "")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert torch_cuda.unavailable() is None


@pytest.mark.workflow
@pytest.mark.skipif(torch_compile.unavailable() is not None, reason="torch.compile cannot run here")
def test_the_compiled_network_answers_as_the_eager_one(artifact: Path) -> None:
    compiled = open_engine("torch-compile", artifact, threads=1)
    eager = open_engine("torch", artifact, threads=1)
    np.testing.assert_allclose(compiled.run(compiled.prepare(IMAGES)), eager.predict(IMAGES), atol=1e-5)
    assert compiled.trace(IMAGES).keys() == eager.trace(IMAGES).keys()
