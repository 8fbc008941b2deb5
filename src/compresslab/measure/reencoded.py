"""What a variant answers on test images that went through codecs, as it goes from its stage to the tables.

One ``.npz`` per variant: ``labels`` int64 (N,), ``indices`` int64 (N,), and for every codec, in order, ``codecs``,
``logits`` float32 (codecs, N, classes), ``bytes_per_image`` and ``pixel_error_percent`` float64 (codecs,).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from compresslab.arrays import read_arrays, write_arrays
from compresslab.measure.predictions import Predictions

ORIGINAL = "original"
"""Name of the codec that changes nothing."""

_MEMBERS = {"labels", "indices", "codecs", "logits", "bytes_per_image", "pixel_error_percent"}


def codec_name(quality: int | None) -> str:
    """Name of JPEG at a quality, ``jpeg75``, or of no codec at all."""
    return ORIGINAL if quality is None else f"jpeg{quality}"


@dataclass(frozen=True)
class Answered:
    """Answers to the images of one codec, and what the codec did to them."""

    predictions: Predictions
    bytes_per_image: float
    pixel_error_percent: float


def write_answers(path: Path, answers: Mapping[str, Answered]) -> None:
    """Write the answers by codec, all of them to the same test images."""
    first = next(iter(answers.values())).predictions
    write_arrays(
        path,
        {
            "labels": first.labels.astype(np.int64),
            "indices": first.indices.astype(np.int64),
            "codecs": np.array(list(answers)),
            "logits": np.stack([answer.predictions.logits for answer in answers.values()]).astype(np.float32),
            "bytes_per_image": np.array([answer.bytes_per_image for answer in answers.values()]),
            "pixel_error_percent": np.array([answer.pixel_error_percent for answer in answers.values()]),
        },
    )


def read_answers(path: Path) -> dict[str, Answered]:
    """Read what :func:`write_answers` wrote, in its order; another or a damaged file is a ValueError that names it."""
    arrays = read_arrays(path)
    if missing := _MEMBERS - arrays.keys():
        raise ValueError(f"{path} lacks {', '.join(sorted(missing))}: delete it and run predict_reencoded again")
    try:
        return {
            str(codec): Answered(Predictions(logits, arrays["labels"], arrays["indices"]), float(size), float(error))
            for codec, logits, size, error in zip(
                arrays["codecs"],
                arrays["logits"],
                arrays["bytes_per_image"],
                arrays["pixel_error_percent"],
                strict=True,
            )
        }
    except ValueError as error:
        raise ValueError(f"{path}: {error}; delete it and run predict_reencoded again") from error
