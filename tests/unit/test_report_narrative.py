"""The text says what the tables say, in both languages, and nothing else."""

import dataclasses
import re
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
import synthetic_report

from compresslab.measure.host import GPU_FIELDS
from compresslab.report import narrative
from compresslab.report.evidence import Evidence, Subject, read_evidence
from compresslab.report.figures import registry
from compresslab.report.findings import Findings
from compresslab.report.languages import language
from compresslab.tables.schemas import TABLES

REPORT = Path(__file__).parents[2] / "report"
TAGS = ("zh-TW", "en")
TEMPLATES = ("mnist-integer", "generic")


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    folder = tmp_path_factory.mktemp("run")
    paths = synthetic_report.write_run(folder)
    networks = {name: paths["networks"] / name / "model.npz" for name in synthetic_report.networks()}
    subject = Subject.from_json(synthetic_report.subject())
    return read_evidence(subject, paths["tables"], [paths["card"]], {"local": paths["host"]}, networks)


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("figures")
    for name in registry.names():
        (folder / f"{name}.svg").write_text("<svg/>")
    return folder


def report(evidence: Evidence, figures: Path, tag: str, template: str = "mnist-integer") -> str:
    path = narrative.narrative_path(template, tag, REPORT)
    return "\n".join(narrative.write(path, evidence, figures, language(tag, REPORT)))


def with_table(evidence: Evidence, name: str, **columns: object) -> Evidence:
    return dataclasses.replace(evidence, tables={**evidence.tables, name: evidence.tables[name].assign(**columns)})


def plain(text: str) -> str:
    return re.sub("[\u2009\u202f\u00a0 ]", " ", text)


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("template", TEMPLATES)
def test_every_table_and_figure_is_numbered_once_and_in_order(
    template: str, tag: str, evidence: Evidence, figures: Path
) -> None:
    text = report(evidence, figures, tag, template)
    for kind in ("圖", "表") if tag == "zh-TW" else ("Figure", "Table"):
        numbers = [int(number) for number in re.findall(rf"\*\*{kind}[ \u2009](\d+)[.：]\*\*", text)]
        assert numbers == list(range(1, len(numbers) + 1))
        assert len(numbers) >= 6
    assert "⟦" not in text
    assert "nan" not in text.lower().replace("finance", "")


def test_every_figure_is_shown_by_some_lab(evidence: Evidence, figures: Path) -> None:
    sources = [path.read_text(encoding="utf-8") for path in REPORT.glob("narrative/**/*.en.md.j2")]
    shown = {name for name in registry.names() if any(f'figure("{name}")' in text for text in sources)}
    assert shown == set(registry.names())
    text = report(evidence, figures, "en")
    assert set(registry.names()) - {name for name in registry.names() if f"figures/{name}.svg" in text} == {
        *("engines", "label_audit", "sparsity"),
        *("ablation", "convolutions", "elastic"),
        *("codec_shift", "confidence", "sensitivity"),
        *("class_iou", "merit", "segmented"),
    }


@pytest.mark.parametrize("template", TEMPLATES)
def test_both_languages_state_the_same_numbers(template: str, evidence: Evidence, figures: Path) -> None:
    def cells(tag: str) -> Counter[str]:
        rows = [line for line in report(evidence, figures, tag, template).splitlines() if line.startswith("| ")]
        return Counter(number for row in rows for number in re.findall(r"[−+]?\d[\d.,]*", plain(row)))

    chinese, english = cells("zh-TW"), cells("en")
    assert sum(english.values()) > 200
    # Headers and statements of claims are words of one language; their numbers are few and known.
    assert sum(((chinese - english) + (english - chinese)).values()) <= 12


@pytest.mark.parametrize(
    ("tag", "verdict", "said"),
    [
        ("en", "noise", "within the noise"),
        ("en", "worse", "less accurate"),
        ("en", "better", "more accurate"),
        ("zh-TW", "noise", "在雜訊範圍內"),
        ("zh-TW", "worse", "降低"),
        ("zh-TW", "better", "提高"),
    ],
)
def test_a_change_of_accuracy_is_said_as_the_table_judged_it(
    tag: str, verdict: str, said: str, evidence: Evidence, figures: Path
) -> None:
    judged = with_table(evidence, "comparisons", accuracy_verdict=verdict, agreement_percent=99.0)
    abstract = report(judged, figures, tag).split("\n# ")[0]
    assert said in abstract
    others = {"within the noise", "less accurate", "more accurate", "在雜訊範圍內", "降低", "提高"} - {said}
    assert not [other for other in others if other in abstract]


