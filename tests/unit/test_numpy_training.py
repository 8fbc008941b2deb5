"""Training in NumPy: its gradients and updates are PyTorch's, and its bits depend on recipe, seed and data only."""

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from textures import CLASSES, PREPROCESSING, SHAPE, gapcnn, textures
from torch import nn
from torch.nn import functional

from compresslab.config.training import Optimizer, Recipe
from compresslab.data.prepare import prepare
from compresslab.data.preprocessing import Preprocessing
from compresslab.engines.numpy import FloatEngine
from compresslab.export.numpy_network import to_network
from compresslab.models.numpy import lenet5
from compresslab.models.numpy.activations import activate
from compresslab.models.numpy.architectures import make
from compresslab.models.numpy.forward import forward
from compresslab.models.numpy.network import Layer, Network, load, save
from compresslab.train.loop import TrainingData, TrainingError, TrainingResult, batches
from compresslab.train.numpy import layers
from compresslab.train.numpy.curves import KINDS
from compresslab.train.numpy.learner import NumpyLearner, initialized, train
from compresslab.train.numpy.loss import cross_entropy
from compresslab.train.numpy.optimizers import make_optimizer
from compresslab.train.numpy.parameters import Parameters, Weights
from compresslab.train.numpy.passes import Passes
from compresslab.train.torch.learner import TorchLearner
from compresslab.train.torch.learner import make_optimizer as torch_optimizer

DATA = TrainingData(textures(150, seed=1), textures(70, seed=2), PREPROCESSING)
ADAM = Optimizer(name="adam", lr=0.01)
RECIPE = Recipe(epochs=4, batch=32, optimizer=ADAM, schedule="one-cycle")


def small_network() -> Network:
    """A float network of every kind of layer and activation for textures, with weights that are zero."""

    def zeros(*shape: int) -> dict[str, np.ndarray]:
        return {"weight": np.zeros(shape, np.float32), "bias": np.zeros(shape[-1], np.float32)}

    plan = (
        Layer("conv1", "conv2d", "relu", padding=1, arrays=zeros(3, 3, 1, 8)),
        Layer("pool1", "max_pool", size=2, stride=2),
        Layer("conv2", "conv2d", "selu", padding=1, arrays=zeros(3, 3, 8, 12)),
        Layer("pool2", "max_pool", size=2, stride=1),
        Layer("conv3", "conv2d", "gelu", stride=2, padding=1, arrays=zeros(3, 2, 12, 16)),
        Layer("fc1", "linear", "swish", arrays=zeros(2 * 2 * 16, 16)),
        Layer("fc2", "linear", arrays=zeros(16, 4)),
    )
    return Network("float", SHAPE, PREPROCESSING, CLASSES, plan)


