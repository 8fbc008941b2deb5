"""The report of the ablation: what it says of costs, orders and conclusions follows the numbers, in both languages."""

import dataclasses
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import synthetic_ablation
from hypothesis import given
from hypothesis import strategies as st
from report_text import REPORT, changed, report_of
from scipy.special import log_softmax

from compresslab.report.evidence import Evidence, Subject, read_evidence
from compresslab.report.exhibits.registry import SHEETS
from compresslab.report.figures import registry
from compresslab.report.findings import Findings
from compresslab.report.languages import language

TAGS = ("zh-TW", "en")
PLAIN, RESNET = "ciresan/torch-fp32", "resnet18/torch-fp32"
RESIDUAL, LATE = "ciresan-residual/torch-fp32", "ciresan-residual-late/torch-fp32"
ORDER = ("mnist-ablation-ciresan-over-resnet18", PLAIN, RESNET)
PUBLISHED_IMAGES = 10_000


@pytest.fixture(scope="module")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Evidence:
    paths = synthetic_ablation.write_run(tmp_path_factory.mktemp("run"))
    subject = Subject.from_json(synthetic_ablation.subject())
    return read_evidence(subject, paths["tables"], [paths["card"]], {"local": paths["host"]})


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("figures")
    for name in registry.names():
        (folder / f"{name}.svg").write_text("<svg/>")
    return folder


def report(evidence: Evidence, figures: Path, tag: str, lab: str = synthetic_ablation.LAB) -> str:
    return report_of(lab, evidence, figures, tag)


def judged(evidence: Evidence, claim: str, **values: object) -> Evidence:
    """Give a claim another verdict, reason or measured value."""

    def change(table: pd.DataFrame) -> pd.DataFrame:
        table.loc[table["claim"] == claim, list(values)] = list(values.values())
        return table

    return changed(evidence, "claims", change)


@pytest.mark.parametrize("tag", TAGS)
def test_the_report_is_whole(tag: str, evidence: Evidence, figures: Path) -> None:
    text = report(evidence, figures, tag)
    for name in ("convolutions", "elastic", "training", "accuracy", "ablation", "misclassified", "confusion"):
        assert f"figures/{name}.svg" in text, name
    for number in ("45,463,084", "705,535,424", "37,752,832"):
        assert number in text
    assert "⟦" not in text


@pytest.mark.parametrize("tag", TAGS)
def test_tables_stand_alone_between_blank_lines(tag: str, evidence: Evidence, figures: Path) -> None:
    """Otherwise pandoc takes a table for a part of the sentence before it."""
    lines = report(evidence, figures, tag).splitlines()
    heads = [index for index, line in enumerate(lines) if re.fullmatch(r"\|( :?-+:? \|)+", line)]
    assert len(heads) > 10
    assert all(not lines[index - 2].strip() for index in heads)


@pytest.mark.parametrize("tag", TAGS)
def test_a_run_without_any_measurement_still_has_a_report(tag: str, evidence: Evidence, figures: Path) -> None:
    empty = dataclasses.replace(evidence, tables={name: table.iloc[:0] for name, table in evidence.tables.items()})
    assert len(report(empty, figures, tag)) > 2000


@pytest.mark.parametrize("tag", TAGS)
def test_a_lab_without_a_text_of_its_own_shows_its_studies(tag: str, evidence: Evidence, figures: Path) -> None:
    text = report(evidence, figures, tag, "a-lab-of-a-user")
    assert "figures/convolutions.svg" in text
    # Three ways of counting; the parameters stand among the claims as well: stated, published and measured.
    assert (text.count("37,748,736"), text.count("37,752,832")) == (3, 6)
    for name in ("architecture_costs", "convolutions", "training_steps"):
        no_studies = changed(evidence, name, lambda table: table.iloc[:0])
        assert len(report(no_studies, figures, tag, "a-lab-of-a-user")) < len(text), name


