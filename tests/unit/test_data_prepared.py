"""Reading and writing prepared data, cards, preprocessing and splits."""

import json
import types

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compresslab.arrays import write_arrays
from compresslab.config.inventory import dataset_module, datasets, task_of
from compresslab.data.card import DataCard, read_card
from compresslab.data.catalogue import open_dataset
from compresslab.data.errors import DataError
from compresslab.data.masks import VOID
from compresslab.data.prepare import prepare
from compresslab.data.prepared import SPLITS, Samples, calibration_images, content_sha256, read_split, write_prepared
from compresslab.data.preprocessing import Preprocessing
from compresslab.data.sampling import permutation, uniform
from compresslab.data.splitting import stratified_holdout

TEXTS = {"en": "text", "zh-TW": "文字"}


def _splits(count: int = 50):
    rng = np.random.default_rng(0)
    return {
        split: Samples(rng.integers(0, 256, (count, 4, 5, 3), dtype=np.uint8), rng.integers(0, 2, count))
        for split in SPLITS
    }


def _splits_with_origins():
    return {
        split: samples._replace(origins=np.array([f"{split}:{number}" for number in range(50)]))
        for split, samples in _splits().items()
    }


def _card(splits, **changes):
    fields = {
        "dataset": "toy",
        "source": "embedded",
        "title": TEXTS,
        "description": TEXTS,
        "embedded": True,
        "substitute": False,
        "classes": ["a", "b"],
        "image_shape": (4, 5, 3),
        "counts": {},
        "mean": [0.5] * 3,
        "std": [0.3] * 3,
        "content_sha256": content_sha256(splits),
        "files": [],
        "protocol": TEXTS,
        "caveats": [{"id": "toy", **TEXTS}],
        "licence": "none",
        "citation": "none",
    }
    return DataCard(**(fields | changes))


@pytest.fixture
def prepared(tmp_path):
    splits = _splits()
    path = tmp_path / "deep" / "toy.npz"
    write_prepared(path, splits, _card(splits))
    return path


def test_what_is_written_is_read_back(prepared):
    for split, (images, labels, _) in _splits().items():
        part = read_split(prepared, split)
        np.testing.assert_array_equal(part.images, images)
        np.testing.assert_array_equal(part.labels, labels)
        np.testing.assert_array_equal(part.indices, np.arange(50))
        assert part.origins is None
    assert read_card(prepared) == read_card(prepared.with_suffix(".json")) == _card(_splits())


@given(limit=st.integers(1, 60))
def test_limit_takes_the_same_samples_every_time(tmp_path_factory, limit):
    path = tmp_path_factory.getbasetemp() / "limit.npz"
    if not path.exists():
        write_prepared(path, _splits(), _card(_splits()))
    images, labels, _ = _splits()["train"]
    part = read_split(path, "train", limit)
    assert len(part.indices) == min(limit, 50)
    assert np.all(np.diff(part.indices) > 0)
    np.testing.assert_array_equal(part.images, images[part.indices])
    np.testing.assert_array_equal(part.labels, labels[part.indices])
    larger = read_split(path, "train", limit + 5)
    assert set(part.indices) <= set(larger.indices)


def test_origins_go_with_their_samples(tmp_path):
    splits = _splits_with_origins()
    write_prepared(tmp_path / "toy.npz", splits, _card(splits))
    whole, part = read_split(tmp_path / "toy.npz", "test"), read_split(tmp_path / "toy.npz", "test", 7)
    assert whole.origins.tolist() == [f"test:{number}" for number in range(50)]
    assert part.origins.tolist() == [f"test:{number}" for number in part.indices]
    assert content_sha256(splits) != content_sha256(_splits())


def test_origins_of_other_samples_are_refused(prepared):
    with np.load(prepared) as archive:
        members = dict(archive)
    for origins in (np.array(["a"] * 49), np.arange(50)):
        write_arrays(prepared, members | {"train_origins": origins})
        with pytest.raises(DataError, match=r"train_origins .* do not name 50 samples; prepare the dataset again"):
            read_split(prepared, "train")