def torch_lenet5(activation: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    parts: dict[str, nn.Module] = {
        "conv1": nn.Conv2d(3, 6, 5),
        "act1": activation(),
        "pool1": nn.MaxPool2d(2),
        "conv2": nn.Conv2d(6, 16, 5),
        "act2": activation(),
        "pool2": nn.MaxPool2d(2),
        "flatten": nn.Flatten(),
        "fc1": nn.Linear(400, 120),
        "act3": activation(),
        "fc2": nn.Linear(120, 84),
        "act4": activation(),
        "fc3": nn.Linear(84, 4),
    }
    module = nn.Sequential()
    for name, part in parts.items():
        module.add_module(name, part)
    return module


def colored(count: int, seed: int) -> "TrainingData":
    """Textures of 32 x 32 x 3, for LeNet-5."""
    split = textures(count, seed)
    split = replace(split, images=np.tile(split.images, (1, 4, 4, 3)))
    return TrainingData(split, split, Preprocessing((0.45, 0.5, 0.4), (0.3, 0.2, 0.25)))


COLORED = colored(40, 1)


def batch_innermost(images: np.ndarray) -> np.ndarray:
    """(N, C, H, W) or (N, F) to (C, H, W, N) or (F, N), contiguous."""
    return np.ascontiguousarray(np.moveaxis(images, 0, -1))


def batch_first(values: np.ndarray) -> np.ndarray:
    return np.moveaxis(values, -1, 0)


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def leaf(values: np.ndarray) -> torch.Tensor:
    return torch.tensor(values, requires_grad=True)


def close(found: np.ndarray, expected: torch.Tensor, tolerance: float = 1e-10) -> None:
    np.testing.assert_allclose(found, expected.detach().numpy(), rtol=tolerance, atol=tolerance)


def weights_like(weight: np.ndarray, bias: np.ndarray) -> Weights:
    return Weights(
        weight.reshape(len(bias), -1), bias, np.full((len(bias), weight[0].size), np.nan), np.zeros_like(bias)
    )


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 7), st.integers(1, 7)),
    st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4)),
    st.integers(1, 3),
    st.integers(0, 2),
    st.sampled_from([1, 600, 2**20]),
)
def test_convolution(
    images: tuple[int, ...], kernel: tuple[int, ...], stride: int, padding: int, chunk_bytes: int
) -> None:
    outputs, height, width = kernel
    height, width = min(height, images[2] + 2 * padding), min(width, images[3] + 2 * padding)
    values, weight = leaf(normal(0, *images)), leaf(normal(1, outputs, images[1], height, width))
    bias = leaf(normal(2, outputs))
    expected = functional.conv2d(values, weight, bias, stride, padding)
    gradient = normal(3, *expected.shape)
    expected.backward(torch.tensor(gradient))

    weights = weights_like(weight.detach().numpy(), bias.detach().numpy())
    arrays = {"weight": np.empty((height, width, images[1], outputs))}
    layer = Layer("conv", "conv2d", stride=stride, padding=padding, arrays=arrays)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layers, "CHUNK_BYTES", chunk_bytes)
        convolution = layers.Convolution(batch_innermost(values.detach().numpy()), layer, weights, with_gradient=True)
    for _ in range(2):  # Buffers are used again: the second time must not see the first.
        convolution.forward()
        found = convolution.backward(batch_innermost(gradient))
    close(batch_first(convolution.output), expected)
    close(batch_first(found), values.grad)
    close(weights.weight_gradient.reshape(weight.shape), weight.grad)
    close(weights.bias_gradient, bias.grad)


def test_linear_reads_maps_and_features() -> None:
    for shape in ((5, 3, 2, 2), (5, 12)):
        values, weight, bias = leaf(normal(0, *shape)), leaf(normal(1, 4, 12)), leaf(normal(2, 4))
        expected = functional.linear(values.flatten(1), weight, bias)
        gradient = normal(3, *expected.shape)
        expected.backward(torch.tensor(gradient))
        weights = weights_like(weight.detach().numpy(), bias.detach().numpy())
        linear = layers.Linear(batch_innermost(values.detach().numpy()), weights, with_gradient=True)
        linear.forward()
        found = linear.backward(batch_innermost(gradient))
        close(batch_first(linear.output), expected)
        close(batch_first(found), values.grad)
        close(weights.weight_gradient, weight.grad)
        close(weights.bias_gradient, bias.grad)


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(3, 8), st.integers(3, 8)),
    st.integers(1, 3),
    st.integers(1, 4),
    st.integers(0, 1000),
)
def test_max_pool_gives_ties_to_the_first(images: tuple[int, ...], size: int, stride: int, seed: int) -> None:
    # Three different values: nearly every window has several that are the largest.
    values = leaf(np.random.default_rng(seed).integers(0, 3, images).astype(np.float64))
    expected = functional.max_pool2d(values, size, stride)
    gradient = normal(seed, *expected.shape)
    expected.backward(torch.tensor(gradient))
    pool = layers.MaxPool(batch_innermost(values.detach().numpy()), Layer("pool", "max_pool", size=size, stride=stride))
    for _ in range(2):
        pool.forward()
        found = pool.backward(batch_innermost(gradient))
    np.testing.assert_array_equal(batch_first(pool.output), expected.detach().numpy())
    close(batch_first(found), values.grad)


def test_global_average_pool() -> None:
    values = leaf(normal(0, 3, 2, 4, 5))
    expected = values.mean((2, 3))
    gradient = normal(1, 3, 2)
    expected.backward(torch.tensor(gradient))
    pool = layers.GlobalAveragePool(batch_innermost(values.detach().numpy()))
    pool.forward()
    close(batch_first(pool.output), expected)
    close(batch_first(pool.backward(batch_innermost(gradient))), values.grad)


TORCH_CURVES: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "relu": functional.relu,
    "selu": functional.selu,
    "gelu": lambda values: functional.gelu(values, approximate="tanh"),
    "swish": functional.silu,
}


