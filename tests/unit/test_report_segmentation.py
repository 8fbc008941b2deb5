"""The report of street scenes: every computed sentence follows the tables, in both languages."""

import dataclasses
import math
import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import synthetic_segmentation
from report_text import REPORT, changed, report_of, sentence

from compresslab.report import index
from compresslab.report.evidence import Evidence, Subject, read_evidence
from compresslab.report.exhibits.registry import SHEETS
from compresslab.report.exhibits.segmentation import loss_terms, precision
from compresslab.report.facts import Merit, OverlapChange
from compresslab.report.figures import merit as merit_figure
from compresslab.report.figures import registry
from compresslab.report.findings import Findings
from compresslab.report.findings_segmentation import THRESHOLD_PERCENT
from compresslab.report.languages import language
from compresslab.tables.figure_of_merit import POLE
from compresslab.tables.schemas import TABLES

TAGS = ("zh-TW", "en")
BASE, INT8, PTQ = "efficient-unet/torch-fp32", "efficient-unet/torch-int8", "efficient-unet/onnx-int8"
SAID = "sentences_segmentation"


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    paths = synthetic_segmentation.write_run(tmp_path_factory.mktemp("run"))
    subject = Subject.from_json(synthetic_segmentation.subject())
    return read_evidence(subject, paths["tables"], [paths["card"]], {"local": paths["host"]})


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("figures")
    for name in registry.names():
        (folder / f"{name}.svg").write_text("<svg/>")
    return folder


@pytest.fixture(scope="module")
def texts(evidence: Evidence, figures: Path) -> dict[str, str]:
    """The whole report by language."""
    return {tag: report_of(synthetic_segmentation.LAB, evidence, figures, tag) for tag in TAGS}


def without(evidence: Evidence, *names: str) -> Evidence:
    empty = {name: evidence.tables[name].iloc[:0] for name in names}
    return dataclasses.replace(evidence, tables={**evidence.tables, **empty})