def test_counts_that_disagree_are_said_so(evidence: Evidence, figures: Path) -> None:
    assert "Formula, counter and library agree" in report(evidence, figures, "en")

    def miscounted(table: pd.DataFrame) -> pd.DataFrame:
        table.loc[table["layer"] == "conv2", "macs_by_library"] += 1
        return table

    text = report(changed(evidence, "architecture_costs", miscounted), figures, "en")
    assert "**do not agree in every layer**" in text
    assert "並非每一層都一致" in report(changed(evidence, "architecture_costs", miscounted), figures, "zh-TW")


@pytest.mark.parametrize(
    ("verdict", "reason", "english", "chinese"),
    [
        ("reproduced", "", "**Holds.**", "**成立。**"),
        ("not_reproduced", "", "**Does not hold.**", "**不成立。**"),
        ("not_comparable", "inside_noise", "**Cannot be told.**", "**無法斷定。**"),
        ("not_comparable", "reduced_scale", "**Not judged in this run**", "**本次不予判定**"),
    ],
)
def test_a_conclusion_survives_as_its_claim_was_judged(
    verdict: str, reason: str, english: str, chinese: str, evidence: Evidence, figures: Path
) -> None:
    now = judged(evidence, ORDER[0], verdict=verdict, reason=reason)
    claim = Findings(now).claim(ORDER[0])
    assert claim is not None
    for tag, words in (("en", english), ("zh-TW", chinese)):
        lines = [
            line
            for line in report(now, figures, tag).splitlines()
            if line.startswith("- **") and claim.statements[tag].replace(" ", "") in line.replace(" ", "")
        ]
        assert len(lines) == 1, lines
        assert words in lines[0]


def test_what_was_not_measured_is_not_told_as_a_number(evidence: Evidence, figures: Path) -> None:
    now = judged(
        evidence,
        ORDER[0],
        verdict="not_comparable",
        reason="missing_measurement",
        measured=math.nan,
        measured_low=math.nan,
        measured_high=math.nan,
    )
    for tag in TAGS:
        assert "nan" not in report(now, figures, tag)


class TestLeads:
    """Whether the two published accuracies alone could show an order."""

    def shown(self, evidence: Evidence, leader: float, other: float) -> bool:
        now = judged(evidence, ORDER[0], published=leader - other, published_high=leader, published_low=other)
        (lead,) = Findings(now).leads([ORDER], PUBLISHED_IMAGES)
        return lead.shown_by_single_runs

    @pytest.mark.parametrize(("leader", "other"), [(99.32, 98.96), (99.42, 98.98)])
    def test_a_wide_one_could(self, leader: float, other: float, evidence: Evidence) -> None:
        assert self.shown(evidence, leader, other)

    @pytest.mark.parametrize(("leader", "other"), [(99.43, 99.32), (99.32, 99.22), (99.22, 99.19), (99.28, 99.22)])
    def test_a_narrow_one_could_not(self, leader: float, other: float, evidence: Evidence) -> None:
        assert not self.shown(evidence, leader, other)

    def test_are_tallied_in_the_text(self, evidence: Evidence, figures: Path) -> None:
        text = report(evidence, figures, "en")
        assert re.search(r"so that 2 of its 9 orders are larger than chance alone explains", text)

    def test_take_the_smallest_detectable_difference_of_our_own_comparison(self, evidence: Evidence) -> None:
        (lead,) = Findings(evidence).leads([ORDER], PUBLISHED_IMAGES)
        table = evidence.tables["comparisons"]
        rows = table[(table["model"] == "ciresan") & (table["reference"] == RESNET)]
        assert lead.detectable_points == pytest.approx(rows["smallest_detectable_points"].mean())


