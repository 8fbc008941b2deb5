"""Training: it learns, its numbers are what they say, and its bits depend on recipe, seed and data only."""

import json
import math
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_gpus import FIRST, SECOND, see
from hypothesis import given
from hypothesis import strategies as st
from textures import CLASSES, PREPROCESSING, SHAPE, gapcnn, textures
from torch import nn
from torch.optim import lr_scheduler

from compresslab.config.training import Optimizer, Recipe
from compresslab.data.prepare import prepare
from compresslab.engines.layout import normalized_channels_first
from compresslab.models.torch.artifact import build
from compresslab.tables.collect import read_piece
from compresslab.train import gpus
from compresslab.train.loop import TrainingData, TrainingError, TrainingResult, batches
from compresslab.train.schedules import learning_rate
from compresslab.train.torch.hardware import choose_device, one_device
from compresslab.train.torch.learner import initialize, make_optimizer, train

TRAIN = textures(150, seed=1)
VALIDATION = textures(70, seed=2)
ADAM = Optimizer(name="adam", lr=0.01)


def run(
    state: Path, seed: int = 0, validation=VALIDATION, **settings
) -> tuple[dict[str, torch.Tensor], TrainingResult]:
    module = gapcnn()
    recipe = Recipe(**{"epochs": 2, "batch": 32, "optimizer": ADAM, **settings})
    data = TrainingData(TRAIN, validation, PREPROCESSING)
    result = train(module, data, recipe, seed, state, "same", log=lambda _: None)
    return module.state_dict(), result


