"""Figures of the lab of small CNNs: in both languages, as the tables say, nothing where there is nothing."""

import importlib
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import synthetic_ablation
from drawn_figures import drawn, spoken
from matplotlib.collections import LineCollection
from matplotlib.container import BarContainer, ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.text import Annotation, Text

from compresslab.arrays import write_arrays
from compresslab.data.views import Views, read_views, write_views
from compresslab.report.figures import registry
from compresslab.report.figures.drawing import drawing_in
from compresslab.report.figures.material import Answers, Material
from compresslab.report.languages import language
from compresslab.tables.schemas import TABLES
from compresslab.tables.statistics import seed_mean

REPORT = Path(__file__).parents[2] / "report"
DRAWN = (
    "ablation",
    "accuracy",
    "agreement",
    "confusion",
    "convolutions",
    "elastic",
    "latency",
    "misclassified",
    "size_accuracy",
    "training",
)
VARIANTS = tuple(f"{model}/{name}" for model, name, _ in synthetic_ablation.variants())
BETTER, WORSE, UNSETTLED = "^", "v", "o"


@pytest.fixture(scope="module")
def material() -> Material:
    return Material(
        tables=synthetic_ablation.tables(),
        predictions={name: Answers(**arrays) for name, arrays in synthetic_ablation.predictions(2000).items()},
        images=np.zeros((2000, 28, 28, 1), np.uint8),
        views={"ciresan/torch-elastic": Views(**synthetic_ablation.views())},
        variants=VARIANTS,
        roots=VARIANTS,
        baseline=synthetic_ablation.BASELINE,
    )


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text)]


def changed(material: Material, name: str, table: pd.DataFrame) -> Material:
    return replace(material, tables={**material.tables, name: table})


def means(figure: Figure) -> dict[float, tuple[str, bool, float]]:
    """The marks of the forest plot by row: their shape, whether they are filled, and where they stand."""
    found = {}
    for container in figure.axes[0].containers:
        if isinstance(container, ErrorbarContainer):
            line = container.lines[0]
            for value, row in zip(*line.get_data(), strict=True):
                found[float(row)] = (line.get_marker(), line.get_markerfacecolor() != "white", float(value))
    return found


def rows(figure: Figure) -> dict[str, float]:
    """Place of each row by `heading: label`."""
    axes, heading, found = figure.axes[0], "", {}
    for place, text in zip(axes.get_yticks(), axes.get_yticklabels(), strict=True):
        if text.get_style() == "italic":
            heading = text.get_text()
        else:
            found[f"{heading}: {text.get_text()}"] = float(place)
    return found


@pytest.mark.parametrize("tag", ["zh-TW", "en"])
@pytest.mark.parametrize("name", DRAWN)
def test_every_figure_of_the_lab_is_drawn_with_every_glyph(name: str, tag: str, material: Material) -> None:
    said = " ".join(texts(drawn(name, material, tag)))
    assert any("\u4e00" <= letter <= "\u9fff" for letter in said) == (tag == "zh-TW") or name == "confusion"


@pytest.mark.parametrize("name", [name for name in registry.names() if name not in DRAWN])
def test_figures_of_other_labs_are_left_out(name: str, material: Material) -> None:
    figure = importlib.import_module(registry.entry_module(name))
    assert figure.draw(material, language("en", REPORT)) is None


@pytest.mark.parametrize(("name", "table"), [("ablation", "comparisons"), ("convolutions", "convolutions")])
def test_a_figure_without_rows_is_left_out(name: str, table: str, material: Material) -> None:
    empty = changed(material, table, TABLES[table].empty())
    assert importlib.import_module(registry.entry_module(name)).draw(empty, language("en", REPORT)) is None


