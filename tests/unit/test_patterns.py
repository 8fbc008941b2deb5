"""A wildcard matches the names that there are, and no other."""

import re

from hypothesis import given
from hypothesis import strategies as st

from compresslab.config.patterns import any_of

parts = st.text("ab-.+/", max_size=6)


@given(st.sets(parts), parts)
def test_the_names_match_and_nothing_else(names: set[str], other: str) -> None:
    pattern = re.compile(any_of(names))
    assert all(pattern.fullmatch(name) for name in names)
    assert bool(pattern.fullmatch(other)) == (other in names)


def test_names_of_one_kind_share_their_parts() -> None:
    names = {f"sweep/model-{number}/{variant}" for number in range(1000) for variant in ("torch-fp32", "onnx-int8")}
    pattern = any_of(names)
    assert all(re.fullmatch(pattern, name) for name in names)
    assert not re.fullmatch(pattern, "sweep/model-1000/torch-fp32")
    assert len(pattern) < len("|".join(names)) / 8
