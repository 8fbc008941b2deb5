"""The report of a checkpoint and a page: every computed sentence follows the numbers, in both languages."""

import dataclasses
import math
import re
from pathlib import Path

import pandas as pd
import pytest
import synthetic_cifar
from hypothesis import given
from hypothesis import strategies as st
from report_text import REPORT, changed, report_of, sentence
from scipy.stats import binom

from compresslab.report.evidence import Evidence, Subject, read_evidence
from compresslab.report.exhibits.registry import SHEETS
from compresslab.report.facts import Shift
from compresslab.report.figures import registry
from compresslab.report.findings import Findings
from compresslab.report.languages import language
from compresslab.tables.schemas import TABLES

TAGS = ("zh-TW", "en")
INT8, MIXED, ENTROPY, FLOAT = "onnx-int8", "onnx-int8-mixed", "onnx-int8-entropy", "onnx-fp32"


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    paths = synthetic_cifar.write_run(tmp_path_factory.mktemp("run"))
    subject = Subject.from_json(synthetic_cifar.subject())
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
    return {tag: report(evidence, figures, tag) for tag in TAGS}


def report(evidence: Evidence, figures: Path, tag: str, lab: str = synthetic_cifar.LAB) -> str:
    return report_of(lab, evidence, figures, tag)


def section(text: str, heading: str) -> str:
    """The text below a heading of any level, up to the next one."""
    return re.split(r"\n#+ ", text.split(f"# {heading}\n", 1)[1])[0]


def edited(evidence: Evidence, name: str, where: dict[str, object], **values: object) -> Evidence:
    """Give some rows of a table other values."""

    def change(table: pd.DataFrame) -> pd.DataFrame:
        chosen = pd.Series(True, table.index)
        for column, value in where.items():
            chosen &= table[column] == value
        assert chosen.any()
        table.loc[chosen, list(values)] = list(values.values())
        return table

    return changed(evidence, name, change)


def without(evidence: Evidence, *names: str) -> Evidence:
    empty = {name: evidence.tables[name].iloc[:0] for name in names}
    return dataclasses.replace(evidence, tables={**evidence.tables, **empty})


@pytest.mark.parametrize("tag", TAGS)
def test_the_report_is_whole(tag: str, texts: dict[str, str]) -> None:
    text = texts[tag]
    for name in ("sensitivity", "codec_shift", "confidence", "layer_errors", "training", "agreement", "misclassified"):
        assert f"figures/{name}.svg" in text, name
    assert "⟦" not in text
    assert "nan" not in text
    lines = text.splitlines()
    heads = [index for index, line in enumerate(lines) if re.fullmatch(r"\|( :?-+:? \|)+", line)]
    assert len(heads) > 10
    # Otherwise pandoc takes a table, or a list, for a part of the sentence before it.
    assert all(not lines[index - 2].strip() for index in heads)
    items = [index for index, line in enumerate(lines) if line.startswith("- ")]
    assert all(lines[index - 1].startswith("- ") or not lines[index - 1].strip() for index in items)


def test_both_languages_state_the_same_numbers(texts: dict[str, str]) -> None:
    """Number by number in tables; the words of headers and claims differ."""

    def cells(tag: str) -> list[str]:
        rows = [line for line in texts[tag].splitlines() if line.startswith("| `")]
        return sorted(number for row in rows for number in re.findall(r"[−+]?\d[\d.,]*", row))

    assert cells("en") == cells("zh-TW")
    assert len(cells("en")) > 300


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("smoke", [False, True])
def test_a_run_without_any_measurement_still_has_a_report(
    smoke: bool, tag: str, evidence: Evidence, figures: Path
) -> None:
    empty = without(evidence, *TABLES)
    if smoke:
        card = evidence.card.model_copy(update={"embedded": True})
        empty = dataclasses.replace(
            empty, cards=(card,), hosts=(), subject=dataclasses.replace(evidence.subject, scale="smoke")
        )
    text = report(empty, figures, tag)
    assert len(text) > 2000
    assert "nan" not in text
    assert not re.search(r"\*\*(faster|less accurate|快|較慢)", text)
    assert ("::: {.banner}" in text) == smoke