def test_every_pair_stands_below_its_reference_at_its_mean(material: Material) -> None:
    figure = drawn("ablation", material)
    places, marks = rows(figure), means(figure)
    pairs = [(name, reference) for name, others in synthetic_ablation.COMPARED.items() for reference in others]
    assert set(places) == {f"against {reference}: {name}" for name, reference in pairs}
    for name, reference in pairs:
        seeds = [
            synthetic_ablation.accuracy(name, seed) - synthetic_ablation.accuracy(reference, seed)
            for seed in synthetic_ablation.SEEDS
        ]
        _, _, value = marks[places[f"against {reference}: {name}"]]
        assert value == pytest.approx(np.mean(seeds))


def test_the_interval_is_students_over_the_seeds(material: Material) -> None:
    figure = drawn("ablation", material)
    place = rows(figure)["against ciresan/torch-fp32: ciresan/torch-elastic"]
    expected = seed_mean([0.35, 0.25, 0.43])
    assert f"+{expected.value:.2f}  [+{expected.low:.2f}, +{expected.high:.2f}]" in " ".join(texts(figure)).replace(
        "\u00a0", " "
    )
    bars = [
        segment
        for collection in figure.axes[0].findobj(LineCollection)
        for segment in collection.get_segments()
        if len(segment) and segment[0][1] == place
    ]
    assert np.sort(np.array(bars)[0][:, 0]) == pytest.approx([expected.low, expected.high])


@pytest.mark.parametrize(
    ("verdicts", "marker", "filled"),
    [
        (("better", "better", "better"), BETTER, True),
        (("worse", "worse", "worse"), WORSE, True),
        (("noise", "noise", "noise"), UNSETTLED, False),
        (("better", "noise", "better"), UNSETTLED, False),
        (("better", "worse", "better"), UNSETTLED, False),
    ],
)
def test_a_mark_is_filled_when_all_seeds_agree(
    verdicts: tuple[str, ...], marker: str, filled: bool, material: Material
) -> None:
    table = material.tables["comparisons"].sort_values(["model", "variant", "reference", "seed"])
    pairs = len(table) // len(verdicts)
    figure = drawn("ablation", changed(material, "comparisons", table.assign(accuracy_verdict=list(verdicts) * pairs)))
    assert {(shape, is_filled) for shape, is_filled, _ in means(figure).values()} == {(marker, filled)}


def test_the_band_holds_what_one_run_cannot_show(material: Material) -> None:
    figure = drawn("ablation", material)
    (bands,) = (found for found in figure.axes[0].containers if isinstance(found, BarContainer))
    table = material.tables["comparisons"]
    expected = table.groupby(["model", "variant", "reference"])["smallest_detectable_points"].mean()
    assert sorted(band.get_width() / 2 for band in bands) == pytest.approx(sorted(expected))
    assert [band.get_x() for band in bands] == pytest.approx([-band.get_width() / 2 for band in bands])


def test_one_seed_keeps_its_own_interval(material: Material) -> None:
    table = material.tables["comparisons"].query("seed == 0")
    figure = drawn("ablation", changed(material, "comparisons", table))
    row = table[table["variant"] == "torch-elastic"].iloc[0]
    low, high = row["accuracy_difference_low_points"], row["accuracy_difference_high_points"]
    assert f"+0.35  [+{low:.2f}, +{high:.2f}]" in " ".join(texts(figure)).replace("\u00a0", " ")


def test_only_trainings_from_data_are_held_against_one_another(material: Material) -> None:
    roots = tuple(name for name in VARIANTS if name != "resnet18/torch-fp32")
    places = rows(drawn("ablation", replace(material, roots=roots)))
    assert places
    assert not [name for name in places if "resnet18" in name]


