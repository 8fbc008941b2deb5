"""Averaged weights and bfloat16 in PyTorch: against hand formulas, and to the same bits after a restart."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from textures import PREPROCESSING, gapcnn, textures
from torch import nn

from compresslab.compress.prune_torch import checked_sparsity, make_permanent, mask_smallest
from compresslab.config.training import FineTuning, Optimizer, Recipe
from compresslab.engines.layout import normalized_channels_first
from compresslab.models.torch.artifact import build
from compresslab.train.loop import TrainingData, TrainingError, TrainingResult
from compresslab.train.torch import hardware
from compresslab.train.torch.hardware import choose_precision
from compresslab.train.torch.learner import TorchLearner, fine_tune, initialize, train
from compresslab.train.torch.samples import Samples

DATA = TrainingData(textures(150, seed=1), textures(70, seed=2), PREPROCESSING)
CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def with_normalization() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)
    )


def run(state: Path, module: nn.Module, data: TrainingData = DATA, **settings) -> TrainingResult:
    recipe = Recipe(**{"epochs": 2, "batch": 32, "optimizer": Optimizer(lr=0.01), **settings})
    return train(module, data, recipe, 0, state, "same", log=lambda _: None)


def states_after_every_step(decay: float | None) -> tuple[list[dict[str, torch.Tensor]], TorchLearner, nn.Module]:
    """Train for eight steps, and return the module's own state after each."""
    module = with_normalization()
    initialize(module, 0)
    recipe = Recipe(ema=decay, optimizer=Optimizer(lr=0.05))
    learner = TorchLearner(module, DATA, recipe, CPU)
    states = []
    for start in range(0, 128, 16):
        learner.step(np.arange(start, start + 16), 0.05)
        states.append({name: value.clone() for name, value in module.state_dict().items()})
    return states, learner, module


def test_the_average_follows_the_recursion_statistics_of_normalization_too() -> None:
    decay = 0.8
    states, learner, module = states_after_every_step(decay)
    plain, _, _ = states_after_every_step(None)
    for one, other in zip(states, plain, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one), "averaging must not change the steps"
    wanted = {name: value.double() for name, value in states[0].items()}
    for state in states[1:]:
        wanted = {name: decay * wanted[name] + (1 - decay) * state[name].double() for name in wanted}
    learner.finish()
    floating = [name for name, value in module.state_dict().items() if value.is_floating_point()]
    assert "1.running_var" in floating
    for name in floating:
        torch.testing.assert_close(module.state_dict()[name].double(), wanted[name], rtol=1e-5, atol=1e-7)
        assert not torch.equal(module.state_dict()[name], states[-1][name]), name


def test_the_average_is_what_is_validated_and_what_is_left(tmp_path: Path) -> None:
    module = with_normalization()
    result = run(tmp_path, module, ema=0.9)
    logits = module(torch.from_numpy(normalized_channels_first(PREPROCESSING, DATA.validation.images)))
    loss = nn.functional.cross_entropy(logits, torch.from_numpy(DATA.validation.labels)).item()
    assert result.history[-1]["validation_loss"] == pytest.approx(loss, rel=1e-5)


def test_a_pruned_network_is_averaged_with_its_masks(tmp_path: Path) -> None:
    module = gapcnn()
    initialize(module, 0)
    mask_smallest(module, 0.5)
    recipe = FineTuning(epochs=2, batch=32, ema=0.9)
    fine_tune(module, DATA, recipe, 0, tmp_path, "same", log=lambda _: None)
    make_permanent(module)
    assert set(checked_sparsity(module, 0.5)) == {"conv1", "conv2", "conv3", "linear"}


def test_bfloat16_learns_as_well_and_in_other_bits(tmp_path: Path) -> None:
    settings = {"epochs": 6, "schedule": "one-cycle", "optimizer": Optimizer(lr=0.03), "batch": 16}
    results = {name: run(tmp_path / name, gapcnn(), precision=name, **settings) for name in ("float32", "bfloat16")}
    for name, result in results.items():
        assert result.history[-1]["validation_accuracy_percent"] > 90, name
        assert result.conditions == {"device": "cpu" if not torch.cuda.is_available() else "cuda", "precision": name}
    losses = [result.history[0]["train_loss"] for result in results.values()]
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.05)


def test_bfloat16_is_that_of_the_products_and_weights_stay_float32(tmp_path: Path) -> None:
    module, seen = gapcnn(), set()
    module.conv2.register_forward_hook(lambda child, _, output: seen.add((child.training, output.dtype)))
    run(tmp_path, module, epochs=1, precision="bfloat16")
    assert seen == {(True, torch.bfloat16), (False, torch.bfloat16)}
    assert {value.dtype for value in module.state_dict().values()} == {torch.float32}