@pytest.mark.parametrize(
    "names", [("sensitivity", "audit"), ("codec_shift", "layers"), ("latency", "speed", "comparisons")]
)
def test_tables_that_are_missing_take_their_sentences_along(
    names: tuple[str, ...], evidence: Evidence, figures: Path, texts: dict[str, str]
) -> None:
    for tag in TAGS:
        text = report(without(evidence, *names), figures, tag)
        assert "nan" not in text
        assert len(text) < len(texts[tag])


class TestMixed:
    """Whether it is worth it to keep some layers in float."""

    @pytest.mark.parametrize(
        ("verdict", "points", "english", "chinese"),
        [
            ("better", 0.4, "**more accurate than `onnx-int8`** by 0.40 points", "**比 `onnx-int8` 高** 0.40 百分點"),
            ("worse", -0.4, "**less accurate than `onnx-int8`** by 0.40 points", "**比 `onnx-int8` 低** 0.40 百分點"),
            ("noise", 0.1, "by nothing that could be told from noise** (+0.10 points", "**與雜訊無法區分**"),
        ],
    )
    def test_is_told_as_its_comparison_was_judged(
        self, verdict: str, points: float, english: str, chinese: str, evidence: Evidence
    ) -> None:
        where = {"variant": MIXED, "reference": INT8}
        judged = {"accuracy_verdict": verdict, "accuracy_difference_points": points}
        pair = Findings(edited(evidence, "comparisons", where, **judged)).change(MIXED, INT8)
        assert english in sentence("worth_mixing", "en", pair)
        assert chinese in sentence("worth_mixing", "zh-TW", pair)

    def test_of_seeds_that_disagree_is_left_open(self, evidence: Evidence) -> None:
        where = {"variant": MIXED, "reference": INT8, "seed": 0}
        pair = Findings(edited(evidence, "comparisons", where, accuracy_verdict="better")).change(MIXED, INT8)
        assert "**depends on the seed**" in sentence("worth_mixing", "en", pair)
        assert "**隨種子而異**" in sentence("worth_mixing", "zh-TW", pair)

    def test_names_the_layers_that_stay_float_and_in_how_many_seeds(self, texts: dict[str, str]) -> None:
        text = section(texts["en"], "Which layers cost most")
        assert "`conv1`, `layer2.0.downsample.0` (in 2 of 3 seeds), `layer4.1.conv2` (in 1 of 3 seeds)" in text
        assert "`conv1` moves the logits most (5.20 %)" in text
        assert "could be told from noise" in text
        layers = {row["layer"]: row["macs"] for row in synthetic_cifar.layers()}
        kept = layers["conv1"] + layers["layer2.0.downsample.0"] + layers["layer4.1.conv2"]
        assert f"take {100 * kept / sum(layers.values()):.1f} %" in text

    def test_that_keeps_no_layer_says_so(self, evidence: Evidence, figures: Path) -> None:
        now = changed(evidence, "sensitivity", lambda table: table.assign(kept_float=False))
        assert "keeps no layer in float" in report(now, figures, "en")
        assert "沒有任何一層維持浮點" in report(now, figures, "zh-TW")


class TestCalibration:
    """Two calibrations are called the same only when their logits are."""

    def test_of_the_same_logits_is_called_the_same(self, texts: dict[str, str]) -> None:
        assert "`onnx-int8-entropy` gives **the very same logits as `onnx-int8`**" in texts["en"]
        assert "**與 `onnx-int8` 完全相同的 logits**" in texts["zh-TW"]

    def test_of_other_logits_in_one_seed_is_not(self, evidence: Evidence) -> None:
        where = {"variant": ENTROPY, "reference": INT8, "seed": 2}
        pair = Findings(edited(evidence, "comparisons", where, relative_l2_percent=0.3)).change(ENTROPY, INT8)
        english, chinese = (sentence("beside", tag, pair) for tag in ("en", "zh-TW"))
        assert english.endswith("The logits of the two lie 0.100 % apart.")
        assert chinese.endswith("兩者的 logits 相差 0.100 %。")
        assert "very same logits" not in english
        assert "完全相同的 logits" not in chinese


