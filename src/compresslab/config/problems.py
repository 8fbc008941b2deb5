"""Mistakes in a configuration, told the way a colleague would: where, what, and what was probably meant."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rapidfuzz import process

SIMILAR_ENOUGH = 60


@dataclass(frozen=True)
class Problem:
    """One mistake. `where` is the path of keys; `place` is `file:line`, or how the value was given."""

    where: tuple[str | int, ...]
    message: str
    place: str = ""

    def __str__(self) -> str:
        """One line: place, path of keys, message."""
        path = ".".join(str(part) for part in self.where) or "the file"
        # A name or a value from a file may hold line breaks.
        return " ".join(f"{self.place + ': ' if self.place else ''}{path}: {self.message}".split())


class ConfigurationError(Exception):
    """Every mistake that was found, one per line."""

    def __init__(self, problems: Sequence[Problem]):
        self.problems = list(problems)
        count = len(self.problems)
        head = f"{count} mistake{'s' if count > 1 else ''} in the configuration:"
        super().__init__("\n".join([head, *(f"  {problem}" for problem in self.problems)]))


def did_you_mean(word: object, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)` for the nearest known word, or an empty text when none is near."""
    best = process.extractOne(str(word), list(known), score_cutoff=SIMILAR_ENOUGH)
    return f" (did you mean '{best[0]}'?)" if best else ""
