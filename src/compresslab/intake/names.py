"""Names of tensors: what others wrap around them, and how theirs become ours."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from itertools import takewhile
from typing import TypeVar

from compresslab.intake.terms import ImportRefusedError

Tensor = TypeVar("Tensor")
Shapes = Mapping[str, tuple[int, ...]]
Parts = Mapping[str, str]

WRAPPINGS = ("module.", "_orig_mod.")
"""What DataParallel and torch.compile put before every name."""

LEFTOVERS = ("total_ops", "total_params")
"""What the profiler THOP registers in every module."""

_CANDIDATES = 50
"""Replacements that are tried in one step of a proposal, the most promising ones."""


def unwrapped(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], str]:
    """Take off what all names begin with; return the tensors and what was taken off."""
    found, taken = dict(tensors), ""
    while wrapping := next((start for start in WRAPPINGS if found and all(n.startswith(start) for n in found)), ""):
        found = {name.removeprefix(wrapping): tensor for name, tensor in found.items()}
        taken += wrapping
    return found, taken


def without_leftovers(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], int]:
    """Leave out the counters that profilers leave in a network's modules; return the others and how many were left."""
    found = {name: tensor for name, tensor in tensors.items() if name.rpartition(".")[2] not in LEFTOVERS}
    return found, len(tensors) - len(found)


def renamed(tensors: Mapping[str, Tensor], parts: Parts) -> dict[str, Tensor]:
    """Replace parts of names, all in one pass, the longest first where several fit.

    Raises ImportRefusedError when two tensors would have one name.
    """
    names = {name: _replaced(name, parts) for name in tensors}
    if twice := sorted(name for name, count in Counter(names.values()).items() if count > 1):
        raise ImportRefusedError(f"rename gives two tensors the name {', '.join(twice)}; make its parts longer")
    return {names[name]: tensor for name, tensor in tensors.items()}


def useless(names: Iterable[str], parts: Parts) -> list[str]:
    """The parts that no name has."""
    names = list(names)
    return [part for part in parts if not any(part in name for name in names)]


def proposal(found: Shapes, expected: Shapes, parts: Parts) -> dict[str, str]:
    """Return a ``rename`` by which more of the tensors fit than by ``parts``, or the same parts where there is none.

    Every replacement that is proposed has been tried: it makes more names, with their shapes, the expected ones.
    """
    best, fitting = dict(parts), _fitting(found, expected, parts)
    while True:
        tried = [{**best, old: new} for old, new in _candidates(found, expected, best)]
        better = max(tried, key=lambda each: _fitting(found, expected, each), default=best)
        if (count := _fitting(found, expected, better)) <= fitting:
            return best
        best, fitting = better, count


def nearest(name: str, others: Iterable[str]) -> str | None:
    """The most similar name, or None where none is similar."""
    return next(iter(get_close_matches(name, list(others), n=1, cutoff=0.8)), None)


def _fitting(found: Shapes, expected: Shapes, parts: Parts) -> int:
    names = Counter(_replaced(name, parts) for name in found)
    fits = (_replaced(name, parts) for name, shape in found.items() if expected.get(_replaced(name, parts)) == shape)
    return sum(names[name] == 1 for name in fits)


def _candidates(found: Shapes, expected: Shapes, parts: Parts) -> list[tuple[str, str]]:
    """Replacements that would turn a name that does not fit into one that is missing, most frequent first."""
    present = {_replaced(name, parts) for name in found}
    missing = {name: shape for name, shape in expected.items() if name not in present}
    unknown = {name: shape for name, shape in found.items() if _replaced(name, parts) not in expected}
    pairs = Counter(
        _difference(old, new) for old, shape in unknown.items() for new, other in missing.items() if shape == other
    )
    return [pair for pair, _ in pairs.most_common(_CANDIDATES) if pair[0]]


def _difference(old: str, new: str) -> tuple[str, str]:
    """The segments in which two names differ: ``("shortcut.", "downsample.")``."""
    theirs, ours = old.split("."), new.split(".")
    start = _common(theirs, ours)
    end = _common(reversed(theirs[start:]), reversed(ours[start:]))
    if 0 < end == len(theirs) - start:
        # What is only to be put in needs something to be put before.
        end -= 1
    return _between(theirs, start, end), _between(ours, start, end)


def _between(segments: list[str], start: int, end: int) -> str:
    middle = segments[start : len(segments) - end]
    return ".".join(middle) + ("." if middle and end else "")


def _common(some: Iterable[str], others: Iterable[str]) -> int:
    """Number of first items that two sequences share."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(some, others, strict=False)))


def _replaced(name: str, parts: Parts) -> str:
    if not parts:
        return name
    pattern = "|".join(map(re.escape, sorted(parts, key=len, reverse=True)))
    return re.sub(pattern, lambda found: parts[found.group()], name)
