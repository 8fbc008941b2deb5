"""Pruning in PyTorch: the zeros that were asked for, the channels that leave, and a network that still answers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from textures import CLASSES, PREPROCESSING, textures
from torch import nn

from compresslab.compress.prune_channels import remove_channels
from compresslab.compress.prune_torch import checked_sparsity, make_permanent, mask_smallest
from compresslab.config.training import FineTuning, Optimizer, Recipe
from compresslab.measure.cost_torch import count, count_layers
from compresslab.models.torch.artifact import TorchModel, build, load, save
from compresslab.train.loop import TrainingData
from compresslab.train.torch.learner import fine_tune, initialize, train

SHAPE = (32, 32, 3)


def lenet5(seed: int = 0, **arguments) -> nn.Module:
    module = build("lenet5", SHAPE, 7, **arguments)
    initialize(module, seed)
    return module


def weights(module: nn.Module) -> dict[str, np.ndarray]:
    return {name: array.numpy() for name, array in module.state_dict().items() if name.endswith("weight")}


@settings(max_examples=20, deadline=None)
@given(st.floats(0.01, 0.99), st.integers(0, 5))
def test_the_smallest_weights_of_every_layer_become_zero_and_the_others_stay(sparsity: float, seed: int) -> None:
    module = lenet5(seed)
    before = weights(module)
    mask_smallest(module, sparsity)
    make_permanent(module)
    checked_sparsity(module, sparsity)
    after = weights(module)
    assert after.keys() == before.keys()
    for name, kept in after.items():
        zero = kept == 0
        assert zero.sum() == round(sparsity * kept.size)
        np.testing.assert_array_equal(kept[~zero], before[name][~zero])
        if zero.any() and not zero.all():
            assert np.abs(before[name][zero]).max() <= np.abs(kept[~zero]).min()


def test_a_layer_without_its_zeros_is_named() -> None:
    module = lenet5()
    mask_smallest(module, 0.5)
    make_permanent(module)
    with torch.no_grad():
        module.fc2.weight[:2] += 1
    with pytest.raises(ValueError, match=r"layer fc2: \d+ of 10080 weights are zero, not the share 0.5"):
        checked_sparsity(module, 0.5)


def test_training_on_keeps_the_zeros_and_repairs_the_rest(tmp_path: Path) -> None:
    data = TrainingData(textures(300, seed=1), textures(100, seed=2), PREPROCESSING)
    module = build("gapcnn", (8, 8, 1), len(CLASSES))
    recipe = Recipe(epochs=6, batch=16, optimizer=Optimizer(lr=0.03), schedule="one-cycle")
    whole = train(module, data, recipe, 0, tmp_path / "whole", "whole", log=lambda _: None)
    mask_smallest(module, 0.6)
    fine_tuning = FineTuning(epochs=3, batch=16, optimizer=Optimizer(lr=0.003))
    result = fine_tune(module, data, fine_tuning, 0, tmp_path / "pruned", "pruned", log=lambda _: None)
    make_permanent(module)
    checked_sparsity(module, 0.6)
    assert [row["epoch"] for row in result.history] == [1, 2, 3]
    assert result.history[0]["learning_rate"] == 0.003
    lost = whole.history[-1]["validation_accuracy_percent"] - result.history[-1]["validation_accuracy_percent"]
    assert lost < 5
    assert all("mask" not in name and "orig" not in name for name in module.state_dict())


@pytest.mark.parametrize(("ratio", "widths"), [(0.25, (4, 12, 90, 63)), (0.5, (3, 8, 60, 42)), (0.75, (1, 4, 30, 21))])
def test_channels_leave_with_everything_that_read_them(ratio: float, widths: tuple[int, ...]) -> None:
    module = lenet5()
    whole = count_layers(module, SHAPE)
    assert remove_channels(module, SHAPE, ratio) == widths
    smaller = count_layers(module, SHAPE)
    rebuilt = count_layers(build("lenet5", SHAPE, 7, widths=widths), SHAPE)
    assert [layer.parameters for layer in smaller.costs] == [layer.parameters for layer in rebuilt.costs]
    macs = [sum(layer.macs for layer in layers.costs) for layers in (smaller, whole)]
    assert macs[0] < (1 - ratio) * macs[1]
    assert module(torch.zeros(2, 3, 32, 32)).shape == (2, 7)


def test_the_channels_with_the_largest_weights_stay() -> None:
    module = lenet5()
    with torch.no_grad():
        for name in ("weight", "bias"):
            getattr(module.conv1, name)[[0, 2, 5]] *= 10
        expected = module.conv1.weight[[0, 2, 5]].clone()
    remove_channels(module, SHAPE, 0.5)
    torch.testing.assert_close(module.conv1.weight, expected)


def test_the_smaller_network_is_rebuilt_from_its_file(tmp_path: Path) -> None:
    module = lenet5()
    widths = remove_channels(module, SHAPE, 0.5)
    model = TorchModel(module, "lenet5", SHAPE, PREPROCESSING, tuple("abcdefg"), {"widths": list(widths)})
    save(tmp_path / "model.safetensors", model)
    images = torch.rand(4, 3, 32, 32)
    again = load(tmp_path / "model.safetensors")
    torch.testing.assert_close(again.module(images), module.eval()(images))
    assert count(tmp_path / "model.safetensors", SHAPE).parameters == 3 * 76 + 8 * 76 + 201 * 60 + 61 * 42 + 43 * 7
