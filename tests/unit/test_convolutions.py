"""The study of convolutions: the right layers, counts by the formulas, verdicts that follow from intervals."""

import pandas as pd
import pytest
import torch
from pydantic import ValidationError

from compresslab.config.studies.convolutions import Settings
from compresslab.measure import cost_torch
from compresslab.measure.in_turns import Effort
from compresslab.measure.intervals import SPEED_MARGIN
from compresslab.measure.studies.convolutions import regular, separable, study
from compresslab.tables.schemas import TABLES


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    settings = Settings(kernels=[3, 5], channels=[(4, 8), (8, 4)], map_sizes=[5, 7])
    threads = torch.get_num_threads()
    found = pd.DataFrame(study(settings, {}, Effort(rounds=2, seconds=1e-5, calls=3)))
    torch.set_num_threads(threads)
    return TABLES["convolutions"].validated(found.assign(lab="x", host="x"))


def test_every_kernel_pair_of_channels_and_map_is_a_row(rows: pd.DataFrame) -> None:
    assert len(rows) == 2 * 2 * 2
    cells = rows[["kernel", "input_channels", "output_channels", "map_size"]].itertuples(index=False, name=None)
    assert set(cells) == {(k, *pair, size) for k in (3, 5) for pair in ((4, 8), (8, 4)) for size in (5, 7)}


def test_counts_are_those_of_the_layers_that_are_timed(rows: pd.DataFrame) -> None:
    for row in rows.to_dict("records"):
        shape = (row["map_size"], row["map_size"], row["input_channels"])
        cell = (row["kernel"], row["input_channels"], row["output_channels"])
        for side, network in (("regular", torch.nn.Sequential(regular(*cell))), ("separable", separable(*cell))):
            costs = cost_torch.count_layers(network, shape).costs
            assert costs[-1].output_shape == (row["output_channels"], row["map_size"], row["map_size"])
            assert row[f"{side}_parameters"] == sum(layer.parameters for layer in costs)
            assert row[f"{side}_macs"] == sum(layer.macs for layer in costs)
        assert row["separable_to_regular_macs_ratio"] == pytest.approx(row["separable_macs"] / row["regular_macs"])


def test_a_separable_convolution_is_a_regular_one_of_rank_one_kernels() -> None:
    """Its two parts together compute what a regular convolution with their product as weights computes."""
    torch.manual_seed(0)
    whole, parts = regular(3, 4, 6), separable(3, 4, 6)
    depthwise, pointwise = (part.weight for part in parts.children())
    with torch.inference_mode():
        whole.weight.copy_(pointwise * depthwise.permute(1, 0, 2, 3))
        features = torch.randn(1, 4, 9, 9)
        torch.testing.assert_close(parts(features), whole(features))


def test_verdicts_follow_from_the_intervals(rows: pd.DataFrame) -> None:
    for row in rows.to_dict("records"):
        low, high = (row[f"separable_to_regular_time_ratio_{end}"] for end in ("low", "high"))
        assert low <= row["separable_to_regular_time_ratio"] <= high
        faster, slower = high < 1 / (1 + SPEED_MARGIN), low > 1 + SPEED_MARGIN
        assert row["speed_verdict"] == ("faster" if faster else "slower" if slower else "noise")


def test_a_kernel_of_an_even_side_is_refused() -> None:
    with pytest.raises(ValidationError, match="4 is even; a kernel of an odd side can keep the size of its map"):
        Settings(kernels=[3, 4])
