"""A training that is killed and started again ends in the bits of one that never stopped."""

import io
import json
import multiprocessing
import os
import pickle
import random
import signal
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from textures import PREPROCESSING, gapcnn, textures
from torch import nn

from compresslab.config.training import Optimizer, Recipe
from compresslab.engines.layout import normalized_channels_first
from compresslab.train import checkpoint
from compresslab.train.loop import TrainingData, TrainingResult
from compresslab.train.torch.learner import TorchLearner, train

TRAIN = textures(120, seed=1)
VALIDATION = textures(40, seed=2)
DATA = TrainingData(TRAIN, VALIDATION, PREPROCESSING)
RECIPE = Recipe(epochs=5, batch=32, optimizer=Optimizer(name="adam", lr=0.01), schedule="one-cycle")
# Forked processes need no seconds to import PyTorch again; with one thread there is nothing that a fork could break.
PROCESSES = multiprocessing.get_context("fork")


class Killed(BaseException):
    """Stands for the end of the process."""


def with_dropout() -> nn.Module:
    return nn.Sequential(gapcnn()[:-1], nn.Dropout(0.5), nn.Linear(32, 4))


def run(
    state: Path, module: nn.Module, lines: list[str], recipe: Recipe = RECIPE, stop_after: int = 0, key: str = "same"
) -> TrainingResult:
    def log(line: str) -> None:
        lines.append(line)
        if stop_after and line.startswith(f"epoch {stop_after}/"):
            raise Killed

    return train(module, DATA, recipe, 0, state, key, log)


def assert_same(module: nn.Module, result: TrainingResult, other: nn.Module, again: TrainingResult) -> None:
    for (name, one), two in zip(module.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(one, two), name
    timeless = [[row | {"epoch_s": None} for row in history] for history in (result.history, again.history)]
    assert timeless[0] == timeless[1]


@pytest.mark.parametrize(
    ("optimizer", "schedule"),
    [("adam", "one-cycle"), ("sgd", "step"), ("adamw", "cosine"), ("sgd", "constant")],
)
def test_stopping_after_any_epoch_changes_nothing(tmp_path: Path, optimizer: str, schedule: str) -> None:
    settings = Optimizer(name=optimizer, lr=0.01, weight_decay=0.01)
    recipe = Recipe(epochs=4, batch=32, optimizer=settings, schedule=schedule, step_epochs=2, augmentation="symmetries")
    undisturbed = with_dropout()
    expected = run(tmp_path / "undisturbed", undisturbed, [], recipe)
    for epoch in range(1, 5):
        state = tmp_path / str(epoch)
        with pytest.raises(Killed):
            run(state, with_dropout(), [], recipe, stop_after=epoch)
        lines: list[str] = []
        module = with_dropout()
        result = run(state, module, lines, recipe)
        assert result.resumed_after == epoch
        assert lines[0] == f"taking up the training after epoch {epoch} of 4"
        assert_same(undisturbed, expected, module, result)


def with_normalization() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.2), nn.Flatten(), nn.Linear(8 * 36, 4)
    )


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_stopping_changes_no_average_no_distortion_and_no_choice_of_the_best(tmp_path: Path, precision: str) -> None:
    recipe = Recipe.model_validate(
        {
            "epochs": 5, "batch": 32, "optimizer": {"name": "sgd", "lr": 0.05, "momentum": 0.9}, "precision": precision,
            "ema": 0.9, "augmentation": "elastic", "elastic": {"strength_px": 3, "smoothness_px": 1}, "keep": "best",
        }
    )  # fmt: skip
    undisturbed = with_normalization()
    expected = run(tmp_path / "undisturbed", undisturbed, [], recipe)
    for epoch in range(1, 6):
        with pytest.raises(Killed):
            run(tmp_path / str(epoch), with_normalization(), [], recipe, stop_after=epoch)
        module = with_normalization()
        result = run(tmp_path / str(epoch), module, [], recipe)
        assert result.resumed_after == epoch
        assert_same(undisturbed, expected, module, result)
    kept = next(row for row in expected.history if row["kept"])
    assert_validated(undisturbed, kept, precision)


def assert_validated(module: nn.Module, row: dict[str, float], precision: str) -> None:
    """The weights that are left are those of the row that is marked."""
    pixels = torch.from_numpy(normalized_channels_first(PREPROCESSING, VALIDATION.images))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
        loss = nn.functional.cross_entropy(module(pixels), torch.from_numpy(VALIDATION.labels)).item()
    assert row["validation_loss"] == pytest.approx(loss, rel=1e-5 if precision == "float32" else 1e-2)


def train_slowly(state: Path, result: Path) -> None:
    """Train in a process of its own; an epoch takes long enough to be killed in the middle of it."""
    module = gapcnn()
    module.register_forward_hook(lambda *_: time.sleep(0.01))
    history = run(state, module, []).history
    torch.save({"module": module.state_dict(), "history": history}, result)


def start(state: Path, result: Path) -> BaseProcess:
    process = PROCESSES.Process(target=train_slowly, args=(state, result))
    process.start()
    return process


