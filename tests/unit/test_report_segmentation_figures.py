"""Figures of answers per pixel: in both languages, where the tables and maps say, nothing where there is nothing."""

import importlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import synthetic_segmentation
from drawn_figures import drawn
from matplotlib.figure import Figure
from matplotlib.text import Text

from compresslab.config.experiment import METHODS
from compresslab.data.masks import VOID
from compresslab.report.figures import registry, segmented
from compresslab.report.figures.material import Material, PixelAnswers
from compresslab.report.languages import language

REPORT = Path(__file__).parents[2] / "report"
FIGURES = ("training", "segmented", "class_iou", "merit")
BASE, INT8 = synthetic_segmentation.BASELINE, "efficient-unet/torch-int8"


@pytest.fixture(scope="module")
def material() -> Material:
    variants = {
        f"{model}/{name}": settings
        for model, entry in synthetic_segmentation.MODELS.items()
        for name, settings in entry["variants"].items()
    }
    return Material(
        tables=synthetic_segmentation.tables(),
        maps={
            name: PixelAnswers(found.answers, found.labels, found.indices)
            for name, found in synthetic_segmentation.maps().items()
        },
        images=synthetic_segmentation.images(),
        variants=tuple(variants),
        roots=tuple(name for name, settings in variants.items() if settings["from"] is None),
        baseline=BASE,
        arithmetic={name: METHODS[settings["method"]].computes_in() for name, settings in variants.items()},
    )


@pytest.fixture(scope="module")
def english(material: Material) -> dict[str, Figure]:
    """Every figure of this lab, drawn once."""
    return {name: drawn(name, material) for name in FIGURES}


def texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text)]


def absent(name: str, material: Material) -> bool:
    return importlib.import_module(registry.entry_module(name)).draw(material, language("en", REPORT)) is None


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_speaks_its_language_and_has_every_glyph(
    name: str, material: Material, english: dict[str, Figure]
) -> None:
    for figure, is_chinese in ((english[name], False), (drawn(name, material, "zh-TW"), True)):
        assert any("\u4e00" <= letter <= "\u9fff" for letter in " ".join(texts(figure))) == is_chinese


@pytest.mark.parametrize("name", sorted(set(registry.names()) - {*FIGURES, "latency", "audit", "sparsity"}))
def test_figures_of_classifications_show_nothing(name: str, material: Material) -> None:
    assert absent(name, material)


class TestTraining:
    def test_of_answers_per_pixel_shows_mean_iou_above_the_loss(
        self, material: Material, english: dict[str, Figure]
    ) -> None:
        figure = english["training"]
        titles = [title for axes in figure.axes if (title := axes.get_title(loc="left"))]
        assert titles[:4] == [
            "efficient-unet\ntorch-fp32", "efficient-unet\ntorch-qat", "efficient-unet\nonnx-qat", "unet\ntorch-fp32"
        ]  # fmt: skip
        assert len(titles) == material.tables["training"].groupby(["model", "variant"]).ngroups
        assert [figure.axes[place].get_ylabel() for place in (0, 4)] == ["Mean IoU (%)", "Loss"]

    def test_shows_where_a_held_rate_falls_and_no_smooth_fall(self, english: dict[str, Figure]) -> None:
        panels = {axes.get_title(loc="left"): axes for axes in english["training"].axes}

        def steps(title: str) -> list[float]:
            lines = (line.get_xdata() for line in panels[title].lines if line.get_marker() == "None")
            return [float(at[0]) for at in lines if at[0] == at[-1]]

        assert steps("unet\ntorch-fp32") == [20.5]
        assert steps("efficient-unet\ntorch-fp32") == steps("efficient-unet\ntorch-qat") == []

    def test_of_few_variants_has_a_row_of_two_panels_each(self, material: Material) -> None:
        table = material.tables["training"].query("model == 'unet'")
        figure = drawn("training", replace(material, tables={"training": table}))
        assert [axes.get_title(loc="left") for axes in figure.axes] == ["torch-fp32: loss", "Mean IoU (%)"]