class TestLeastLoss:
    """No classifier of an accuracy has a smaller mean cross entropy than the bound says."""

    @given(st.integers(1, 60), st.integers(2, 10), st.floats(0.1, 30), st.integers(0, 10**6))
    def test_holds_for_any_logits(self, images: int, classes: int, scale: float, seed: int) -> None:
        random = np.random.default_rng(seed)
        logits, labels = scale * random.standard_normal((images, classes)), random.integers(0, classes, images)
        loss = -log_softmax(logits, axis=1)[np.arange(images), labels].mean()
        accuracy = 100 * float(np.mean(logits.argmax(1) == labels))
        assert loss >= Findings.least_loss(accuracy) - 1e-9

    def test_refutes_the_published_loss(self, evidence: Evidence, figures: Path) -> None:
        assert "so it is another quantity" in report(evidence, figures, "en")
        possible = judged(evidence, "mnist-ablation-ciresan-loss", published=0.02)
        assert "is possible" in report(possible, figures, "en")


class TestConvolutions:
    """The promise of the formula against the clock."""

    def slowed(self, evidence: Evidence, verdict: str, ratio: float) -> Evidence:
        """Let every separable convolution on the smallest maps take ``ratio`` times as long as the regular one."""

        def change(table: pd.DataFrame) -> pd.DataFrame:
            columns = [name for name in table.columns if name.startswith("separable_to_regular_time_ratio")]
            chosen = table["map_size"] == table["map_size"].min()
            table.loc[chosen, columns] = ratio
            table.loc[chosen, "speed_verdict"] = verdict
            return table

        return changed(evidence, "convolutions", change)

    def test_break_down_where_the_separable_form_is_slowest(self, evidence: Evidence, figures: Path) -> None:
        now = self.slowed(evidence, "slower", 4.0)
        worst = Findings(now).gains_by("map_size")[0]
        assert (worst.value, worst.slower) == (evidence.tables["convolutions"]["map_size"].min(), worst.cells)
        assert f"kept least at {worst.value} " in report(now, figures, "en")

    def test_keep_the_share_of_the_promise_that_the_clock_shows(self, evidence: Evidence) -> None:
        for gain in Findings(evidence).gains:
            promised = gain.output_channels * gain.kernel**2 / (gain.output_channels + gain.kernel**2)
            assert gain.promised == pytest.approx(promised, rel=1e-6)
            assert gain.low <= gain.measured <= gain.high
            assert gain.kept_percent == pytest.approx(100 * gain.measured / promised, rel=1e-6)

    def test_are_counted_once_in_the_table(self, evidence: Evidence) -> None:
        sheet = SHEETS["convolutions"](evidence, language("en", REPORT))
        cells = sum(int(count) for row in sheet.rows for count in row[-1].split(" / "))
        assert cells == len(evidence.tables["convolutions"])


def test_early_pooling_is_told_as_it_was_timed(evidence: Evidence, figures: Path) -> None:
    step = Findings(evidence).step(LATE)
    assert step is not None
    for tag, words in (("en", f"**{step.ratio:.3g} ×** as long"), ("zh-TW", f"**{step.ratio:.3g} 倍**")):
        assert words in report(evidence, figures, tag)


def test_architecture_tables_end_in_the_sum_of_every_way_of_counting(evidence: Evidence) -> None:
    for quantity in ("parameters", "macs"):
        sheet = SHEETS["architecture_costs"](
            evidence, language("en", REPORT), architecture="alexnet", quantity=quantity
        )
        *layers, total = [[int(cell.replace(",", "")) for cell in row[3:]] for row in sheet.rows]
        assert [sum(column) for column in zip(*layers, strict=True)] == total


def test_published_counts_are_written_out(evidence: Evidence) -> None:
    sheet = SHEETS["claims"](evidence, language("en", REPORT))
    published = {row[0]: row[1] for row in sheet.rows}
    assert published["AlexNet (64-196-384-256-256, 4096-1024-1000) has 45,463,084 parameters."] == "45,463,084"
    assert not [number for number in published.values() if "e+" in number]