def same_bits(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def test_it_learns_textures(tmp_path: Path) -> None:
    _, result = run(tmp_path, epochs=6, schedule="one-cycle", optimizer=Optimizer(name="adam", lr=0.03), batch=16)
    assert [row["epoch"] for row in result.history] == [1, 2, 3, 4, 5, 6]
    assert result.history[-1]["validation_accuracy_percent"] > 95
    assert result.history[-1]["train_loss"] < result.history[0]["train_loss"] / 3


def test_a_seed_gives_the_same_bits_again_and_another_seed_others(tmp_path: Path) -> None:
    first, result = run(tmp_path / "first")
    second, again = run(tmp_path / "second")
    other, _ = run(tmp_path / "other", seed=1)
    assert same_bits(first, second)
    assert [row | {"epoch_s": 0} for row in result.history] == [row | {"epoch_s": 0} for row in again.history]
    assert not same_bits(first, other)


def test_another_process_gives_the_same_bits(tmp_path: Path) -> None:
    here, _ = run(tmp_path / "here")
    script = (
        "import sys, torch, test_training as t; from pathlib import Path\n"
        "weights, _ = t.run(Path(sys.argv[1])); torch.save(weights, sys.argv[2])"
    )
    arguments = [str(tmp_path / "there"), str(tmp_path / "weights")]
    subprocess.run([sys.executable, "-c", script, *arguments], check=True, cwd=Path(__file__).parent)
    assert same_bits(here, torch.load(tmp_path / "weights", weights_only=True))


def test_bits_do_not_depend_on_the_threads_the_process_was_given(tmp_path: Path) -> None:
    one, _ = run(tmp_path / "one")
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        two, _ = run(tmp_path / "two")
        assert torch.get_num_threads() == 2, "training must leave the process's thread count as it was"
    finally:
        torch.set_num_threads(before)
    assert same_bits(one, two)


def test_validation_only_watches(tmp_path: Path) -> None:
    one, first = run(tmp_path / "one")
    other, second = run(tmp_path / "other", validation=textures(33, seed=9))
    assert same_bits(one, other)
    assert first.history[0]["validation_loss"] != second.history[0]["validation_loss"]


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_loss_and_accuracy_are_means_over_images_not_over_batches(tmp_path: Path, smoothing: float) -> None:
    standing_still = Optimizer(name="sgd", lr=1e-30, momentum=0)
    # 150 images in batches of 64: a mean over batches would count the last 22 three times too much.
    _, result = run(tmp_path, epochs=1, batch=64, optimizer=standing_still, label_smoothing=smoothing)
    module = gapcnn()
    initialize(module, 0)
    for split, name in ((TRAIN, "train"), (VALIDATION, "validation")):
        logits = module(torch.from_numpy(normalized_channels_first(PREPROCESSING, split.images))).detach().double()
        log_probabilities = (logits - logits.logsumexp(1, keepdim=True)).numpy()
        wanted = np.full((len(split.labels), len(CLASSES)), smoothing / len(CLASSES))
        wanted[np.arange(len(split.labels)), split.labels] += 1 - smoothing
        loss = -(wanted * log_probabilities).sum(1).mean()
        assert result.history[0][f"{name}_loss"] == pytest.approx(loss, rel=1e-5)
        accuracy = 100 * np.mean(log_probabilities.argmax(1) == split.labels)
        assert result.history[0][f"{name}_accuracy_percent"] == pytest.approx(accuracy)


@given(st.integers(1, 300), st.integers(1, 64), st.integers(0, 5), st.integers(1, 5))
def test_every_epoch_shows_every_image_once(samples: int, batch: int, seed: int, epoch: int) -> None:
    chosen = list(batches(samples, batch, seed, epoch))
    assert sorted(np.concatenate(chosen).tolist()) == list(range(samples))
    assert all(len(choice) == batch for choice in chosen[:-1])
    again = list(batches(samples, batch, seed, epoch))
    assert all(np.array_equal(one, other) for one, other in zip(chosen, again, strict=True))


def test_epochs_and_seeds_are_shuffled_differently() -> None:
    orders = {np.concatenate(list(batches(50, 8, seed, epoch))).tobytes() for seed in range(3) for epoch in (1, 2)}
    assert len(orders) == 6


def pytorch_rates(schedule: str, epochs: int, per_epoch: int, peak: float) -> list[float]:
    """The rate of every step, by PyTorch's own schedulers."""
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=peak)
    steps = epochs * per_epoch
    scheduler = {
        "constant": lambda: lr_scheduler.ConstantLR(optimizer, factor=1.0),
        "one-cycle": lambda: lr_scheduler.OneCycleLR(optimizer, max_lr=peak, total_steps=steps),
        "cosine": lambda: lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps),
        "step": lambda: lr_scheduler.StepLR(optimizer, step_size=2 * per_epoch, gamma=0.5),
    }[schedule]()
    rates = []
    for _ in range(steps):
        rates.append(scheduler.get_last_lr()[0])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize("schedule", ["constant", "one-cycle", "cosine", "step"])
@pytest.mark.parametrize("per_epoch", [1, 2, 7])
def test_schedules_are_those_of_pytorch(schedule: str, per_epoch: int) -> None:
    recipe = Recipe(epochs=5, optimizer=Optimizer(name="sgd", lr=0.4), schedule=schedule, step_epochs=2)
    rates = [learning_rate(recipe, step, per_epoch) for step in range(5 * per_epoch)]
    assert rates == pytest.approx(pytorch_rates(schedule, 5, per_epoch, 0.4), rel=1e-6, abs=1e-9)


@pytest.mark.parametrize("schedule", ["one-cycle", "cosine"])
def test_a_training_of_a_single_step_has_a_schedule(tmp_path: Path, schedule: str) -> None:
    _, result = run(tmp_path, epochs=1, batch=1000, schedule=schedule)
    assert math.isfinite(result.history[0]["learning_rate"])


