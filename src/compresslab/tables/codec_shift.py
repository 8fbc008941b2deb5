"""What a codec takes from a variant's accuracy, and whether it takes more than from a reference."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from compresslab.measure.intervals import Interval, mean_interval
from compresslab.measure.predictions import Predictions
from compresslab.measure.reencoded import ORIGINAL, Answered
from compresslab.measure.scores import wilson_interval
from compresslab.tables.comparisons import compare

Answers = Mapping[str, Answered]


def codec_shift(variant: Answers, reference: Answers) -> pd.DataFrame:
    """Rows of ``codec_shift.csv`` without identity, one per codec; both map codecs to answers, ``original`` first.

    A drop is the accuracy on the codec's images minus that on the originals, paired by image, with its verdict as in
    ``comparisons.csv``. The excess drop is the variant's minus the reference's, with a bootstrap interval over images;
    it is ``worse`` or ``better`` when that excludes 0. Answers to other images or codecs are a ValueError.
    """
    if list(variant) != list(reference):
        raise ValueError(
            f"a variant answered images of the codecs {', '.join(variant)}, its reference of {', '.join(reference)}"
        )
    return pd.DataFrame([{"codec": codec, **_row(codec, variant, reference)} for codec in variant])


def _row(codec: str, variant: Answers, reference: Answers) -> dict[str, Any]:
    answered = variant[codec]
    correct = answered.predictions.correct
    low, high = wilson_interval(int(correct.sum()), len(correct))
    drop = compare(answered.predictions, variant[ORIGINAL].predictions)
    excess = _excess(codec, variant, reference)
    return {
        "images": len(correct),
        "bytes_per_image": answered.bytes_per_image,
        "pixel_error_percent": answered.pixel_error_percent,
        "accuracy_percent": 100 * float(correct.mean()),
        "accuracy_low_percent": 100 * low,
        "accuracy_high_percent": 100 * high,
        "agreement_percent": drop["agreement_percent"],
        "drop_points": drop["accuracy_difference_points"],
        "drop_low_points": drop["accuracy_difference_low_points"],
        "drop_high_points": drop["accuracy_difference_high_points"],
        "drop_verdict": drop["accuracy_verdict"],
        "excess_drop_points": excess.estimate,
        "excess_drop_low_points": excess.low,
        "excess_drop_high_points": excess.high,
        "excess_verdict": _verdict(excess),
    }


def _excess(codec: str, variant: Answers, reference: Answers) -> Interval:
    """Mean over images of what the variant loses minus what the reference loses, in points."""
    own, other = variant[codec].predictions, reference[codec].predictions
    if not np.array_equal(own.indices, other.indices):
        raise ValueError("a variant and its reference must answer the same test images; run predict_reencoded again")
    lost = _change(own, variant[ORIGINAL].predictions) - _change(other, reference[ORIGINAL].predictions)
    return mean_interval(100 * lost)


def _change(after: Predictions, before: Predictions) -> np.ndarray:
    """What a codec changes, image by image: 1 where the answer becomes right, -1 where it becomes wrong; (N,)."""
    return np.asarray(after.correct.astype(np.int64) - before.correct)


def _verdict(excess: Interval) -> str:
    if excess.low <= 0 <= excess.high:
        return "noise"
    return "better" if excess.estimate > 0 else "worse"
