"""TensorFlow trains what PyTorch trains, its engines agree, its files rebuild networks, and pruning keeps its word."""

import gzip
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from colour_patterns import CLASSES, DATA, PREPROCESSING, SHAPE, Killed, killed_after, patterns
from safetensors.numpy import save_file

from compresslab.compress import cluster_tfmot, prune_tfmot
from compresslab.config.methods import cluster_tfmot as cluster_settings
from compresslab.config.methods import prune_tfmot as prune_settings
from compresslab.config.training import Optimizer, Recipe
from compresslab.data.prepared import Split
from compresslab.engines.contract import open_engine
from compresslab.export.numpy_network import to_network
from compresslab.measure import cost_tensorflow, cost_torch
from compresslab.models.errors import ArtifactError
from compresslab.models.numpy.forward import forward
from compresslab.models.tensorflow import artifact, framework
from compresslab.models.torch import artifact as torch_artifact
from compresslab.train.initialization import he_normal
from compresslab.train.loop import TrainingData, TrainingError, TrainingResult, batches
from compresslab.train.tensorflow import hardware, learner
from compresslab.train.torch import learner as torch_learner

ENGINES = ("tf-eager", "tf-graph", "tf-xla")
IMAGES = patterns(20, seed=5).images
RECIPE = Recipe(epochs=2, batch=32, optimizer=Optimizer(lr=0.003), initialization="he")

framework.configure("cpu", 1)


def noise(count: int, seed: int) -> Split:
    """Return images without two equal places: where a pooling finds a tie, rounding decides which place learns."""
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 256, (count, *SHAPE), dtype=np.uint8)
    return Split(images, generator.integers(0, len(CLASSES), count), np.arange(count))


NOISE = TrainingData(noise(256, seed=1), noise(64, seed=2), PREPROCESSING)


def lenet5(seed: int = 0, activation: str = "relu") -> artifact.TensorFlowModel:
    """LeNet-5 with the weights that every framework draws from ``seed``, and biases that are not zero."""
    arguments = {"activation": activation}
    network = artifact.build("lenet5", SHAPE, len(CLASSES), **arguments)
    learner.initialize(network, "he", seed)
    for layer in network.layers:
        if layer.weights:
            layer.bias.assign(np.linspace(-0.1, 0.1, layer.bias.shape[0]))
    return artifact.TensorFlowModel(network, "lenet5", SHAPE, PREPROCESSING, CLASSES, arguments)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tensorflow")


@pytest.fixture(scope="module")
def saved(folder: Path) -> Path:
    artifact.save(folder / "model.safetensors", lenet5())
    return folder / "model.safetensors"


@pytest.fixture(scope="module")
def trained(folder: Path) -> Path:
    model = lenet5()
    result = learner.train(model.network, DATA, RECIPE, 0, folder / "trained", "same")
    assert result.history[-1]["validation_accuracy_percent"] > 60
    artifact.save(folder / "trained.safetensors", model)
    return folder / "trained.safetensors"


def gzip_bytes(path: Path) -> int:
    return len(gzip.compress(path.read_bytes(), mtime=0))


class TestNetwork:
    def test_is_the_one_that_pytorch_and_numpy_compute(self) -> None:
        model = lenet5(activation="swish")
        module = torch_artifact.build("lenet5", SHAPE, len(CLASSES), activation="swish")
        torch_learner.initialize_he(module, SHAPE, seed=0)
        for name, values in artifact.arrays(model.network).items():
            if name.endswith("/bias"):
                module.get_parameter(name.replace("/", ".")).data = torch.from_numpy(values)
        *_, last = forward(to_network(module, PREPROCESSING, CLASSES, SHAPE), PREPROCESSING.normalize(IMAGES))
        logits = model.network(PREPROCESSING.normalize(IMAGES), training=False).numpy()
        np.testing.assert_allclose(logits, last.output, atol=1e-5)

    def test_takes_the_weights_that_all_frameworks_share(self) -> None:
        weights = artifact.arrays(lenet5(seed=7).network)
        np.testing.assert_array_equal(weights["fc1/kernel"], he_normal("fc1", (400, 120), 7))

    def test_the_frameworks_own_weights_are_those_of_the_seed(self) -> None:
        one, same, other = (artifact.build("lenet5", SHAPE, 7) for _ in range(3))
        for network, seed in ((one, 3), (same, 3), (other, 4)):
            learner.initialize(network, "framework", seed)
        limit = np.sqrt(6 / (400 + 120))
        kernels = [artifact.arrays(network)["fc1/kernel"] for network in (one, same, other)]
        assert limit * 0.99 < np.abs(kernels[0]).max() <= limit
        np.testing.assert_array_equal(kernels[0], kernels[1])
        assert not np.array_equal(kernels[0], kernels[2])
        assert not np.array_equal(artifact.arrays(one)["fc2/kernel"][:84], kernels[0][:120, :84])

    def test_an_unknown_activation_and_a_small_image_are_told(self) -> None:
        with pytest.raises(ValueError, match="lenet5 has no activation 'selu'; known: relu, swish"):
            artifact.build("lenet5", SHAPE, 7, activation="selu")
        with pytest.raises(ValueError, match="at least 16 x 16 pixels, not 15 x 32"):
            artifact.build("lenet5", (15, 32, 3), 7)
        with pytest.raises(ArtifactError, match="no TensorFlow architecture 'lenet'; there are: lenet5"):
            artifact.build("lenet", SHAPE, 7)