def test_seeds_that_disagree_are_said_to(evidence: Evidence, figures: Path) -> None:
    table = evidence.tables["comparisons"]
    mixed = ["worse" if seed == 0 else "noise" for seed in table["seed"]]
    judged = with_table(evidence, "comparisons", accuracy_verdict=mixed, agreement_percent=99.0)
    assert "depends on the seed" in report(judged, figures, "en")
    assert "隨種子而異" in report(judged, figures, "zh-TW")


@pytest.mark.parametrize(
    ("verdict", "english", "chinese"),
    [
        ("faster", "faster** than", "**快**"),
        ("slower", "**slower** than", "**慢**"),
        ("noise", "no measurable difference", "沒有可測得的差異"),
    ],
)
def test_speed_is_said_as_the_table_judged_it(
    verdict: str, english: str, chinese: str, evidence: Evidence, figures: Path
) -> None:
    judged = with_table(evidence, "speed", speed_verdict=verdict)
    assert english in report(judged, figures, "en").split("\n# ")[0]
    assert chinese in report(judged, figures, "zh-TW").split("\n# ")[0]


def test_claims_are_counted_by_verdict(evidence: Evidence, figures: Path) -> None:
    assert "Of 4 published claims, 1 was reproduced, 1 exceeded and 1 not reproduced" in plain(
        report(evidence, figures, "en")
    )
    assert "4 項原始宣稱中，1 項已重現" in plain(report(evidence, figures, "zh-TW"))


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("template", TEMPLATES)
def test_a_run_without_any_result_still_has_a_report_and_says_so(
    template: str, tag: str, evidence: Evidence, tmp_path: Path
) -> None:
    bare = dataclasses.replace(
        evidence, tables={name: known.empty() for name, known in TABLES.items()}, hosts=(), networks={}
    )
    text = report(bare, tmp_path, tag, template)
    assert ("沒有" if tag == "zh-TW" else "has no data for it") in text
    assert "figures/" not in text.split("```")[0]
    assert ("快**" if tag == "zh-TW" else "faster**") not in text


@pytest.mark.parametrize("tag", TAGS)
def test_an_empty_figure_file_is_reported_instead_of_shown(
    tag: str, evidence: Evidence, figures: Path, tmp_path: Path
) -> None:
    for path in figures.iterdir():
        (tmp_path / path.name).write_bytes(b"" if path.stem == "training" else path.read_bytes())
    text = report(evidence, tmp_path, tag)
    assert "figures/training.svg" not in text
    assert ("沒有「訓練曲線」這張圖" if tag == "zh-TW" else "There is no figure “Training curves”") in text


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("template", TEMPLATES)
def test_generated_data_and_smoke_scale_carry_a_banner_at_the_top(
    template: str, tag: str, evidence: Evidence, figures: Path
) -> None:
    card = evidence.card.model_copy(update={"embedded": True})
    subject = dataclasses.replace(evidence.subject, scale="smoke")
    text = report(dataclasses.replace(evidence, cards=(card,), subject=subject), figures, tag, template)
    assert text.index("::: {.banner}") < 200
    assert ("沒有意義" if tag == "zh-TW" else "mean nothing") in text
    assert "{.banner}" not in report(evidence, figures, tag, template)


def test_every_section_of_the_reference_has_its_counterpart(evidence: Evidence, figures: Path) -> None:
    text = plain(report(evidence, figures, "zh-TW"))
    topics = """
        專案與資料集｜模型架構｜授權｜如何重現｜參考文獻｜邊緣 AI 晶片｜功耗｜卷積。｜SELU｜GELU｜最大池化｜全域平均池化
        全連接層｜softmax｜量化與反量化｜方法 A｜方法 B｜查找表｜分段線性｜純整數資料流｜模型大小｜準確率｜速度
        open_engine｜snakemake --cores
    """
    for topic in re.split(r"｜|\n\s*", topics.strip()):
        assert topic in text, topic


def test_a_lab_without_a_narrative_takes_the_generic_one() -> None:
    assert narrative.narrative_path("my-lab", "en", REPORT).name == "generic.en.md.j2"
    assert narrative.narrative_path("mnist-integer", "en", REPORT).name == "mnist-integer.en.md.j2"


@pytest.mark.parametrize(
    ("template", "said"),
    [("{{ nonsense }}", "nonsense"), ("{{ figure('nonsense') }}", "nonsense"), ("{% if %}", "line 1")],
)
def test_a_mistake_in_a_template_is_named(
    template: str, said: str, evidence: Evidence, figures: Path, tmp_path: Path
) -> None:
    path = tmp_path / "broken.en.md.j2"
    path.write_text(template)
    with pytest.raises(narrative.NarrativeError, match=said):
        narrative.write(path, evidence, figures, language("en", REPORT))


