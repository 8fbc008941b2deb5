"""Any file becomes the right pixels, or one sentence."""

import io
import resource
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import hostile_files
from compresslab.demo.picture import FORMATS, MOST_BYTES, MOST_PIXELS, PictureError, background_of, see
from hostile_files import encoded

GREY, COLOUR = (4, 4, 1), (4, 4, 3)
GRADIENT = np.arange(0, 160, 10, dtype=np.uint8).reshape(4, 4)
COLOURS = np.random.default_rng(5).integers(0, 256, (4, 4, 3), np.uint8)


@pytest.fixture
def file(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(content: bytes) -> Path:
        path = tmp_path / "upload"
        path.write_bytes(content)
        return path

    return write


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "GIF"])
def test_a_grey_picture_of_the_right_size_is_taken_as_it_is(kind: str, file: Callable[[bytes], Path]) -> None:
    seen = see(file(encoded(GRADIENT, kind)), GREY)
    np.testing.assert_array_equal(seen.image[:, :, 0], GRADIENT)
    assert seen.image.dtype == np.uint8
    assert seen.notes == ("note_as_it_is",)


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("BMP", {}), ("WEBP", {"lossless": True})])
def test_colours_stay_the_same_colours(kind: str, options: dict[str, bool], file: Callable[[bytes], Path]) -> None:
    np.testing.assert_array_equal(see(file(encoded(COLOURS, kind, **options)), COLOUR).image, COLOURS)


def test_a_grey_picture_is_grey_in_all_three_channels(file: Callable[[bytes], Path]) -> None:
    expected = GRADIENT[:, :, np.newaxis].repeat(3, axis=2)
    np.testing.assert_array_equal(see(file(encoded(GRADIENT)), COLOUR).image, expected)


def test_colours_become_grey_by_luma(file: Callable[[bytes], Path]) -> None:
    pure = np.zeros((4, 4, 3), np.uint8)
    pure[0, :, 0], pure[1, :, 1], pure[2, :, 2], pure[3] = 255, 255, 255, 255
    seen = see(file(encoded(pure)), GREY)
    # ITU-R BT.601: 0.299 R + 0.587 G + 0.114 B.
    assert seen.image[:, 0, 0].tolist() == [76, 150, 29, 255]
    assert seen.notes == ("note_grey", "note_as_it_is")


@pytest.mark.parametrize("dtype", ["<u2", ">u2"])
def test_sixteen_bits_are_scaled_not_cut_off(dtype: str, file: Callable[[bytes], Path]) -> None:
    deep = np.array([[0, 257, 128, 129], [65535, 65406, 65407, 32767]] * 2, np.uint16)
    kind = "PNG" if dtype == "<u2" else "TIFF"
    image = Image.fromarray(deep) if dtype == "<u2" else Image.frombytes("I;16B", (4, 4), deep.astype(">u2").tobytes())
    seen = see(file(saved(image, kind)), GREY)
    assert seen.image[:2, :, 0].tolist() == [[0, 1, 0, 1], [255, 254, 255, 127]]
    assert seen.notes[0] == "note_sixteen_bits"


def test_what_is_transparent_lies_over_white(file: Callable[[bytes], Path]) -> None:
    layered = np.zeros((4, 4, 4), np.uint8)
    layered[:, 1:] = (255, 0, 0, 255)
    layered[:, 3] = (0, 0, 0, 51)
    seen = see(file(encoded(layered)), COLOUR)
    # A fifth of black over white.
    assert seen.image[0].tolist() == [[255, 255, 255], [255, 0, 0], [255, 0, 0], [204, 204, 204]]
    assert seen.notes == ("note_transparent", "note_as_it_is")


def test_an_opaque_alpha_channel_changes_nothing_and_is_not_spoken_of(file: Callable[[bytes], Path]) -> None:
    seen = see(file(encoded(np.dstack([COLOURS, np.full((4, 4), 255, np.uint8)]))), COLOUR)
    np.testing.assert_array_equal(seen.image, COLOURS)
    assert seen.notes == ("note_as_it_is",)


