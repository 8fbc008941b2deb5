"""Published numbers, what was measured, and the verdict; and which published orders a single run could show."""

from collections.abc import Iterable
from typing import Any

import pandas as pd

from compresslab.report.evidence import Evidence
from compresslab.report.exhibits.sheets import Builder, Sheet
from compresslab.report.findings import Findings
from compresslab.report.languages import Language
from compresslab.report.numbers import MISSING, decimals, signed_minus, significant


def claims(evidence: Evidence, language: Language) -> Sheet | None:
    """Published number, measured number, verdict."""
    rows = evidence.table("claims")
    if rows is None:
        return None
    statements = rows["statement_zh" if language.is_chinese else "statement_en"]
    builder = Builder(language).text("claim", statements)
    builder.text("published", [_published(row) for row in rows.itertuples()])
    builder.text("measured", [_measured(row) for row in rows.itertuples()])
    return builder.text("verdict", [_verdict(row, language) for row in rows.itertuples()]).sheet()


def leads(evidence: Evidence, language: Language, chosen: Iterable[tuple[str, str, str]], images: int) -> Sheet | None:
    """Published orders: what two single runs over ``images`` images can show, and what was measured here.

    ``chosen`` names each by its claim, and by variant and reference of our comparison.
    """
    found = Findings(evidence).leads(chosen, images)
    if not found:
        return None
    rows = pd.DataFrame(
        {
            "published_lead_points": [lead.claim.published for lead in found],
            "published_low": [lead.published_low for lead in found],
            "published_high": [lead.published_high for lead in found],
            "measured_lead_points": [lead.claim.measured for lead in found],
            "measured_low": [lead.claim.low for lead in found],
            "measured_high": [lead.claim.high for lead in found],
        }
    )
    shown = {True: language("table.yes"), False: language("table.no")}
    builder = Builder(language, images=f"{images:,}")
    builder.text("claim", [language.among(lead.claim.statements) for lead in found])
    builder.intervals("published_lead_points", rows, "published_low", "published_high")
    builder.text("shown_by_single_runs", [shown[lead.shown_by_single_runs] for lead in found])
    builder.intervals("measured_lead_points", rows, "measured_low", "measured_high")
    builder.numbers("smallest_detectable_points", [lead.detectable_points for lead in found], decimals(2))
    return builder.text("verdict", [_verdict(lead.claim, language) for lead in found]).sheet()


def _published(row: Any) -> str:
    if pd.notna(row.published):
        text = signed_minus(f"{row.published:,.10g}")
    elif pd.notna(row.published_low) and pd.notna(row.published_high):
        text = signed_minus(f"{row.published_low:,.10g}–{row.published_high:,.10g}")
    else:
        return MISSING
    return _with_unit(text, row.unit, row.kind)


def _measured(row: Any) -> str:
    if pd.isna(row.measured):
        return MISSING
    text = _with_unit(significant(row.measured, 4), row.unit)
    if pd.isna(row.measured_low):
        return text
    return f"{text} [{significant(row.measured_low, 4)}, {significant(row.measured_high, 4)}]"


def _with_unit(text: str, unit: Any, kind: str = "") -> str:
    sign = {"at_least": "≥\u202f", "at_most": "≤\u202f"}.get(kind, "")
    return f"{sign}{text}\u202f{unit}" if isinstance(unit, str) and unit else sign + text


def _verdict(row: Any, language: Language) -> str:
    verdict = f"**{language(f'verdict.{row.verdict}')}**"
    if isinstance(row.reason, str) and row.reason:
        reason = language.known(f"reason.{row.reason}", row.reason)
        return language("table.verdict_reason", verdict=verdict, reason=reason)
    return verdict