class TestArtifact:
    def test_a_file_rebuilds_the_network_and_what_belongs_to_it(self, saved: Path) -> None:
        loaded, written = artifact.load(saved), lenet5()
        assert replace(loaded, network=None) == replace(written, network=None)
        expected = artifact.arrays(written.network)
        assert list(expected) == list(artifact.arrays(loaded.network))
        for name, values in artifact.arrays(loaded.network).items():
            np.testing.assert_array_equal(values, expected[name])

    def test_equal_networks_are_equal_bytes(self, saved: Path, tmp_path: Path) -> None:
        artifact.save(tmp_path / "other", artifact.load(saved))
        assert (tmp_path / "other").read_bytes() == saved.read_bytes()

    def test_files_of_others_are_refused_in_one_line(self, saved: Path, tmp_path: Path) -> None:
        path = tmp_path / "model.safetensors"
        module = torch_artifact.build("lenet5", SHAPE, len(CLASSES))
        torch_artifact.save(path, torch_artifact.TorchModel(module, "lenet5", SHAPE, PREPROCESSING, CLASSES))
        with pytest.raises(ArtifactError, match="this is a network of torch, not of tensorflow"):
            artifact.load(path)
        with pytest.raises(ArtifactError, match="this is a network of tensorflow, not of torch"):
            torch_artifact.load(saved)
        save_file({"weight": np.ones(2)}, path)
        with pytest.raises(ArtifactError, match="comes from another program"):
            artifact.load(path)
        path.write_bytes(saved.read_bytes()[:-5])
        with pytest.raises(ArtifactError, match="truncated, damaged or not a safetensors file"):
            artifact.load(path)

    def test_tensors_that_do_not_fit_are_named(self, tmp_path: Path) -> None:
        path = tmp_path / "model.safetensors"
        artifact.save(path, replace(lenet5(), classes=("only", "two")))
        with pytest.raises(ArtifactError, match=r"lenet5: fc3/kernel is float32 \[84, 7\], not float32 \[84, 2\]"):
            artifact.load(path)


OPTIMIZERS = (
    Optimizer(name="adam", lr=0.001),
    Optimizer(name="adam", lr=0.001, weight_decay=0.01),
    Optimizer(name="adamw", lr=0.001, weight_decay=0.1),
    Optimizer(name="sgd", lr=0.01, weight_decay=0.001),
    Optimizer(name="sgd", lr=0.01, momentum=0),
)