def test_findings_read_the_tables(evidence: Evidence) -> None:
    found = Findings(evidence)
    scores = evidence.tables["scores"]
    own = scores[scores["variant"] == "numpy-int8-lut"]["accuracy_percent"]
    score = found.score("numpy-int8-lut")
    assert score is not None
    assert (score.mean, score.low, score.high) == pytest.approx((own.mean(), own.min(), own.max()))
    size = found.size("numpy-int8-lut")
    assert size is not None
    assert size.ratio == pytest.approx(24872 / size.stored_bytes)
    assert found.smallest() == "numpy-int8-dequant-pwl"
    assert found.score("nobody") is None
    assert found.speed("numpy-int8-lut", "nobody") is None
    assert found.executed("onnx-int8") == {"integer": 4, "float": 2, "unfused": 0}


def test_tables_list_variants_as_the_configuration_does(evidence: Evidence) -> None:
    shuffled = evidence.tables["scores"].sample(frac=1, random_state=0)
    mixed = dataclasses.replace(evidence, tables={**evidence.tables, "scores": shuffled})
    table = mixed.table("scores")
    assert isinstance(table, pd.DataFrame)
    assert list(dict.fromkeys(table["variant"])) == list(synthetic_report.VARIANTS)


@pytest.fixture(scope="module")
def two_hosts(evidence: Evidence) -> Evidence:
    """The run with the session of a second host beside it, which has two GPUs and is ten times as fast."""
    latency = evidence.tables["latency"]
    times = [name for name in latency.columns if name.endswith("_ms")]
    other = latency[latency["variant"] != "onnx-int8"].assign(host="gpu-server", noisy=False)
    other[times] /= 10
    cell = {name: latency[name].iloc[0] for name in ("lab", "model", "variant", "engine", "threads")}
    seen = {**cell, "host": "gpu-server", "memory_clock_mhz": 6251.0, "temperature_celsius": 41.0, "power_w": 28.6}
    seen |= {"utilization_percent": float("nan"), "other_processes": 0.0}
    states = [
        {**seen, "round": 0, "after": "single", "sm_clock_mhz": 2040.0, "slowed_by": "nothing"},
        {**seen, "round": 1, "after": "single", "sm_clock_mhz": 1500.0, "slowed_by": "power-cap software-heat"},
    ]
    gpu = dict.fromkeys(GPU_FIELDS, "Enabled") | {"name": "Example GPU", "cuda": "13.0"}
    card = {**synthetic_report.host_card(), "host": "gpu-server", "gpu": [gpu, gpu]}
    tables = {**evidence.tables, "latency": pd.concat([latency, other]), "gpu_states": pd.DataFrame(states)}
    return dataclasses.replace(evidence, tables=tables, hosts=(*evidence.hosts, card))


@pytest.mark.parametrize("tag", TAGS)
def test_several_hosts_stand_side_by_side(tag: str, two_hosts: Evidence, evidence: Evidence, figures: Path) -> None:
    text = plain(report(two_hosts, figures, tag, "generic"))
    rows = [line for line in text.splitlines() if line.startswith("| `torch-fp32` | `torch` |")]
    assert any("0.360 [0.353, 0.371] | 0.0360 [0.0353, 0.0371]" in row for row in rows)
    assert re.search(r"`gpu-server`(: |：)Example CPU @ 2\.40GHz \+ 2 × Example GPU", text)
    # What only one of them measured has no number on the other; what was disturbed is marked.
    assert re.search(r"\| `onnx-int8` \| `onnxruntime` \| 0\.0700 \[[^|]*\] \| — \|", text)
    assert re.search(r"\| `torch-fp32` \| `torch-compile` \| 0\.270 \[[^|]*\] \* \| 0\.0270 ", text)
    assert "Example GPU" not in report(evidence, figures, tag, "generic")


@pytest.mark.parametrize(("tag", "slowed"), [("en", "power limit, heat (driver)"), ("zh-TW", "功率上限、溫度")])
def test_a_gpu_is_shown_with_what_moved(tag: str, slowed: str, two_hosts: Evidence, figures: Path) -> None:
    text = plain(report(two_hosts, figures, tag, "generic"))
    assert "| 1 | 1,500–2,040 | 6,251 | 41.0 | 28.6 | — |" in text
    assert slowed in text
