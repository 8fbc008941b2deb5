"""Which code an artifact comes from: the import closure of the modules that made it.

Snakemake sees a rule's command, not the modules that the command imports. Every rule therefore carries the
tokens `module@hash` of its closure as a param; editing a module changes the token and reruns exactly the jobs
that reach it.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

import grimp

from compresslab.artifacts import text_sha256
from compresslab.lineage.syntax import module_hash

PACKAGE = "compresslab"
SOURCE = Path(__file__).resolve().parents[2]
STAMP_DIGITS = 12


class CodeChangedError(Exception):
    """The code that runs is not the code that the job was planned with."""


def tokens(*entries: str) -> list[str]:
    """`module@hash` of every module that the entries reach, sorted. An unknown entry is a KeyError."""
    return [f"{module}@{_hash(module)}" for module in closure(entries)]


def stamp(*entries: str) -> str:
    """The entries and one hash over all their tokens, `entry+entry@hash`: what a job is told of its code."""
    return f"{'+'.join(entries)}@{text_sha256(' '.join(tokens(*entries)))[:STAMP_DIGITS]}"


def require(expected: str) -> None:
    """Raise CodeChangedError unless the code on disk still has the stamp that the job was given."""
    entries = expected.partition("@")[0].split("+")
    if stamp(*entries) != expected:
        raise CodeChangedError(
            f"the code of {', '.join(entries)} was edited after this job was planned; run snakemake again"
        )


def closure(entries: Iterable[str]) -> Sequence[str]:
    """The entries, all that they import inside the package, and the parent packages of those: a fixed point."""
    graph = _imports()
    found: set[str] = set()
    waiting = list(entries)
    while waiting:
        module = waiting.pop()
        if module in found:
            continue
        if module not in graph:
            raise KeyError(f"there is no module {module}")
        found.add(module)
        waiting.extend(graph[module])
        if "." in module:
            waiting.append(module.rpartition(".")[0])
    return sorted(found)


@cache
def _imports() -> dict[str, frozenset[str]]:
    graph = grimp.build_graph(PACKAGE, cache_dir=None, exclude_type_checking_imports=True)
    return {module: frozenset(graph.find_modules_directly_imported_by(module)) for module in graph.modules}


@cache
def _hash(module: str) -> str:
    path = SOURCE.joinpath(*module.split("."))
    return module_hash(path / "__init__.py" if path.is_dir() else path.with_suffix(".py"))