def _masked_splits(count=9):
    rng = np.random.default_rng(1)
    return {
        split: Samples(
            rng.integers(0, 256, (count, 4, 5, 3), np.uint8), rng.choice([0, 1, VOID], (count, 4, 5)).astype(np.uint8)
        )
        for split in SPLITS
    }


def test_masks_are_read_back_with_their_images(tmp_path):
    splits = _masked_splits()
    write_prepared(tmp_path / "toy.npz", splits, _card(splits))
    whole, part = read_split(tmp_path / "toy.npz", "test"), read_split(tmp_path / "toy.npz", "test", 4)
    assert whole.labels.dtype == np.uint8
    np.testing.assert_array_equal(whole.labels, splits["test"].labels)
    np.testing.assert_array_equal(part.labels, splits["test"].labels[part.indices])


@pytest.mark.parametrize("labels", [np.zeros((9, 4, 6), np.uint8), np.zeros((9, 4, 5), int), np.zeros((9, 5), int)])
def test_labels_that_do_not_fit_the_images_are_refused(tmp_path, labels):
    splits = _masked_splits() | {"train": Samples(_masked_splits()["train"].images, labels)}
    write_prepared(tmp_path / "toy.npz", splits, _card(splits))
    with pytest.raises(DataError, match=r"train_images uint8 .* and train_labels .* are not a prepared split; prepare"):
        read_split(tmp_path / "toy.npz", "train")


def _toy(monkeypatch, splits, task="segmentation"):
    module = types.SimpleNamespace(
        TITLE=TEXTS, DESCRIPTION=TEXTS, PROTOCOL=TEXTS, CAVEATS=(), CLASSES=("a", "b"), LICENCE="none", CITATION="none"
    )
    module.SUBSTITUTE, module.FILES, module.TASK, module.read = False, (), task, lambda _raw: splits
    monkeypatch.setattr("compresslab.data.prepare.open_dataset", lambda *_: module)
    return module


def test_a_card_of_masks_counts_pixels(tmp_path, monkeypatch):
    splits = _masked_splits()
    _toy(monkeypatch, splits).LABEL_MAP = {"x": "a", "y": "void"}
    card = prepare("toy", "upstream", None, tmp_path / "toy.npz")
    assert card.task == "segmentation"
    assert card.images == dict.fromkeys(SPLITS, 9)
    for split in SPLITS:
        labels = splits[split].labels
        assert card.counts[split] == {"a": (labels == 0).sum(), "b": (labels == 1).sum()}
        assert sum(card.counts[split].values()) + card.void_pixels[split] == labels.size
    pixels = splits["train"].images.reshape(-1, 3) / 255
    assert card.mean == pytest.approx(pixels.mean(axis=0).tolist())
    assert card.std == pytest.approx(pixels.std(axis=0).tolist())
    assert read_card(tmp_path / "toy.npz").label_map == {"x": "a", "y": "void"}


def test_a_card_of_classes_counts_samples(tmp_path, monkeypatch):
    splits = _splits()
    _toy(monkeypatch, splits, "classification")
    card = prepare("toy", "upstream", None, tmp_path / "toy.npz")
    assert card.images == {split: sum(card.counts[split].values()) for split in SPLITS} == dict.fromkeys(SPLITS, 50)
    assert (card.task, card.label_map, card.void_pixels) == ("classification", {}, {})


@pytest.mark.parametrize(
    ("task", "labels", "message"),
    [
        ("segmentation", np.full((9, 4, 5), 2, np.uint8), r"a train label is 2, .* 0 to 1, and void is 255$"),
        ("segmentation", np.full((9, 4, 6), 0, np.uint8), r"train labels are uint8 \(9, 4, 6\), .* fit images of"),
        (
            "segmentation",
            np.full((9, 4, 5), 0),
            r"train labels are int64 .*: uint8, one for every pixel, are expected$",
        ),
        ("classification", np.full((9, 4, 5), 0, np.uint8), r"train labels are uint8 .*: one for every image"),
        ("classification", np.full(9, 2), r"a train label is 2, but the classes are 0 to 1$"),
    ],
)
def test_preparing_refuses_labels_that_are_none(tmp_path, monkeypatch, task, labels, message):
    splits = (_masked_splits() if task == "segmentation" else _splits(9)) | {
        "train": Samples(_masked_splits()["train"].images, labels)
    }
    _toy(monkeypatch, splits, task)
    with pytest.raises(DataError, match=f"^toy: .*{message}"):
        prepare("toy", "upstream", None, tmp_path / "toy.npz")
    assert not list(tmp_path.iterdir())


