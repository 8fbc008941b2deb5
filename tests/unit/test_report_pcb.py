"""The report of the lab of circuit boards: every computed sentence follows the numbers, in both languages."""

import dataclasses
import math
import re
from pathlib import Path

import pandas as pd
import pytest
import synthetic_pcb
from hypothesis import given
from hypothesis import strategies as st
from report_text import REPORT, changed, report_of

from compresslab.report import break_even
from compresslab.report.evidence import Evidence, Subject, read_evidence
from compresslab.report.exhibits.registry import SHEETS
from compresslab.report.figures import registry
from compresslab.report.findings import Findings
from compresslab.report.languages import language
from compresslab.report.names import Names
from compresslab.report.ratios import cell_ratio, engine_ratios
from compresslab.tables.schemas import TABLES

TAGS = ("zh-TW", "en")
NUMPY, TORCH, TF = "lenet5/numpy-fp32", "lenet5/torch-fp32", "lenet5/tf-fp32"


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    paths = synthetic_pcb.write_run(tmp_path_factory.mktemp("run"))
    subject = Subject.from_json(synthetic_pcb.subject())
    return read_evidence(subject, paths["tables"], [paths["card"], paths["pair_card"]], {"local": paths["host"]})


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("figures")
    for name in registry.names():
        (folder / f"{name}.svg").write_text("<svg/>")
    return folder


def report(evidence: Evidence, figures: Path, tag: str) -> str:
    return report_of(synthetic_pcb.LAB, evidence, figures, tag)


def abstract(evidence: Evidence, figures: Path, tag: str) -> str:
    return report(evidence, figures, tag).split("\n# ")[0]


def judged(evidence: Evidence, verdict: str, points: float, **where: str) -> Evidence:
    """Give the chosen comparisons a verdict and a difference."""

    def change(table: pd.DataFrame) -> pd.DataFrame:
        chosen = pd.Series(True, table.index)
        for column, value in where.items():
            chosen &= table[column] == value
        table.loc[chosen, ["accuracy_verdict", "accuracy_difference_points"]] = [verdict, points]
        return table

    return changed(evidence, "comparisons", change)


def scaled(evidence: Evidence, engine: str, factor: float, variant: str = "tf-fp32") -> Evidence:
    """Make a variant on an engine ``factor`` times as fast."""

    def change(table: pd.DataFrame) -> pd.DataFrame:
        chosen = (table["engine"] == engine) & (table["variant"] == variant)
        for column in table.columns:
            if column.startswith(("p50", "offline")):
                by = factor if column.startswith("offline") else 1 / factor
                table[column] = table[column].where(~chosen, table[column] * by)
        return table

    return changed(evidence, "latency", change)


@pytest.mark.parametrize("tag", TAGS)
def test_the_report_numbers_everything_and_names_every_model(tag: str, evidence: Evidence, figures: Path) -> None:
    text = report(evidence, figures, tag)
    for kind in ("圖", "表") if tag == "zh-TW" else ("Figure", "Table"):
        numbers = [int(number) for number in re.findall(rf"\*\*{kind} (\d+)[.：]\*\*", text)]
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(numbers) >= 10
    assert "⟦" not in text
    assert not re.search(r"\bnan\b", text)
    assert "lenet5-template/numpy-fp32" in text
    assert "{.banner}" not in text
    assert "61,751" in text
    assert "651,468" in text


@pytest.mark.parametrize("tag", TAGS)
def test_both_datasets_are_described(tag: str, evidence: Evidence, figures: Path) -> None:
    text = report(evidence, figures, tag)
    assert ("待測、樣板、差異" if tag == "zh-TW" else "tested, template, difference") in text
    assert ("張數相同" if tag == "zh-TW" else "The counts are the same") in text