def weighed(evidence: Evidence, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Findings:
    """What is found in another table of merits."""
    return Findings(changed(evidence, "figure_of_merit", change))


def rows_of(tag: str, evidence: Evidence, name: str, **options: object) -> dict[str, dict[str, str]]:
    """A table of the report: first cell of every row to header to cell."""
    sheet = SHEETS[name](evidence, language(tag, REPORT), **options)
    assert sheet is not None
    return {row[0].strip("`"): dict(zip(sheet.headers[1:], row[1:], strict=True)) for row in sheet.rows}


@pytest.mark.parametrize("tag", TAGS)
def test_the_report_is_whole(tag: str, texts: dict[str, str]) -> None:
    text = texts[tag]
    for name in ("training", "segmented", "class_iou", "merit", "latency"):
        assert text.count(f"figures/{name}.svg") == 1, name
    assert "⟦" not in text
    assert "nan" not in text.lower()
    lines = text.splitlines()
    heads = [number for number, line in enumerate(lines) if re.fullmatch(r"\|( :?-+:? \|)+", line)]
    assert len(heads) > 14
    # Otherwise pandoc takes a table, or a list, for a part of the sentence before it.
    assert all(not lines[number - 2].strip() for number in heads)
    items = [number for number, line in enumerate(lines) if line.startswith("- ")]
    assert all(lines[number - 1].startswith("- ") or not lines[number - 1].strip() for number in items)


def test_both_languages_state_the_same_numbers(texts: dict[str, str]) -> None:
    def cells(tag: str) -> list[str]:
        rows = [line for line in texts[tag].splitlines() if line.startswith("| `")]
        return sorted(number for row in rows for number in re.findall(r"[−+]?\d[\d.,]*", row))

    assert cells("en") == cells("zh-TW")
    assert len(cells("en")) > 300


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("lab", [synthetic_segmentation.LAB, "a-lab-of-a-user"])
def test_a_run_without_any_measurement_still_has_a_report(
    lab: str, tag: str, evidence: Evidence, figures: Path
) -> None:
    card = evidence.card.model_copy(update={"embedded": True, "label_map": {}})
    subject = dataclasses.replace(evidence.subject, scale="smoke")
    empty = dataclasses.replace(without(evidence, *TABLES), cards=(card,), hosts=(), subject=subject)
    text = report_of(lab, empty, figures, tag)
    assert "::: {.banner}" in text
    assert "nan" not in text.lower()
    assert not re.search(r"\*\*(loses|gains|better|worse|降低|提高|高於|低於)", text)


@pytest.mark.parametrize("tag", TAGS)
def test_a_lab_without_a_text_of_its_own_shows_overlap_in_place_of_accuracy(
    tag: str, evidence: Evidence, figures: Path
) -> None:
    text = report_of("a-lab-of-a-user", evidence, figures, tag)
    shown = [f"figures/{name}.svg" in text for name in ("segmented", "class_iou", "merit", "accuracy", "confusion")]
    assert shown == [True, True, True, False, False]
    assert all(name in text for name in synthetic_segmentation.names())


class TestData:
    def test_pixels_are_shares_and_images_are_counted(self, evidence: Evidence) -> None:
        rows = rows_of("en", evidence, "pixels")
        assert rows["training set"]["Images"] == "367"
        assert rows["training set"]["road"] == f"{100 * 8 / 36:.2f}"
        assert rows["training set"]["void"] == f"{100 * 120 / (3600 + 120):.2f}"
        assert rows["test set"]["Images"] == "21"

    def test_label_map_names_what_became_each_class(self, evidence: Evidence) -> None:
        rows = rows_of("en", evidence, "label_map")
        assert rows["construction"]["Published labels"] == "Building, Fence"
        assert (rows["void"]["Published labels"], rows["sky"]["Published labels"]) == ("Unlabelled", "—")


class TestTraining:
    def test_recipes_of_the_same_settings_share_a_row(self, evidence: Evidence) -> None:
        rows = rows_of("en", evidence, "recipes")
        assert len(rows) == 3
        (plain,) = (row for names, row in rows.items() if "unet/torch-fp32`, `fcn" in names)
        assert (plain["Loss"], plain["Schedule"], plain["Optimizer, rate"]) == ("CE", "step, 20", "adam, 0.002")
        (aware,) = (row for names, row in rows.items() if "torch-qat" in names)
        assert (aware["Loss"], aware["Optimizer, rate"]) == ("CE + Dice + 0.5 Lovász", "adam, 0.000375")

    def test_a_loss_is_its_weighted_terms(self) -> None:
        assert loss_terms(None) == "CE"
        assert loss_terms({"cross_entropy": 0.0, "dice": 2.0, "lovasz": 0.0}) == "2 Dice"

    def test_kept_epochs_have_mean_iou_and_no_accuracy(self, evidence: Evidence) -> None:
        headers = next(iter(rows_of("en", evidence, "training").values()))
        assert "Validation mean IoU (%)" in headers
        assert "Validation accuracy (%)" not in headers


VERDICTS = [
    ("better", 0.9, "better** than", "**gains 0.90 points**", "**高於**", "**提高 0.90 百分點**"),
    ("worse", -0.9, "worse** than", "**loses 0.90 points**", "**低於**", "**降低 0.90 百分點**"),
    ("noise", -0.1, "**cannot be told apart**", "is **within the noise**", "**無法區分**", "**在雜訊範圍內**"),
    ("mixed", 0.5, "**depends on the seed**", "**depends on the seed**", "**隨種子而異**", "**隨種子而異**"),
]


@pytest.mark.parametrize(("verdict", "points", "ahead", "change", "ahead_zh", "change_zh"), VERDICTS)
def test_comparisons_are_told_as_they_were_judged(
    verdict: str, points: float, ahead: str, change: str, ahead_zh: str, change_zh: str
) -> None:
    verdicts = {"better": 1, "noise": 1} if verdict == "mixed" else {verdict: 2}
    pair = OverlapChange("a", "b", points, points - 0.3, points + 0.3, 98.5, 2, verdicts)
    for tag, said, changed_by in (("en", ahead, change), ("zh-TW", ahead_zh, change_zh)):
        assert said in sentence("ahead", tag, pair, of=SAID)
        assert changed_by in sentence("overlap_change", tag, pair, of=SAID)
        assert f"{points - 0.3:+.2f}".replace("-", "−") in sentence("ahead", tag, pair, of=SAID)


def test_the_same_answers_are_called_the_same(evidence: Evidence) -> None:
    pair = Findings(evidence).overlap_change("efficient-unet/onnx-fp32")
    assert "every labelled pixel the same class" in sentence("overlap_change", "en", pair, of=SAID)
    assert "每個有標籤的像素" in sentence("overlap_change", "zh-TW", pair, of=SAID)


class TestMerit:
    def merit(self, evidence: Evidence, name: str) -> Merit:
        found = Findings(evidence).merit(name)
        assert found is not None
        return found

    @pytest.mark.parametrize(
        ("name", "condition", "english", "chinese"),
        [
            (BASE, "defined", "has a figure of merit of **", "的優值為 **"),
            (PTQ, "ill_conditioned", "**no upper bound**", "**沒有上界**"),
            ("fcn/torch-fp32", "undefined", "**no figure of merit**", "**沒有優值**"),
        ],
    )
    def test_is_told_by_its_condition(
        self, name: str, condition: str, english: str, chinese: str, evidence: Evidence
    ) -> None:
        merit = self.merit(evidence, name)
        assert merit.condition == condition
        assert english in sentence("merit", "en", merit, of=SAID)
        assert chinese in sentence("merit", "zh-TW", merit, of=SAID)
        shown = rows_of("en", evidence, "merit")[name]["Figure of merit"]
        assert {"defined": "[" in shown, "ill_conditioned": "∞]" in shown, "undefined": shown == "—"}[condition]

    def test_the_worst_seed_decides_the_condition(self, evidence: Evidence) -> None:
        def lose(table: pd.DataFrame) -> pd.DataFrame:
            chosen = (table["model"] == "unet") & (table["seed"] == 1)
            columns = [f"merit_{end}gflops2_mb2" for end in ("", "low_", "high_")]
            return table.assign(condition=table["condition"].mask(chosen, "undefined"),
                                **{name: table[name].mask(chosen) for name in columns})  # fmt: skip

        found = weighed(evidence, lose).merit("unet/torch-fp32")
        assert found is not None
        assert (found.condition, found.merit) == ("undefined", None)
        assert "not above 65 % in every seed" in sentence("merit", "en", found, of=SAID)

    def test_thresholds_are_that_of_the_table(self) -> None:
        assert THRESHOLD_PERCENT == merit_figure._POLE == pytest.approx(100 * POLE)

    def test_the_cheapest_is_not_worse_in_any_seed(self, evidence: Evidence) -> None:
        found = Findings(evidence)
        cheapest = found.cheapest
        assert cheapest is not None
        cheaper = [merit for merit in found.searched if merit.cost < cheapest.cost]
        assert cheaper
        assert all("worse" in merit.verdicts for merit in cheaper)
        assert cheapest.variant == "slim-depth3/torch-fp32"
        assert "**1/32.7 of the cost**" in sentence("cheapest", "en", cheapest, 6, of=SAID)

    def test_without_one_that_is_not_worse_says_so(self, evidence: Evidence, figures: Path) -> None:
        now = changed(evidence, "figure_of_merit", lambda table: table.assign(miou_to_baseline_verdict="worse"))
        assert Findings(now).cheapest is None
        assert "All of the 6 other float networks" in report_of(synthetic_segmentation.LAB, now, figures, "en")
        assert "其他 6 個浮點網路的 mIoU 都**低於**" in report_of(synthetic_segmentation.LAB, now, figures, "zh-TW")

    def test_a_search_that_finds_nothing_cheaper_says_so(self, evidence: Evidence) -> None:
        found = weighed(evidence, lambda table: table.assign(cost_to_baseline_ratio=1.5)).cheapest
        assert "**none is cheaper than" in sentence("cheapest", "en", found, 6, of=SAID)
        assert "**沒有任何一個比" in sentence("cheapest", "zh-TW", found, 6, of=SAID)

    def test_validation_chooses_by_its_own_numbers(self, evidence: Evidence) -> None:
        def lucky(table: pd.DataFrame) -> pd.DataFrame:
            percent = table["validation_miou_percent"].where(table["model"] != "slim-depth3", 60.0)
            return table.assign(validation_miou_percent=percent)

        assert Findings(evidence).chosen_by_validation.variant == "slim-depth3/torch-fp32"  # type: ignore[union-attr]
        assert weighed(evidence, lucky).chosen_by_validation.variant == "slim-base4/torch-fp32"  # type: ignore[union-attr]

    def test_ratios_stand_without_those_of_the_baseline_to_itself(self, evidence: Evidence) -> None:
        rows = rows_of("en", evidence, "search")
        assert rows[BASE]["Figure of merit (×)"] == rows[BASE]["Verdict"] == "—"
        assert rows["unet/torch-fp32"]["Verdict"] == "depends on the seed"
        assert rows["slim-base6/torch-fp32"]["Figure of merit (×)"].endswith("∞]")


def test_separable_convolutions_save_what_the_formula_says(evidence: Evidence) -> None:
    found = Findings(evidence).separable(BASE)
    assert found is not None
    ratios = [1 / (1 / outputs + 1 / 9) for outputs in (9, 18, 36, 72)]
    assert (found.least, found.most) == (pytest.approx(min(ratios)), pytest.approx(max(ratios)))
    assert found.least < found.ratio < found.most < 9
    assert 1 < found.network_ratio < found.ratio
    assert Findings(evidence).separable("unet/torch-fp32") is None


def test_shares_of_classes_add_up_and_a_class_that_nobody_saw_is_left_out(evidence: Evidence) -> None:
    overlaps = Findings(evidence).class_overlaps(BASE)
    assert math.isclose(sum(overlap.share_percent for overlap in overlaps), 100)

    def forget(table: pd.DataFrame) -> pd.DataFrame:
        return table.assign(iou_percent=table["iou_percent"].mask(table["class"] == "human"))

    others = Findings(changed(evidence, "segmentation_by_class", forget)).class_overlaps(BASE)
    assert {overlap.name for overlap in overlaps} - {overlap.name for overlap in others} == {"human"}


def test_many_layers_stand_below_each_other(evidence: Evidence) -> None:
    rows = [
        {"lab": "l", "model": "efficient-unet", "variant": "onnx-int8", "seed": 0, "reference": "onnx-fp32",
         "layer": f"layer{place}", "relative_l2_percent": 1.0 + place, "max_abs_difference": 0.1,
         "signal_to_noise_db": 30.0}
        for place in range(30)
    ]  # fmt: skip
    shown = rows_of("en", changed(evidence, "layers", lambda _: pd.DataFrame(rows)), "layers")
    assert (len(shown), shown["layer29"]) == (30, {"`onnx-int8 ← onnx-fp32`": "30.0"})


def test_arithmetic_is_that_of_the_method(evidence: Evidence) -> None:
    assert [precision(evidence, name) for name in (BASE, "efficient-unet/torch-qat", INT8, PTQ)] == [
        *("float", "simulated", "integer", "integer")
    ]
    rows = rows_of("en", evidence, "quantization", chosen=[BASE, "efficient-unet/torch-qat", INT8], baseline=BASE)
    assert rows["efficient-unet/torch-qat"]["Latency p50 (ms)"] == "—"
    assert rows[INT8]["Latency p50 (ms)"] != "—"


def test_the_first_page_shows_the_mean_iou(evidence: Evidence, tmp_path: Path) -> None:
    index.write_index(tmp_path / "index.html", [evidence], [language("en", REPORT)], REPORT)
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    best = Findings(evidence).best_overlap()
    assert best is not None
    assert "Highest mean IoU" in page
    assert f"{best.miou_percent:.2f}" in page
    assert "Highest accuracy" not in page
