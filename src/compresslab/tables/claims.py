"""The claims ledger: published numbers, the metric that each is held against, and how it is judged.

``report/claims.yaml`` is read into these models. What a claim says is a statement in every language, what it reads
is a ``Metric``, and how it is judged is its kind:

``exact``     the measured value, rounded to ``decimals``, is the published one
``at_least``  the measured value is not below the published one (``at_most``: not above)
``within``    the measured value lies within the tolerance around the published one, or in the published range
``ratio``     as ``within``, for the quotient of two metrics
``order``     several metrics stand in the published order, the best one first
``lead``      a difference has the published sign, as ``order`` for two values that were measured on the same images

A verdict is given only where the measurement can tell. A value on the wrong side whose 95 % interval still reaches
the accepted region is ``not_comparable`` for the reason ``inside_noise``; a value beyond the region on the better side
is ``exceeded`` only when its whole interval is. ``exact`` claims look at the value alone.
"""

import math
from abc import abstractmethod
from collections.abc import Sequence
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Self

from pydantic import Field, TypeAdapter, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import ErrorDetails
from typing_extensions import override

from compresslab.config.base import Name, Section
from compresslab.config.problems import ConfigurationError, Problem, did_you_mean
from compresslab.config.sources import Settings, read_yaml
from compresslab.tables.schemas import KINDS, TABLES, column_kind
from compresslab.tables.statistics import Estimate, difference

_ABSOLUTE_TIMES = ("_ms", "_s", "_min")


class Text(Section):
    """A statement in both languages of the reports."""

    en: str = Field(min_length=1)
    zh_TW: str = Field(min_length=1, alias="zh-TW")  # noqa: N815 (the name of the language)


class Source(Section):
    """Where a number was published."""

    document: str = Field(min_length=1)
    place: str = Field(min_length=1)

    def __str__(self) -> str:
        return f"{self.document}, {self.place}"


class Requirements(Section):
    """What a run must have for its number to be comparable with the published one.

    ``published_host``: a machine like the publisher's, which no run is known to have; for ratios between processors.
    ``published_data``: the publisher's data, which no run is known to have when they are not named; for scores, while
    their order and differences may hold on other data.
    """

    real_data: bool = True
    full_scale: bool = True
    published_host: bool = False
    published_data: bool = False


