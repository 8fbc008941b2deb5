"""The text of a report, or one of its sentences, as tests read it, and evidence with one table changed."""

import dataclasses
import re
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import jinja2
import pandas as pd

from compresslab.report import narrative
from compresslab.report.evidence import Evidence
from compresslab.report.languages import language

REPORT = Path(__file__).parents[2] / "report"


def report_of(lab: str, evidence: Evidence, figures: Path, tag: str) -> str:
    """The whole report of a lab, with plain spaces."""
    path = narrative.narrative_path(lab, tag, REPORT)
    return _plain("\n".join(narrative.write(path, evidence, figures, language(tag, REPORT))))


def sentence(macro: str, tag: str, *facts: object, of: str = "sentences") -> str:
    """What one of the shared sentences says of some facts, with plain spaces; a fraction of a whole report's time."""
    said = getattr(_sentences(tag, of), macro)(*facts)
    return _plain(language(tag, REPORT).spaced(str(said).strip()))


@lru_cache
def _sentences(tag: str, of: str) -> jinja2.environment.TemplateModule:
    environment = narrative._environment(REPORT / "narrative", language(tag, REPORT))
    return environment.get_template(f"{of}.{tag}.md.j2").module


def _plain(text: str) -> str:
    return re.sub("[\u2009\u202f\u00a0 ]", " ", text)


def changed(evidence: Evidence, name: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> Evidence:
    """The same evidence with another version of one table."""
    return dataclasses.replace(evidence, tables={**evidence.tables, name: change(evidence.tables[name].copy())})
