"""The languages of figures and reports: gettext catalogues, read from their ``.po`` sources.

Messages have names (``column.p50_ms``), not English sentences, so that English is a catalogue like any other and a
missing message is an error instead of an untranslated word in the middle of a Chinese table.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from gettext import GNUTranslations
from io import BytesIO
from pathlib import Path
from typing import Any

from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

from compresslab.report.typography import spaced

LANGUAGES = ("zh-TW", "en")
SOURCES = Path("report")
"""Folder of the report's sources, relative to the working directory of a run."""

_DOMAIN = "compresslab"


class MessageError(KeyError):
    """A message that a catalogue does not have."""

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True)
class Language:
    """One language: its tag (``zh-TW``) and its messages by name."""

    tag: str
    messages: Mapping[str, str]

    def __call__(self, name: str, /, **values: Any) -> str:
        """Return the message ``name`` with ``values`` filled in, spaced as the language wants it.

        Raises MessageError, naming the catalogue to complete, when there is no such message.
        """
        if name not in self.messages:
            raise MessageError(
                f"no message {name!r} in the catalogue of {self.tag}; add it to {catalogue_path(self.tag)}"
            )
        return self.spaced(self.messages[name].format(**values))

    def known(self, name: str, otherwise: str) -> str:
        """Return the message ``name``, or ``otherwise`` for names that come from outside (reasons, hosts)."""
        return self(name) if name in self.messages else self.spaced(otherwise)

    def among(self, texts: Mapping[str, str]) -> str:
        """Pick this language's text out of ``{"en": ..., "zh-TW": ...}``."""
        return self.spaced(texts[self.tag])

    def spaced(self, text: str) -> str:
        """Apply the spacing rules of the language to any text."""
        return spaced(text) if self.is_chinese else text

    @property
    def is_chinese(self) -> bool:
        """Whether texts need a Chinese face and Chinese spacing."""
        return self.tag.startswith("zh")


@lru_cache
def language(tag: str, sources: Path = SOURCES) -> Language:
    """Load the catalogue of ``tag`` from ``sources``; ValueError names the tags there are."""
    if tag not in LANGUAGES:
        raise ValueError(f"unknown language {tag!r}; the reports are written in {', '.join(LANGUAGES)}")
    catalogue = read_catalogue(tag, sources)
    translations = _translations(catalogue)
    names = (str(message.id) for message in catalogue if message.id)
    return Language(tag, {name: translations.gettext(name) for name in names})


def catalogue_path(tag: str, sources: Path = SOURCES) -> Path:
    """Where the catalogue of a language lies."""
    return sources / "locale" / tag.replace("-", "_") / "LC_MESSAGES" / f"{_DOMAIN}.po"


def read_catalogue(tag: str, sources: Path = SOURCES) -> Catalog:
    """Parse the ``.po`` file of a language; a syntax error is reported with its line."""
    with catalogue_path(tag, sources).open("rb") as stream:
        return read_po(stream, locale=tag.replace("-", "_"), domain=_DOMAIN, abort_invalid=True)


def _translations(catalogue: Catalog) -> GNUTranslations:
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return GNUTranslations(compiled)
