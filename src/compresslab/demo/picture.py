"""How any picture file becomes what a network sees: one uint8 array (H, W, C), and what was done to it, in words.

Files come from anybody, so everything is checked before it is decoded: the bytes of the file, its kind, and the pixels
that its header declares. Pillow is told which formats it may try; none of them can run code.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF")
ANIMATED = ("PNG", "WEBP", "GIF", "TIFF")
"""Formats that hold several pictures; a JPEG with a second one inside is a photograph with its preview."""

MOST_BYTES = 10_000_000
MOST_PIXELS = 25_000_000

BRIGHT = 128
"""A border whose median is from here on is bright."""
BORDER_SHARE = 16
"""The border is this part of the shorter side, at least one pixel."""
AGREEMENT = 0.9
"""Part of a dataset's images whose borders must be alike before the dataset has a background at all."""

Background = Literal["dark", "bright"]


class PictureError(ValueError):
    """A file that cannot be shown to a network; ``name`` is that of the message ``demo.<name>``, ``values`` fill it."""

    def __init__(self, name: str, **values: str | int) -> None:
        super().__init__(f"{name} {values}" if values else name)
        self.name = name
        self.values = values


@dataclass(frozen=True, eq=False)
class Seen:
    """What a network sees: uint8 (H, W, C). ``notes`` are names of messages ``demo.<note>``, in the order of doing."""

    image: np.ndarray
    notes: tuple[str, ...]


def see(path: Path, shape: tuple[int, int, int], background: Background | None = None) -> Seen:
    """Turn a picture file into the input of a network for images of ``shape`` (H, W, C), C 1 or 3.

    Upright (EXIF), over white where it is transparent, cropped around its centre to the input's proportions, made grey
    for one channel, and resized with Lanczos' filter. A grey picture is inverted when its border is dark where the
    dataset's ``background`` is bright, or the other way round. Raises PictureError for every file that is refused.
    """
    picture, notes = _opened(path)
    picture, done = _upright(picture)
    notes += done
    picture, done = _opaque(picture)
    notes += done
    picture, done = _cropped(picture, shape[1], shape[0])
    notes += done
    if shape[2] == 1:
        picture, done = _grey(picture, background)
        notes += done
    else:
        picture = picture.convert("RGB")
    picture, done = _resized(picture, shape[1], shape[0])
    return Seen(np.asarray(picture, np.uint8).reshape(shape), tuple(notes + done))


def background_of(images: np.ndarray) -> Background | None:
    """Whether the borders of a dataset's images, uint8 (N, H, W, C), are dark or bright; None where they differ."""
    if not len(images):
        return None
    bright = np.array([_border_is_bright(image.mean(axis=2)) for image in images])
    if bright.mean() >= AGREEMENT:
        return "bright"
    return "dark" if bright.mean() <= 1 - AGREEMENT else None


def _opened(path: Path) -> tuple[Image.Image, list[str]]:
    """The first picture of a file, decoded; whatever a decoder does not like is one of four refusals."""
    size = Path(path).stat().st_size
    if size == 0:
        raise PictureError("refused_empty")
    if size > MOST_BYTES:
        raise PictureError("refused_bytes", megabytes=MOST_BYTES // 1_000_000)
    try:
        with warnings.catch_warnings():
            # Pillow warns of what the line below refuses.
            warnings.simplefilter("ignore")
            picture = Image.open(path, formats=FORMATS)
            _check_pixels(picture)
            notes = ["note_first_frame"] if _has_more(picture) else []
            picture.load()
    except PictureError:
        raise
    except Image.DecompressionBombError as error:
        raise PictureError("refused_pixels", megapixels=MOST_PIXELS // 1_000_000) from error
    except UnidentifiedImageError as error:
        raise PictureError("refused_kind") from error
    except Exception as error:  # A damaged file makes decoders raise whatever they please, struct.error and all.
        raise PictureError("refused_damaged") from error
    return picture, notes


def _check_pixels(picture: Image.Image) -> None:
    if picture.width * picture.height > MOST_PIXELS:
        raise PictureError("refused_pixels", megapixels=MOST_PIXELS // 1_000_000)


def _has_more(picture: Image.Image) -> bool:
    return picture.format in ANIMATED and bool(getattr(picture, "is_animated", False))


def _upright(picture: Image.Image) -> tuple[Image.Image, list[str]]:
    """Turned as the camera's EXIF says; an EXIF that cannot be read turns nothing."""
    try:
        orientation = picture.getexif().get(0x0112, 1)
        turned = ImageOps.exif_transpose(picture) if orientation in range(2, 9) else picture
    except Exception:  # As above: the picture itself has been decoded and is fine.
        return picture, []
    return turned, [] if turned is picture else ["note_rotated"]


def _opaque(picture: Image.Image) -> tuple[Image.Image, list[str]]:
    """Eight bits per channel, in L or RGB, over white."""
    if picture.mode.startswith("I;16"):
        # 65535 / 257 is 255: the full range stays the full range.
        return Image.fromarray(np.rint(np.asarray(picture) / 257).astype(np.uint8)), ["note_sixteen_bits"]
    if picture.mode in ("I", "F"):
        raise PictureError("refused_deep")
    if picture.mode in ("RGBA", "RGBa", "LA", "La", "PA") or "transparency" in picture.info:
        layered = picture.convert("RGBA")
        transparent = int(np.asarray(layered.getchannel("A")).min()) < 255
        over_white = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), layered)
        return over_white.convert("RGB"), ["note_transparent"] if transparent else []
    if picture.mode == "CMYK":
        return picture.convert("RGB"), ["note_cmyk"]
    return picture.convert("L" if picture.mode in ("1", "L") else "RGB"), []


def _cropped(picture: Image.Image, width: int, height: int) -> tuple[Image.Image, list[str]]:
    """The largest part around the centre with the proportions of ``width`` to ``height``."""
    unit = min(picture.width / width, picture.height / height)
    columns, rows = max(1, round(width * unit)), max(1, round(height * unit))
    if (columns, rows) == picture.size:
        return picture, []
    left, top = (picture.width - columns) // 2, (picture.height - rows) // 2
    return picture.crop((left, top, left + columns, top + rows)), ["note_cropped"]


def _grey(picture: Image.Image, background: Background | None) -> tuple[Image.Image, list[str]]:
    notes = ["note_grey"] if _has_colours(picture) else []
    picture = picture.convert("L")
    if background is not None and _border_is_bright(np.asarray(picture)) != (background == "bright"):
        return ImageOps.invert(picture), [*notes, "note_inverted"]
    return picture, notes


def _has_colours(picture: Image.Image) -> bool:
    """Whether a picture in L or RGB is more than grey; one in RGB may well be."""
    return picture.mode != "L" and bool(np.ptp(np.asarray(picture), axis=2).any())


def _border_is_bright(grey: np.ndarray) -> bool:
    """Whether the frame of a grey picture (H, W) is bright, by its median."""
    depth = max(1, min(grey.shape) // BORDER_SHARE)
    sides = (grey[:depth], grey[-depth:], grey[:, :depth], grey[:, -depth:])
    return bool(np.median(np.concatenate([side.ravel() for side in sides])) >= BRIGHT)


def _resized(picture: Image.Image, width: int, height: int) -> tuple[Image.Image, list[str]]:
    if picture.size == (width, height):
        return picture, ["note_as_it_is"]
    note = "note_shrunk" if picture.width > width else "note_enlarged"
    return picture.resize((width, height), Image.Resampling.LANCZOS), [note]
