"""What Snakemake remembers of finished jobs: which code and settings made a file, and how long it took.

Snakemake keeps one JSON record per output file in `.snakemake/metadata`; a param is recorded by its `repr`.
"""

import ast
import base64
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

METADATA = Path(".snakemake/metadata")


@dataclass(frozen=True)
class Provenance:
    """The two params that every rule carries: its slice of the configuration, and the tokens of its code."""

    settings: dict[str, Any]
    modules: dict[str, str]


def provenance(params: list[str]) -> Provenance:
    """Find slice and tokens among recorded or planned params (their `repr`s, in any order)."""
    settings: dict[str, Any] = {}
    modules: dict[str, str] = {}
    for text in params:
        value = _literal(text)
        if isinstance(value, str) and value.startswith("{"):
            settings = json.loads(value)
        elif isinstance(value, list) and value and all("@" in str(token) for token in value):
            modules = dict(token.split("@", 1) for token in value)
    return Provenance(settings, modules)


def typical_seconds(folder: Path = METADATA) -> dict[str, float]:
    """Median duration of every rule over the jobs that are on record, but for those that a clock was set back in."""
    spans: dict[str, set[tuple[float, float]]] = defaultdict(set)
    for record in _records(folder):
        start, end = record.get("starttime"), record.get("endtime")
        if record.get("rule") and start and end and start <= end:
            # A job with several outputs has several records with the same times.
            spans[record["rule"]].add((start, end))
    return {rule: median(end - start for start, end in times) for rule, times in spans.items()}


def recorded_params(path: str, folder: Path = METADATA) -> list[str] | None:
    """The params that made `path`, or None when nothing is on record."""
    name = base64.urlsafe_b64encode(path.encode()).decode()
    for record in _records(folder, name):
        params: list[str] | None = record.get("params")
        return params
    return None


def _records(folder: Path, pattern: str = "*") -> Iterator[dict[str, Any]]:
    for path in folder.glob(pattern):
        try:
            yield json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            # A record that is being written, or a folder of records with long names.
            continue


def _literal(text: str) -> object:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return None
