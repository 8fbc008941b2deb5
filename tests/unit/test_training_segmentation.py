"""Training a network for segmentation: what it is scored by, what it keeps, and its bits after an interruption."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from textures import gapcnn, textures
from torch import nn

from compresslab.config.training import Recipe
from compresslab.data.confusion import confusion_matrix, mean_intersection_over_union
from compresslab.data.masks import VOID
from compresslab.data.prepared import Split
from compresslab.data.preprocessing import Preprocessing
from compresslab.engines.layout import normalized_channels_first
from compresslab.stages.training import _as_csv
from compresslab.tables.collect import read_piece
from compresslab.train.loop import TrainingData, TrainingError, TrainingResult, kept_epoch
from compresslab.train.torch import learner
from compresslab.train.torch.learner import fine_tune, initialize, train
from compresslab.train.torch.samples import Samples

CLASSES = 3
PREPROCESSING = Preprocessing((0.4, 0.4, 0.4), (0.3, 0.3, 0.3))
CPU = torch.device("cpu")
STANDING_STILL = {"name": "sgd", "lr": 1e-30, "momentum": 0}


class Killed(BaseException):
    """Stands for the end of the process."""


def stripes(count: int, seed: int, void: float = 0.1) -> Split:
    """Scenes of 8 x 12 pixels: three bands of three colours, each as high as it comes, with noise and some void."""
    generator = np.random.default_rng(seed)
    edges = np.sort(generator.integers(1, 8, (count, 2)), axis=1)
    labels = (np.arange(8)[None, :, None] >= edges[:, :1, None]).astype(int) + (
        np.arange(8)[None, :, None] >= edges[:, 1:, None]
    )
    labels = np.broadcast_to(labels, (count, 8, 12))
    colours = np.array([[200, 60, 60], [60, 200, 60], [60, 60, 200]])[labels]
    images = (colours + generator.normal(0, 40, colours.shape)).clip(0, 255).astype(np.uint8)
    masks = np.where(generator.random(labels.shape) < void, VOID, labels).astype(np.uint8)
    return Split(images, masks, np.arange(count, dtype=np.int64))


TRAIN, VALIDATION = stripes(40, seed=1), stripes(20, seed=2)
DATA = TrainingData(TRAIN, VALIDATION, PREPROCESSING)


def network() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout(0.1), nn.Conv2d(6, CLASSES, 1)
    )


def recipe(**settings) -> Recipe:
    return Recipe.model_validate({"epochs": 2, "batch": 8, "optimizer": {"lr": 0.02}, **settings})


def run(
    state: Path,
    settings: Recipe,
    module: nn.Module | None = None,
    data: TrainingData = DATA,
    lines: list[str] | None = None,
    stop_after: int = 0,
) -> tuple[nn.Module, TrainingResult]:
    module = module or network()

    def log(line: str) -> None:
        if lines is not None:
            lines.append(line)
        if stop_after and line.startswith(f"epoch {stop_after}/"):
            raise Killed

    return module, train(module, data, settings, 0, state, "same", log)


def test_it_learns_scenes_with_all_losses_and_views(tmp_path: Path) -> None:
    settings = recipe(epochs=8, augmentation="scenes", loss={"cross_entropy": 1, "dice": 1, "lovasz": 0.5})
    lines: list[str] = []
    _, result = run(tmp_path, settings, lines=lines)
    first, last = result.history[0], result.history[-1]
    assert last["validation_miou_percent"] > 75
    assert last["train_loss"] < first["train_loss"] / 1.5
    assert lines[-1].startswith(f"epoch 8/8: loss {last['train_loss']:.4f}, mIoU {last['train_miou_percent']:.2f} %, ")
    assert f", validation {last['validation_miou_percent']:.2f} %, " in lines[-1]


def test_scores_are_those_of_one_matrix_over_the_whole_split(tmp_path: Path) -> None:
    still = recipe(epochs=1, batch=16, optimizer=STANDING_STILL)
    module = nn.Sequential(nn.Conv2d(3, CLASSES, 3, padding=1))
    _, result = run(tmp_path, still, module)
    other = nn.Sequential(nn.Conv2d(3, CLASSES, 3, padding=1))
    initialize(other, 0)
    for split, name in ((TRAIN, "train"), (VALIDATION, "validation")):
        with torch.no_grad():
            logits = other(torch.from_numpy(normalized_channels_first(PREPROCESSING, split.images)))
        confusion = confusion_matrix(split.labels, logits.argmax(1).numpy(), CLASSES)
        row = result.history[0]
        assert row[f"{name}_miou_percent"] == pytest.approx(100 * mean_intersection_over_union(confusion))
        assert row[f"{name}_accuracy_percent"] == pytest.approx(100 * confusion.trace() / confusion.sum())


def test_the_loss_weighs_batches_by_their_images(tmp_path: Path) -> None:
    still = recipe(epochs=1, batch=16, optimizer=STANDING_STILL)
    module = nn.Sequential(nn.Conv2d(3, CLASSES, 1))
    whole = TrainingData(stripes(20, seed=3, void=0), stripes(20, seed=4, void=0), PREPROCESSING)
    _, result = run(tmp_path, still, module, whole)
    initialize(other := nn.Sequential(nn.Conv2d(3, CLASSES, 1)), 0)
    for split, name in ((whole.training, "train"), (whole.validation, "validation")):
        logits = other(torch.from_numpy(normalized_channels_first(PREPROCESSING, split.images)))
        # Where nothing is void, a mean over batches by their images is the mean over all pixels.
        loss = nn.functional.cross_entropy(logits, torch.from_numpy(split.labels).long()).item()
        assert result.history[0][f"{name}_loss"] == pytest.approx(loss, rel=1e-5)


def test_void_pixels_change_nothing_whatever_they_show(tmp_path: Path) -> None:
    """Of a network that sees one pixel at a time; batch normalization or a kernel would see them."""
    settings = recipe(epochs=1, loss={"dice": 1, "lovasz": 1})
    one, first = run(tmp_path / "one", settings, nn.Sequential(nn.Conv2d(3, CLASSES, 1)))
    changed = TRAIN.images.copy()
    changed[TRAIN.labels == VOID] = 17
    data = TrainingData(Split(changed, TRAIN.labels, TRAIN.indices), VALIDATION, PREPROCESSING)
    other, second = run(tmp_path / "other", settings, nn.Sequential(nn.Conv2d(3, CLASSES, 1)), data)
    for mine, theirs in zip(one.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-4, atol=1e-6)
    assert first.history[0]["train_miou_percent"] == pytest.approx(second.history[0]["train_miou_percent"])


def test_stopping_changes_no_view_no_loss_and_no_choice_of_the_best(tmp_path: Path) -> None:
    settings = recipe(
        epochs=3, augmentation="scenes", loss={"dice": 1, "lovasz": 0.5}, schedule="one-cycle", keep="best", ema=0.9
    )
    undisturbed, expected = run(tmp_path / "undisturbed", settings)
    for epoch in (1, 2, 3):
        with pytest.raises(Killed):
            run(tmp_path / str(epoch), settings, stop_after=epoch)
        module, result = run(tmp_path / str(epoch), settings)
        assert result.resumed_after == epoch
        for (name, one), other in zip(undisturbed.state_dict().items(), module.state_dict().values(), strict=True):
            assert torch.equal(one, other), name
        timeless = [[row | {"epoch_s": None} for row in history] for history in (expected.history, result.history)]
        assert timeless[0] == timeless[1]


def test_the_best_epoch_is_that_of_the_highest_miou() -> None:
    names = ["epoch", "validation_accuracy_percent", "validation_loss", "validation_miou_percent"]
    rows = [
        dict(zip(names, row, strict=True))
        for row in [(1, 90, 0.1, 40), (2, 80, 0.3, 50), (3, 70, 0.2, 50), (4, 99, 0.0, 30)]
    ]
    assert kept_epoch(rows, "best") == 3
    assert kept_epoch([row | {"validation_miou_percent": None} for row in rows], "best") == 4


def test_the_curve_has_its_miou_and_a_classifier_has_an_empty_cell(tmp_path: Path) -> None:
    _, segmented = run(tmp_path / "masks", recipe(epochs=1))
    data = TrainingData(textures(20, 1), textures(20, 2), Preprocessing((0.45,), (0.3,)))
    _, classified = run(tmp_path / "classes", recipe(epochs=1), gapcnn(), data)
    columns = ["train_miou_percent", "validation_miou_percent"]
    for result, filled in ((segmented, True), (classified, False)):
        text = _as_csv(result.history)
        (row,) = csv.DictReader(io.StringIO(text))
        assert [row[column] != "" for column in columns] == [filled, filled]
        (tmp_path / "training.csv").write_text(text)
        table = read_piece(tmp_path / "training.csv", "training")
        assert table[columns].notna().all(axis=None) == filled
        assert {"epoch", *columns, "kept"} <= set(table)


def test_large_masks_are_validated_few_at_a_time_and_classes_as_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def largest(pixels: int, module: nn.Module, data: TrainingData = DATA) -> int:
        sizes = []
        module.register_forward_hook(lambda module, inputs, _: sizes.append(len(inputs[0]) * (not module.training)))
        monkeypatch.setitem(learner.EVALUATION_PIXELS, "cpu", pixels)
        run(tmp_path / f"{pixels} of {type(module[-1])}", recipe(epochs=1), module, data)
        return max(sizes)

    assert largest(5 * 8 * 12, nn.Sequential(nn.Conv2d(3, CLASSES, 1))) == 5
    assert largest(1, nn.Sequential(nn.Conv2d(3, CLASSES, 1))) == 1
    assert largest(10**9, nn.Sequential(nn.Conv2d(3, CLASSES, 1))) == 20
    classes = TrainingData(textures(20, 1), textures(1010, 2), Preprocessing((0.45,), (0.3,)))
    assert largest(1, gapcnn(), classes) == 1000


def test_masks_stay_bytes_on_the_device_until_their_batch_is_made() -> None:
    samples = Samples.of(TRAIN, PREPROCESSING, CPU)
    assert samples.labels.dtype == torch.uint8
    for choice in (slice(1, 3), torch.tensor([1, 2])):
        _, labels = samples.batch(choice)
        assert labels.dtype == torch.int64
        np.testing.assert_array_equal(labels, TRAIN.labels[1:3])


@pytest.mark.parametrize(
    ("module", "data", "says"),
    [
        (
            nn.Sequential(nn.Flatten(), nn.Linear(8 * 12 * 3, CLASSES)),
            DATA,
            "the network answers 3 numbers for an image, but the dataset asks for the class of every one of "
            "8 x 12 pixels; take an architecture for segmentation",
        ),
        (
            nn.Sequential(nn.Conv2d(3, CLASSES, 2)),
            DATA,
            "the network answers 3 x 7 x 11 numbers for an image, but the dataset asks for the class of every one of "
            "8 x 12 pixels; take an architecture for segmentation",
        ),
        (
            nn.Sequential(nn.Conv2d(3, CLASSES, 1)),
            TrainingData(*2 * [Split(TRAIN.images, np.zeros(40, np.int64), TRAIN.indices)], PREPROCESSING),
            "the network answers 3 x 8 x 12 numbers for an image, but the dataset asks for one class of it; "
            "take an architecture for classification",
        ),
    ],
    ids=["classifier", "smaller", "segmenter"],
)
def test_a_network_that_does_not_fit_the_labels_is_one_clear_line(
    tmp_path: Path, module: nn.Module, data: TrainingData, says: str
) -> None:
    with pytest.raises(TrainingError) as error:
        run(tmp_path, recipe(), module, data)
    assert str(error.value) == says


def test_what_means_nothing_for_masks_or_classes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="augmentation 'crops' is not for segmentation; known there: none, scenes"):
        run(tmp_path, recipe(augmentation="crops"))
    classes = TrainingData(textures(20, 1), textures(20, 2), Preprocessing((0.45,), (0.3,)))
    with pytest.raises(TrainingError, match=r"loss '1 cross_entropy \+ 1 dice' is not for classification"):
        run(tmp_path, recipe(loss={"dice": 1}), gapcnn(), classes)


def test_a_split_that_is_all_void_is_one_clear_line(tmp_path: Path) -> None:
    data = TrainingData(TRAIN, stripes(4, seed=0, void=1), PREPROCESSING)
    with pytest.raises(TrainingError, match="all pixels are void, so there is nothing to score"):
        run(tmp_path, recipe(epochs=1), data=data)


def test_a_module_may_have_its_own_way_to_change_between_training_and_evaluation(tmp_path: Path) -> None:
    """As exported graphs have, whose calls return nothing."""
    module, modes = network(), []

    def change(mode: bool) -> None:
        modes.append(mode)
        nn.Module.train(module, mode)

    module.train = lambda mode=True: change(mode)  # type: ignore[assignment,method-assign,misc]
    module.eval = lambda: change(False)  # type: ignore[assignment,method-assign,return-value]
    fine_tune(module, DATA, recipe(epochs=1), 0, tmp_path, "same", log=lambda _: None)
    assert modes == [True, False, True, False]