@pytest.mark.parametrize("name", KINDS)
def test_activations_and_their_derivatives(name: str) -> None:
    values = leaf(np.concatenate([normal(0, 500) * 4, [0, -0.0, 1e-30, 40, -40, 800, -800]]))
    expected = TORCH_CURVES[name](values)
    gradient = normal(1, len(values))
    expected.backward(torch.tensor(gradient))
    curve = KINDS[name](values.detach().numpy())
    for _ in range(2):
        curve.forward()
        found = curve.backward(gradient)
    close(curve.output, expected)
    close(found, values.grad)
    np.testing.assert_allclose(curve.output, activate(values.detach().numpy(), name), atol=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy(smoothing: float) -> None:
    logits, labels = leaf(normal(0, 9, 5) * 1000), np.random.default_rng(0).integers(0, 5, 9)
    expected = functional.cross_entropy(logits, torch.tensor(labels), label_smoothing=smoothing)
    expected.backward()
    loss = cross_entropy(batch_innermost(logits.detach().numpy()), labels, smoothing)
    assert loss.mean == pytest.approx(expected.item(), rel=1e-12)
    assert loss.correct == (logits.argmax(1).numpy() == labels).sum()
    close(batch_first(loss.gradient), logits.grad)


def test_the_gradient_of_a_whole_network_is_the_slope_of_its_loss() -> None:
    network = initialized(small_network(), 0)
    parameters = Parameters(network, np.float64)
    parameters.values += normal(5, len(parameters.values)) * 0.05
    passes = Passes(network, parameters, images=6)
    passes.entering[...] = normal(1, *passes.entering.shape)
    labels = np.arange(6) % 4

    def loss() -> float:
        return cross_entropy(passes.forward(), labels, 0.1).mean

    passes.backward(cross_entropy(passes.forward(), labels, 0.1).gradient)
    gradient = parameters.gradient.copy()
    step = 1e-6
    for position in np.random.default_rng(2).choice(len(gradient), 300, replace=False):
        before = parameters.values[position]
        parameters.values[position] = before + step
        above = loss()
        parameters.values[position] = before - step
        below = loss()
        parameters.values[position] = before
        assert gradient[position] == pytest.approx((above - below) / (2 * step), abs=2e-8)


def test_forward_is_that_of_the_network() -> None:
    network = initialized(small_network(), 3)
    passes = Passes(network, Parameters(network), images=9)
    images = network.preprocessing.normalize(DATA.training.images[:9])
    passes.entering[...] = images.transpose(3, 1, 2, 0)
    *_, last = forward(network, images)
    np.testing.assert_allclose(passes.forward().T, last.output, atol=1e-5)


def as_network(module: nn.Module, shape: tuple[int, ...]) -> Network:
    height, width, channels = shape
    return to_network(
        module, COLORED.preprocessing if channels == 3 else PREPROCESSING, CLASSES, (height, width, channels)
    )


def gradients_as_network(module: nn.Module, shape: tuple[int, ...]) -> Network:
    """The gradients of a module as the weights of a network."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(parameter.grad)
    return as_network(module, shape)


@pytest.mark.parametrize(
    ("module", "data"),
    [(gapcnn, DATA), (torch_lenet5, COLORED), (lambda: torch_lenet5(nn.SiLU), COLORED)],
    ids=["gapcnn", "lenet5", "lenet5-swish"],
)
def test_the_gradient_of_a_whole_network_is_pytorchs(module: Callable[[], nn.Module], data: TrainingData) -> None:
    torch.manual_seed(1)
    built, shape = module(), data.training.images.shape[1:]
    network = as_network(built, shape)
    images, labels = data.preprocessing.normalize(data.training.images[:20]), data.training.labels[:20]
    functional.cross_entropy(
        built(torch.tensor(images.transpose(0, 3, 1, 2))), torch.tensor(labels), label_smoothing=0.1
    ).backward()
    parameters = Parameters(network)
    passes = Passes(network, parameters, 20)
    passes.entering[...] = images.transpose(3, 1, 2, 0)
    passes.backward(cross_entropy(passes.forward(), labels, 0.1).gradient)
    expected = Parameters(gradients_as_network(built, shape)).values
    np.testing.assert_allclose(parameters.gradient, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "chosen",
    [
        Optimizer(name="sgd", lr=0.1, momentum=0.9, weight_decay=0.03),
        Optimizer(name="sgd", lr=0.1, momentum=0),
        Optimizer(name="adam", lr=0.1),
        Optimizer(name="adam", lr=0.1, weight_decay=0.03),
        Optimizer(name="adamw", lr=0.1, weight_decay=0.03),
    ],
    ids=lambda chosen: f"{chosen.name}-{chosen.weight_decay}",
)
def test_updates_are_pytorchs(chosen: Optimizer) -> None:
    module = nn.Linear(6, 5)
    expected = torch_optimizer(module, chosen)
    values = np.concatenate([parameter.detach().numpy().ravel() for parameter in module.parameters()])
    optimizer = make_optimizer(chosen, values)
    for step in range(25):
        rate, gradient = 0.1 / (1 + step), normal(step, len(values)).astype(np.float32)
        module.weight.grad, module.bias.grad = torch.tensor(gradient[:30]).reshape(5, 6), torch.tensor(gradient[30:])
        expected.param_groups[0]["lr"] = rate
        expected.step()
        optimizer.update(values, gradient.copy(), rate)
        found = np.concatenate([parameter.detach().numpy().ravel() for parameter in module.parameters()])
        np.testing.assert_allclose(values, found, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
@pytest.mark.parametrize("activation", [nn.ReLU, nn.SiLU])
def test_a_training_goes_the_way_of_pytorchs(name: str, activation: type[nn.Module]) -> None:
    data, validation = colored(300, 1), colored(100, 2)
    data = replace(data, validation=validation.validation)
    recipe = Recipe(
        epochs=3, batch=32, optimizer=Optimizer(name=name, lr=0.003, weight_decay=0.01), label_smoothing=0.1
    )
    torch.manual_seed(0)
    module = torch_lenet5(activation)
    ours = NumpyLearner(initialized(as_network(module, (32, 32, 3)), 0), data, recipe)
    with torch.no_grad():
        for child, layer in zip(
            [child for child in module if hasattr(child, "weight")],
            [layer for layer in ours.network().layers if layer.arrays],
            strict=True,
        ):
            child.bias.zero_()
            weight = layer.weight
            if layer.name == "fc1":
                weight = weight.reshape(5, 5, 16, 120).transpose(2, 0, 1, 3).reshape(400, 120)
            child.weight.copy_(torch.tensor(weight.transpose(3, 2, 0, 1) if weight.ndim == 4 else weight.T))
    theirs = TorchLearner(module, data, recipe, torch.device("cpu"))
    for step, positions in enumerate([*batches(300, 32, 0, 1), *batches(300, 32, 0, 2)]):
        for learner in (ours, theirs):
            learner.step(positions, 0.003)
        one, other = ours.running(), theirs.running()
        if step < 5:
            assert one.loss == pytest.approx(other.loss, rel=1e-4)
    one, other = ours.validate(), theirs.validate()
    assert one.accuracy_percent > 80
    assert one.accuracy_percent == pytest.approx(other.accuracy_percent, abs=5)


def run(
    state: Path, seed: int = 0, network: Network | None = None, stop_after: int = 0, **changes: object
) -> tuple[Network, TrainingResult]:
    def log(line: str) -> None:
        if stop_after and line.startswith(f"epoch {stop_after}/"):
            raise Killed

    recipe = RECIPE.model_copy(update=changes)
    return train(network or small_network(), DATA, recipe, seed, state, "same", log)


class Killed(BaseException):
    """Stands for the end of the process."""


def same_bits(one: Network, other: Network) -> bool:
    return all(
        name == again and first.tobytes() == second.tobytes()
        for (name, first), (again, second) in zip(one.arrays(), other.arrays(), strict=True)
    )


def test_it_learns_textures(tmp_path: Path) -> None:
    network, result = run(tmp_path)
    assert [row["epoch"] for row in result.history] == [1, 2, 3, 4]
    assert result.history[-1]["validation_accuracy_percent"] > 95
    engine = FloatEngine(network)
    predicted = engine.predict(DATA.validation.images).argmax(1)
    accuracy = 100 * (predicted == DATA.validation.labels).mean()
    assert accuracy == pytest.approx(result.history[-1]["validation_accuracy_percent"])


def test_a_seed_gives_the_same_bytes_again_and_another_seed_others(tmp_path: Path) -> None:
    for name in ("first", "second"):
        network, _ = run(tmp_path / name)
        save(network, tmp_path / f"{name}.npz")
    other, _ = run(tmp_path / "other", seed=1)
    assert (tmp_path / "first.npz").read_bytes() == (tmp_path / "second.npz").read_bytes()
    assert not same_bits(network, other)


def test_another_process_gives_the_same_bytes(tmp_path: Path) -> None:
    network, _ = run(tmp_path / "here")
    save(network, tmp_path / "here.npz")
    script = (
        "import sys; from pathlib import Path\n"
        "from compresslab.engines.contract import set_threads; set_threads(1)\n"
        "import test_numpy_training as t\n"
        "t.save(t.run(Path(sys.argv[1]) / 'there')[0], Path(sys.argv[1]) / 'there.npz')"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True, cwd=Path(__file__).parent)
    assert (tmp_path / "here.npz").read_bytes() == (tmp_path / "there.npz").read_bytes()


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw"])
def test_stopping_after_any_epoch_changes_nothing(tmp_path: Path, name: str) -> None:
    optimizer = Optimizer(name=name, lr=0.01, weight_decay=0.01)
    expected, undisturbed = run(tmp_path / "undisturbed", optimizer=optimizer)
    for epoch in range(1, 5):
        with pytest.raises(Killed):
            run(tmp_path / str(epoch), optimizer=optimizer, stop_after=epoch)
        network, result = run(tmp_path / str(epoch), optimizer=optimizer)
        assert result.resumed_after == epoch
        assert same_bits(network, expected)
        assert [row | {"epoch_s": 0} for row in result.history] == [row | {"epoch_s": 0} for row in undisturbed.history]


def test_sigkill_in_the_middle_of_an_epoch_changes_nothing(tmp_path: Path) -> None:
    expected, _ = run(tmp_path / "undisturbed")
    child = os.fork()
    if child == 0:
        step, steps = NumpyLearner.step, []

        def dying(learner: NumpyLearner, positions: np.ndarray, learning_rate: float) -> None:
            steps.append(step(learner, positions, learning_rate))
            if len(steps) == 13:  # Five steps make an epoch.
                os.kill(os.getpid(), 9)

        NumpyLearner.step = dying  # type: ignore[method-assign]
        run(tmp_path / "state")
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == -9
    network, result = run(tmp_path / "state")
    assert result.resumed_after == 2
    assert same_bits(network, expected)


class Trap:
    def __reduce__(self):
        return os.mkdir, ("sprung",)


def test_a_snapshot_cannot_execute_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    learner = NumpyLearner(small_network(), DATA, RECIPE)
    trapped = {"parameters": np.array([Trap()], object)}
    with (tmp_path / "trap.npz").open("wb") as stream:
        np.savez(stream, **trapped)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        learner.restore((tmp_path / "trap.npz").read_bytes())
    with pytest.raises(ValueError, match="pickle"):
        learner.restore(pickle.dumps(Trap()))
    assert not (tmp_path / "sprung").exists()


def test_validation_only_watches(tmp_path: Path) -> None:
    network, _ = run(tmp_path / "one")
    recipe = RECIPE.model_copy()
    data = replace(DATA, validation=textures(33, seed=9))
    other, _ = train(small_network(), data, recipe, 0, tmp_path / "other", "same", lambda _: None)
    assert same_bits(network, other)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_loss_and_accuracy_are_means_over_images_not_over_batches(tmp_path: Path, smoothing: float) -> None:
    standing_still = Optimizer(name="sgd", lr=1e-30, momentum=0)
    # 150 images in batches of 64: a mean over batches would count the last 22 three times too much.
    _, result = run(tmp_path, epochs=1, batch=64, optimizer=standing_still, label_smoothing=smoothing)
    network = initialized(small_network(), 0)
    for split, name in ((DATA.training, "train"), (DATA.validation, "validation")):
        logits = torch.tensor(FloatEngine(network).predict(split.images)).double()
        labels = torch.tensor(split.labels)
        loss = functional.cross_entropy(logits, labels, label_smoothing=smoothing).item()
        assert result.history[0][f"{name}_loss"] == pytest.approx(loss, rel=1e-5)
        accuracy = 100 * (logits.argmax(1) == labels).double().mean().item()
        assert result.history[0][f"{name}_accuracy_percent"] == pytest.approx(accuracy)


def test_training_normalizes_as_the_engines_do() -> None:
    learner = NumpyLearner(initialized(lenet_network(), 0), COLORED, RECIPE)
    learner.validate()
    (passes,) = learner._passes.values()
    expected = COLORED.preprocessing.normalize(COLORED.validation.images)
    np.testing.assert_array_equal(batch_first(passes.entering).transpose(0, 2, 3, 1), expected)


@pytest.mark.filterwarnings("error")
def test_a_loss_that_explodes_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"loss of epoch 1 is (nan|inf); lower the learning rate 1e\+30"):
        run(tmp_path, optimizer=Optimizer(name="sgd", lr=1e30))


def test_a_gpu_is_refused_in_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="device: cuda, but NumPy trains on the CPU"):
        run(tmp_path, device="cuda")


def lenet_network(**arguments: str) -> Network:
    return make("lenet5", (32, 32, 3), CLASSES, COLORED.preprocessing, **arguments)


def test_lenet5_is_the_published_one() -> None:
    seven = Network("float", (32, 32, 3), COLORED.preprocessing, tuple("abcdefg"), lenet5.build((32, 32, 3), 7))
    assert seven.parameters == 61_751
    assert list(seven.shapes) == ["conv1", "pool1", "conv2", "pool2", "fc1", "fc2", "fc3"]
    assert [layer.activation for layer in seven.layers] == ["relu", "none", "relu", "none", "relu", "relu", "none"]
    swish = lenet_network(activation="swish")
    assert [layer.activation for layer in swish.layers if layer.arrays] == ["swish"] * 4 + ["none"]


@pytest.mark.parametrize(
    ("architecture", "shape", "arguments", "message"),
    [
        ("lenet6", (32, 32, 3), {}, "there is no NumPy architecture 'lenet6'"),
        ("lenet5", (12, 12, 3), {}, "layer conv2: a window"),
        ("lenet5", (32, 32, 3), {"activation": "tanh"}, "layer conv1: unknown activation 'tanh'"),
    ],
)
def test_an_architecture_that_cannot_be_is_one_clear_line(
    architecture: str, shape: tuple[int, int, int], arguments: dict[str, str], message: str
) -> None:
    with pytest.raises(ValueError, match=message) as error:
        make(architecture, shape, CLASSES, COLORED.preprocessing, **arguments)
    assert "\n" not in str(error.value)


def test_initial_weights_are_hes_and_depend_on_the_seed_alone() -> None:
    network = initialized(lenet_network(), 0)
    assert same_bits(network, initialized(network, 0))
    assert not same_bits(network, initialized(network, 1))
    fc1 = next(layer for layer in network.layers if layer.name == "fc1")
    assert fc1.weight.std() == pytest.approx((2 / 400) ** 0.5, rel=0.02)
    assert not fc1.bias.any()
    assert same_bits(network, Parameters(network).network())


def test_the_stage_trains_and_repeats_itself(tmp_path: Path) -> None:
    prepare("mnist", "embedded", None, tmp_path / "data.npz")
    spec = {
        "architecture": "lenet5",
        "arguments": {"activation": "swish"},
        "parameters": {"epochs": 1, "optimizer": {"lr": 0.003}},
        "seed": 0,
        "train_images": 600,
        "validation_images": 100,
    }
    for name in ("first", "second"):
        folder = tmp_path / name
        folder.mkdir()
        outputs = {"state": "state", "model": "model.npz", "card": "card.json", "training": "training.csv"}
        options = [part for option, path in outputs.items() for part in (f"--{option}", folder / path)]
        command = [sys.executable, "-m", "compresslab.stages.train_numpy", "--spec", json.dumps(spec), *options]
        subprocess.run([*command, "--data", tmp_path / "data.npz"], check=True, capture_output=True)
        assert not (folder / "state").exists()
        assert len((folder / "training.csv").read_text().splitlines()) == 2
    assert (tmp_path / "first/model.npz").read_bytes() == (tmp_path / "second/model.npz").read_bytes()
    assert json.loads((folder / "card.json").read_text())["arguments"] == {"activation": "swish"}
    network = load(folder / "model.npz")
    assert network.layers[0].activation == "swish"
    assert not same_bits(network, initialized(network, 0))
