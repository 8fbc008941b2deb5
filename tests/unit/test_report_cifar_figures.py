"""Figures of layers, codecs and confidence: in both languages, where the tables say, nothing where there is nothing."""

import importlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import synthetic_cifar
from drawn_figures import drawn
from matplotlib.container import ErrorbarContainer
from matplotlib.figure import Figure
from matplotlib.text import Text

from compresslab.report.figures import registry
from compresslab.report.figures.material import Answers, Material
from compresslab.report.languages import language

REPORT = Path(__file__).parents[2] / "report"
FIGURES = ("sensitivity", "codec_shift", "confidence")
VARIANTS = tuple(f"{synthetic_cifar.MODEL}/{name}" for name in synthetic_cifar.VARIANTS)


@pytest.fixture(scope="module")
def material() -> Material:
    return Material(
        tables=synthetic_cifar.tables(),
        predictions={name: Answers(**arrays) for name, arrays in synthetic_cifar.predictions().items()},
        variants=VARIANTS,
        roots=VARIANTS[:1],
        baseline=synthetic_cifar.BASELINE,
    )


def absent(name: str, material: Material) -> bool:
    return importlib.import_module(registry.entry_module(name)).draw(material, language("en", REPORT)) is None


def texts(figure: Figure) -> str:
    return " ".join(text.get_text() for text in figure.findobj(Text))