@pytest.mark.parametrize(
    ("verdict", "points", "english", "chinese"),
    [
        ("noise", 0.1, "none shows a difference in accuracy beyond the noise", "沒有任何一組的準確率差超出雜訊範圍"),
        ("better", 2.5, "`lenet5/tf-fp32` is more accurate than `lenet5/numpy-fp32` by 2.50 points", "高 2.50 百分點"),
        ("worse", -2.5, "`lenet5/tf-fp32` is less accurate than `lenet5/numpy-fp32` by 2.50 points", "低 2.50 百分點"),
    ],
)
def test_whether_frameworks_differ_is_what_the_tables_say(
    verdict: str, points: float, english: str, chinese: str, evidence: Evidence, figures: Path
) -> None:
    told = judged(evidence, verdict, points, model="lenet5", variant="tf-fp32", reference="lenet5/numpy-fp32")
    for tag, said in (("en", english), ("zh-TW", chinese)):
        text = abstract(told, figures, tag)
        assert said in text
        if verdict != "noise":
            assert "none shows" not in text
            assert "沒有任何一組" not in text


@pytest.mark.parametrize(
    ("factor", "english", "chinese"),
    [(2.0, "× as fast** as `lenet5/tf-fp32` on `tf-eager`, in batches", "**較快**"),
     (0.2, "is **slower** than `lenet5/tf-fp32` on `tf-eager`, in batches", "**較慢**"),
     (19000 / 20500, "show **no measurable difference** in batches", "**沒有可測得的差異**")],
)  # fmt: skip
def test_graph_and_eager_are_ranked_by_the_clock(
    factor: float, english: str, chinese: str, evidence: Evidence, figures: Path
) -> None:
    told = scaled(evidence, "tf-graph", factor)
    assert english in abstract(told, figures, "en")
    assert chinese in abstract(told, figures, "zh-TW")


@pytest.mark.parametrize(
    ("verdict", "english", "chinese"),
    [
        ("better", "Every framework becomes more accurate with the template", "每個框架的準確率都提高"),
        ("noise", "makes no framework more accurate beyond the noise", "沒有任何框架的準確率提高"),
        ("worse", "makes no framework more accurate beyond the noise", "沒有任何框架的準確率提高"),
    ],
)
def test_what_the_template_adds_is_computed(
    verdict: str, english: str, chinese: str, evidence: Evidence, figures: Path
) -> None:
    told = judged(evidence, verdict, {"better": 2.0, "noise": 0.1, "worse": -2.0}[verdict], model="lenet5-template")
    assert english in report(told, figures, "en")
    assert chinese in report(told, figures, "zh-TW")


@pytest.mark.parametrize(
    ("factor", "english", "chinese"),
    [(1, "neither faster nor slower", "既沒有變快"), (3, "becomes faster", "變快"), (0.3, "becomes slower", "變慢")],
)
def test_pruning_is_told_by_bytes_and_by_the_clock(
    factor: float, english: str, chinese: str, evidence: Evidence, figures: Path
) -> None:
    told = scaled(evidence, "tf-graph", factor, variant="tf-prune50")
    text = report(told, figures, "en")
    assert "keeps 60.54 % of its bytes" in text
    assert english in text
    assert chinese in report(told, figures, "zh-TW")


@pytest.mark.parametrize(
    ("factor", "english", "chinese"),
    [
        (1, "is faster in 4 of 5 layers, at the earliest from **70.0 %**", "5 層中有 4 層"),
        (9, "not faster in any layer", "任何一層都沒有"),
    ],
)
def test_break_even_follows_the_study(
    factor: float, english: str, chinese: str, evidence: Evidence, figures: Path
) -> None:
    columns = ["sparse_to_dense_ratio", "sparse_to_dense_ratio_low", "sparse_to_dense_ratio_high"]
    told = changed(
        evidence, "sparse_products", lambda table: table.assign(**{name: table[name] * factor for name in columns})
    )
    assert english in report(told, figures, "en")
    assert chinese in report(told, figures, "zh-TW")


@pytest.mark.parametrize("tag", TAGS)
def test_missing_cells_are_left_out(tag: str, evidence: Evidence, figures: Path) -> None:
    without = changed(evidence, "latency", lambda table: table[~table["engine"].str.startswith("tf-")])
    without = changed(without, "sparse_products", lambda table: table.iloc[:0])
    text = report(without, figures, tag)
    assert "tf-eager`, in batches" not in text
    assert ("稀疏乘積。**" if tag == "zh-TW" else "Sparse products.**") not in text


