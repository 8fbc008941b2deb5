"""What a codec does to images, and what its table says of a variant and its reference."""

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from compresslab.data.codec import original, through_jpeg
from compresslab.measure.predictions import Predictions
from compresslab.measure.reencoded import ORIGINAL, Answered, codec_name, read_answers, write_answers
from compresslab.tables.codec_shift import codec_shift
from compresslab.tables.schemas import TABLES

CLASSES = 3


def photographs(count: int, channels: int) -> np.ndarray:
    """Smooth ramps with some noise, which a codec changes a little."""
    rng = np.random.default_rng(0)
    ramp = np.linspace(30, 220, 16)[:, None, None] + rng.normal(0, 12, (count, 16, 16, channels))
    return ramp.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_gives_back_what_a_file_would(channels: int) -> None:
    images = photographs(4, channels)
    found = through_jpeg(images, 75)
    sizes = []
    for before, after in zip(images, found.images, strict=True):
        file = io.BytesIO()
        Image.fromarray(before.squeeze()).save(file, "JPEG", quality=75)
        sizes.append(len(file.getvalue()))
        np.testing.assert_array_equal(np.asarray(Image.open(file)), after.squeeze())
    assert found.bytes_per_image == np.mean(sizes)
    assert found.pixel_error_percent == pytest.approx(
        100 * np.abs(images.astype(float) - found.images).mean() / 255, rel=1e-12
    )


def test_a_lower_quality_takes_fewer_bytes_and_moves_pixels_farther() -> None:
    images = photographs(8, 3)
    found = [original(images), *(through_jpeg(images, quality) for quality in (95, 75, 20))]
    errors = [codec.pixel_error_percent for codec in found]
    assert errors == sorted(errors)
    assert errors[0] == 0 < errors[1]
    sizes = [codec.bytes_per_image for codec in found[1:]]
    assert sizes == sorted(sizes, reverse=True)
    assert found[0].bytes_per_image == 16 * 16 * 3


def test_images_of_other_channels_are_refused() -> None:
    with pytest.raises(ValueError, match="1 or 3 channels, not of 4"):
        through_jpeg(np.zeros((1, 8, 8, 4), np.uint8), 75)


def answered(answers: list[int], labels: list[int]) -> Answered:
    logits = np.eye(CLASSES, dtype=np.float32)[answers]
    return Answered(Predictions(logits, np.array(labels), np.arange(len(labels))), 900.0, 2.5)


def answers(before: list[int], after: list[int], labels: list[int]) -> dict[str, Answered]:
    return {ORIGINAL: answered(before, labels), codec_name(75): answered(after, labels)}


def test_answers_survive_their_file(tmp_path: Path) -> None:
    given = answers([0, 1, 2], [0, 1, 1], [0, 1, 2])
    write_answers(tmp_path / "answers.npz", given)
    found = read_answers(tmp_path / "answers.npz")
    assert list(found) == [ORIGINAL, "jpeg75"]
    for codec, expected in given.items():
        np.testing.assert_array_equal(found[codec].predictions.logits, expected.predictions.logits)
        assert found[codec].bytes_per_image == expected.bytes_per_image


def test_another_file_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "other.npz", labels=np.zeros(2))
    with pytest.raises(ValueError, match=r"other\.npz lacks bytes_per_image, codecs"):
        read_answers(tmp_path / "other.npz")


def test_the_drop_and_its_excess_are_those_of_the_answers() -> None:
    labels = [0] * 400
    right = [0] * 400
    # The variant loses 100 images to the codec, the reference 20.
    variant = answers(right, [1] * 100 + [0] * 300, labels)
    reference = answers(right, [1] * 20 + [0] * 380, labels)
    table = codec_shift(variant, reference).set_index("codec")
    assert table.loc["jpeg75", "accuracy_percent"] == 75
    assert table.loc["jpeg75", "drop_points"] == -25
    assert table.loc["jpeg75", "drop_verdict"] == "worse"
    assert table.loc["jpeg75", "agreement_percent"] == 75
    assert table.loc["jpeg75", "excess_drop_points"] == -20
    assert table.loc["jpeg75", "excess_verdict"] == "worse"
    half_width = 1.96 * 100 * np.sqrt(0.2 * 0.8 / 400)
    assert table.loc["jpeg75", "excess_drop_low_points"] == pytest.approx(-20 - half_width, abs=0.8)
    assert table.loc["jpeg75", "excess_drop_high_points"] == pytest.approx(-20 + half_width, abs=0.8)
    unchanged = table.loc[ORIGINAL]
    assert (unchanged["drop_points"], unchanged["drop_verdict"], unchanged["excess_verdict"]) == (0, "noise", "noise")


def test_a_reference_loses_no_more_than_itself() -> None:
    rng = np.random.default_rng(0)
    labels, before, after = (rng.integers(0, CLASSES, 200).tolist() for _ in range(3))
    shift = codec_shift(answers(before, after, labels), answers(before, after, labels))
    assert shift["excess_drop_points"].eq(0).all()
    assert shift["excess_verdict"].eq("noise").all()


def test_the_rows_fit_their_table() -> None:
    labels = [0, 1, 2, 0]
    shift = codec_shift(answers([0, 1, 2, 1], [0, 1, 1, 1], labels), answers(labels, labels, labels))
    identity = {"lab": "x", "host": "x", "model": "m", "variant": "v", "engine": "e", "reference": "m/r"}
    assert len(TABLES["codec_shift"].validated(shift.assign(**identity))) == 2


def test_answers_to_other_codecs_do_not_pair() -> None:
    variant = answers([0], [0], [0])
    with pytest.raises(ValueError, match="codecs original, jpeg75, its reference of original"):
        codec_shift(variant, {ORIGINAL: variant[ORIGINAL]})