def test_marks_of_convolutions_stand_where_the_table_says(material: Material) -> None:
    figure = drawn("convolutions", material)
    table = material.tables["convolutions"]
    for axes, size in zip(figure.subfigs[0].axes, synthetic_ablation.MAPS, strict=True):
        cells = table[table["map_size"] == size]
        expected = zip(
            1 / cells["separable_to_regular_macs_ratio"], 1 / cells["separable_to_regular_time_ratio"], strict=True
        )
        marks = [container.lines[0] for container in axes.containers]
        found = [point for mark in marks for point in zip(*mark.get_data(), strict=True)]
        assert np.array(sorted(found)) == pytest.approx(np.array(sorted(expected)))
        hollow = sum(len(mark.get_xdata()) for mark in marks if mark.get_markerfacecolor() == "white")
        assert hollow == (cells["speed_verdict"] != "faster").sum()
        assert axes.get_title(loc="left") == f"{size} × {size} map"


def test_shares_of_the_promise_follow_time_and_products(material: Material) -> None:
    time = {f"separable_to_regular_time_ratio{end}": 0.5 for end in ("", "_low", "_high")}
    table = material.tables["convolutions"].assign(**time, separable_to_regular_macs_ratio=0.125)
    figure = drawn("convolutions", changed(material, "convolutions", table))
    for axes in figure.subfigs[1].axes:
        lines = [line for line in axes.lines if len(line.get_xdata()) == len(synthetic_ablation.MAPS)]
        assert len(lines) == len(synthetic_ablation.CHANNELS)
        assert all(line.get_ydata() == pytest.approx(25) for line in lines)


def test_the_grid_is_straight_before_and_bent_after(material: Material) -> None:
    figure = drawn("elastic", material)
    before, after, _ = figure.subfigs[1].axes
    straight, bent = (
        [np.ptp(path.vertices, axis=0).min() for found in axes.collections for path in found.get_paths()]
        for axes in (before, after)
    )
    assert max(straight) == pytest.approx(0)
    assert max(bent) > 1
    assert "Movement, at most 1.8 px" in " ".join(texts(figure)).replace("\u2009", " ").replace("\u202f", " ")


def test_a_grid_line_lies_where_its_place_of_the_original_is_shown(material: Material) -> None:
    views = Views(**synthetic_ablation.views())
    shifted = replace(views, displacement_px=np.stack([np.zeros((28, 28)), np.full((28, 28), 2.0)]).astype(np.float32))
    _, after, _ = drawn("elastic", replace(material, views={"a/b": shifted})).subfigs[1].axes
    columns = sorted({round(x, 3) for path in after.collections[1].get_paths() for x in path.vertices[:, 0]})
    assert columns[1] - columns[0] == pytest.approx(4)
    # A view that looks two pixels to the right shows every line of the original two pixels to the left.
    assert 3.5 - 2 in columns


def test_the_originals_stand_above_their_views(material: Material) -> None:
    views = material.views["ciresan/torch-elastic"]
    tiles = [axes.get_images()[0].get_array() for axes in drawn("elastic", material).subfigs[0].axes]
    shown = np.array(tiles).reshape(1 + len(views.views), *views.images.shape[:3])
    assert np.array_equal(shown[0], views.images[..., 0])
    assert np.array_equal(shown[1:], views.views[..., 0])


def test_mistakes_are_the_baselines_with_the_probability_of_the_answer(material: Material) -> None:
    figure = drawn("misclassified", material)
    assert any(text.startswith("ciresan/torch-fp32: true") for text in texts(figure))
    answers = material.predictions["ciresan/torch-fp32"]
    odds = np.exp(answers.logits - answers.logits.max(axis=1, keepdims=True))
    sure = (odds / odds.sum(axis=1, keepdims=True)).max(axis=1)
    wrong = answers.classes != answers.labels
    percents = sorted((100 * sure[wrong]).round().astype(int), reverse=True)
    below = [axes.get_xlabel() for axes in figure.subfigs[0].axes if axes.get_xlabel()]
    numbers = [int("".join(letter for letter in text if letter.isdigit())) for text in below]
    assert numbers == [min(percent, 99) for percent in percents[: len(numbers)]]
    assert len(numbers) == min(30, wrong.sum())


