"""Short regular expressions for many names.

Snakemake writes a wildcard's constraint into every path of a rule and reads all of it for every job. As a plain list of
alternatives, the constraints of thousands of variants made planning take a time that grew with the square of their
number.
"""

import re
from collections.abc import Collection, Iterable
from itertools import groupby
from os.path import commonprefix

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
    start = commonprefix(list(words))  # noqa: RUF071 (words and no paths: character by character)
    rest = sorted({word[len(start) :] for word in words})
    branches = [_words(list(alike)) for _, alike in groupby(filter(None, rest), key=lambda word: word[0])]
    if not branches:
        return re.escape(start)
    optional = "?" if "" in rest else ""
    return f"{re.escape(start)}(?:{'|'.join(branches)}){optional}"