def test_the_history_names_the_rate_of_the_last_step(tmp_path: Path) -> None:
    _, result = run(tmp_path, epochs=2, batch=32, schedule="cosine")
    steps = math.ceil(150 / 32)
    rates = [pytorch_rates("cosine", 2, steps, 0.01)[step] for step in (steps - 1, 2 * steps - 1)]
    assert [row["learning_rate"] for row in result.history] == pytest.approx(rates)


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_optimizers_take_the_settings_they_are_given(name: str) -> None:
    optimizer = make_optimizer(gapcnn(), Optimizer(name=name, lr=0.2, momentum=0.5, weight_decay=0.03))
    assert type(optimizer).__name__.lower() == name
    group = optimizer.param_groups[0]
    assert (group["lr"], group["weight_decay"], group.get("momentum", 0.5)) == (0.2, 0.03, 0.5)


def test_initialization_forgets_earlier_weights() -> None:
    module, other = gapcnn(), gapcnn()
    for parameter in other.parameters():
        nn.init.constant_(parameter, 7)
    initialize(module, 3)
    initialize(other, 3)
    assert same_bits(module.state_dict(), other.state_dict())


def test_a_module_that_cannot_initialize_its_parameters_is_named() -> None:
    module = nn.Sequential(nn.Linear(2, 2))
    module[0].scale = nn.ParameterList([torch.ones(1)])
    with pytest.raises(TypeError, match=r"0\.scale \(ParameterList\)"):
        initialize(module, 0)


def test_a_loss_that_explodes_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"loss of epoch 1 is (nan|inf); lower the learning rate 1e\+30") as error:
        run(tmp_path, optimizer=Optimizer(name="sgd", lr=1e30))
    assert "\n" not in str(error.value)


def test_a_training_takes_a_gpu_that_no_other_job_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    see(monkeypatch, FIRST, SECOND)
    monkeypatch.setattr(gpus.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device", lambda _: nullcontext())
    with one_device("auto", pytest.fail) as device, one_device("cuda", pytest.fail) as other:
        assert (device, other) == (torch.device("cuda", 0), torch.device("cuda", 1))


@pytest.mark.skipif(torch.cuda.is_available(), reason="this host has a GPU")
def test_a_gpu_that_is_not_there_is_one_clear_line() -> None:
    assert choose_device("auto") == torch.device("cpu")
    with pytest.raises(TrainingError, match="PyTorch sees no GPU"):
        choose_device("cuda")


def test_training_normalizes_as_the_engines_do(tmp_path: Path) -> None:
    seen = []

    class Spy(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = build("gapcnn", SHAPE, len(CLASSES))

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            seen.append(images.numpy())
            return self.network(images)

    recipe = Recipe(epochs=1, batch=1000)
    train(Spy(), TrainingData(TRAIN, VALIDATION, PREPROCESSING), recipe, 0, tmp_path, "spy", log=lambda _: None)
    np.testing.assert_array_equal(seen[-1], normalized_channels_first(PREPROCESSING, VALIDATION.images))


def test_the_stage_tells_in_the_card_what_the_host_decided(tmp_path: Path) -> None:
    prepare("mnist", "embedded", None, tmp_path / "data.npz")
    recipe = {
        "epochs": 2,
        "device": "cpu",
        "precision": "bfloat16",
        "ema": 0.9,
        "augmentation": "elastic",
        "keep": "best",
    }
    spec = {
        "architecture": "gapcnn",
        "arguments": {},
        "parameters": recipe,
        "seed": 0,
        "train_images": 200,
        "validation_images": 100,
    }
    outputs = {"state": "state", "model": "model.safetensors", "card": "card.json", "training": "training.csv"}
    options = [part for option, path in outputs.items() for part in (f"--{option}", tmp_path / path)]
    command = [sys.executable, "-m", "compresslab.stages.train_torch", "--spec", json.dumps(spec), *options]
    subprocess.run([*command, "--data", tmp_path / "data.npz"], check=True, capture_output=True)
    card = json.loads((tmp_path / "card.json").read_text())
    assert (card["device"], card["precision"]) == ("cpu", "bfloat16")
    assert list(read_piece(tmp_path / "training.csv", "training")["kept"]).count(True) == 1
    assert not (tmp_path / "state").exists()
