"""A slice of the configuration arrives as it was sent, however long it is."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compresslab.artifacts import canonical_json
from compresslab.lineage.spec import COMPRESSED, LONGEST, heard, told

MOST_OF_LINUX = 128 * 1024
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.dictionaries(st.text(), values), st.sampled_from([1, LONGEST]))
def test_a_slice_arrives_as_it_was_sent(spec: dict, length: int) -> None:
    spec["long"] = "x" * length
    assert heard(told(canonical_json(spec))) == spec


def test_a_short_one_can_be_read_in_the_log() -> None:
    assert told('{"seed":0}') == '{"seed":0}'


def test_a_lab_of_a_thousand_variants_fits_on_a_command_line() -> None:
    variants = [
        {
            "model": f"model-{number}",
            "variant": "onnx-int8",
            "engines": ["onnxruntime"],
            "parent": f"sweep/model-{number}",
        }
        for number in range(1000)
    ]
    sent = told(canonical_json({"variants": variants}))
    assert sent.startswith(COMPRESSED)
    assert len(sent) < MOST_OF_LINUX / 2


@pytest.mark.parametrize("text", [COMPRESSED + "AAAA", COMPRESSED + "?", "{", ""])
def test_what_nobody_sent_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 the option's parser makes a line of it
        heard(text)


def test_json_is_what_a_person_would_write() -> None:
    assert heard(json.dumps({"a": [1, 2]})) == {"a": [1, 2]}