class TestSegmented:
    def test_shows_the_best_the_median_and_the_worst_image_of_the_baseline(
        self, material: Material, english: dict[str, Figure]
    ) -> None:
        own = material.maps[BASE]
        scores = [segmented._mean_iou(*pair, 8) for pair in zip(own.labels, own.answers, strict=True)]
        order = np.argsort(scores)
        said = texts(english["segmented"])
        places = {"Highest mean IoU": order[-1], "Median": order[len(order) // 2], "Lowest": order[0]}
        assert [f"{rule}: test image {place}" for rule, place in places.items()] == [
            text for text in said if "test image" in text
        ]
        assert f"{BASE} · {100 * scores[order[-1]]:.1f}\u202f%" in said

    def test_shows_integers_of_the_same_model_and_another_architecture(self, english: dict[str, Figure]) -> None:
        said = " ".join(texts(english["segmented"]))
        assert f"{INT8} ·" in said
        assert "unet/torch-fp32 ·" in said
        assert "onnx-int8" not in said

    def test_paints_what_only_one_of_two_gets_wrong(self) -> None:
        labels = np.array([[[0, 0, 1, 1, VOID]]], np.uint8)
        sides = [np.array([[answers]], np.uint8) for answers in ([0, 1, 1, 0, 0], [0, 0, 0, 0, 0])]
        own, integer = (segmented.Shown("x", PixelAnswers(side, labels, np.arange(1))) for side in sides)
        painted = segmented._mistakes(own, integer, 0)[0]
        expected = [segmented._ERRORS[kind] for kind in ("right", "first", "second", "both")]
        assert ["#{:02x}{:02x}{:02x}".format(*pixel) for pixel in painted[:4]] == expected
        assert tuple(painted[4]) not in {tuple(pixel) for pixel in painted[:4]}

    @pytest.mark.parametrize(
        ("kept", "expected"),
        [
            ({BASE, "unet/torch-fp32"}, {"only efficient-unet is wrong", "only unet is wrong", "both are wrong"}),
            ({BASE}, {"wrong"}),
        ],
    )
    def test_without_integers_the_mistakes_are_those_of_networks(
        self, material: Material, kept: set[str], expected: set[str]
    ) -> None:
        figure = drawn("segmented", replace(material, maps={name: material.maps[name] for name in kept}))
        said = [text for text in texts(figure) if text.endswith("wrong") and not text.startswith("where")]
        assert (len(said), set(said)) == (len(expected), expected)
        pictures = [axes for axes in figure.axes if axes.axison]
        assert len(pictures) == 3 * (3 + len(kept))

    def test_one_image_is_shown_once(self, material: Material) -> None:
        lone = {
            name: PixelAnswers(found.answers[:1], found.labels[:1], found.indices[:1])
            for name, found in material.maps.items()
        }
        figure = drawn("segmented", replace(material, maps=lone))
        assert [text for text in texts(figure) if "test image" in text] == ["Highest mean IoU: test image 0"]

    def test_numbers_have_room_and_stand_inside_their_region(self) -> None:
        region = np.zeros((40, 80), bool)
        region[10:30, 50:80] = True
        column, row = segmented._deepest(region) or (0, 0)
        assert region[row, column]
        assert 59 <= column <= 69
        region[:] = False
        region[5] = True
        assert segmented._deepest(region) is None

    def test_without_maps_or_images_is_none(self, material: Material) -> None:
        assert absent("segmented", replace(material, maps={}))
        assert absent("segmented", replace(material, images=None))


class TestClassIou:
    def test_has_a_group_per_class_of_the_baseline_and_its_integers(
        self, material: Material, english: dict[str, Figure]
    ) -> None:
        figure = english["class_iou"]
        names = ("torch-fp32", "torch-qat", "torch-int8", "onnx-qat", "onnx-qat-int8", "onnx-int8")
        named = [text.get_text() for text in figure.legends[0].get_texts()]
        assert named == [f"efficient-unet/{name}" for name in names]
        table = material.tables["segmentation_by_class"]
        own = table[(table["model"] == "efficient-unet") & (table["variant"] == "torch-int8")]
        means = own.groupby("class", sort=False)["iou_percent"].mean()
        bars = figure.axes[0].containers
        (shown,) = (bar for bar in bars if getattr(bar, "get_label", str)() == INT8)
        assert [patch.get_height() for patch in shown.patches] == pytest.approx(means.tolist())


class TestMerit:
    def test_puts_variants_at_their_cost_and_mean_iou(self, material: Material, english: dict[str, Figure]) -> None:
        plane = english["merit"].axes[0]
        marks = {
            (float(line.get_xdata()[0]), float(line.get_ydata()[0]))
            for line in plane.lines
            if line.get_marker() in ("o", "s") and len(line.get_xdata()) == 1
        }
        means = material.tables["figure_of_merit"].groupby(["model", "variant"])[["cost_gflops2_mb2", "miou_percent"]]
        assert marks == {tuple(row) for row in means.mean().itertuples(index=False)}

    def test_says_which_have_no_figure_of_merit(self, english: dict[str, Figure]) -> None:
        figure = english["merit"]
        undefined = [text for text in texts(figure) if "not defined" in text]
        assert len(undefined) == 2
        rows = [label.get_text() for label in figure.axes[1].get_yticklabels()]
        assert {"fcn/torch-fp32", "slim-base4/torch-fp32"} < set(rows)

    def test_without_any_figure_of_merit_shows_the_plane_alone(self, material: Material) -> None:
        table = material.tables["figure_of_merit"]
        merits = [f"merit_{end}gflops2_mb2" for end in ("", "low_", "high_")]
        mious = [f"miou_{end}percent" for end in ("", "low_", "high_")]
        low = table.assign(condition="undefined", **dict.fromkeys(merits, np.nan))
        low[mious] -= 40
        figure = drawn("merit", replace(material, tables={"figure_of_merit": low}))
        assert len(figure.axes) == 1
        assert figure.axes[0].get_ylim()[1] < 65
        assert any("no figure of merit" in text for text in texts(figure))


def test_many_layers_have_numbers_in_place_of_names() -> None:
    rows = [
        {"lab": "l", "model": "m", "variant": "int8", "seed": 0, "reference": "fp32", "layer": f"a.long.name.{place}",
         "relative_l2_percent": 1.0 + place, "max_abs_difference": 0.1, "signal_to_noise_db": 30.0}
        for place in range(30)
    ]  # fmt: skip
    axes = drawn("layer_errors", Material(tables={"layers": pd.DataFrame(rows)})).axes[0]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["10", "20", "30"]
    few = drawn("layer_errors", Material(tables={"layers": pd.DataFrame(rows[:3])})).axes[0]
    assert few.get_xticklabels()[0].get_text() == "a.long.name.0"


def test_the_same_material_gives_the_same_bytes(material: Material, tmp_path: Path) -> None:
    files = [(tmp_path / f"{run}.svg", tmp_path / f"{run}.png") for run in range(2)]
    assert all(registry.draw_and_save("segmented", material, language("en", REPORT), *pair) for pair in files)
    assert files[0][0].read_bytes() == files[1][0].read_bytes()
    assert files[0][0].stat().st_size < 600_000