class TestTraining:
    @pytest.mark.parametrize(
        "optimizer", OPTIMIZERS, ids=lambda settings: f"{settings.name}-{settings.weight_decay}-{settings.momentum}"
    )
    def test_goes_step_by_step_where_pytorch_goes(self, optimizer: Optimizer) -> None:
        recipe = Recipe(batch=32, optimizer=optimizer, label_smoothing=0.1, initialization="he")
        network = artifact.build("lenet5", SHAPE, len(CLASSES))
        module = torch_artifact.build("lenet5", SHAPE, len(CLASSES))
        learner.initialize(network, "he", 0)
        torch_learner.initialize_he(module, SHAPE, 0)
        ours = learner.TensorFlowLearner(network, NOISE, recipe)
        theirs = torch_learner.TorchLearner(module, NOISE, recipe, torch.device("cpu"))
        for step, positions in enumerate(batches(len(NOISE.training.labels), recipe.batch, seed=0, epoch=1)):
            # Momentum sums gradients or steps: the two part when the rate changes.
            rate = optimizer.lr * (1 + step / 5)
            for side in (ours, theirs):
                side.step(positions, rate)
            one, other = ours.running(), theirs.running()
            assert one.loss == pytest.approx(other.loss, rel=1e-5), f"step {step}"
        assert ours.validate().loss == pytest.approx(theirs.validate().loss, rel=1e-4)

    @pytest.mark.parametrize("kind", ["train", "prune", "cluster"])
    def test_a_killed_one_ends_in_the_bits_of_one_that_never_stopped(self, kind: str, tmp_path: Path) -> None:
        whole, parts = lenet5(), [lenet5() for _ in range(2)]
        history = MAKERS[kind](whole, tmp_path / "whole", killed_after(0)).history
        with pytest.raises(Killed):
            MAKERS[kind](parts[0], tmp_path / "parts", killed_after(1))
        resumed = MAKERS[kind](parts[1], tmp_path / "parts", killed_after(0))
        assert resumed.resumed_after == 1
        found = artifact.arrays(parts[1].network)
        for name, values in artifact.arrays(whole.network).items():
            np.testing.assert_array_equal(found[name], values, err_msg=name)
        assert [row | {"epoch_s": 0} for row in resumed.history] == [row | {"epoch_s": 0} for row in history]

    def test_a_training_takes_the_gpu_that_its_process_holds(self, monkeypatch: pytest.MonkeyPatch) -> None:
        chosen: list[list[str]] = []
        monkeypatch.setattr(framework.tf.config, "list_physical_devices", lambda _: ["first", "second"])
        monkeypatch.setattr(framework.tf.config, "set_visible_devices", lambda gpus, _: chosen.append(gpus))
        monkeypatch.setattr(framework.tf.config.experimental, "set_memory_growth", lambda *_: None)
        monkeypatch.setattr(hardware.gpus, "one_until_the_end", lambda: 1)
        for device in ("auto", "cuda", "cpu"):
            hardware.take_device(device, 1)
        assert chosen == [["second"], ["second"], []]

    def test_other_threads_in_the_same_process_are_an_error(self) -> None:
        with pytest.raises(ValueError, match="has started with other threads or devices"):
            framework.configure("cpu", 2)


def _trained(model: artifact.TensorFlowModel, state: Path, log: Callable[[str], None]) -> TrainingResult:
    return learner.train(model.network, DATA, RECIPE, 0, state, "same", log)


def _pruned(model: artifact.TensorFlowModel, state: Path, log: Callable[[str], None]) -> TrainingResult:
    settings = prune_settings.Parameters(epochs=2, batch=64, mask_every=3)
    return prune_tfmot.prune(model.network, DATA, settings, 0, state, "same", log).training


def _clustered(model: artifact.TensorFlowModel, state: Path, log: Callable[[str], None]) -> TrainingResult:
    settings = cluster_settings.Parameters(epochs=2, batch=64)
    return cluster_tfmot.cluster(model.network, DATA, settings, 0, state, "same", log).training


MAKERS = {"train": _trained, "prune": _pruned, "cluster": _clustered}


class TestCompression:
    def test_pruning_leaves_exactly_the_zeros_that_were_asked_for(self, trained: Path, tmp_path: Path) -> None:
        model = artifact.load(trained)
        settings = prune_settings.Parameters(epochs=1, sparsity=0.7)
        pruned = prune_tfmot.prune(model.network, DATA, settings, 0, tmp_path / "state", "same")
        for name, values in artifact.arrays(model.network).items():
            zeros = np.count_nonzero(values == 0)
            if name.endswith("kernel"):
                assert zeros == values.size - round(0.3 * values.size), name
            assert not np.signbit(values[values == 0]).any(), "all zeros are the same bits"
        assert pruned.sparsity_percent == pytest.approx(dict.fromkeys(pruned.sparsity_percent, 70), abs=0.1)
        out = tmp_path / "model.safetensors"
        artifact.save(out, model)
        assert len(out.read_bytes()) == len(trained.read_bytes())
        assert gzip_bytes(out) < 0.5 * gzip_bytes(trained)
        counted = cost_tensorflow.count(out, SHAPE)
        assert counted.macs == 651_468
        assert counted.nonzero_parameters == pytest.approx(0.3 * 61_751, rel=0.02)

    def test_more_zeros_than_asked_for_are_an_error(self, tmp_path: Path) -> None:
        model = lenet5()
        kernel = model.network.get_layer("conv2").kernel
        kernel.assign(np.where(np.arange(16) < 12, 0, kernel))
        model.network.get_layer("conv2").bias.assign(np.full(16, -100))
        with pytest.raises(TrainingError, match="layer conv2 has 1800 zeros of 2400 weights after pruning, 1200 were"):
            prune_tfmot.prune(model.network, DATA, prune_settings.Parameters(epochs=1), 0, tmp_path / "state", "same")

    def test_clustering_leaves_few_distinct_weights(self, trained: Path, tmp_path: Path) -> None:
        model = artifact.load(trained)
        settings = cluster_settings.Parameters(epochs=1, clusters=8, centroids="linear")
        clustered = cluster_tfmot.cluster(model.network, DATA, settings, 0, tmp_path / "state", "same")
        for name, values in artifact.arrays(model.network).items():
            if name.endswith("kernel"):
                distinct = len(np.unique(values))
                assert distinct == clustered.distinct_weights[name.partition("/")[0]] <= 8
        artifact.save(tmp_path / "model.safetensors", model)
        assert gzip_bytes(tmp_path / "model.safetensors") < 0.3 * gzip_bytes(trained)