@pytest.mark.parametrize("tag", TAGS)
def test_a_lab_cut_down_to_one_model_says_nothing_of_the_other(tag: str, evidence: Evidence, figures: Path) -> None:
    tables = {
        name: table[table["model"] == "lenet5"] if "model" in table else table
        for name, table in evidence.tables.items()
    }
    models = {"lenet5": evidence.subject.models["lenet5"]}
    subject = dataclasses.replace(evidence.subject, models=models, datasets=("deeppcb",))
    text = report(Evidence(subject, tables, evidence.cards[:1], evidence.hosts), figures, tag)
    assert "lenet5-template" not in text
    assert "`tf-fp32`" in text
    assert ("第二個資料集" if tag == "zh-TW" else "The second dataset") not in text
    assert ("**樣板。**" if tag == "zh-TW" else "**Template.**") not in text


@pytest.mark.parametrize("tag", TAGS)
def test_a_run_without_any_result_concludes_nothing(tag: str, evidence: Evidence, tmp_path: Path) -> None:
    bare = dataclasses.replace(evidence, tables={name: known.empty() for name, known in TABLES.items()}, hosts=())
    text = report(bare, tmp_path, tag)
    assert ("沒有足以下結論的資料" if tag == "zh-TW" else "no data for a conclusion") in text
    assert "figures/" not in text.split("```")[0]
    for word in ("beyond the noise", "faster**", "超出雜訊", "較快**"):
        assert word not in text


def test_findings_tell_variants_of_different_models_apart(evidence: Evidence) -> None:
    found = Findings(evidence)
    assert len(found.variants) == len(set(found.variants)) == 16
    first, pair = found.score(NUMPY), found.score("lenet5-template/numpy-fp32")
    assert first is not None
    assert pair is not None
    assert pair.mean - first.mean == pytest.approx(2.1)
    assert found.score("numpy-fp32") == first
    assert str(found.best()).startswith("lenet5-template/")
    change = found.change("lenet5-template/torch-fp32", "lenet5/torch-fp32")
    assert change is not None
    assert (change.verdict, change.reference) == ("better", TORCH)
    parent = found.change("lenet5/tf-prune50")
    assert parent is not None
    assert parent.reference == TF
    assert found.change("lenet5/tf-fp32") is None


def test_findings_of_pruning_classes_and_epochs(evidence: Evidence) -> None:
    found = Findings(evidence)
    slim = found.slimming("lenet5/torch-channels50")
    assert slim is not None
    assert slim.macs_percent == pytest.approx(100 * 190000 / 651468)
    assert found.slimming(NUMPY) is None
    hardest = found.hardest(NUMPY)
    assert hardest is not None
    assert (hardest.name, hardest.taken_for, hardest.images) == ("spur", "mousebite", 51)
    table = evidence.tables["training"]
    rows = table[(table["model"] == "lenet5") & (table["variant"] == "numpy-fp32")]
    means = rows.groupby("epoch")["validation_accuracy_percent"].mean()
    assert found.first_epoch(NUMPY, 90) == means[means > 90].index[0]
    assert found.first_epoch(NUMPY, 99.9) is None
    best = found.fastest([NUMPY, TORCH, TF], "throughput")
    assert best is not None
    assert (best.variant, best.engine, best.baseline_engine) == (TORCH, "torch-compile", "tf-xla")


def test_names_have_one_form(evidence: Evidence) -> None:
    names = Names(evidence.subject)
    assert names.resolved("tf-prune50") == "lenet5/tf-prune50"
    assert names.resolved("numpy-fp32", "lenet5-template") == "lenet5-template/numpy-fp32"
    assert names.beside("lenet5/tf-fp32", "lenet5") == "tf-fp32"
    assert names.beside("lenet5/tf-fp32", "lenet5-template") == "lenet5/tf-fp32"
    assert names.place("nobody/tf-fp32") is None
    assert names.resolved("nobody") == "nobody"


@pytest.mark.parametrize(("against", "rows"), [("parent", 10), ("sibling", 6), ("model", 3), (None, 19)])
def test_comparisons_are_sorted_by_what_they_compare_with(against: str | None, rows: int, evidence: Evidence) -> None:
    sheet = SHEETS["comparisons"](evidence, language("en", REPORT), against=against)
    assert sheet is not None
    assert len(sheet.rows) == rows


