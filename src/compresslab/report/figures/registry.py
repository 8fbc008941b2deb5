"""Figures by name: each is one module of this folder, loaded by name so that an edit redraws that figure alone.

A figure module has ``TABLES``, the names of the tables it reads; ``KINDS``, what else it needs (``networks``,
``predictions``, ``label_maps``, ``images``, ``views``); and ``draw(material, language)``, which returns None when there
is nothing to show. A lab whose tables can only be empty does not draw it; ``ENOUGH`` names tables of which one that is
filled makes it worth drawing, where those that every lab fills count, too.
"""

from importlib import import_module
from pathlib import Path
from types import ModuleType

from matplotlib.figure import Figure

from compresslab.report.figures.drawing import drawing_in, save
from compresslab.report.figures.material import Kind, Material
from compresslab.report.languages import Language

_NOT_FIGURES = {"drawing", "material", "points", "registry"}


def names() -> list[str]:
    """Every figure there is."""
    files = Path(__file__).parent.glob("[a-z]*.py")
    return sorted(file.stem for file in files if file.stem not in _NOT_FIGURES)


def entry_module(name: str) -> str:
    """Dotted name of a figure's module; ValueError names the figures there are."""
    if name not in names():
        raise ValueError(f"unknown figure {name!r}; there are {', '.join(names())}")
    return f"compresslab.report.figures.{name}"


def tables_of(name: str) -> tuple[str, ...]:
    """Names of the tables that a figure reads."""
    return tuple(_module(name).TABLES)


def kinds_of(name: str) -> tuple[Kind, ...]:
    """What a figure needs beside tables."""
    return tuple(_module(name).KINDS)


def draw_and_save(name: str, material: Material, language: Language, svg: Path, png: Path) -> bool:
    """Draw one figure and write both files; return whether there was anything to show."""
    with drawing_in(language):
        figure: Figure | None = _module(name).draw(material, language)
        save(figure, svg, png)
    return figure is not None


def _module(name: str) -> ModuleType:
    return import_module(entry_module(name))