@pytest.mark.parametrize(
    ("shift", "distance", "english", "chinese"),
    [
        (-2.5, 3.0, "is **less sure** of the answers of `onnx-fp32`, by 2.50 points", "信心度平均低 2.50"),
        (2.5, 3.0, "is **surer** of the answers of `onnx-fp32`", "**更有把握**，信心度平均高 2.50"),
        (0.0, 3.0, "is on average as sure", "信心度平均與後者相同"),
        (0.0, 0.0, "is as sure of every answer as `onnx-fp32`", "對每個答案的信心度都與 `onnx-fp32` 相同"),
    ],
)
def test_confidence_is_told_by_its_sign(
    shift: float, distance: float, english: str, chinese: str, evidence: Evidence
) -> None:
    where = {"variant": INT8, "reference": FLOAT}
    moved = {"confidence_shift_points": shift, "confidence_distance_points": distance}
    pair = Findings(edited(evidence, "comparisons", where, **moved)).change(INT8)
    assert f"`{INT8}` {english}" in sentence("confidence", "en", pair)
    assert chinese in sentence("confidence", "zh-TW", pair)


def shift_of(evidence: Evidence, **values: object) -> Shift:
    """The hardest encoding for INT8, judged otherwise."""
    where = {"variant": INT8, "codec": "jpeg50"}
    shifts = Findings(edited(evidence, "codec_shift", where, **values)).shifts
    return next(shift for shift in shifts if (shift.variant, shift.codec) == (INT8, "jpeg50"))


class TestCodecs:
    """What JPEG takes from every variant, and what it takes from INT8 alone."""

    @pytest.mark.parametrize(
        ("verdict", "points", "english", "chinese"),
        [
            ("worse", -0.9, "`onnx-int8` **loses 0.90 points more** than", "**多失去 0.90 百分點**"),
            ("better", 0.9, "`onnx-int8` **loses 0.90 points less** than", "**少失去 0.90 百分點**"),
            ("noise", -0.1, "`onnx-int8` loses **neither more nor less** than", "**多寡皆未超出雜訊範圍**"),
        ],
    )
    def test_excess_is_told_as_it_was_judged(
        self, verdict: str, points: float, english: str, chinese: str, evidence: Evidence
    ) -> None:
        shift = shift_of(evidence, excess_verdict=verdict, excess_drop_points=points)
        assert english in sentence("codec_excess", "en", shift)
        assert chinese in sentence("codec_excess", "zh-TW", shift)

    @pytest.mark.parametrize(
        ("verdict", "points", "english", "chinese"),
        [
            ("worse", -1.5, "**loses 1.50 points**", "**失去 1.50"),
            ("better", 1.5, "**gains 1.50 points**", "**增加 1.50"),
            ("noise", -1.5, "by −1.50 points, **within the noise**", "−1.50 百分點，**在雜訊範圍內**"),
        ],
    )
    def test_drop_is_told_as_it_was_judged(
        self, verdict: str, points: float, english: str, chinese: str, evidence: Evidence
    ) -> None:
        shift = shift_of(evidence, drop_verdict=verdict, drop_points=points)
        assert english in sentence("codec_drop", "en", shift)
        assert chinese in sentence("codec_drop", "zh-TW", shift)

    def test_are_tallied_without_the_reference_and_the_originals(
        self, evidence: Evidence, texts: dict[str, str]
    ) -> None:
        more = (evidence.tables["codec_shift"]["excess_verdict"] == "worse").sum()
        assert more > 1
        said = "Of 12 comparisons with `onnx-fp32` (each variant at each quality)"
        assert f"{said}, **{more} lose more beyond the noise**, 0 lose less, and {12 - more} cannot" in texts["en"]
        assert f"**{more} 組失去更多且超出雜訊範圍**，0 組失去較少，其餘 {12 - more} 組" in texts["zh-TW"]

    def test_of_a_copy_that_was_jpeg_before_are_called_second_ones(
        self, evidence: Evidence, figures: Path, texts: dict[str, str]
    ) -> None:
        card = evidence.card.model_copy(update={"dataset": "cifar10-jpeg75", "substitute": True})
        now = dataclasses.replace(evidence, cards=(card,))
        for tag, said in (("en", "every encoding here is a second one"), ("zh-TW", "每一種編碼都是第二次壓縮")):
            assert said in report(now, figures, tag)
            assert said not in texts[tag]

    def test_of_a_copy_are_reproduced_on_that_copy(
        self, evidence: Evidence, figures: Path, texts: dict[str, str]
    ) -> None:
        subject = dataclasses.replace(evidence.subject, instead={"cifar10": "cifar10-jpeg75"})
        for tag in texts:
            said = "'data-instead={cifar10: cifar10-jpeg75}'"
            assert said in report(dataclasses.replace(evidence, subject=subject), figures, tag)
            assert said not in texts[tag]

    def test_leave_the_originals_and_the_reference_without_a_difference(self, evidence: Evidence) -> None:
        sheet = SHEETS["codec_shift"](evidence, language("en", REPORT))
        for row in sheet.rows:
            assert (row[5] == "—") == (row[0] == "original")
            assert (row[6] == row[7] == "—") == (row[0] == "original" or row[3] == "`onnx-fp32`")


