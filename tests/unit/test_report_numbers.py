"""Numbers for people: the same digits everywhere, a unit at each, nothing that looks more exact than it is."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compresslab.report.numbers import UNITS, interval, significant, unit_of, written


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (2.0934, "2.09"),
        (0.00012349, "0.000123"),
        (14321.7, "14,322"),
        (9.996, "10.0"),
        (99.96, "100"),
        (0, "0"),
        (-0.0512, "−0.0512"),
        (662, "662"),
    ],
)
def test_three_significant_figures(value: float, text: str) -> None:
    assert significant(value) == text


@pytest.mark.parametrize(
    ("column", "value", "text"),
    [
        ("p50_ms", 2.0934, "2.09\u202fms"),
        ("accuracy_percent", 93.624, "93.62\u202f%"),
        ("accuracy_difference_low_points", 0.125, "+0.12"),
        ("accuracy_difference_points", -0.001, "0.00"),
        ("weight_bytes", 24872, "24.29\u202fKiB"),
        ("latency_ratio_high", 3.3333, "3.33\u202f×"),
        ("mcnemar_p", 0.0004, "<\u202f0.001"),
        ("offline_images_per_s", 16477.2, "16,477\u202f/s"),
        ("mean_loss", 0.08913, "0.0891"),
    ],
)
def test_a_column_says_its_own_unit(column: str, value: float, text: str) -> None:
    assert unit_of(column).full(value) == text


@pytest.mark.parametrize("value", [None, math.nan])
def test_what_is_missing_is_a_dash(value: float | None) -> None:
    assert written(value, UNITS["ms"], with_unit=True) == "—"


def test_infinite_and_interval() -> None:
    assert written(math.inf, UNITS["db"]) == "∞"
    assert interval(2.04, math.nan, UNITS["ms"]) == "[2.04,\u00a0—]"


@given(st.floats(min_value=1e-9, max_value=1e9), st.integers(1, 5))
def test_written_number_is_the_value_to_its_figures(value: float, figures: int) -> None:
    text = significant(value, figures)
    assert "e" not in text
    assert float(text.replace(",", "")) == pytest.approx(value, rel=0.5001 * 10 ** (1 - figures), abs=1e-12)
