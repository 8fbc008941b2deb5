"""Figures: drawn in both languages from a run's tables, the same bytes every time, nothing where there is nothing."""

import importlib
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import synthetic_report
from hypothesis import given
from hypothesis import strategies as st

from compresslab.models.numpy.activations import activate
from compresslab.report.figures import activations, registry
from compresslab.report.figures.drawing import drawing_in
from compresslab.report.figures.material import Answers, Material
from compresslab.report.figures.size_accuracy import Point, pareto_front
from compresslab.report.fonts import MissingFontError, chinese_face
from compresslab.report.languages import Language, language
from compresslab.tables.schemas import TABLES

REPORT = Path(__file__).parents[2] / "report"


@pytest.fixture(scope="module")
def material() -> Material:
    return Material(
        tables=synthetic_report.tables(),
        networks=synthetic_report.networks(),
        predictions={name: Answers(**arrays) for name, arrays in synthetic_report.predictions().items()},
        images=synthetic_report.digits(400),
        variants=tuple(f"{synthetic_report.MODEL}/{name}" for name in synthetic_report.VARIANTS),
    )


def spoken(tag: str) -> Language:
    if tag == "zh-TW":
        try:
            chinese_face()
        except MissingFontError:
            pytest.skip("no Chinese face on this machine")
    return language(tag, REPORT)


def texts_of(name: str, material: Material, words: Language) -> list[str]:
    with drawing_in(words):
        figure = importlib.import_module(registry.entry_module(name)).draw(material, words)
        assert figure is not None
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="Glyph .* missing")
            figure.draw_without_rendering()
        return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]


@pytest.mark.parametrize("tag", ["zh-TW", "en"])
@pytest.mark.parametrize("name", registry.names())
def test_every_figure_speaks_its_language_and_has_every_glyph(name: str, tag: str, material: Material) -> None:
    texts = " ".join(texts_of(name, material, spoken(tag)))
    assert bool(re.search("[\u4e00-\u9fff]", texts)) == (tag == "zh-TW") or name == "confusion"


@pytest.mark.parametrize("name", registry.names())
def test_a_figure_without_data_is_none(name: str) -> None:
    empty = Material(tables={table: known.empty() for table, known in TABLES.items()})
    assert importlib.import_module(registry.entry_module(name)).draw(empty, language("en", REPORT)) is None


def test_without_data_both_files_are_empty(tmp_path: Path) -> None:
    svg, png = tmp_path / "accuracy.svg", tmp_path / "accuracy.png"
    assert not registry.draw_and_save("accuracy", Material(tables={}), language("en", REPORT), svg, png)
    assert svg.read_bytes() == png.read_bytes() == b""


@pytest.mark.parametrize("name", ["accuracy", "activations"])
def test_a_figure_has_the_same_bytes_every_time(name: str, material: Material, tmp_path: Path) -> None:
    files = [(tmp_path / f"{run}.svg", tmp_path / f"{run}.png") for run in range(2)]
    assert all(registry.draw_and_save(name, material, language("en", REPORT), *pair) for pair in files)
    for first, second in zip(*files, strict=True):
        assert first.read_bytes() == second.read_bytes()
        assert str(tmp_path).encode() not in first.read_bytes()


def test_rows_follow_the_configuration_not_the_alphabet(material: Material) -> None:
    texts = [
        text for text in texts_of("accuracy", material, language("en", REPORT)) if text in synthetic_report.VARIANTS
    ]
    assert list(dict.fromkeys(texts)) == list(synthetic_report.VARIANTS)


def test_declared_tables_suffice(material: Material) -> None:
    for name in registry.names():
        kinds = registry.kinds_of(name)
        declared = Material(
            tables={table: material.tables[table] for table in registry.tables_of(name)},
            networks=material.networks if "networks" in kinds else {},
            predictions=material.predictions if "predictions" in kinds else {},
            images=material.images if "images" in kinds else None,
        )
        assert importlib.import_module(registry.entry_module(name)).draw(declared, language("en", REPORT)) is not None


def test_an_unknown_figure_is_named_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"unknown figure 'nonsense'; there are accuracy,"):
        registry.entry_module("nonsense")


def test_look_up_table_is_off_by_rounding_alone(material: Material) -> None:
    network = material.networks["gapcnn/numpy-int8-lut"]
    layer = next(layer for layer in network.layers if layer.activation == "gelu")
    inputs, outputs, step = activations.approximation(layer)
    error = np.abs(outputs - activate(inputs.astype(np.float64), "gelu"))
    assert error.max() <= 0.5 * step * (1 + 1e-5)


points = st.builds(
    Point, *(st.floats(1, 9).map(lambda value: round(value, 1)) for _ in range(4)), st.just(("variant",))
)


@given(st.lists(points, min_size=1, max_size=12))
def test_pareto_front_is_what_nothing_beats(all_points: list[Point]) -> None:
    def beaten(point: Point) -> bool:
        return any(
            other.size_kib <= point.size_kib
            and other.accuracy >= point.accuracy
            and (other.size_kib, other.accuracy) != (point.size_kib, point.accuracy)
            for other in all_points
        )

    expected = {(point.size_kib, point.accuracy) for point in all_points if not beaten(point)}
    assert {(point.size_kib, point.accuracy) for point in pareto_front(all_points)} == expected
