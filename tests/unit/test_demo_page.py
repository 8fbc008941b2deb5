"""Small decisions of the page that need no browser."""

import numpy as np
import pytest

from compresslab.demo.page import enlarged, preferred


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