def test_another_precision_starts_afresh(tmp_path: Path) -> None:
    run(tmp_path, gapcnn(), epochs=1)
    assert run(tmp_path, gapcnn(), epochs=1).resumed_after == 1
    assert run(tmp_path, gapcnn(), epochs=1, precision="bfloat16").resumed_after == 0


@pytest.mark.parametrize(
    ("found", "auto"),
    [
        ({"avx2": True}, "float32"),
        ({"avx512_bf16": False, "amx_bf16": False}, "float32"),
        ({"avx512_bf16": True}, "bfloat16"),
        ({"amx_bf16": True}, "bfloat16"),
    ],
)
def test_auto_takes_bfloat16_where_the_cpu_computes_it(
    monkeypatch: pytest.MonkeyPatch, found: dict[str, bool], auto: str
) -> None:
    monkeypatch.setattr(hardware.torch.cpu, "get_capabilities", lambda: found)
    assert [choose_precision(name, CPU) for name in ("auto", "bfloat16", "float32")] == [auto, "bfloat16", "float32"]


def test_a_gpu_without_bfloat16_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU is not asked whether it can pretend."""

    def supported(including_emulation: bool = True) -> bool:
        return including_emulation

    monkeypatch.setattr(hardware.torch.cuda, "is_bf16_supported", supported)
    monkeypatch.setattr(hardware.torch.cuda, "get_device_name", lambda _: "Tesla T4")
    assert choose_precision("auto", CUDA) == "float32"
    with pytest.raises(TrainingError, match="precision: bfloat16, but Tesla T4 does not compute in it; use precision"):
        choose_precision("bfloat16", CUDA)
    monkeypatch.setattr(hardware.torch.cuda, "is_bf16_supported", lambda including_emulation: not including_emulation)
    assert choose_precision("auto", CUDA) == "bfloat16"


def test_batches_are_normalized_bit_for_bit_in_colour_too() -> None:
    generator = np.random.default_rng(0)
    images = generator.integers(0, 256, (50, 7, 5, 3), np.uint8)
    preprocessing = replace(PREPROCESSING, mean=(0.1, 0.45, 0.7), std=(0.3, 0.21, 0.13))
    split = replace(DATA.training, images=images, labels=np.arange(50) % 4)
    samples, positions = Samples.of(split, preprocessing, CPU), generator.permutation(50)[:20]
    for choice in (torch.from_numpy(positions), slice(10, 30)):
        pixels, labels = samples.batch(choice)
        assert pixels.is_contiguous(memory_format=torch.channels_last)
        np.testing.assert_array_equal(
            samples.normalized(pixels).numpy(), normalized_channels_first(preprocessing, images[choice])
        )
        np.testing.assert_array_equal(labels.numpy(), split.labels[choice])
    np.testing.assert_array_equal(samples.images.numpy(), images)


def test_a_trained_network_is_laid_out_as_it_was(tmp_path: Path) -> None:
    """Exports and files expect the usual layout, and no hook of a training may stay."""
    module = gapcnn()
    run(tmp_path, module, epochs=1)
    assert all(value.is_contiguous() for value in module.state_dict().values())
    assert not any(child._forward_pre_hooks for child in module.modules())


def test_a_network_of_large_wide_convolutions_keeps_the_usual_layout(tmp_path: Path) -> None:
    """One channel can be read in both layouts, and its strides decide: the images must not lead to the other one."""
    module, seen = build("ciresan", (8, 8, 1), 4), []
    for child in module.modules():
        if isinstance(child, nn.Conv2d):
            child.register_forward_hook(lambda _, inputs, output: seen.append((inputs[0], output)))
    run(tmp_path, module, TrainingData(textures(8, seed=1), textures(8, seed=2), PREPROCESSING), epochs=1)
    assert len(seen) == 2 * 7
    for inputs, output in seen:
        assert inputs.stride() == torch.empty(inputs.shape).stride()
        assert output.stride() == torch.empty(output.shape).stride()


def test_feature_maps_and_their_gradients_are_channels_last(tmp_path: Path) -> None:
    module, layouts = gapcnn(), []

    def watch(*call: Any) -> None:
        output = call[-1]
        layouts.append(output.is_contiguous(memory_format=torch.channels_last))
        if output.requires_grad:
            output.register_hook(
                lambda gradient: layouts.append(gradient.is_contiguous(memory_format=torch.channels_last))
            )

    for name in ("conv2", "selu2", "pool2", "conv3"):
        getattr(module, name).register_forward_hook(watch)
    run(tmp_path, module, epochs=1)
    # Five steps with an output and a gradient of every layer, and one look at the validation split.
    assert layouts == [True] * (5 * 8 + 4)
