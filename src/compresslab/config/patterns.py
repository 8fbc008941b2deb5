"""Short regular expressions for many names.

Snakemake writes a wildcard's constraint into every path of a rule and reads all of it for every job. As a plain list of
alternatives, the constraints of thousands of variants made planning take a time that grew with the square of their
number.
"""

import re
from collections.abc import Collection, Iterable
from itertools import groupby

NOTHING = "(?!)"


def any_of(names: Iterable[str]) -> str:
    """A pattern that fully matches these names and nothing else; of no names, one that matches nothing.

    Names with equal last parts, as ``lab/model/variant`` have them, share these; beginnings are written once.
    """
    endings: dict[str, set[str]] = {}
    for name in names:
        head, slash, tail = name.rpartition("/")
        endings.setdefault(head + slash, set()).add(tail)
    heads: dict[frozenset[str], list[str]] = {}
    for head, tails in endings.items():
        heads.setdefault(frozenset(tails), []).append(head)
    return "|".join(sorted(_words(alike) + _words(tails) for tails, alike in heads.items())) if heads else NOTHING


def _words(words: Collection[str]) -> str:
    """A pattern for one or more words, common beginnings first."""
    start = _common_start(min(words), max(words))
    rest = sorted({word[len(start) :] for word in words})
    branches = [_words(list(alike)) for _, alike in groupby(filter(None, rest), key=lambda word: word[0])]
    if not branches:
        return re.escape(start)
    optional = "?" if "" in rest else ""
    return f"{re.escape(start)}(?:{'|'.join(branches)}){optional}"


def _common_start(first: str, last: str) -> str:
    """The beginning that the first and the last of sorted words share, and so all of them."""
    length = next((place for place, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), None)
    return min(first, last, key=len) if length is None else first[:length]