def test_a_limit_is_not_just_the_beginning(prepared):
    assert read_split(prepared, "test", 10).indices.tolist() != list(range(10))


def test_calibration_reads_training_images(prepared):
    np.testing.assert_array_equal(calibration_images(prepared, 7).images, read_split(prepared, "train", 7).images)


def test_calibration_does_not_need_the_test_split(prepared):
    with np.load(prepared) as archive:
        write_arrays(prepared, {name: archive[name] for name in archive.files if not name.startswith("test")})
    assert len(calibration_images(prepared, 7).images) == 7
    with pytest.raises(DataError, match="prepare it again"):
        read_split(prepared, "test")


@pytest.mark.parametrize("limit", [0, -3])
def test_an_empty_limit_is_refused(prepared, limit):
    with pytest.raises(ValueError, match="leaves nothing"):
        read_split(prepared, "train", limit)


def test_an_unknown_split_is_refused_with_the_known_ones(prepared):
    with pytest.raises(ValueError, match="train, validation, test"):
        read_split(prepared, "val")


@pytest.mark.parametrize("kept", [0, 1, 200, 0.5, 0.999])
def test_a_truncated_archive_is_one_clear_line(prepared, kept):
    content = prepared.read_bytes()
    prepared.write_bytes(content[: int(kept * len(content)) if isinstance(kept, float) else kept])
    with pytest.raises(DataError, match=r"toy\.npz: truncated") as caught:
        read_split(prepared, "train")
    assert "\n" not in str(caught.value)
    assert "pickle" not in str(caught.value)


def test_a_damaged_member_is_one_clear_line(prepared):
    content = bytearray(prepared.read_bytes())
    content[1000] ^= 0xFF
    prepared.write_bytes(content)
    with pytest.raises(DataError, match="damaged"):
        read_split(prepared, "train")


def test_objects_are_never_unpickled(tmp_path):
    np.savez(tmp_path / "bad.npz", train_images=np.array([{}], dtype=object), train_labels=np.zeros(1))
    with pytest.raises(DataError, match="not a prepared dataset"):
        read_split(tmp_path / "bad.npz", "train")


def test_missing_data_and_card_say_what_to_run(tmp_path):
    with pytest.raises(DataError, match="run its prepare stage"):
        read_split(tmp_path / "none.npz", "train")
    with pytest.raises(DataError, match="no data card"):
        read_card(tmp_path / "none.npz")


def test_a_card_of_other_arrays_is_refused(tmp_path):
    splits = _splits()
    with pytest.raises(ValueError, match="describes other arrays"):
        write_prepared(tmp_path / "toy.npz", splits, _card(_splits(count=49)))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda card: card | {"mean": "high"}, "mean"),
        (lambda card: card | {"title": {"en": "only"}}, "zh-TW"),
        (lambda card: card | {"surprise": 1}, "surprise"),
        (lambda card: {name: value for name, value in card.items() if name != "licence"}, "licence"),
    ],
)
def test_a_damaged_card_names_the_field(prepared, damage, message):
    path = prepared.with_suffix(".json")
    path.write_text(json.dumps(damage(json.loads(path.read_text("utf-8")))), "utf-8")
    with pytest.raises(DataError, match=message):
        read_card(path)


def test_normalization_follows_its_formula():
    images = _splits()["train"][0]
    preprocessing = Preprocessing((0.1, 0.2, 0.3), (0.5, 0.6, 0.7))
    expected = (images / 255 - np.array([0.1, 0.2, 0.3])) / np.array([0.5, 0.6, 0.7])
    normalized = preprocessing.normalize(images)
    assert normalized.dtype == np.float32
    np.testing.assert_allclose(normalized, expected, atol=1e-6)


