"""LiteRT models: what TensorFlow computes, in float or integers, sealed files, and counts and audits that see it."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from colour_patterns import CLASSES, DATA, PREPROCESSING, SHAPE, Killed, killed_after, patterns
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from compresslab.compress import qat_tfmot
from compresslab.config.methods import export_litert as export_settings
from compresslab.config.methods import qat_tfmot as qat_settings
from compresslab.config.training import Optimizer, Recipe
from compresslab.engines.contract import open_engine
from compresslab.export import litert as export
from compresslab.measure import audit_litert, cost_litert
from compresslab.measure.audit_row import AuditError, Row
from compresslab.measure.layers import layer_errors
from compresslab.models.errors import ArtifactError
from compresslab.models.litert import artifact
from compresslab.models.tensorflow import artifact as tensorflow_artifact
from compresslab.models.tensorflow import framework
from compresslab.train.loop import TrainingError
from compresslab.train.tensorflow import learner

IMAGES = patterns(200, seed=9).images
LAYERS = ["conv1", "pool1", "conv2", "pool2", "fc1", "fc2", "fc3"]

framework.configure("cpu", 1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("litert")


@pytest.fixture(scope="module")
def parent(folder: Path) -> Path:
    """A trained LeNet-5."""
    network = tensorflow_artifact.build("lenet5", SHAPE, len(CLASSES))
    recipe = Recipe(epochs=3, batch=32, optimizer=Optimizer(lr=0.003), initialization="he")
    learner.train(network, DATA, recipe, 0, folder / "state", "parent")
    model = tensorflow_artifact.TensorFlowModel(network, "lenet5", SHAPE, PREPROCESSING, CLASSES)
    tensorflow_artifact.save(folder / "parent.safetensors", model)
    return folder / "parent.safetensors"


def exported(parent: Path, out: Path, **changes: object) -> Path:
    model = tensorflow_artifact.load(parent)
    parameters = export_settings.Parameters.model_validate(changes)
    export.export(model, out, parameters, IMAGES[:32], DATA.training.images if parameters.integer else None)
    return out


def quantized(parent: Path, out: Path, state: Path, log: Callable[[str], None]) -> qat_tfmot.Quantized:
    parameters = qat_settings.Parameters(epochs=2, batch=64, optimizer=Optimizer(lr=0.0003))
    return qat_tfmot.quantize(tensorflow_artifact.load(parent), DATA, out, parameters, 0, state, "same", log)


@pytest.fixture(scope="module")
def float_model(folder: Path, parent: Path) -> Path:
    return exported(parent, folder / "float.tflite")


@pytest.fixture(scope="module")
def int8_model(folder: Path, parent: Path) -> Path:
    return exported(parent, folder / "int8.tflite", quantization="int8")


@pytest.fixture(scope="module")
def qat(folder: Path, parent: Path) -> qat_tfmot.Quantized:
    return quantized(parent, folder / "qat.tflite", folder / "qat", killed_after(0))


@pytest.fixture(scope="module")
def qat_model(folder: Path, qat: qat_tfmot.Quantized) -> Path:
    assert qat.agreement.same_answers_percent >= qat_tfmot.LEAST_AGREEMENT_PERCENT
    return folder / "qat.tflite"


@pytest.fixture(params=["int8_model", "qat_model"])
def integer_model(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


class TestEngine:
    def test_a_float_model_is_tensorflow(self, float_model: Path, parent: Path) -> None:
        ours, theirs = open_engine("litert", float_model, 1), open_engine("tf-graph", parent, 1)
        for count in (1, 7, 200):
            found = ours.predict(IMAGES[:count])
            assert found.dtype == np.float32
            np.testing.assert_allclose(found, theirs.predict(IMAGES[:count]), rtol=1e-5, atol=2e-5)
        expected = theirs.trace(IMAGES[:5])
        found = ours.trace(IMAGES[:5])
        assert list(found) == list(expected) == LAYERS
        for layer, values in found.items():
            np.testing.assert_allclose(values, expected[layer], rtol=1e-5, atol=2e-5)

    def test_an_integer_model_takes_int8_and_answers_as_its_parent(self, integer_model: Path, parent: Path) -> None:
        engine, reference = open_engine("litert", integer_model, 1), open_engine("tf-graph", parent, 1)
        native = engine.prepare(IMAGES[:3])
        assert native.dtype == np.int8
        logits = engine.run(native)
        assert (logits.dtype, logits.shape) == (np.float32, (3, 7))
        agreement = np.mean(engine.predict(IMAGES).argmax(1) == reference.predict(IMAGES).argmax(1))
        assert agreement > 0.9

    def test_layers_of_an_integer_model_are_close_to_those_of_its_parent(self, int8_model: Path, parent: Path) -> None:
        traces = [
            open_engine(*opened, 1).trace(IMAGES[:50]) for opened in (("tf-eager", parent), ("litert", int8_model))
        ]
        errors = layer_errors([(traces[0], traces[1])])
        assert errors["layer"].tolist() == LAYERS
        assert errors["relative_l2_percent"].between(0.05, 3).all()
        assert traces[1]["conv1"].min() == 0, "dequantized, after the activation"
        np.testing.assert_array_equal(traces[1]["fc3"], open_engine("litert", int8_model, 1).predict(IMAGES[:50]))

    def test_pixels_are_quantized_to_the_nearest_code_within_range(self, int8_model: Path) -> None:
        model = artifact.load(int8_model)
        tensor = model.graph.tensors[model.graph.inputs[0]]
        images = np.random.default_rng(0).integers(0, 256, (2, *SHAPE), dtype=np.uint8)
        codes = open_engine("litert", int8_model, 1).prepare(images)
        error = np.abs(tensor.dequantized(codes) - PREPROCESSING.normalize(images))
        assert error[(codes > -128) & (codes < 127)].max() <= tensor.scales[0] / 2 * 1.001


class TestQuantizationAwareTraining:
    def test_says_how_the_imitated_network_scores(self, qat: qat_tfmot.Quantized, qat_model: Path) -> None:
        assert [row["epoch"] for row in qat.training.history] == [1, 2]
        found = open_engine("litert", qat_model, 1).predict(DATA.validation.images)
        accuracy = 100 * np.mean(found.argmax(1) == DATA.validation.labels)
        assert accuracy == pytest.approx(qat.training.history[-1]["validation_accuracy_percent"], abs=3)

    def test_a_killed_one_ends_in_the_bytes_of_one_that_never_stopped(
        self, parent: Path, qat_model: Path, tmp_path: Path
    ) -> None:
        out = tmp_path / "model.tflite"
        with pytest.raises(Killed):
            quantized(parent, out, tmp_path / "state", killed_after(1))
        assert not out.exists()
        assert quantized(parent, out, tmp_path / "state", killed_after(0)).training.resumed_after == 1
        assert out.read_bytes() == qat_model.read_bytes()

    def test_weights_are_int8_per_channel_in_convolutions(self, qat_model: Path) -> None:
        model = artifact.load(qat_model)
        weights = {
            tensor.shape: tensor
            for tensor in model.graph.tensors
            if tensor.values is not None and tensor.dtype == np.int8
        }
        assert {shape: len(tensor.scales) for shape, tensor in weights.items()} == {
            (6, 5, 5, 3): 6,
            (16, 5, 5, 6): 16,
            (120, 400): 1,
            (84, 120): 1,
            (7, 84): 1,
        }
        for tensor in weights.values():
            assert not tensor.zero_points.any()
            assert np.abs(tensor.values.astype(int)).max() == 127

    def test_swish_cannot_be_made_of_integers_and_says_so(self, tmp_path: Path) -> None:
        network = tensorflow_artifact.build("lenet5", SHAPE, len(CLASSES), activation="swish")
        model = tensorflow_artifact.TensorFlowModel(network, "lenet5", SHAPE, PREPROCESSING, CLASSES)
        parameters = qat_settings.Parameters(epochs=1, batch=160)
        with pytest.raises(ValueError, match=r"LiteRT would compute in float: conv1, conv2, fc1, fc2; train with"):
            qat_tfmot.quantize(model, DATA, tmp_path / "model.tflite", parameters, 0, tmp_path / "state", "same")
        assert not (tmp_path / "state").exists(), "told before the training"
        assert not (tmp_path / "model.tflite").exists()

    def test_a_conversion_that_answers_otherwise_is_an_error(
        self, parent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(qat_tfmot, "compare", lambda *_: export.Agreement(9.0, 40.0, 9.0))
        with pytest.raises(TrainingError, match=r"for 40.0 % of the images only"):
            quantized(parent, tmp_path / "model.tflite", tmp_path / "state", killed_after(0))


class TestExport:
    def test_equal_networks_are_equal_bytes_in_every_process_which_says_no_word(
        self, parent: Path, float_model: Path, int8_model: Path, tmp_path: Path
    ) -> None:
        script = (
            "import sys; from pathlib import Path; import test_litert as t\n"
            "parent, out = map(Path, sys.argv[1:])\n"
            "t.exported(parent, out / 'float'); t.exported(parent, out / 'int8', quantization='int8')"
        )
        done = subprocess.run(
            [sys.executable, "-c", script, str(parent), str(tmp_path)],
            check=True,
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
        )
        assert done.stdout + done.stderr == ""
        assert (tmp_path / "float").read_bytes() == float_model.read_bytes()
        assert (tmp_path / "int8").read_bytes() == int8_model.read_bytes()

    def test_swish_can_be_exported_in_float_and_int8(self, tmp_path: Path) -> None:
        network = tensorflow_artifact.build("lenet5", SHAPE, len(CLASSES), activation="swish")
        learner.initialize(network, "he", 0)
        model = tensorflow_artifact.TensorFlowModel(
            network, "lenet5", SHAPE, PREPROCESSING, CLASSES, {"activation": "swish"}
        )
        path = tmp_path / "parent.safetensors"
        tensorflow_artifact.save(path, model)
        reference = open_engine("tf-graph", path, 1).trace(IMAGES[:20])
        for quantization, allowed in (("none", 0.01), ("int8", 5)):
            out = exported(path, tmp_path / "model.tflite", quantization=quantization)
            errors = layer_errors([(reference, open_engine("litert", out, 1).trace(IMAGES[:20]))])
            assert errors["relative_l2_percent"].max() < allowed
            assert cost_litert.count(out, SHAPE).macs == 651_468
        rows = audit_litert.audit(out, [])
        assert [row.node for row in rows][:4] == ["conv1", "conv1/logistic", "conv1/mul", "pool1"]
        assert all(row.runs_as == "integer" for row in rows)

    def test_logits_beyond_the_tolerance_are_an_error(self, parent: Path, tmp_path: Path) -> None:
        with pytest.raises(
            ValueError, match=r"LiteRT logits differ from TensorFlow's by up to .* tolerance of 1e-12 accepts"
        ):
            exported(parent, tmp_path / "model.tflite", tolerance=1e-12)
        assert not (tmp_path / "model.tflite").exists()

    def test_only_int8_is_a_quantized_variant(self) -> None:
        plain, integer = (
            export_settings.Parameters.model_validate({"quantization": quantization})
            for quantization in ("none", "int8")
        )
        assert (plain.makes, plain.integer) == ("litert", False)
        assert (integer.makes, integer.integer) == ("litert-quantized", True)
        with pytest.raises(ValidationError, match="ranges 'entropy' are not LiteRT's; use minmax"):
            export_settings.Parameters.model_validate({"calibration": {"ranges": "entropy"}})


class TestArtifact:
    def test_a_file_says_what_a_user_must_know(self, qat_model: Path) -> None:
        described = artifact.load(qat_model).description
        assert described == replace(described, image_shape=SHAPE, preprocessing=PREPROCESSING, classes=CLASSES)
        assert list(described.layers) == LAYERS

    @settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(part=st.floats(0, 1, exclude_max=True))
    def test_a_truncated_file_is_one_line(self, float_model: Path, tmp_path: Path, part: float) -> None:
        whole = float_model.read_bytes()
        assert_refused(tmp_path / "cut.tflite", whole[: int(part * len(whole))])

    @settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    @given(position=st.floats(0, 1, exclude_max=True), value=st.integers(1, 255))
    def test_a_changed_byte_is_one_line(self, float_model: Path, tmp_path: Path, position: float, value: int) -> None:
        content = bytearray(float_model.read_bytes())
        content[int(position * len(content))] ^= value
        assert_refused(tmp_path / "changed.tflite", bytes(content))

    @given(content=st.binary(max_size=300))
    @settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
    def test_random_bytes_are_one_line(self, tmp_path: Path, content: bytes) -> None:
        assert_refused(tmp_path / "random.tflite", content)

    def test_a_model_of_another_program_is_refused(self, float_model: Path, tmp_path: Path) -> None:
        assert_refused(tmp_path / "foreign.tflite", artifact.load(float_model).flatbuffer)

    def test_there_must_be_a_file(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            open_engine("litert", tmp_path / "none.tflite", 1)


def assert_refused(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ArtifactError, match="truncated, damaged or not a LiteRT model of compresslab") as error:
        open_engine("litert", path, 1)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


class TestCost:
    def test_is_the_published_one_in_every_form(self, float_model: Path, int8_model: Path, qat_model: Path) -> None:
        whole, *integers = (cost_litert.count(path, SHAPE) for path in (float_model, int8_model, qat_model))
        for counted in (whole, *integers):
            assert (counted.parameters, counted.macs) == (61_751, 651_468)
            assert [layer.layer for layer in counted.layers] == LAYERS
            assert sum(layer.nonzero_parameters for layer in counted.layers) == counted.nonzero_parameters > 60_000
        biases = 6 + 16 + 120 + 84 + 7
        assert whole.weight_bytes == 4 * 61_751
        assert whole.quantization_bytes == 0
        for counted in integers:
            assert counted.weight_bytes == 61_751 - biases + 4 * biases
            assert counted.quantization_bytes > 0
            assert 4 * counted.activation_peak_bytes == whole.activation_peak_bytes
            assert 4 * counted.activation_bytes == whole.activation_bytes
            assert counted.file_bytes < whole.file_bytes / 3

    def test_a_zero_is_what_stands_for_zero(self, parent: Path, tmp_path: Path) -> None:
        model = tensorflow_artifact.load(parent)
        kernel = model.network.get_layer("fc1").kernel
        kernel.assign(np.where(np.arange(120) < 60, 0, kernel))
        tensorflow_artifact.save(tmp_path / "half.safetensors", model)
        for quantization in ("none", "int8"):
            out = exported(tmp_path / "half.safetensors", tmp_path / "half.tflite", quantization=quantization)
            nonzero = cost_litert.count(out, SHAPE).nonzero_parameters
            assert 61_751 - 60 * 400 - 1000 < nonzero <= 61_751 - 60 * 400

    def test_other_images_are_an_error(self, float_model: Path) -> None:
        with pytest.raises(ValueError, match=r"takes images of \(32, 32, 3\), not \(28, 28, 1\)"):
            cost_litert.count(float_model, (28, 28, 1))


class TestAudit:
    def test_integer_models_compute_in_integers(self, integer_model: Path) -> None:
        kinds = {"conv": "CONV_2D", "pool": "MAX_POOL_2D", "fc": "FULLY_CONNECTED"}
        assert audit_litert.audit(integer_model, []) == [
            Row(layer, kinds[layer.rstrip("123")], "integer", True) for layer in LAYERS
        ]

    def test_a_float_model_is_no_surprise(self, float_model: Path) -> None:
        assert {row.runs_as for row in audit_litert.audit(float_model, [])} == {"float"}

    def test_what_is_left_in_float_fails_unless_it_is_allowed(self, parent: Path, tmp_path: Path) -> None:
        out = half_quantized(parent, tmp_path / "model.tflite")
        with pytest.raises(AuditError, match=r"LiteRT computes in float: conv1 \(CONV_2D, unfused\)"):
            audit_litert.audit(out, [])
        rows = audit_litert.audit(out, ["conv1", "conv2", "fc1", "fc2", "fc3"])
        assert all(row.expected for row in rows)
        with pytest.raises(AuditError, match="allow_float names conv9, which the model does not have"):
            audit_litert.audit(out, ["conv9"])


def half_quantized(parent: Path, out: Path) -> Path:
    """Write a model whose weights are stored in 16 bits and converted for float kernels."""
    converter = framework.tf.lite.TFLiteConverter.from_keras_model(tensorflow_artifact.load(parent).network)
    converter.optimizations = [framework.tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [framework.tf.float16]
    flatbuffer = converter.convert()
    graph = artifact.graph(flatbuffer)
    layers = export._layer_outputs(graph, LAYERS)
    artifact.save(
        out, artifact.LiteRTModel(flatbuffer, graph, artifact.Description(SHAPE, PREPROCESSING, CLASSES, layers))
    )
    return out