class Metric(Section):
    """One number of a run: a column of a table in the rows of the claim's lab where every other column matches.

    ``rows`` says what becomes of several matching rows of one seed; seeds are then averaged. A bare ``one`` refuses
    several. ``divide_by`` changes the unit.
    """

    table: str
    column: str
    where: dict[str, bool | int | float | str] = Field(default_factory=dict)
    rows: Literal["one", "min", "max", "mean", "sum"] = "one"
    divide_by: float = Field(default=1, gt=0)

    @field_validator("table")
    @classmethod
    def _known_table(cls, name: str) -> str:
        if name not in TABLES or name == "claims":
            raise ValueError(f"there is no table '{name}'{did_you_mean(name, TABLES)}")
        return name

    @field_validator("column")
    @classmethod
    def _known_number(cls, column: str, info: ValidationInfo) -> str:
        name = info.data.get("table")
        if name:
            _check_column(name, column)
            if column_kind(name, column) not in (int, float):
                raise ValueError(f"column '{column}' of table '{name}' is not a number")
        return column

    @field_validator("where")
    @classmethod
    def _known_filters(cls, where: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        name = info.data.get("table")
        if not name:
            return where
        for column, value in where.items():
            _check_column(name, column)
            kind = column_kind(name, column)
            if not isinstance(value, kind) and not (kind is float and isinstance(value, int)):
                raise ValueError(f"column '{column}' of table '{name}' holds {kind.__name__}, not {value!r}")
        return where

    @property
    def is_absolute_time(self) -> bool:
        """Whether the number is a time or a rate of some machine."""
        return self.column.endswith(_ABSOLUTE_TIMES)


def _check_column(table: str, column: str) -> None:
    known = TABLES[table].columns
    if column not in known:
        raise ValueError(f"table '{table}' has no column '{column}'{did_you_mean(column, known)}")


class Judgement(NamedTuple):
    """A verdict, and the reason where there is one."""

    verdict: str
    reason: str = ""


class Region(NamedTuple):
    """The values that confirm a claim, bounds included, and the side on which a value would be better still."""

    low: float
    high: float
    better: Literal["higher", "lower"] | None = None

    def judge(self, measured: Estimate) -> Judgement:
        """Where the estimate and its interval lie."""
        low, high = measured.reach
        if self.low <= measured.value <= self.high:
            return Judgement("reproduced")
        beyond = measured.value > self.high
        apart = low > self.high if beyond else high < self.low
        is_better = self.better == ("higher" if beyond else "lower")
        if is_better:
            return Judgement("exceeded" if apart else "reproduced")
        return Judgement("not_reproduced") if apart else Judgement("not_comparable", "inside_noise")


class BaseClaim(Section):
    """What every claim says of itself. ``hardware_dependent`` verdicts speak for the host that was measured."""

    id: Name
    lab: Name
    statement: Text
    source: Source
    unit: str = ""
    hardware_dependent: bool = False
    requires: Requirements = Requirements()

    @property
    @abstractmethod
    def metrics_read(self) -> tuple[Metric, ...]:
        """Every metric that the verdict needs."""

    @abstractmethod
    def judge(self, measured: Estimate) -> Judgement:
        """The verdict on what was measured."""

    def published_columns(self) -> dict[str, float]:
        """What ``claims.csv`` shows as published: a number, a range, and the tolerance in the claim's unit."""
        return {}

    @property
    def needs_published_host(self) -> bool:
        """Whether the published number is a time of the publisher's own machine, which no other host can confirm."""
        return self.hardware_dependent and any(metric.is_absolute_time for metric in self.metrics_read)


class _OfOneMetric(BaseClaim):
    metric: Metric

    @property
    @override
    def metrics_read(self) -> tuple[Metric, ...]:
        return (self.metric,)


class ExactClaim(_OfOneMetric):
    """The published number, at the precision in which it was published."""

    kind: Literal["exact"]
    published: float
    decimals: int = Field(default=0, ge=0)
    better: Literal["higher", "lower"] | None = None

    @override
    def judge(self, measured: Estimate) -> Judgement:
        return Region(*self._rounding, self.better).judge(Estimate(measured.value))

    @override
    def published_columns(self) -> dict[str, float]:
        return {"published": self.published}

    @property
    def _rounding(self) -> tuple[float, float]:
        # A hair of slack: 2.675 is stored a little below itself.
        half = 0.5 * 10.0**-self.decimals * (1 + 1e-9)
        return self.published - half, self.published + half


class _BoundClaim(_OfOneMetric):
    """A bound. ``exceeds`` is the value beyond which the word 'exceeded' is deserved; without it, kept is kept."""

    published: float
    exceeds: float | None = None
    better: ClassVar[Literal["higher", "lower"]]

    @model_validator(mode="after")
    def _exceeds_lies_beyond(self) -> Self:
        sign = 1 if self.better == "higher" else -1
        if self.exceeds is not None and sign * (self.exceeds - self.published) < 0:
            raise ValueError(
                f"exceeds ({self.exceeds:g}) must lie on the better side of published ({self.published:g})"
            )
        return self


class AtLeastClaim(_BoundClaim):
    """Not below the published number."""

    kind: Literal["at_least"]
    better = "higher"

    @override
    def judge(self, measured: Estimate) -> Judgement:
        return Region(self.published, math.inf if self.exceeds is None else self.exceeds, "higher").judge(measured)

    @override
    def published_columns(self) -> dict[str, float]:
        return {"published": self.published, "published_low": self.published}


class AtMostClaim(_BoundClaim):
    """Not above the published number."""

    kind: Literal["at_most"]
    better = "lower"

    @override
    def judge(self, measured: Estimate) -> Judgement:
        return Region(-math.inf if self.exceeds is None else self.exceeds, self.published, "lower").judge(measured)

    @override
    def published_columns(self) -> dict[str, float]:
        return {"published": self.published, "published_high": self.published}


class WithinClaim(_OfOneMetric):
    """Around a published number, or in a published range; exactly one of the two tolerances, or none for a range."""

    kind: Literal["within"]
    published: float | tuple[float, float]
    tolerance: float | None = Field(default=None, ge=0)
    tolerance_percent: float | None = Field(default=None, ge=0)
    better: Literal["higher", "lower"] | None = None

    @model_validator(mode="after")
    def _one_tolerance(self) -> Self:
        given = sum(value is not None for value in (self.tolerance, self.tolerance_percent))
        if given == 2:
            raise ValueError("give tolerance or tolerance_percent, not both")
        if given == 0 and not isinstance(self.published, tuple):
            raise ValueError("needs tolerance (in the claim's unit) or tolerance_percent (of the published value)")
        if isinstance(self.published, tuple) and self.published[0] >= self.published[1]:
            raise ValueError(f"the published range {list(self.published)} must rise")
        return self

    @override
    def judge(self, measured: Estimate) -> Judgement:
        low, high = self._published_range
        slack = self._absolute_tolerance
        return Region(low - slack, high + slack, self.better).judge(measured)

    @override
    def published_columns(self) -> dict[str, float]:
        low, high = self._published_range
        shown = {"published": low} if low == high else {"published_low": low, "published_high": high}
        return {**shown, "tolerance": self._absolute_tolerance}

    @property
    def _published_range(self) -> tuple[float, float]:
        return self.published if isinstance(self.published, tuple) else (self.published, self.published)

    @property
    def _absolute_tolerance(self) -> float:
        if self.tolerance_percent is not None:
            return self.tolerance_percent / 100 * max(abs(bound) for bound in self._published_range)
        return self.tolerance or 0.0


class RatioClaim(WithinClaim):
    """A published quotient: ``metric`` over ``over``, judged as ``within``. It does not depend on absolute times."""

    kind: Literal["ratio"]  # type: ignore[assignment]
    over: Metric

    @property
    @override
    def metrics_read(self) -> tuple[Metric, ...]:
        return self.metric, self.over

    @property
    @override
    def needs_published_host(self) -> bool:
        return False


def _judged_lead(lead: Estimate) -> Judgement:
    """A lead is shown by an interval above zero and refuted by one that is not above it; else nothing is shown."""
    low, high = lead.reach
    if low > 0:
        return Judgement("reproduced")
    # Equal values without noise contradict an order; inside noise nothing is shown.
    return Judgement("not_reproduced") if high <= 0 else Judgement("not_comparable", "inside_noise")


class LeadClaim(_OfOneMetric):
    """One variant was published ahead of another; ``metric`` is their difference on the same images.

    ``published`` holds both values, the leader's first; ``claims.csv`` shows their difference, and the two as low and
    high.
    """

    kind: Literal["lead"]
    published: tuple[float, float]

    @override
    def judge(self, measured: Estimate) -> Judgement:
        return _judged_lead(measured)

    @override
    def published_columns(self) -> dict[str, float]:
        leader, other = self.published
        # Decimal numbers: what two numbers of two decimals differ by has no more of them.
        lead = float(Decimal(str(leader)) - Decimal(str(other)))
        return {"published": lead, "published_low": min(leader, other), "published_high": max(leader, other)}


class OrderClaim(BaseClaim):
    """Several metrics, the published best first; an order is shown only where neighbours differ beyond noise."""

    kind: Literal["order"]
    metrics: list[Metric] = Field(min_length=2)
    better: Literal["higher", "lower"]

    @property
    @override
    def metrics_read(self) -> tuple[Metric, ...]:
        return tuple(self.metrics)

    def smallest_lead(self, estimates: Sequence[Estimate]) -> Estimate:
        """By how much a metric leads the next where it does so least surely; a refuted pair goes before a noisy one."""
        leads = [difference(*(pair if self.better == "higher" else pair[::-1])) for pair in pairwise(estimates)]
        return min(leads, key=lambda lead: (lead.high > 0, lead.low))

    @override
    def judge(self, measured: Estimate) -> Judgement:
        return _judged_lead(measured)

    @property
    @override
    def needs_published_host(self) -> bool:
        return False


Claim = Annotated[
    ExactClaim | AtLeastClaim | AtMostClaim | WithinClaim | RatioClaim | OrderClaim | LeadClaim,
    Field(discriminator="kind"),
]


class Ledger(Section):
    """The whole of ``report/claims.yaml``."""

    claims: list[Claim]


def read_claims(path: Path) -> list[Claim]:
    """Read the ledger; a ConfigurationError tells every mistake at once, each with its line."""
    settings = read_yaml(path)
    try:
        claims = TypeAdapter(Ledger).validate_python(settings.values).claims
    except ValidationError as error:
        raise ConfigurationError([_problem(details, settings) for details in error.errors()]) from None
    repeated = [index for index, claim in enumerate(claims) if claim.id in {other.id for other in claims[:index]}]
    if repeated:
        message = "another claim has the same id"
        paths = [("claims", index, "id") for index in repeated]
        raise ConfigurationError([Problem(path, message, settings.place(path)) for path in paths])
    return claims


def _problem(error: ErrorDetails, settings: Settings) -> Problem:
    where = _path_in_file(error["loc"])
    return Problem(where, _message(error, where), settings.place(where))


def _path_in_file(location: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """Pydantic's path without the chosen kind and the members of unions, which the file does not hold."""
    head, tail = location[:2], location[2:]
    unions = ("float", "int", "bool", "str", "tuple[float, float]")
    return (*head, *(part for part in tail if part not in KINDS and part not in unions))


def _message(error: ErrorDetails, where: tuple[str | int, ...]) -> str:
    match error["type"]:
        case "extra_forbidden":
            return f"unknown key{did_you_mean(where[-1], _keys())}"
        case "missing":
            return "is required"
        case "union_tag_invalid" | "union_tag_not_found":
            tag = error.get("ctx", {}).get("tag", "")
            return f"needs a kind, one of {', '.join(KINDS)}{did_you_mean(tag, KINDS)}"
        case "value_error":
            return str(error["ctx"]["error"])
        case _:
            return f"{error['msg'].removeprefix('Input ')} (given: {error['input']!r})"


def _keys() -> set[str]:
    """Every key that a claims file may hold."""
    kinds = (ExactClaim, AtLeastClaim, AtMostClaim, WithinClaim, RatioClaim, OrderClaim, LeadClaim)
    models: tuple[type[Section], ...] = (*kinds, Ledger, Metric, Text, Source, Requirements)
    return {field.alias or name for model in models for name, field in model.model_fields.items()}
