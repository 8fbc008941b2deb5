"""A training on a GPU has the same bits every time, after an interruption too, and says what it computed in."""

from pathlib import Path
from typing import Any

import pytest
import torch
from networks import NETWORKS, model, network, noise, preprocessing, segments

from compresslab.compress import qat_eager, qat_pt2e
from compresslab.config.methods import qat_eager as eager_settings
from compresslab.config.methods import qat_pt2e as pt2e_settings
from compresslab.config.training import Recipe
from compresslab.train.loop import TrainingData, TrainingResult
from compresslab.train.torch.gradients import take_over_upsampling
from compresslab.train.torch.learner import train

pytestmark = pytest.mark.usefixtures("_locks")


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.fixture
def _locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The fixture `gpu` of other tests in this process holds the GPU: here a training takes it beside them.
    monkeypatch.setattr("compresslab.train.gpus.tempfile.gettempdir", lambda: str(tmp_path))


def run(state: Path, name: str, stop_after: int = 0, **settings: Any) -> tuple[dict[str, torch.Tensor], TrainingResult]:
    """Train the network for two epochs on six images."""

    def log(line: str) -> None:
        if stop_after and line.startswith(f"epoch {stop_after}/"):
            raise Killed

    if segments(name):
        settings = {"augmentation": "scenes", "loss": {"cross_entropy": 1.0, "dice": 1.0, "lovasz": 0.5}} | settings
    recipe = Recipe(
        **{"epochs": 2, "batch": 3, "optimizer": {"name": "adam", "lr": 0.001}, "device": "cuda", **settings}
    )
    module = network(name)
    result = train(module, training_data(name), recipe, 0, state, "same", log=log)
    return module.state_dict(), result


def training_data(name: str) -> TrainingData:
    return TrainingData(noise(name, 6, seed=1), noise(name, 4, seed=2), preprocessing(name))


def same_bits(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_architecture_trains_to_the_same_bits_again(tmp_path: Path, name: str) -> None:
    first, result = run(tmp_path / "first", name)
    second, _ = run(tmp_path / "second", name)
    assert result.conditions == {"device": "cuda", "precision": "float32"}
    assert all(tensor.isfinite().all() for tensor in first.values())
    assert not same_bits(first, network(name).state_dict())
    assert same_bits(first, second)


@pytest.mark.parametrize("settings", [{}, {"augmentation": "elastic"}, {"augmentation": "symmetries"}, {"ema": 0.9}])
def test_digits_train_to_the_same_bits_with_other_views(tmp_path: Path, settings: dict[str, Any]) -> None:
    assert same_bits(
        run(tmp_path / "first", "ciresan", **settings)[0], run(tmp_path / "second", "ciresan", **settings)[0]
    )


@pytest.mark.parametrize("name", ["ciresan", "efficient-unet"])
def test_a_killed_training_ends_in_the_bits_of_one_that_never_stopped(tmp_path: Path, name: str) -> None:
    whole, _ = run(tmp_path / "whole", name)
    with pytest.raises(Killed):
        run(tmp_path / "killed", name, stop_after=1)
    resumed, _ = run(tmp_path / "killed", name)
    assert same_bits(whole, resumed)


@pytest.mark.parametrize("size", [{"scale_factor": 2.0}, {"scale_factor": 8.0}, {"size": (37, 50)}])
@pytest.mark.parametrize("precision", [torch.float32, torch.float64])
def test_the_gradient_of_upsampling_is_that_of_the_cpu(size: dict[str, Any], precision: torch.dtype) -> None:
    take_over_upsampling()
    images = torch.randn((2, 3, 17, 23), dtype=precision, requires_grad=True)
    on_gpu = images.detach().cuda().requires_grad_()
    for given in (images, on_gpu):
        torch.nn.functional.interpolate(given, mode="bilinear", **size).square().sum().backward()
    assert torch.allclose(on_gpu.grad.cpu(), images.grad, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("route", [(qat_eager, eager_settings), (qat_pt2e, pt2e_settings)])
@pytest.mark.parametrize("name", ["lenet5", "efficient-unet"])
def test_training_for_integers_has_the_same_bits_again(tmp_path: Path, route: tuple[Any, Any], name: str) -> None:
    (method, settings), data = route, training_data(name)
    parameters = settings.Parameters(epochs=2, batch=3, optimizer={"name": "adam", "lr": 0.001}, device="cuda")
    results = [
        method.train(model(name), data, parameters, 0, tmp_path / run, "same")[:2] for run in ("first", "second")
    ]
    (one, first), (other, _) = results
    assert first.conditions["device"] == "cuda"
    assert same_bits(one.module.state_dict(), other.module.state_dict())


@pytest.mark.parametrize("name", ["resnet18", "efficient-unet"])
def test_bfloat16_is_taken_where_it_is_computed_and_said(tmp_path: Path, name: str) -> None:
    weights, result = run(tmp_path, name, precision="auto")
    expected = "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    assert result.conditions == {"device": "cuda", "precision": expected}
    assert all(tensor.isfinite().all() for tensor in weights.values())
