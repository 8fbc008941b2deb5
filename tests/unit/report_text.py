"""The text of a report as tests read it, and evidence with one table changed."""

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from compresslab.report import narrative
from compresslab.report.evidence import Evidence
from compresslab.report.languages import language

REPORT = Path(__file__).parents[2] / "report"


def report_of(lab: str, evidence: Evidence, figures: Path, tag: str) -> str:
    """The whole report of a lab, with plain spaces."""
    path = narrative.narrative_path(lab, tag, REPORT)
    text = "\n".join(narrative.write(path, evidence, figures, language(tag, REPORT)))
    return re.sub("[\u2009\u202f\u00a0 ]", " ", text)


def changed(evidence: Evidence, name: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Evidence:
    """The same evidence with another version of one table."""
    return dataclasses.replace(evidence, tables={**evidence.tables, name: change(evidence.tables[name].copy())})
