"""The study of architectures: AlexNet as published, layer by layer, counted three times."""

import pandas as pd
import pytest
import torch
from torch import nn

from compresslab.config.studies.architecture_costs import Settings
from compresslab.measure.in_turns import Effort
from compresslab.measure.studies.architecture_costs import layer_rows, study
from compresslab.tables.schemas import TABLES

MEBIBYTE = 2**20
PARAMETERS = {
    "conv1": 23_296,
    "conv2": 313_796,
    "conv3": 677_760,
    "conv4": 884_992,
    "conv5": 590_080,
    "fc1": 37_752_832,
    "fc2": 4_195_328,
    "fc3": 1_025_000,
}
COUNTS = [f"{quantity}_by_{way}" for quantity in ("parameters", "macs") for way in ("formula", "counter", "library")]


def rows(**architectures: dict[str, object]) -> pd.DataFrame:
    settings = Settings.model_validate({"architectures": architectures})
    return pd.DataFrame(study(settings, {}, Effort()))


@pytest.fixture(scope="module")
def alexnet() -> pd.DataFrame:
    return rows(alexnet={"image_shape": [224, 224, 3], "classes": 1000})


def test_rows_fit_the_table_in_the_order_of_execution(alexnet: pd.DataFrame) -> None:
    valid = TABLES["architecture_costs"].validated(alexnet.assign(lab="x", host="x"))
    assert list(valid["layer"]) == [
        *("conv1", "relu1", "pool1", "conv2", "relu2", "pool2", "conv3", "relu3", "conv4", "relu4", "conv5", "relu5"),
        *("pool5", "fc1", "relu6", "fc2", "relu7", "fc3"),
    ]
    assert valid.set_index("layer")["output_shape"]["conv2"] == "196x27x27"


@pytest.mark.parametrize("way", ["formula", "counter", "library"])
def test_alexnet_has_the_published_counts_in_every_way(alexnet: pd.DataFrame, way: str) -> None:
    parameters = alexnet.set_index("layer")[f"parameters_by_{way}"]
    assert parameters[parameters > 0].to_dict() == PARAMETERS
    assert parameters.sum() == 45_463_084
    assert alexnet[f"macs_by_{way}"].sum() == 705_535_424


def test_alexnet_takes_the_published_memory(alexnet: pd.DataFrame) -> None:
    """torchsummary's megabytes are 2^20 bytes; its 3.77 are the outputs of layers with weights, forward and backward.

    The listing calls functions for activations and poolings, which torchsummary does not see.
    """
    weighted = alexnet[alexnet["parameters_by_formula"] > 0]
    sizes = [4 * 224 * 224 * 3, 2 * weighted["activation_bytes"].sum(), alexnet["weight_bytes"].sum()]
    assert [round(size / MEBIBYTE, 2) for size in sizes] == [0.57, 3.77, 173.43]
    assert round(sum(sizes) / MEBIBYTE, 2) == 177.77


def test_arguments_reach_the_architecture_and_every_way_agrees() -> None:
    small = {"image_shape": [28, 28, 1], "classes": 10}
    found = rows(resnet18=small | {"arguments": {"stem": "3x3"}}, ciresan=small | {"arguments": {"residual": True}})
    assert list(found["architecture"].unique()) == ["resnet18", "ciresan"]
    assert "pool1" not in set(found.loc[found["architecture"] == "resnet18", "layer"])
    assert "add7" in set(found.loc[found["architecture"] == "ciresan", "layer"])
    for quantity in ("parameters", "macs"):
        assert (found[f"{quantity}_by_formula"] == found[f"{quantity}_by_counter"]).all()
        assert (found[f"{quantity}_by_formula"] == found[f"{quantity}_by_library"]).all()
    assert not found.duplicated(["architecture", "layer"]).any()


def test_a_network_of_another_framework_fails_by_its_name() -> None:
    with pytest.raises(ValueError, match="there is no PyTorch architecture 'lenet6'"):
        rows(lenet6={"image_shape": [28, 28, 1], "classes": 10})


def test_counting_changes_neither_values_nor_biases() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(2 * 6 * 6, 3))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    counted = list(layer_rows(network, (8, 8, 1)))
    assert [row["layer"] for row in counted] == ["0", "2"]
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert set(network.state_dict()) == set(before)