class TestEngines:
    @pytest.mark.parametrize("name", ENGINES)
    def test_all_give_the_same_answers(self, name: str, saved: Path) -> None:
        engine = open_engine(name, saved, 1)
        expected = lenet5().network(PREPROCESSING.normalize(IMAGES), training=False).numpy()
        for images in (IMAGES, IMAGES[:1], IMAGES[:7]):
            native = engine.prepare(images)
            np.testing.assert_array_equal(native.numpy(), PREPROCESSING.normalize(images))
            logits = engine.run(native)
            assert logits.dtype == np.float32
            np.testing.assert_allclose(logits, expected[: len(images)], atol=1e-5)
        np.testing.assert_array_equal(engine.predict(IMAGES), engine.run(engine.prepare(IMAGES)))

    @pytest.mark.parametrize("name", ENGINES)
    def test_a_trace_has_every_layer_in_order(self, name: str, saved: Path) -> None:
        trace = open_engine(name, saved, 1).trace(IMAGES[:4])
        assert {layer: values.shape for layer, values in trace.items()} == {
            "conv1": (4, 28, 28, 6),
            "pool1": (4, 14, 14, 6),
            "conv2": (4, 10, 10, 16),
            "pool2": (4, 5, 5, 16),
            "fc1": (4, 120),
            "fc2": (4, 84),
            "fc3": (4, 7),
        }
        assert list(trace) == ["conv1", "pool1", "conv2", "pool2", "fc1", "fc2", "fc3"]
        assert trace["conv1"].min() == 0, "after the activation"
        expected = lenet5().network(PREPROCESSING.normalize(IMAGES[:4]), training=False).numpy()
        np.testing.assert_allclose(trace["fc3"], expected, atol=1e-5)

    def test_a_foreign_file_is_an_error(self, tmp_path: Path) -> None:
        (tmp_path / "model.safetensors").write_bytes(b"nothing of ours")
        with pytest.raises(ArtifactError, match="not a safetensors file"):
            open_engine("tf-graph", tmp_path / "model.safetensors", 1)


class TestCost:
    def test_is_the_published_one_and_that_of_pytorch(self, saved: Path, tmp_path: Path) -> None:
        counted = cost_tensorflow.count(saved, SHAPE)
        module = torch_artifact.build("lenet5", SHAPE, len(CLASSES))
        path = tmp_path / "torch.safetensors"
        torch_artifact.save(path, torch_artifact.TorchModel(module, "lenet5", SHAPE, PREPROCESSING, CLASSES))
        expected = cost_torch.count(path, SHAPE)
        assert (counted.parameters, counted.macs, counted.flops) == (61_751, 651_468, 1_302_936)
        assert counted.weight_bytes == expected.weight_bytes == 4 * 61_751
        assert counted.activation_peak_bytes == expected.activation_peak_bytes
        # Two convolutions and their poolings, three linear layers.
        outputs = 28 * 28 * 6 + 14 * 14 * 6 + 10 * 10 * 16 + 5 * 5 * 16 + 120 + 84 + 7
        assert counted.activation_bytes == expected.activation_bytes == 4 * outputs
        assert [(layer.layer, layer.macs) for layer in counted.layers if layer.macs] == [
            (layer.layer, layer.macs) for layer in expected.layers if layer.macs
        ]

    def test_a_product_without_a_rule_is_an_error(self, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(cost_tensorflow, "_macs", lambda _: 0)
        with pytest.raises(ValueError, match="add up to 0 MACs, TensorFlow counts 651,468"):
            cost_tensorflow.count(saved, SHAPE)


STAGES = ("train_tensorflow", "prune_tfmot", "cluster_tfmot", "qat_tfmot", "export_litert")


@pytest.mark.parametrize("stage", STAGES)
def test_help_needs_no_tensorflow(stage: str) -> None:
    script = (
        f"import sys; sys.argv = ['{stage}', '--help']\n"
        f"from compresslab.stages.{stage} import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "assert not {'tensorflow', 'tf_keras', 'ai_edge_litert'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert "--model" in done.stdout