def legend(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def points(figure: Figure, panel: int, label: str) -> dict[float, float]:
    """What stands under a label of the legend: value by row."""
    (line,) = (line for line in figure.axes[panel].lines if line.get_label() == label)
    return {float(row): float(value) for value, row in zip(*line.get_data(), strict=True)}


@pytest.mark.parametrize("tag", ["zh-TW", "en"])
@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_speaks_its_language_and_has_every_glyph(name: str, tag: str, material: Material) -> None:
    said = texts(drawn(name, material, tag))
    assert any("\u4e00" <= letter <= "\u9fff" for letter in said) == (tag == "zh-TW")


class TestSensitivity:
    def test_stands_in_the_order_of_execution(self, material: Material) -> None:
        labels = [label.get_text() for label in drawn("sensitivity", material).axes[0].get_yticklabels()]
        assert labels == [row["layer"] for row in synthetic_cifar.layers()]

    def test_marks_means_by_what_becomes_of_the_layer(self, material: Material) -> None:
        figure, table = drawn("sensitivity", material), material.tables["sensitivity"]
        order = [row["layer"] for row in synthetic_cifar.layers()]
        for panel, column in enumerate(("relative_l2_percent", "loss_increase")):
            means = table.groupby("layer")[column].mean()
            always = points(figure, panel, "kept in float")
            sometimes = points(figure, panel, "kept in float in some seeds")
            others = points(figure, panel, "quantized")
            assert {order[int(row)] for row in always} == {"conv1"}
            assert {order[int(row)] for row in sometimes} == {"layer2.0.downsample.0", "layer4.1.conv2"}
            found = always | sometimes | others
            assert [found[row] for row in sorted(found)] == pytest.approx([means[layer] for layer in order])

    def test_of_one_seed_has_no_dots_for_seeds(self, material: Material) -> None:
        table = material.tables["sensitivity"].query("seed == 0")
        figure = drawn("sensitivity", replace(material, tables={"sensitivity": table}))
        assert legend(figure) == ["quantized", "kept in float"]

    def test_of_a_layer_that_changes_nothing_stays_on_the_scale(self, material: Material) -> None:
        table = material.tables["sensitivity"].copy()
        table.loc[table["layer"] == "fc", "relative_l2_percent"] = 0.0
        low, _ = drawn("sensitivity", replace(material, tables={"sensitivity": table})).axes[0].get_xlim()
        assert low > 0

    def test_of_two_variants_stands_below_the_name_of_each(self, material: Material) -> None:
        table = material.tables["sensitivity"]
        both = pd.concat([table, table.assign(variant="onnx-int8-other")])
        figure = drawn("sensitivity", replace(material, tables={"sensitivity": both}))
        ticks = figure.axes[0].get_yticklabels()
        assert [text.get_text() for text in ticks if text.get_style() == "italic"] == [
            "onnx-int8-mixed",
            "onnx-int8-other",
        ]
        assert len(ticks) == 2 * (1 + len(synthetic_cifar.layers()))


class TestCodecShift:
    def bars(self, figure: Figure, panel: int) -> dict[str, np.ndarray]:
        found = [item for item in figure.axes[panel].containers if isinstance(item, ErrorbarContainer)]
        return {item.get_label(): item.lines[0].get_ydata() for item in found}

    def test_rises_to_the_originals_at_the_right(self, material: Material) -> None:
        figure, table = drawn("codec_shift", material), material.tables["codec_shift"]
        names = [label.get_text().split("\n")[0] for label in figure.axes[0].get_xticklabels()]
        assert names == ["JPEG 50", "JPEG 75", "JPEG 90", "JPEG 95", "original"]
        bars = self.bars(figure, 0)
        assert list(bars) == list(synthetic_cifar.SHIFTED)
        codecs = ["jpeg50", "jpeg75", "jpeg90", "jpeg95", "original"]
        for name, values in bars.items():
            own = table[table["variant"] == name].set_index("codec")["accuracy_percent"]
            assert values == pytest.approx(own[codecs].to_numpy())

    def test_shows_the_excess_without_the_reference_and_the_originals(self, material: Material) -> None:
        figure, table = drawn("codec_shift", material), material.tables["codec_shift"]
        bars = self.bars(figure, 1)
        assert list(bars) == list(synthetic_cifar.SHIFTED[1:])
        own = table[table["variant"] == "onnx-int8-tensor"].set_index("codec")["excess_drop_points"]
        assert bars["onnx-int8-tensor"] == pytest.approx(own[["jpeg50", "jpeg75", "jpeg90", "jpeg95"]].to_numpy())
        assert "Change beyond onnx-fp32 (points)" in texts(figure)

    def test_of_the_reference_alone_still_shows_its_accuracy(self, material: Material) -> None:
        table = material.tables["codec_shift"].query("variant == 'onnx-fp32'")
        figure = drawn("codec_shift", replace(material, tables={"codec_shift": table}))
        assert (list(self.bars(figure, 0)), list(self.bars(figure, 1))) == (["onnx-fp32"], [])


class TestConfidence:
    def shares(self, figure: Figure) -> np.ndarray:
        """Lengths of the stacked bars, in percent: rows x shares."""
        return np.array([bar.get_width() for bar in figure.axes[1].patches]).reshape(-1, 3)

    def test_is_held_against_the_baseline_in_one_row_per_variant(self, material: Material) -> None:
        labels = [label.get_text() for label in drawn("confidence", material).axes[0].get_yticklabels()]
        assert labels == [f"{name} ← onnx-fp32" for name in list(synthetic_cifar.VARIANTS)[2:]]

    def test_without_a_baseline_shows_every_pair_but_those_of_two_trainings(self, material: Material) -> None:
        figure = drawn("confidence", replace(material, baseline=""))
        labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
        pairs = material.tables["comparisons"].drop_duplicates(["variant", "reference"])
        assert len(labels) == len(pairs)
        assert absent("confidence", replace(material, roots=VARIANTS))

    def test_counts_images_by_the_size_of_the_change(self, material: Material) -> None:
        """Four images, of whose answers a network is 50 points less, 5 more, half a point more and equally sure."""
        labels, indices = np.zeros(4, np.int64), np.arange(4)
        before = np.array([0.9, 0.6, 0.7, 0.8])
        after = before + np.array([-0.5, 0.05, 0.005, 0])

        def answers(probability: np.ndarray) -> Answers:
            return Answers(np.log(np.stack([probability, 1 - probability], axis=1)), labels, indices)

        names = (synthetic_cifar.BASELINE, f"{synthetic_cifar.MODEL}/onnx-int8")
        known = dict(zip(names, (answers(before), answers(after)), strict=True))
        figure = drawn("confidence", replace(material, predictions=known))
        assert self.shares(figure) == pytest.approx(np.array([[50, 25, 25]]))
        (mean,) = (line for line in figure.axes[0].lines if line.get_label() == "mean")
        assert float(mean.get_xdata()[0]) == pytest.approx(100 * (after - before).mean())

    def test_of_the_same_answers_moves_no_image(self, material: Material) -> None:
        figure = drawn("confidence", replace(material, baseline=f"{synthetic_cifar.MODEL}/onnx-int8"))
        labels = [label.get_text().split(" ")[0] for label in figure.axes[0].get_yticklabels()]
        assert self.shares(figure)[labels.index("onnx-int8-entropy")] == pytest.approx([100, 0, 0])

    def test_without_predictions_is_none(self, material: Material) -> None:
        assert absent("confidence", replace(material, predictions={}))


@pytest.mark.parametrize("name", FIGURES)
def test_the_same_material_gives_the_same_bytes(name: str, material: Material, tmp_path: Path) -> None:
    files = [(tmp_path / f"{run}.svg", tmp_path / f"{run}.png") for run in range(2)]
    assert all(registry.draw_and_save(name, material, language("en", REPORT), *pair) for pair in files)
    assert files[0][0].read_bytes() == files[1][0].read_bytes()
