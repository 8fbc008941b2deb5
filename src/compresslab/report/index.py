"""The first page of a run: a card per lab with its documents, in every language, in one file without a request."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2

from compresslab.artifacts import write_text
from compresslab.report.documents import DocumentError, external_reference, font_face
from compresslab.report.evidence import Evidence
from compresslab.report.findings import Findings
from compresslab.report.languages import SOURCES, Language
from compresslab.report.names import hardware
from compresslab.report.numbers import UNITS

FORMATS = ("html", "pdf", "docx")


@dataclass(frozen=True)
class Fact:
    """A line of a card: its name and its value in one language."""

    name: str
    value: str


def write_index(path: Path, labs: Sequence[Evidence], languages: Sequence[Language], sources: Path = SOURCES) -> None:
    """Write the index of a run at ``path``, beside the documents ``{lab}.{language}.{format}``.

    Raises DocumentError when the page would make a request, ValueError without a lab.
    """
    if not labs:
        raise ValueError("a run without a lab has no reports to list")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(sources / "styles"),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages = [
        {"language": language, "run": _run(labs, language), "labs": _labs(labs, language)} for language in languages
    ]
    style = (sources / "styles" / "report.css").read_text(encoding="utf-8")
    style += (sources / "styles" / "index.css").read_text(encoding="utf-8")
    text = environment.get_template("index.html.j2").render(pages=pages, style=style, font="", formats=FORMATS)
    text = text.replace("/* fonts */", font_face(text, languages[0]))
    if found := external_reference(text):
        raise DocumentError(f"the index would make a request: {found!r}; every resource must be embedded")
    write_text(path, text)


def _run(labs: Sequence[Evidence], language: Language) -> Mapping[str, Any]:
    subject = labs[0].subject
    facts = [
        Fact(language("index.run"), subject.run),
        Fact(language("index.scale"), language(f"scale.{subject.scale}")),
        Fact(language("index.source"), language(f"source.{subject.source}")),
        Fact(language("index.host"), _hosts(labs)),
        Fact(language("index.seeds"), language("list.join").join(map(str, subject.seeds))),
    ]
    return {"facts": facts, "warnings": _warnings(labs, language)}


def _hosts(labs: Sequence[Evidence]) -> str:
    cards = {card["host"]: card for lab in labs for card in lab.hosts}
    names = [f"{name}: {hardware(card)}" for name, card in cards.items()]
    return ", ".join(names) or labs[0].subject.host


def _warnings(labs: Sequence[Evidence], language: Language) -> list[str]:
    """Say what keeps the numbers from being results: generated or substitute data, a scale below full."""
    scale = labs[0].subject.scale
    found = {
        "embedded": any(card.embedded for lab in labs for card in lab.cards),
        "substitute": any(card.substitute and not card.embedded for lab in labs for card in lab.cards),
        "smoke": scale == "smoke",
        "quick": scale == "quick",
    }
    return [language(f"document.banner_{name}") for name, present in found.items() if present]


def _labs(labs: Sequence[Evidence], language: Language) -> list[Mapping[str, Any]]:
    return [
        {
            "name": lab.subject.lab,
            "title": language.among(lab.subject.title) if lab.subject.title else lab.subject.lab,
            "facts": _facts(lab, language),
            "verdicts": _verdicts(lab, language),
            "languages": lab.subject.languages,
        }
        for lab in labs
    ]


def _facts(lab: Evidence, language: Language) -> list[Fact]:
    found = Findings(lab)
    facts = [
        Fact(language("index.dataset"), language("list.join").join(language.among(card.title) for card in lab.cards))
    ]
    facts.append(Fact(language("index.variants"), str(len(lab.subject.variants))))
    best, smallest = found.best(), found.smallest()
    if best and (score := found.score(best)):
        facts.append(Fact(language("index.best"), f"{UNITS['percent'].full(score.mean)} ({best})"))
    if overlap := found.best_overlap():
        facts.append(
            Fact(language("index.best_miou"), f"{UNITS['percent'].full(overlap.miou_percent)} ({overlap.variant})")
        )
    if smallest and (size := found.size(smallest)):
        facts.append(Fact(language("index.smallest"), f"{UNITS['bytes'].full(size.stored_bytes)} ({smallest})"))
    return facts


def _verdicts(lab: Evidence, language: Language) -> list[Mapping[str, Any]]:
    return [
        {"name": verdict, "label": language(f"verdict.{verdict}"), "count": count}
        for verdict, count in Findings(lab).verdicts.items()
        if count
    ]
