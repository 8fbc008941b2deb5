"""Error per layer."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from compresslab.measure.layers import layer_errors

VALUES = st.floats(-100, 100, width=32, allow_subnormal=False)


def test_a_tenth_of_the_signal_is_ten_percent_and_twenty_decibel():
    signal = np.array([[3.0, 4.0]], np.float32)
    row = layer_errors([({"conv1": signal}, {"conv1": signal * np.float32(1.1)})]).iloc[0]
    assert row["relative_l2_percent"] == pytest.approx(10, rel=1e-5)
    assert row["signal_to_noise_db"] == pytest.approx(20, rel=1e-5)
    assert row["max_abs_difference"] == pytest.approx(0.4, rel=1e-5)


def test_equal_outputs_have_no_error_and_infinite_ratio():
    trace = {"conv1": np.zeros((1, 2), np.float32)}
    row = layer_errors([(trace, trace)]).iloc[0]
    assert (row["relative_l2_percent"], row["signal_to_noise_db"]) == (0, math.inf)


def test_error_on_a_silent_layer_is_infinite():
    row = layer_errors([({"a": np.zeros(2)}, {"a": np.ones(2)})]).iloc[0]
    assert (row["relative_l2_percent"], row["signal_to_noise_db"]) == (math.inf, -math.inf)


def test_layers_keep_the_order_of_the_network():
    trace = {"conv2": np.ones(1), "conv1": np.ones(1)}
    assert layer_errors([(trace, trace)])["layer"].tolist() == ["conv2", "conv1"]


@given(hnp.arrays(np.float32, (6, 3), elements=VALUES), hnp.arrays(np.float32, (6, 3), elements=VALUES))
def test_chunks_give_what_the_whole_gives(reference, variant):
    whole = layer_errors([({"a": reference}, {"a": variant})])
    chunks = layer_errors([({"a": reference[i : i + 2]}, {"a": variant[i : i + 2]}) for i in (0, 2, 4)])
    for column in whole.columns[1:]:
        assert chunks[column].item() == pytest.approx(whole[column].item())


@given(hnp.arrays(np.float32, 5, elements=VALUES), hnp.arrays(np.float32, 5, elements=VALUES))
def test_no_error_exactly_where_outputs_are_equal(reference, variant):
    error = layer_errors([({"a": reference}, {"a": variant})])["relative_l2_percent"].item()
    assert (error == 0) == bool((reference == variant).all())


@pytest.mark.parametrize(
    ("chunks", "complaint"),
    [
        ([({"a": np.ones(1)}, {"b": np.ones(1)})], "same layers: a, b"),
        ([({"a": np.ones(1)}, {"a": np.ones(2)})], "layer a has shape"),
        ([], "no images"),
    ],
)
def test_traces_that_do_not_pair_up_are_refused(chunks, complaint):
    with pytest.raises(ValueError, match=complaint):
        layer_errors(chunks)