def kill_in_the_next_epoch(process: BaseProcess, state: Path, delay_s: float) -> None:
    """Wait for the process to end or to keep an epoch, and kill it ``delay_s`` later."""

    def kept() -> int:
        path = state / "checkpoint"
        return path.stat().st_mtime_ns if path.exists() else 0

    before = kept()
    while process.is_alive() and kept() == before:
        time.sleep(0.002)
    process.join(delay_s)
    process.kill()
    process.join()


def test_sigkill_at_random_moments_changes_nothing(tmp_path: Path) -> None:
    undisturbed = gapcnn()
    expected = run(tmp_path / "undisturbed", undisturbed, [])
    chance = random.Random(0)
    state, result = tmp_path / "state", tmp_path / "result"
    exits = []
    while not exits or exits[-1] != 0:
        process = start(state, result)
        kill_in_the_next_epoch(process, state, chance.uniform(0, 0.08))
        exits.append(process.exitcode)
    assert set(exits[:-1]) == {-signal.SIGKILL}
    found = torch.load(result, weights_only=True)
    module = gapcnn()
    module.load_state_dict(found["module"])
    assert_same(undisturbed, expected, module, TrainingResult(found["history"], 0))


def test_another_fingerprint_starts_afresh_and_says_so(tmp_path: Path) -> None:
    with pytest.raises(Killed):
        run(tmp_path, gapcnn(), [], stop_after=2)
    lines: list[str] = []
    assert run(tmp_path, gapcnn(), lines, key="other").resumed_after == 0
    assert lines[0].startswith("starting afresh")
    assert "another configuration, code, data set or library version" in lines[0]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.data())
def test_a_damaged_checkpoint_is_never_used(tmp_path: Path, data: st.DataObject) -> None:
    kept = data.draw(st.sampled_from([None, b"earlier" * 20]))
    saved = checkpoint.Checkpoint([{"epoch": 1, "train_loss": 0.125}], b"weights" * 20, kept)
    checkpoint.save(tmp_path, "same", saved)
    assert checkpoint.load(tmp_path, "same", pytest.fail) == saved
    whole = (tmp_path / "checkpoint").read_bytes()
    position = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        damaged = whole[:position]
    else:
        damaged = whole[:position] + bytes([whole[position] ^ 0x10]) + whole[position + 1 :]
    (tmp_path / "checkpoint").write_bytes(damaged)
    lines: list[str] = []
    assert checkpoint.load(tmp_path, "same", lines.append) is None
    assert len(lines) == 1
    assert lines[0].startswith("starting afresh")


class Trap:
    def __reduce__(self):
        return os.mkdir, ("sprung",)


def test_a_checkpoint_cannot_execute_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sprung = io.BytesIO()
    torch.save({"module": Trap()}, sprung)
    learner = TorchLearner(gapcnn(), DATA, RECIPE, torch.device("cpu"))
    with pytest.raises(pickle.UnpicklingError):
        learner.restore(sprung.getvalue())
    assert not (tmp_path / "sprung").exists()


def hold(state: Path, holds: "multiprocessing.synchronize.Event", let_go: "multiprocessing.synchronize.Event") -> None:
    with checkpoint.locked(state, print):
        holds.set()
        let_go.wait(20)


def test_a_second_training_waits_for_the_first_and_says_for_whom(tmp_path: Path) -> None:
    holds, let_go = PROCESSES.Event(), PROCESSES.Event()
    first = PROCESSES.Process(target=hold, args=(tmp_path, holds, let_go))
    first.start()
    assert holds.wait(20)
    lines: list[str] = []

    def log(line: str) -> None:
        lines.append(line)
        let_go.set()

    checkpoint.discard(tmp_path)
    assert (tmp_path / "lock").exists(), "a folder in use must be left to its user"
    with checkpoint.locked(tmp_path, log):
        first.join()
        owner = json.loads((tmp_path / "owner.json").read_text())
    assert lines == [
        f"waiting: process {first.pid} on {owner['host']} is training in {tmp_path}; "
        "this one goes on when that one has ended"
    ]
    assert owner["process"] == os.getpid()


def test_a_killed_training_holds_nothing_up(tmp_path: Path) -> None:
    holds, never = PROCESSES.Event(), PROCESSES.Event()
    first = PROCESSES.Process(target=hold, args=(tmp_path, holds, never))
    first.start()
    assert holds.wait(20)
    os.kill(first.pid, signal.SIGKILL)
    first.join()
    lines: list[str] = []
    with checkpoint.locked(tmp_path, lines.append):
        assert lines == []


def test_state_is_removed_when_the_results_are_written(tmp_path: Path) -> None:
    state = tmp_path / "state"
    run(state, gapcnn(), [])
    (state / ".checkpoint-killed-while-writing").touch()
    checkpoint.discard(state)
    assert not state.exists()
    checkpoint.discard(state)


def test_one_process_may_hold_its_state_from_training_to_discarding(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with checkpoint.locked(state, pytest.fail):
        run(state, gapcnn(), [])
        checkpoint.discard(state)
        assert not state.exists()
    with checkpoint.locked(state, pytest.fail):
        assert (state / "owner.json").exists()


def test_a_finished_training_whose_results_were_lost_is_not_repeated(tmp_path: Path) -> None:
    module, again = gapcnn(), gapcnn()
    expected = run(tmp_path, module, [])
    result = run(tmp_path, again, [])
    assert result.resumed_after == RECIPE.epochs
    assert result.history == expected.history
    assert_same(module, expected, again, result)
