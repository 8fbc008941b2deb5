"""The text of a report: Jinja2 Markdown in one file per language, filled from the evidence and nothing else.

A template calls ``figure(name)``, ``table(name, ...)`` and ``ref(...)``, reads ``found`` (computed facts) and writes
numbers with filters. What it names and nobody knows is an error, never an empty place in a sentence.
"""

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2

from compresslab.report.evidence import Evidence
from compresslab.report.exhibits.registry import SHEETS
from compresslab.report.findings import Findings
from compresslab.report.languages import SOURCES, Language
from compresslab.report.numbers import UNITS, Unit, count, decimals, significant, written

GENERIC = "generic"
_REFERENCE = re.compile(r"⟦(figure|table):([a-z_0-9:.-]+)⟧")
_SECTION = re.compile(r"^(?=# )", re.MULTILINE)
_BLANK_LINES = re.compile(r"\n{3,}")


class NarrativeError(ValueError):
    """A mistake in a narrative: the template, the line and what it asked for."""


@dataclass
class _Numbering:
    """Numbers of figures and tables in the order of their appearance, so that every format shows the same ones."""

    figures: dict[str, int] = field(default_factory=dict)
    tables: dict[str, int] = field(default_factory=dict)

    def number(self, kind: str, name: str) -> int:
        numbers = self.figures if kind == "figure" else self.tables
        return numbers.setdefault(name, len(numbers) + 1)


def narrative_path(lab: str, tag: str, sources: Path = SOURCES) -> Path:
    """Template of a lab in a language, or the generic one for a lab that has none of its own."""
    own = sources / "narrative" / f"{lab}.{tag}.md.j2"
    return own if own.is_file() else sources / "narrative" / f"{GENERIC}.{tag}.md.j2"


def write(template: Path, evidence: Evidence, figures: Path, language: Language) -> list[str]:
    """Render ``template`` to Markdown, one text per section (first-level heading).

    ``figures`` is the folder with ``{name}.svg``. Raises NarrativeError that names template and line.
    """
    numbering = _Numbering()
    names = _names(evidence, figures, language, numbering)
    environment = _environment(template.parent, language)
    environment.globals.update(names)
    try:
        text = environment.get_template(template.name).render()
    except jinja2.TemplateSyntaxError as error:
        raise NarrativeError(f"{error.filename}, line {error.lineno}: {error.message}") from error
    except (jinja2.UndefinedError, KeyError) as error:
        raise NarrativeError(f"{template}: {error}") from error
    text = _REFERENCE.sub(lambda found: _reference(found, numbering, language), text)
    text = language.spaced(_BLANK_LINES.sub("\n\n", text))
    return [section.strip() + "\n" for section in _SECTION.split(text) if section.strip()]


def _environment(folder: Path, language: Language) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(_filters(language))
    return environment


def _names(evidence: Evidence, figures: Path, language: Language, numbering: _Numbering) -> dict[str, Any]:
    subject = evidence.subject
    drawn = _drawn(figures, subject.figures)
    return {
        "t": language,
        "subject": subject,
        "title": language.among(subject.title) if subject.title else subject.lab,
        "card": evidence.card,
        "cards": evidence.cards,
        "own": lambda texts: language.among(texts),
        "hosts": evidence.hosts,
        "found": Findings(evidence),
        "networks": evidence.networks,
        "meaningless": evidence.is_meaningless,
        "figure": _figure_writer(drawn, language, numbering),
        "table": _table_writer(evidence, language, numbering),
        "has_table": lambda name, **options: SHEETS[name](evidence, language, **options) is not None,
        "has_figure": drawn,
        "ref": lambda kind, name: f"⟦{kind}:{name}⟧",
        "tag": language.tag,
    }


def _drawn(figures: Path, planned: Collection[str] | None) -> Callable[[str], bool]:
    """Say of a figure whether it was drawn: an empty file stands for one that had no data.

    With another configuration the run may have drawn more than what is ``planned`` now.
    """

    def drawn(name: str) -> bool:
        path = figures / f"{name}.svg"
        return (planned is None or name in planned) and path.is_file() and path.stat().st_size > 0

    return drawn


def _figure_writer(drawn: Callable[[str], bool], language: Language, numbering: _Numbering) -> Callable[..., str]:
    def figure(name: str) -> str:
        caption = language(f"caption.figure.{name}")
        if not drawn(name):
            return language("document.no_figure", name=language(f"title.figure.{name}"))
        number = language("document.figure", number=numbering.number("figure", name))
        path = f"figures/{name}.svg"
        return f'![**{number}** {caption}]({path}){{#figure-{name} .figure alt="{_plain(caption)}"}}'

    return figure


def _table_writer(evidence: Evidence, language: Language, numbering: _Numbering) -> Callable[..., str]:
    def table(name: str, **options: Any) -> str:
        sheet = SHEETS[name](evidence, language, **options)
        if sheet is None:
            return language("document.no_table", name=language(f"title.table.{name}"))
        key = ":".join([name, *(str(value) for value in options.values())])
        number = language("document.table", number=numbering.number("table", key))
        caption = language(f"caption.table.{name}", **sheet.values)
        return f"{sheet.markdown()}\n\n: **{number}** {caption}"

    return table


def _reference(found: re.Match[str], numbering: _Numbering, language: Language) -> str:
    kind, name = found.groups()
    known = numbering.figures if kind == "figure" else numbering.tables
    if name in known:
        return language("document.figure_ref" if kind == "figure" else "document.table_ref", number=known[name])
    return language("document.figure_absent" if kind == "figure" else "document.table_absent")


def _plain(caption: str) -> str:
    return caption.replace('"', "'").replace("`", "")


def _filters(language: Language) -> Mapping[str, Callable[..., str]]:
    def unit(name: str) -> Callable[[float], str]:
        def write(value: float) -> str:
            return written(value, UNITS[name], with_unit=True)

        return write

    times = language("unit.times")
    points = language("unit.points")
    return {
        "percent": unit("percent"),
        "ms": unit("ms"),
        "seconds": unit("s"),
        "kib": unit("bytes"),
        "count": lambda value: written(value, Unit(count)),
        "number": lambda value, figures=3: significant(value, figures),
        "times": lambda value: f"{significant(value)}\u202f{times}",
        "points": lambda value: f"{decimals(2)(abs(value))}\u202f{points}",
        "signed_points": lambda value: f"{decimals(2, sign=True)(value)}\u202f{points}",
        "signed": decimals(2, sign=True),
        "code": lambda value: f"`{value}`",
        "codes": lambda values: language("list.join").join(f"`{value}`" for value in values),
        "listed": lambda values: language("list.join").join(values),
    }