def test_grey_with_alpha_lies_over_white(file: Callable[[bytes], Path]) -> None:
    alpha = np.array([[255, 0, 255, 0]] * 4, np.uint8)
    layered = np.dstack([np.full((4, 4), 40, np.uint8), alpha])
    seen = see(file(saved(Image.fromarray(layered, "LA"), "PNG")), GREY)
    np.testing.assert_array_equal(seen.image[:, :, 0], np.where(alpha == 255, 40, 255))


@pytest.mark.parametrize("kind", ["PNG", "GIF"])
def test_a_palette_with_a_transparent_colour_lies_over_white(kind: str, file: Callable[[bytes], Path]) -> None:
    image = Image.fromarray(np.array([[0, 1, 2, 1]] * 4, np.uint8), "P")
    image.putpalette([10, 20, 30, 200, 100, 50, 0, 0, 255])
    seen = see(file(saved(image, kind, transparency=2)), COLOUR)
    assert seen.image[0].tolist() == [[10, 20, 30], [200, 100, 50], [255, 255, 255], [200, 100, 50]]


def test_one_bit_is_black_and_white(file: Callable[[bytes], Path]) -> None:
    bits = Image.fromarray(np.array([[0, 255, 0, 255]] * 4, np.uint8)).convert("1")
    assert see(file(saved(bits, "TIFF")), GREY).image[0, :, 0].tolist() == [0, 255, 0, 255]


def test_the_inks_of_a_printed_photograph_become_light(file: Callable[[bytes], Path]) -> None:
    inks = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    seen = see(file(saved(inks, "JPEG", quality=100)), COLOUR)
    assert np.abs(seen.image.astype(int) - [255, 0, 0]).max() <= 3
    assert seen.notes == ("note_cmyk", "note_shrunk")


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_photograph_is_turned_as_its_camera_noted(orientation: int, file: Callable[[bytes], Path]) -> None:
    # By the EXIF standard: where row 0 and column 0 of the stored picture are when it is upright.
    stored = {
        1: GRADIENT, 2: GRADIENT[:, ::-1], 3: GRADIENT[::-1, ::-1], 4: GRADIENT[::-1], 5: GRADIENT.T,
        6: np.rot90(GRADIENT), 7: GRADIENT[::-1, ::-1].T, 8: np.rot90(GRADIENT, -1),
    }[orientation]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = orientation
    seen = see(file(saved(Image.fromarray(np.ascontiguousarray(stored)), "PNG", exif=exif)), GREY)
    np.testing.assert_array_equal(seen.image[:, :, 0], GRADIENT)
    assert ("note_rotated" in seen.notes) == (orientation != 1)


@pytest.mark.parametrize(
    "exif", [b"Exif\0\0", b"Exif\0\0MM\0*\xff\xff\xff\xff", b"\xff" * 40], ids=["none", "far", "noise"]
)
def test_an_exif_that_nobody_can_read_turns_nothing(exif: bytes, file: Callable[[bytes], Path]) -> None:
    seen = see(file(saved(Image.new("L", (4, 4), 7), "JPEG", exif=exif)), GREY)
    assert set(seen.image.ravel()) == {7}


@pytest.mark.parametrize(("kind", "options"), [("GIF", {}), ("WEBP", {"lossless": True}), ("PNG", {}), ("TIFF", {})])
def test_of_several_pictures_the_first_is_taken(
    kind: str, options: dict[str, bool], file: Callable[[bytes], Path]
) -> None:
    first, second = (Image.new("RGB", (4, 4), colour) for colour in ((250, 0, 0), (0, 0, 250)))
    seen = see(file(saved(first, kind, save_all=True, append_images=[second], **options)), COLOUR)
    assert seen.image[0, 0].tolist() == [250, 0, 0]
    assert seen.notes == ("note_first_frame", "note_as_it_is")


@pytest.mark.parametrize(("width", "height"), [(10, 4), (4, 10), (5, 4), (4, 7)])
def test_the_middle_is_cropped_to_a_square(width: int, height: int, file: Callable[[bytes], Path]) -> None:
    picture = np.arange(width * height, dtype=np.uint8).reshape(height, width)
    top, left = (height - 4) // 2, (width - 4) // 2
    seen = see(file(encoded(picture)), GREY)
    np.testing.assert_array_equal(seen.image[:, :, 0], picture[top : top + 4, left : left + 4])
    assert seen.notes == ("note_cropped", "note_as_it_is")