def test_the_table_of_frameworks_has_a_row_for_every_engine(evidence: Evidence) -> None:
    sheet = SHEETS["frameworks"](evidence, language("en", REPORT), chosen=[NUMPY, TORCH, TF, "lenet5/nobody"])
    assert sheet is not None
    engines = ("numpy", "torch", "torch-compile", "tf-graph", "tf-eager", "tf-xla")
    assert [row[1] for row in sheet.rows] == [f"`{name}`" for name in engines]
    assert {row[2] for row in sheet.rows} == {"61,751"}
    per_image = [float(row[5]) for row in sheet.rows]
    rates = [float(row[6].replace(",", "")) for row in sheet.rows]
    assert [1000 / rate for rate in rates] == pytest.approx(per_image, rel=0.01)


def test_an_unmeasured_variant_keeps_its_other_numbers(evidence: Evidence) -> None:
    without = changed(evidence, "latency", lambda table: table[table["engine"] != "numpy"])
    sheet = SHEETS["frameworks"](without, language("en", REPORT), chosen=[NUMPY])
    assert sheet is not None
    assert sheet.rows[0][1:3] == ("—", "61,751")


def test_every_reason_of_a_disturbed_cell_is_said_in_words(evidence: Evidence) -> None:
    noise = "other-processes round-spread"
    noisy = changed(evidence, "latency", lambda table: table.assign(noisy=True, noise=noise))
    sheet = SHEETS["latency"](noisy, language("en", REPORT), host="local", threads=1)
    assert sheet is not None
    assert {row[-1] for row in sheet.rows} == {"other processes, rounds disagree"}


def cell(engine: str, p50: float, rate: float, half: float = 0.01) -> dict:
    return {"host": "local", "model": "m", "variant": "v", "engine": engine, "threads": 1, "p50_ms": p50,
            "p50_low_ms": (1 - half) * p50, "p50_high_ms": (1 + half) * p50, "offline_images_per_s": rate,
            "offline_low_images_per_s": (1 - half) * rate, "offline_high_images_per_s": (1 + half) * rate}  # fmt: skip


@given(st.floats(0.1, 10), st.floats(0.1, 10))
def test_a_ratio_and_its_reverse_agree(first: float, second: float) -> None:
    one, other = cell("a", first, 1 / first), cell("b", second, 1 / second)
    for quantity in ("latency", "throughput"):
        there, back = cell_ratio(one, other, quantity), cell_ratio(other, one, quantity)
        assert there is not None
        assert back is not None
        assert there.value == pytest.approx(second / first)
        assert there.value * back.value == pytest.approx(1)
        opposite = {"faster": "slower", "slower": "faster", "noise": "noise"}
        assert back.verdict == opposite[there.verdict]


def test_a_small_or_noisy_lead_is_no_difference() -> None:
    for lead, half, verdict in ((1.01, 0.001, "noise"), (1.3, 0.001, "faster"), (1.3, 0.3, "noise")):
        ratio = cell_ratio(cell("a", 1 / lead, lead, half), cell("b", 1, 1, half), "latency")
        assert ratio is not None
        assert ratio.verdict == verdict


def test_engines_are_held_against_the_first_one_of_their_variant() -> None:
    table = pd.DataFrame([cell("tf-xla", 1, 4), cell("tf-eager", 4, math.nan), cell("tf-graph", 2, 2)])
    ratios = engine_ratios(table).set_index("engine")
    assert list(ratios.index) == ["tf-graph", "tf-xla"]
    assert ratios["latency_ratio"].tolist() == pytest.approx([2, 4])
    assert ratios["throughput_ratio"].isna().all()
    assert engine_ratios(table[:1]).empty


@pytest.mark.parametrize(
    ("holds", "expected"),
    [([False, True, True], 50), ([True, False, True], 90), ([True, True, False], None), ([True, True, True], 0)],
)
def test_break_even_lasts_up_to_the_highest_sparsity(holds: list[bool], expected: float | None) -> None:
    points = pd.DataFrame({"sparsity_percent": [0.0, 50.0, 90.0]})
    assert break_even.lasting(points, pd.Series(holds)) == expected
