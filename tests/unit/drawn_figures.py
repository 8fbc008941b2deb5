"""Figures as tests draw them: in a language that this machine can write, with no character missing."""

import importlib
import warnings
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from compresslab.report.figures import registry
from compresslab.report.figures.drawing import drawing_in
from compresslab.report.figures.material import Material
from compresslab.report.fonts import MissingFontError, chinese_face
from compresslab.report.languages import Language, language

REPORT = Path(__file__).parents[2] / "report"


def spoken(tag: str) -> Language:
    """The language of a tag; the test is skipped where no face can write it."""
    if tag == "zh-TW":
        try:
            chinese_face()
        except MissingFontError:
            pytest.skip("no Chinese face on this machine")
    return language(tag, REPORT)


def drawn(name: str, material: Material, tag: str = "en") -> Figure:
    """A figure of some material, laid out; there must be one, with all its characters."""
    with drawing_in(spoken(tag)):
        figure = importlib.import_module(registry.entry_module(name)).draw(material, spoken(tag))
        assert figure is not None
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="Glyph .* missing")
            figure.draw_without_rendering()
    return figure