def test_settings_that_are_said_to_be_slow_are_told_as_measured(texts: dict[str, str]) -> None:
    english, chinese = section(texts["en"], "What really runs"), section(texts["zh-TW"], "實際執行的計算圖")
    assert "`onnx-int8-dynamic` on `onnxruntime` is **slower** than `onnx-fp32`" in english
    assert "`onnx-int8-s8s8` on `onnxruntime` is **1.09 × faster** than `onnx-fp32`" in english
    assert "`onnx-int8` has 3.06 × the speed of `onnx-int8-s8s8`" in english
    assert "`onnx-int8` 的速度為 `onnx-int8-s8s8` 的 3.06 倍" in chinese


def test_convolutions_that_stay_float_are_named(evidence: Evidence, texts: dict[str, str]) -> None:
    found = Findings(evidence)
    assert found.float_compute(INT8) == []
    assert found.float_compute(MIXED) == ["conv1", "layer4.1.conv2"]
    assert found.float_compute("torch-fp32") is None
    text = section(texts["en"], "What really runs")
    assert "**2 convolutions or matrix products stay float**: `conv1`, `layer4.1.conv2`." in text
    assert f"`{INT8}` runs 21 operators in integer, 1 in float and 0 unfused; **every convolution" in text


class TestCompression:
    """All variants side by side."""

    def test_has_a_row_per_variant_and_the_numbers_of_the_tables(self, evidence: Evidence) -> None:
        sheet = SHEETS["compression"](evidence, language("en", REPORT), baseline=FLOAT)
        rows = {row[0].strip("`"): row[1:] for row in sheet.rows}
        assert list(rows) == list(synthetic_cifar.VARIANTS)
        costs = evidence.tables["costs"].set_index("variant")["file_bytes"]
        row = rows[INT8]
        assert row[:2] == (f"{costs[INT8] / 2**20:.1f}", f"{costs[FLOAT] / costs[INT8]:.2f}")
        own = evidence.tables["comparisons"].query("variant == @INT8 and reference == @FLOAT")
        assert row[9] == f"{own['agreement_percent'].mean():.2f}"
        assert row[10].replace("−", "-") == f"{own['confidence_shift_points'].mean():.2f}"
        assert row[11] == f"{own['confidence_distance_points'].mean():.2f}"

    def test_gives_every_engine_of_a_variant_a_row(self, evidence: Evidence) -> None:
        def compiled(table: pd.DataFrame) -> pd.DataFrame:
            return pd.concat([table, table[table["variant"] == "torch-fp32"].assign(engine="torch-compile")])

        sheet = SHEETS["compression"](changed(evidence, "latency", compiled), language("en", REPORT), baseline=FLOAT)
        assert sheet.headers[1] == "Engine"
        assert [row[1] for row in sheet.rows if row[0] == "`torch-fp32`"] == ["`torch`", "`torch-compile`"]

    def test_of_an_unknown_baseline_leaves_out_what_is_against_it(self, evidence: Evidence) -> None:
        sheet = SHEETS["compression"](evidence, language("en", REPORT), baseline="nobody")
        assert "Smaller (×)" not in sheet.headers
        assert all(row[-1] == "—" for row in sheet.rows)


class TestPhotos:
    """What so many photos without a disagreement leave possible."""

    @given(st.integers(1, 500))
    def test_leave_open_just_what_a_test_at_five_percent_does(self, images: int) -> None:
        share = Findings.left_open_percent(images) / 100
        assert binom.pmf(0, images, share) == pytest.approx(0.05)
        # The rule of three is its approximation from above, which is good from some thirty on.
        assert share < 3 / images
        assert images < 30 or share > 0.95 * 3 / images

    def test_are_told_with_the_test_set_beside_them(self, evidence: Evidence, texts: dict[str, str]) -> None:
        pair = Findings(evidence).change(INT8)
        assert pair is not None
        disagree = f"{100 - pair.agreement_percent:.2f} %"
        assert f"leave up to **63.16 %** open. The 2,000 test images show {disagree}" in texts["en"]
        assert f"**63.16 %** 的不一致。2,000 張測試影像所顯示的是 {disagree}" in texts["zh-TW"]

    def test_times_of_single_calls_are_held_against_their_own_spread(self, texts: dict[str, str]) -> None:
        said = f"a factor of {42.26 / 23.93:.2f}; 2 of its 3 speed-ups (1.12, 1.04, 1.90 ×) are smaller"
        assert said in texts["en"]


