"""Small decisions of the page that need no browser."""

from pathlib import Path

import numpy as np
import pytest

from compresslab.demo.classifier import Answer
from compresslab.demo.page import enlarged, preferred
from compresslab.demo.results import Variant
from compresslab.demo.view import Side, card
from compresslab.report.languages import language
from compresslab.report.typography import UNIT_SPACE

SOURCES = Path(__file__).parents[2] / "report"


@pytest.mark.parametrize(
    ("header", "tag"),
    [
        ("zh-TW,zh;q=0.9,en;q=0.8", "zh-TW"),
        ("zh-CN", "zh-TW"),
        ("en-US,en;q=0.9,zh-TW;q=0.5", "en"),
        ("fr-FR, zh-TW;q=0.7, en;q=0.3", "zh-TW"),
        ("de", "en"),
        ("", "en"),
        (";;,,q=", "en"),
    ],
)
def test_the_first_language_that_the_page_speaks_is_taken(header: str, tag: str) -> None:
    assert preferred(header) == tag


def test_every_pixel_of_an_example_becomes_a_square() -> None:
    image = np.array([[[1], [2]]], np.uint8)
    assert enlarged(image, 2)[:, :, 0].tolist() == [[1, 1, 2, 2], [1, 1, 2, 2]]
    assert enlarged(image).shape == (3, 6, 3)
    assert enlarged(np.zeros((4, 4, 2), np.uint8)).shape == (12, 12, 3)


@pytest.mark.parametrize(("file_bytes", "said"), [(2_048, "2.00 KiB"), (44_690_073, "42.6 MiB")])
def test_a_large_file_is_told_in_mebibytes(file_bytes: int, said: str) -> None:
    variant = Variant("lab", "model", "onnx-fp32", 0, Path("model.onnx"), "onnxruntime", False, file_bytes, None)
    side = Side(variant, Answer(np.array([0.25, 0.75]), 1.5, 31))
    assert said in card(side, ["cat", "dog"], language("en", SOURCES)).replace(UNIT_SPACE, " ")