def test_shrinking_averages_and_enlarging_is_said(file: Callable[[bytes], Path]) -> None:
    """A fine checkerboard becomes even grey, which picking single pixels would not give."""
    board = (np.indices((64, 64)).sum(axis=0) % 2 * 255).astype(np.uint8)
    seen = see(file(encoded(board)), GREY)
    assert np.abs(seen.image.astype(int) - 128).max() <= 2
    assert seen.notes == ("note_shrunk",)
    assert see(file(encoded(np.full((1, 1), 9, np.uint8))), GREY).notes == ("note_enlarged",)


@pytest.mark.parametrize("background", ["dark", "bright", None])
@pytest.mark.parametrize("paper", [0, 255])
def test_a_picture_is_inverted_only_when_its_border_is_not_the_datasets(
    paper: int, background: str | None, file: Callable[[bytes], Path]
) -> None:
    picture = np.full((32, 32), paper, np.uint8)
    picture[8:24, 8:24] = 255 - paper
    seen = see(file(encoded(picture)), (32, 32, 1), background)  # type: ignore[arg-type]
    inverts = background is not None and (background == "dark") == (paper == 255)
    np.testing.assert_array_equal(seen.image[:, :, 0], 255 - picture if inverts else picture)
    assert ("note_inverted" in seen.notes) == inverts


def test_a_picture_in_colour_is_never_inverted(file: Callable[[bytes], Path]) -> None:
    white = np.full((4, 4, 3), 255, np.uint8)
    np.testing.assert_array_equal(see(file(encoded(white)), COLOUR, "dark").image, white)


def test_a_dataset_has_a_background_when_its_borders_agree() -> None:
    dark, bright = np.zeros((19, 8, 8, 1), np.uint8), np.full((19, 8, 8, 1), 255, np.uint8)
    assert background_of(np.concatenate([dark, bright[:1]])) == "dark"
    assert background_of(np.concatenate([dark[:1], bright])) == "bright"
    assert background_of(np.concatenate([dark, bright])) is None
    assert background_of(dark[:0]) is None


@pytest.mark.parametrize("name", hostile_files.refused())
def test_a_file_that_is_no_usable_picture_is_refused_by_name(name: str, file: Callable[[bytes], Path]) -> None:
    content, answer = hostile_files.refused()[name]
    with pytest.raises(PictureError) as refusal:
        see(file(content), GREY)
    assert refusal.value.name == answer


def test_the_limits_are_the_last_that_is_taken(file: Callable[[bytes], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    small = encoded(GRADIENT)
    assert see(file(small + bytes(MOST_BYTES - len(small))), GREY).notes == ("note_as_it_is",)
    monkeypatch.setattr("compresslab.demo.picture.MOST_PIXELS", 16)
    assert see(file(small), GREY).notes == ("note_as_it_is",)
    with pytest.raises(PictureError, match="refused_pixels"):
        see(file(encoded(np.zeros((4, 5), np.uint8))), GREY)


def test_what_is_too_large_is_refused_before_it_is_decoded(file: Callable[[bytes], Path]) -> None:
    """The bomb would take 100 MB, in the declared size as in the data."""
    content, _ = hostile_files.refused()["bomb.png"]
    path = file(content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(PictureError):
        see(path, GREY)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000
    assert MOST_PIXELS < 20_000 * 5_000


def test_only_formats_that_hold_pixels_are_tried() -> None:
    assert set(FORMATS) == {"PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF"}


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"]), st.integers(0, 400))
def test_noise_in_a_file_is_a_picture_or_a_refusal(
    tmp_path_factory: pytest.TempPathFactory, noise: bytes, kind: str, place: int
) -> None:
    whole = encoded(np.random.default_rng(1).integers(0, 256, (12, 12, 3), np.uint8), kind)
    path = tmp_path_factory.getbasetemp() / "noisy"
    path.write_bytes(whole[:place] + noise + whole[place + len(noise) :])
    try:
        seen = see(path, GREY, "dark")
    except PictureError:
        return
    assert seen.image.shape == GREY
