"""Figures: drawn in both languages from a run's tables, the same bytes every time, nothing where there is nothing."""

import importlib
import itertools
import re
from pathlib import Path

import numpy as np
import pytest
import synthetic_pcb
import synthetic_report
from drawn_figures import drawn
from hypothesis import given
from hypothesis import strategies as st

from compresslab.models.numpy.activations import activate
from compresslab.report.figures import activations, registry
from compresslab.report.figures.drawing import drawing_in
from compresslab.report.figures.material import Answers, Material
from compresslab.report.figures.points import Point, pareto_front, spread
from compresslab.report.languages import language
from compresslab.tables.schemas import TABLES

REPORT = Path(__file__).parents[2] / "report"


# What a lab has no material for: no answers per pixel in either, no sparse weights and no second training here, no
# integer network there.
PIXELS = {"class_iou", "merit", "segmented"}
ABSENT = {
    "mnist-integer": PIXELS
    | {"ablation", "codec_shift", "convolutions", "elastic", "label_audit", "sensitivity", "sparsity"},
    "pcb-frameworks": PIXELS | {"activations", "codec_shift", "convolutions", "dataflow", "elastic", "sensitivity"},
}
DRAWN = [(lab, name) for lab, absent in ABSENT.items() for name in registry.names() if name not in absent]


@pytest.fixture(scope="module")
def materials() -> dict[str, Material]:
    return {
        "mnist-integer": Material(
            tables=synthetic_report.tables(),
            networks=synthetic_report.networks(),
            predictions={name: Answers(**arrays) for name, arrays in synthetic_report.predictions().items()},
            images=synthetic_report.digits(400),
            variants=tuple(f"{synthetic_report.MODEL}/{name}" for name in synthetic_report.VARIANTS),
        ),
        "pcb-frameworks": Material(
            tables=synthetic_pcb.tables(),
            predictions={name: Answers(**arrays) for name, arrays in synthetic_pcb.predictions().items()},
            images=synthetic_pcb.crops(),
            origins=synthetic_pcb.origins(),
            variants=tuple(f"{model}/{name}" for model, name, _ in synthetic_pcb.variants()),
            roots=tuple(
                f"{model}/{name}" for model, name, settings in synthetic_pcb.variants() if "from" not in settings
            ),
        ),
    }


@pytest.fixture(scope="module")
def material(materials: dict[str, Material]) -> Material:
    return materials["mnist-integer"]


def texts_of(name: str, material: Material, tag: str) -> list[str]:
    figure = drawn(name, material, tag)
    return [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]


@pytest.mark.parametrize("tag", ["zh-TW", "en"])
@pytest.mark.parametrize(("lab", "name"), DRAWN)
def test_every_figure_speaks_its_language_and_has_every_glyph(
    lab: str, name: str, tag: str, materials: dict[str, Material]
) -> None:
    texts = " ".join(texts_of(name, materials[lab], tag))
    assert bool(re.search("[\u4e00-\u9fff]", texts)) == (tag == "zh-TW") or name == "confusion"


@pytest.mark.parametrize(("lab", "name"), [(lab, name) for lab, absent in ABSENT.items() for name in sorted(absent)])
def test_a_figure_that_a_lab_has_nothing_for_is_none(lab: str, name: str, materials: dict[str, Material]) -> None:
    figure = importlib.import_module(registry.entry_module(name))
    assert figure.draw(materials[lab], language("en", REPORT)) is None


@pytest.mark.parametrize("lab", ABSENT)
def test_no_two_names_of_a_row_overlap(lab: str, materials: dict[str, Material]) -> None:
    words = language("en", REPORT)
    for name in ("accuracy", "agreement", "engines", "latency"):
        with drawing_in(words):
            figure = importlib.import_module(registry.entry_module(name)).draw(materials[lab], words)
            figure.draw_without_rendering()
            boxes = [label.get_window_extent() for label in figure.axes[0].get_yticklabels() if label.get_text()]
        assert all(box.x0 >= 0 for box in boxes)
        edges = sorted((box.y0, box.y1) for box in boxes)
        assert all(upper[0] >= lower[1] - 1 for lower, upper in itertools.pairwise(edges)), name


def test_rows_of_several_models_stand_below_the_models_name(materials: dict[str, Material]) -> None:
    words = language("en", REPORT)
    with drawing_in(words):
        figure = importlib.import_module(registry.entry_module("accuracy")).draw(materials["pcb-frameworks"], words)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert (labels[0], labels[1], labels[14], labels[15]) == ("lenet5", "numpy-fp32", "lenet5-template", "numpy-fp32")
    assert len(labels) == 18


def test_the_label_audit_shows_what_all_fresh_trainings_miss(materials: dict[str, Material]) -> None:
    texts = texts_of("label_audit", materials["pcb-frameworks"], "en")
    title = next(text for text in texts if "answered wrongly" in text)
    assert title == "8 of 300 images are answered wrongly by all of numpy-fp32, torch-fp32, tf-fp32"
    assert len([text for text in texts if text.startswith("00041")]) == 8
    assert [text for text in texts if "→" in text and text.split(" ")[0] in synthetic_pcb.CLASSES]


def test_tiles_of_long_classes_name_them(materials: dict[str, Material]) -> None:
    texts = texts_of("misclassified", materials["pcb-frameworks"], "en")
    named = [text for text in texts if "→\n" in text]
    assert named
    assert all(set(text.split(" →\n")) <= set(synthetic_pcb.CLASSES) for text in named)


@given(st.lists(st.tuples(st.floats(0, 200), st.floats(5, 20)), min_size=1, max_size=9), st.floats(100, 400))
def test_spread_labels_keep_their_order_and_do_not_overlap(blocks: list[tuple[float, float]], top: float) -> None:
    blocks = sorted(blocks)
    centres, heights = zip(*blocks, strict=True)
    placed = spread(list(centres), list(heights), top)
    assert placed[-1] + heights[-1] / 2 <= top + 1e-6
    for low, high in itertools.pairwise(range(len(placed))):
        assert placed[high] - placed[low] >= (heights[high] + heights[low]) / 2 - 1e-6


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
    texts = [text for text in texts_of("accuracy", material, "en") if text in synthetic_report.VARIANTS]
    assert list(dict.fromkeys(texts)) == list(synthetic_report.VARIANTS)


@pytest.mark.parametrize(("lab", "name"), DRAWN)
def test_declared_tables_suffice(lab: str, name: str, materials: dict[str, Material]) -> None:
    material, kinds = materials[lab], registry.kinds_of(name)
    declared = Material(
        tables={table: material.tables[table] for table in registry.tables_of(name)},
        networks=material.networks if "networks" in kinds else {},
        predictions=material.predictions if "predictions" in kinds else {},
        images=material.images if "images" in kinds else None,
        origins=material.origins if "images" in kinds else None,
        variants=material.variants,
        roots=material.roots,
    )
    assert importlib.import_module(registry.entry_module(name)).draw(declared, language("en", REPORT)) is not None


def test_an_unknown_figure_is_named_with_those_there_are() -> None:
    with pytest.raises(ValueError, match=r"unknown figure 'nonsense'; there are ablation, accuracy,"):
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
            other.x <= point.x and other.y >= point.y and (other.x, other.y) != (point.x, point.y)
            for other in all_points
        )

    expected = {(point.x, point.y) for point in all_points if not beaten(point)}
    assert {(point.x, point.y) for point in pareto_front(all_points)} == expected