class TestVerdicts:
    """The ledger on this run, and on data that stand in for the real ones."""

    def verdicts(self, evidence: Evidence, **facts: object) -> dict[str, tuple[str, str]]:
        table = synthetic_cifar.claims(dict(evidence.tables), **facts)
        names = table["claim"].str.removeprefix("cifar-onnx-")
        return dict(zip(names, zip(table["verdict"], table["reason"], strict=True), strict=True))

    def test_sizes_hold_on_any_data_and_accuracies_on_real_ones(self, evidence: Evidence) -> None:
        jpeg = self.verdicts(evidence, substitute=True)
        smoke = self.verdicts(evidence, scale="smoke", source="embedded", embedded=True)
        for name in ("float-size", "int8-size", "compression", "compression-four"):
            assert jpeg[name] == smoke[name] == ("reproduced", "")
        for name in ("agreement", "agreement-identical", "logits", "accuracy-loss", "confidence-shift"):
            assert jpeg[name] == ("not_comparable", "substitute_data")
            assert smoke[name] == ("not_comparable", "embedded_data")
        assert jpeg["photo-speed"][0] == "exceeded"
        assert smoke["photo-speed"] == ("not_comparable", "reduced_scale")

    def test_times_of_the_documents_machine_are_not_judged(self, evidence: Evidence) -> None:
        found = self.verdicts(evidence)
        times = [name for name in found if name.endswith("-time")]
        assert len(times) == 4
        assert {found[name] for name in times} == {("not_comparable", "other_hardware")}

    def test_three_photos_bear_what_the_whole_test_set_refutes(self, evidence: Evidence) -> None:
        found = self.verdicts(evidence)
        assert found["agreement"] == ("reproduced", "")
        assert found["agreement-identical"] == ("not_reproduced", "")
        claim = Findings(evidence).claim("cifar-onnx-agreement")
        assert claim is not None
        tolerance = evidence.tables["claims"].set_index("claim").loc["cifar-onnx-agreement", "tolerance"]
        assert tolerance == pytest.approx(Findings.left_open_percent(3), abs=0.01)

    @pytest.mark.parametrize(
        ("ratio", "photos", "loop"),
        [(1.5, "reproduced", "not_reproduced"), (3.3, "exceeded", "not_reproduced"), (4.4, "exceeded", "reproduced"),
         (0.9, "not_reproduced", "not_reproduced")],
    )  # fmt: skip
    def test_speed_is_held_against_photos_and_loop(
        self, ratio: float, photos: str, loop: str, evidence: Evidence
    ) -> None:
        where = {"variant": INT8, "threads": 1}
        interval = {"latency_ratio_low": 0.99 * ratio, "latency_ratio_high": 1.01 * ratio}
        found = self.verdicts(edited(evidence, "speed", where, latency_ratio=ratio, **interval))
        assert (found["photo-speed"][0], found["loop-speed"][0]) == (photos, loop)


@pytest.mark.parametrize("tag", TAGS)
def test_a_lab_without_a_text_of_its_own_shows_layers_and_codecs(tag: str, evidence: Evidence, figures: Path) -> None:
    names = {"figures/sensitivity.svg", "figures/codec_shift.svg"}
    text = report(evidence, figures, tag, "a-lab-of-a-user")
    bare = report(without(evidence, "sensitivity", "codec_shift"), figures, tag, "a-lab-of-a-user")
    assert [name in text for name in names] == [True, True]
    assert [name in bare for name in names] == [False, False]


def test_findings_without_rows_are_empty(evidence: Evidence) -> None:
    found = Findings(without(evidence, *TABLES))
    assert (found.probed, found.shifts, found.encoded) == ([], [], [])
    assert found.sensitivity(MIXED) == found.most_sensitive(MIXED, 3) == found.kept_float(MIXED) == []
    assert found.hardest_codec([]) is None
    assert math.isclose(found.left_open_percent(1), 95)
