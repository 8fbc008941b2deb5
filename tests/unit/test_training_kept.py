"""Which epoch's weights a training keeps: the last or the best on the validation split, also after it was killed."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from compresslab.config.training import Recipe
from compresslab.stages.training import _as_csv
from compresslab.tables.collect import read_piece
from compresslab.train.loop import Score, TrainingResult, kept_epoch, run

IMAGES = np.zeros((6, 2, 2, 1), np.uint8)

Scores = list[tuple[float, float]]
"""Validation accuracy in percent and validation loss, epoch by epoch."""


class Killed(BaseException):
    """Stands for the end of the process."""


class Scripted:
    """A learner whose weights are the number of the epoch, and whose validation says what a script says."""

    def __init__(self, script: Scores) -> None:
        self.script, self.weights = script, 0

    def show(self, images: np.ndarray) -> None:
        raise AssertionError(f"nothing is augmented, but {len(images)} images are shown")

    def step(self, positions: np.ndarray, learning_rate: float) -> None:
        pass

    def running(self) -> Score:
        self.weights += 1
        return Score(1.0, 50.0)

    def validate(self) -> Score:
        accuracy, loss = self.script[self.weights - 1]
        return Score(loss, accuracy)

    def snapshot(self) -> bytes:
        return b"epoch %d" % self.weights

    def restore(self, snapshot: bytes) -> None:
        self.weights = int(snapshot.removeprefix(b"epoch "))


def trained(state: Path, script: Scores, stop_after: int = 0, **settings) -> tuple[Scripted, TrainingResult, list[str]]:
    learner, lines = Scripted(script), []

    def log(line: str) -> None:
        lines.append(line)
        if stop_after and line.startswith(f"epoch {stop_after}/"):
            raise Killed

    recipe = Recipe(**{"epochs": len(script), "batch": 3, **settings})
    return learner, run(learner, IMAGES, recipe, 0, state, "same", log), lines


def kept(result: TrainingResult) -> list[int]:
    return [int(row["epoch"]) for row in result.history if row["kept"]]


def test_the_last_epoch_is_kept_unless_told(tmp_path: Path) -> None:
    learner, result, _ = trained(tmp_path, [(90, 0.1), (50, 0.9)])
    assert learner.weights == 2
    assert kept(result) == [2]


@pytest.mark.parametrize(
    ("script", "best"),
    [
        ([(50, 0.5), (70, 0.4), (60, 0.1)], 2),  # accuracy comes first
        ([(70, 0.5), (70, 0.3), (70, 0.4)], 2),  # then the loss
        ([(70, 0.3), (70, 0.3), (60, 0.1)], 1),  # then the earlier one
        ([(50, 0.5), (60, 0.4), (70, 0.3)], 3),
    ],
)
def test_the_best_epoch_is_kept_and_one_row_says_so(tmp_path: Path, script: Scores, best: int) -> None:
    learner, result, lines = trained(tmp_path, script, keep="best")
    assert learner.weights == best
    assert kept(result) == [best]
    told = [line for line in lines if line.startswith("keeping")]
    assert told == (
        [] if best == 3 else [f"keeping the weights of epoch {best}, the best of 3 on the validation split"]
    )


@pytest.mark.parametrize(("patience", "epochs"), [(1, 3), (2, 4), (3, 8), (7, 8)])
def test_patience_ends_a_training_that_no_longer_gets_better(tmp_path: Path, patience: int, epochs: int) -> None:
    script = [(50, 0.5), (60, 0.4), (60, 0.4), (59, 0.3), (80, 0.2), (70, 0.1), (70, 0.1), (80, 0.3)]
    learner, result, _ = trained(tmp_path, script, keep="best", patience=patience)
    assert len(result.history) == epochs
    assert learner.weights == (2 if epochs < 5 else 5)
    assert kept(result) == [learner.weights]


@given(
    script=st.lists(
        st.tuples(st.sampled_from([50.0, 60.0, 70.0]), st.sampled_from([0.1, 0.2])), min_size=2, max_size=7
    ),
    patience=st.none() | st.integers(1, 4),
    data=st.data(),
)
def test_a_killed_training_keeps_the_same_epoch(
    tmp_path_factory: pytest.TempPathFactory, script: Scores, patience: int | None, data: st.DataObject
) -> None:
    state = tmp_path_factory.mktemp("state")
    settings = {"keep": "best", "patience": patience}
    undisturbed, expected, _ = trained(state / "undisturbed", script, **settings)
    epoch = data.draw(st.integers(1, len(expected.history)))
    with pytest.raises(Killed):
        trained(state / "killed", script, stop_after=epoch, **settings)
    learner, result, _ = trained(state / "killed", script, **settings)
    assert learner.weights == undisturbed.weights
    assert [row | {"epoch_s": 0} for row in result.history] == [row | {"epoch_s": 0} for row in expected.history]


def test_the_kept_epoch_is_the_best_by_sorting() -> None:
    rows = [
        {"epoch": epoch, "validation_accuracy_percent": accuracy, "validation_loss": loss}
        for epoch, (accuracy, loss) in enumerate([(60, 0.2), (70, 0.3), (70, 0.2), (70, 0.2), (10, 0.1)], 1)
    ]
    assert kept_epoch(rows, "best") == 3
    assert kept_epoch(rows, "last") == 5


def test_patience_needs_something_to_go_back_to() -> None:
    with pytest.raises(ValidationError, match="patience needs keep: best"):
        Recipe(patience=3)


def test_the_curve_has_the_kept_epoch_as_a_column_of_its_table(tmp_path: Path) -> None:
    _, result, _ = trained(tmp_path / "state", [(70, 0.5), (60, 0.5)], keep="best")
    text = _as_csv(result.history)
    assert [row["kept"] for row in csv.DictReader(io.StringIO(text))] == ["True", "False"]
    (tmp_path / "training.csv").write_text(text)
    assert list(read_piece(tmp_path / "training.csv", "training")["kept"]) == [True, False]