def test_disagreements_are_those_of_the_baselines_own_model(material: Material) -> None:
    titles = texts(drawn("misclassified", material))
    assert any("ciresan/torch-fp32 | ciresan/torch-elastic" in text for text in titles)


def test_without_a_baseline_the_first_variant_is_the_reference(material: Material) -> None:
    titles = texts(drawn("misclassified", replace(material, baseline="")))
    assert any(text.startswith("resnet18/torch-fp32: true") for text in titles)


def test_names_of_sizes_do_not_overlap(material: Material) -> None:
    with drawing_in(spoken("en")):
        figure = drawn("size_accuracy", material)
        named = [text for text in figure.findobj(Annotation) if text.get_text()]
        # The window of an annotation holds its line to the dot, too.
        boxes = [Text.get_window_extent(text) for text in named]
    assert len(boxes) == len(VARIANTS)
    assert not [pair for pair in itertools.combinations(boxes, 2) if pair[0].overlaps(pair[1])]


def test_confusion_begins_with_the_baselines_model(material: Material) -> None:
    titles = [axes.get_title(loc="left") for axes in drawn("confusion", material).axes]
    assert titles == ["ciresan/torch-fp32", "ciresan/torch-elastic", "resnet18/torch-fp32", "ciresan-conv4/torch-fp32"]


def test_single_trainings_of_many_models_share_their_rows(material: Material) -> None:
    figure = drawn("training", material)
    titles = [axes.get_title(loc="left") for axes in figure.axes if axes.get_title(loc="left")]
    assert titles == [name.replace("/", "\n") for name in VARIANTS]
    assert figure.axes[0].get_subplotspec().get_gridspec().get_geometry() == (-(-len(VARIANTS) // 3), 3)


def test_circles_stand_on_the_kept_epochs(material: Material) -> None:
    figure = drawn("training", material)
    table = material.tables["training"]
    kept = table[table["kept"] & (table["model"] == "resnet18")].sort_values("seed")
    (circles,) = (line for line in figure.axes[0].lines if line.get_label() == "kept epoch")
    assert list(circles.get_xdata()) == list(kept["epoch"])
    assert circles.get_ydata() == pytest.approx(kept["validation_accuracy_percent"].to_numpy())


def test_every_table_of_the_run_is_valid(tmp_path: Path) -> None:
    synthetic_ablation.write_run(tmp_path)
    written = {path.stem for path in (tmp_path / "tables" / synthetic_ablation.LAB).glob("*.csv")}
    assert written == set(TABLES)


class TestViews:
    def test_come_back_as_they_were_written(self, tmp_path: Path) -> None:
        views = Views(**synthetic_ablation.views())
        write_views(tmp_path / "views.npz", views)
        back = read_views(tmp_path / "views.npz")
        for name, array in vars(views).items():
            assert np.array_equal(getattr(back, name), array)
            assert getattr(back, name).dtype == array.dtype

    def test_of_another_kind_are_refused(self, tmp_path: Path) -> None:
        write_arrays(tmp_path / "views.npz", {"images": np.zeros((2, 4, 4, 1), np.uint8)})
        with pytest.raises(ValueError, match=r"views.npz lacks displacement_px, labels, views: it holds no views"):
            read_views(tmp_path / "views.npz")

    @pytest.mark.parametrize(
        ("name", "shape", "said"),
        [
            ("images", (8, 28, 28), "must have the shape"),
            ("labels", (7,), "need as many labels"),
            ("views", (3, 8, 28, 27, 1), "cannot have the shape"),
            ("displacement_px", (28, 28), "a displacement of images"),
        ],
    )
    def test_that_contradict_one_another_are_refused(self, name: str, shape: tuple[int, ...], said: str) -> None:
        with pytest.raises(ValueError, match=said):
            Views(**(synthetic_ablation.views() | {name: np.zeros(shape, np.uint8)}))
