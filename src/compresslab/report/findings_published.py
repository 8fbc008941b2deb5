"""What the ledger of claims says, as facts: verdicts, and which published orders could ever have been seen."""

import math
from collections.abc import Iterable, Mapping

from compresslab.report.facts import Claim, Lead
from compresslab.report.lookup import Lookup, records
from compresslab.tables.schemas import VERDICTS
from compresslab.tables.statistics import unpaired_difference_points


class PublishedFindings(Lookup):
    """Facts of one lab's published numbers."""

    @property
    def verdicts(self) -> Mapping[str, int]:
        """Number of claims by verdict, every verdict named."""
        table = self._evidence.table("claims")
        found = {} if table is None else table["verdict"].value_counts().to_dict()
        return {verdict: int(found.get(verdict, 0)) for verdict in VERDICTS}

    def claims(self, verdict: str, language_tag: str) -> list[str]:
        """Statements of the claims with this verdict."""
        table = self._evidence.table("claims")
        if table is None:
            return []
        column = "statement_zh" if language_tag.startswith("zh") else "statement_en"
        return list(table[table["verdict"] == verdict][column])

    def claim(self, id: str) -> Claim | None:
        """One claim by its id."""
        table = self._evidence.table("claims")
        rows = [] if table is None else records(table[table["claim"] == id])
        if not rows:
            return None
        (row,) = rows
        return Claim(
            id=id,
            statements={"en": row["statement_en"], "zh-TW": row["statement_zh"]},
            published=row["published"],
            published_low=row["published_low"],
            published_high=row["published_high"],
            measured=row["measured"],
            low=row["measured_low"],
            high=row["measured_high"],
            verdict=row["verdict"],
            reason=row["reason"] if isinstance(row["reason"], str) else "",
        )

    def leads(self, chosen: Iterable[tuple[str, str, str]], images: int) -> list[Lead]:
        """Published leads by (claim, variant, reference), each of two accuracies over ``images`` images.

        ``variant`` and ``reference`` are the two sides of our own comparison.
        """
        found = [self._lead(*names, images) for names in chosen]
        return [lead for lead in found if lead is not None]

    @staticmethod
    def least_loss(accuracy_percent: float) -> float:
        """The smallest mean cross entropy, in nats, that an accuracy allows.

        A wrong answer is at least as probable as the true class, which then has half of the probability at most.
        """
        return (1 - accuracy_percent / 100) * math.log(2)

    def _lead(self, id: str, variant: str, reference: str, images: int) -> Lead | None:
        claim = self.claim(id)
        if claim is None:
            return None
        published = unpaired_difference_points(claim.published_high, claim.published_low, images)
        compared = self._against("comparisons", variant, reference)
        detectable = float("nan") if compared is None else compared["smallest_detectable_points"].mean()
        return Lead(claim, published.low, published.high, detectable)