@given(
    st.lists(st.tuples(st.floats(-2, 2, allow_nan=False), st.floats(1e-3, 2, allow_nan=False)), min_size=1, max_size=4)
)
def test_preprocessing_survives_json(channels):
    preprocessing = Preprocessing(*map(tuple, zip(*channels, strict=True)))
    assert Preprocessing.from_json(json.loads(json.dumps(preprocessing.to_json()))) == preprocessing


@pytest.mark.parametrize("value", [{}, {"mean": [0.1]}, {"mean": 0.1, "std": 0.2}, {"mean": [0.1], "std": [0.0]}, None])
def test_bad_preprocessing_is_refused(value):
    with pytest.raises(ValueError, match="preprocessing"):
        Preprocessing.from_json(value)


@pytest.mark.parametrize(
    "images", [np.zeros((1, 2, 2, 3), np.float32), np.zeros((1, 2, 2, 1), np.uint8), np.zeros((2, 2, 3), np.uint8)]
)
def test_normalization_refuses_other_images(images):
    with pytest.raises(ValueError, match="expected uint8 images"):
        Preprocessing((0.1,) * 3, (1.0,) * 3).normalize(images)


@given(st.lists(st.integers(0, 5), min_size=2, max_size=200), st.data())
def test_stratified_holdout_divides_every_class_in_proportion(labels, data):
    labels = np.array(labels)
    count = data.draw(st.integers(1, len(labels) - 1))
    kept, held_out = stratified_holdout(labels, count, seed=3)
    assert len(held_out) == count
    assert sorted([*kept, *held_out]) == list(range(len(labels)))
    for label in np.unique(labels):
        share = count * np.mean(labels == label)
        assert np.floor(share) <= np.sum(labels[held_out] == label) <= np.ceil(share)


def test_stratified_holdout_depends_on_its_seed_alone():
    labels = np.repeat(np.arange(10), 30)
    first, again, other = (stratified_holdout(labels, 50, seed)[1] for seed in (0, 0, 1))
    assert first.tolist() == again.tolist() != other.tolist()


@pytest.mark.parametrize("count", [0, 10, 11])
def test_stratified_holdout_refuses_to_empty_a_side(count):
    with pytest.raises(ValueError, match="cannot hold"):
        stratified_holdout(np.zeros(10, int), count, 0)


def test_random_numbers_are_those_of_every_other_machine():
    """PCG64's stream is fixed by NumPy's compatibility promise; results hang on it."""
    assert permutation(0, 8).tolist() == [3, 2, 1, 6, 0, 7, 4, 5]
    assert uniform(0, (2,)).tolist() == [0.6369616873214543, 0.2697867137638703]
    assert uniform(1, (1000,)).min() >= 0
    assert uniform(1, (1000,)).max() < 1


def test_every_dataset_module_can_fill_its_card():
    for source in ("upstream", "embedded"):
        assert "mnist" in datasets(source)
        for name in datasets(source):
            module = open_dataset(name, source)
            for texts in (module.TITLE, module.DESCRIPTION, module.PROTOCOL, *module.CAVEATS):
                assert texts["en"]
                assert texts["zh-TW"]
            assert len(set(module.CLASSES)) == len(module.CLASSES) > 1
            assert module.LICENCE
            assert module.CITATION
            assert module.SUBSTITUTE or source != "embedded"
            masks = task_of(name, source) == "segmentation"
            assert bool(getattr(module, "LABEL_MAP", {})) == (masks and source != "embedded")
            assert all(url.startswith("https://") for file in module.FILES for url in file.urls)


def test_an_unknown_dataset_gets_the_nearest_name():
    assert dataset_module("mnist", "mirror") == "compresslab.data.datasets.mnist"
    with pytest.raises(DataError, match=r"did you mean 'mnist'\?"):
        open_dataset("minst", "upstream")
    with pytest.raises(DataError, match="no dataset"):
        open_dataset("../mnist", "upstream")
