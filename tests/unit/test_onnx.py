"""ONNX: the export answers as PyTorch does and tells nothing about this machine; quantization keeps the accuracy."""

import json
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnxruntime.quantization import CalibrationDataReader
from onnxruntime.quantization.calibrate import create_calibrator
from textures import CLASSES, PREPROCESSING, gapcnn, textures
from torch import nn

from compresslab.compress import calibration_onnx, reduced_range
from compresslab.compress.calibration_onnx import observe_ranges
from compresslab.compress.onnx_file import prepare
from compresslab.compress.ptq_onnx import quantize
from compresslab.compress.reduced_range import Quantization
from compresslab.config.calibration import Calibration
from compresslab.config.methods import export_onnx
from compresslab.config.methods.ptq_onnx import Parameters
from compresslab.config.training import Optimizer, Recipe
from compresslab.engines import onnxruntime as onnxruntime_engine
from compresslab.engines.contract import open_engine
from compresslab.export.onnx import ExportError, export
from compresslab.measure.audit import audit
from compresslab.models.torch.artifact import TorchModel, load, save
from compresslab.train.loop import TrainingData
from compresslab.train.torch.learner import train

TRAIN = textures(150, seed=1)
TEST = textures(200, seed=3)
OPSET = 20  # The first one with GELU as one operator.
EXPORT = export_onnx.Parameters(opset=OPSET)
LAYERS = ["conv1", "conv2", "pool2", "conv3", "gap", "linear"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a network trained on textures, as model.safetensors and as model.onnx."""
    folder = tmp_path_factory.mktemp("onnx")
    module = gapcnn()
    recipe = Recipe(epochs=6, batch=16, optimizer=Optimizer(lr=0.03), schedule="one-cycle")
    data = TrainingData(TRAIN, textures(50, seed=2), PREPROCESSING)
    train(module, data, recipe, 0, folder / "state", "", log=lambda _: None)
    save(folder / "model.safetensors", TorchModel(module, "gapcnn", (8, 8, 1), PREPROCESSING, CLASSES))
    export(module, folder / "model.onnx", EXPORT, PREPROCESSING, CLASSES, TRAIN.images[:8])
    return folder


@pytest.fixture(autouse=True)
def cpu_without_vnni(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests decide alike on every host, and need not wait a second for the CPU's description."""
    monkeypatch.setattr(reduced_range.cpuinfo, "get_cpu_info", lambda: {"flags": ["avx2"]})


@pytest.fixture
def quantized(folder: Path, tmp_path: Path) -> Callable[..., Path]:
    def make(**parameters: object) -> Path:
        path = tmp_path / "model.onnx"
        quantize(folder / "model.onnx", path, TRAIN.images, Parameters(**{"reduce_range": True, **parameters}))
        return path

    return make


def accuracy(logits: np.ndarray) -> float:
    return float(np.mean(logits.argmax(1) == TEST.labels))


@pytest.mark.parametrize("count", [1, 2, 200])
def test_onnx_answers_as_pytorch_does_for_any_batch(folder: Path, count: int) -> None:
    images = TEST.images[:count]
    expected = open_engine("torch", folder / "model.safetensors", threads=1).predict(images)
    found = open_engine("onnxruntime", folder / "model.onnx", threads=1).predict(images)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_every_layer_is_the_one_of_pytorch(folder: Path) -> None:
    expected = open_engine("torch", folder / "model.safetensors", threads=1).trace(TEST.images[:8])
    found = open_engine("onnxruntime", folder / "model.onnx", threads=1).trace(TEST.images[:8])
    assert list(expected) == LAYERS
    assert set(found) == set(LAYERS)
    for layer in LAYERS:
        np.testing.assert_allclose(found[layer], expected[layer], atol=1e-4, err_msg=layer)


def test_nodes_keep_the_names_of_the_modules(folder: Path) -> None:
    model = onnx.load(folder / "model.onnx")
    operators = {node.name: node.op_type for node in model.graph.node}
    assert operators == {
        "conv1": "Conv",
        "relu1": "Relu",
        "conv2": "Conv",
        "selu2": "Selu",
        "pool2": "MaxPool",
        "conv3": "Conv",
        "gelu3": "Gelu",
        "gap": "GlobalAveragePool",
        "flatten": "Reshape",
        "linear": "Gemm",
    }


def test_the_file_carries_preprocessing_and_classes(folder: Path) -> None:
    metadata = {entry.key: json.loads(entry.value) for entry in onnx.load(folder / "model.onnx").metadata_props}
    assert metadata["preprocessing"] == PREPROCESSING.to_json()
    assert metadata["classes"] == list(CLASSES)


def test_the_file_tells_nothing_about_this_machine(folder: Path) -> None:
    blob = (folder / "model.onnx").read_bytes()
    for secret in (b"site-packages", b".py", str(Path.home()).encode(), str(Path.cwd()).encode(), b"torch.nn"):
        assert secret not in blob


def test_another_process_exports_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    script = (
        "import sys, test_onnx as t; from pathlib import Path\n"
        "module = t.load(Path(sys.argv[1])).module\n"
        "t.export(module, Path(sys.argv[2]), t.EXPORT, t.PREPROCESSING, t.CLASSES, t.TRAIN.images[:8])"
    )
    arguments = [sys.executable, "-c", script, str(folder / "model.safetensors"), str(tmp_path / "model.onnx")]
    subprocess.run(arguments, check=True, cwd=Path(__file__).parent)
    assert (tmp_path / "model.onnx").read_bytes() == (folder / "model.onnx").read_bytes()


def test_an_export_that_answers_otherwise_names_the_worst_difference(folder: Path, tmp_path: Path) -> None:
    module = load(folder / "model.safetensors").module
    strict = export_onnx.Parameters(opset=OPSET, tolerance=1e-12)
    with pytest.raises(
        ExportError, match=r"differ from PyTorch's by up to \d.*more than the .* that the tolerance 1e-12"
    ):
        export(module, tmp_path / "model.onnx", strict, PREPROCESSING, CLASSES, TRAIN.images[:8])
    assert list(tmp_path.iterdir()) == []


def test_the_tolerance_is_a_share_of_the_largest_logit_and_of_one_below(folder: Path, tmp_path: Path) -> None:
    """Float32 rounds logits of a thousand to ten-thousandths: a long training must not end in a refused export."""

    def exports(scale: float, moved: float) -> bool:
        module = load(folder / "model.safetensors").module
        for tensor in (module.linear.weight, module.linear.bias):
            tensor.data *= scale
        # What is exported has other weights than what PyTorch answers with.
        module.register_forward_hook(lambda _, __, logits: logits if torch.compiler.is_exporting() else logits + moved)
        try:
            export(module, tmp_path / "model.onnx", EXPORT, PREPROCESSING, CLASSES, TRAIN.images[:8])
        except ExportError:
            return False
        return True

    assert exports(scale=1000, moved=1e-2)
    assert not exports(scale=1000, moved=1e3)
    assert not exports(scale=1e-3, moved=2e-4)


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.block = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU())
        self.dropout = nn.Dropout()
        self.linear = nn.Linear(4, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.conv(images)
        return self.linear(self.dropout(torch.relu(maps + self.block(maps)).mean((2, 3))))


def test_networks_with_functions_between_their_modules_are_exported(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = Residual()
    export(module, tmp_path / "model.onnx", EXPORT, PREPROCESSING, CLASSES, TRAIN.images[:8])
    names = [node.name for node in onnx.load(tmp_path / "model.onnx").graph.node]
    assert len(set(names)) == len(names)
    assert all(names)
    trace = open_engine("onnxruntime", tmp_path / "model.onnx", threads=1).trace(TEST.images[:3])
    inputs = torch.from_numpy(PREPROCESSING.normalize(TEST.images[:3])).permute(0, 3, 1, 2)
    expected = module.block(module.conv(inputs)).detach().permute(0, 2, 3, 1)
    np.testing.assert_allclose(trace["block.0"], expected, atol=1e-5)


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"granularity": "tensor"},
        {"calibration": {"ranges": "percentile", "percentile": 99.9}},
        {"calibration": {"ranges": "entropy"}},
        {"activations": "int8", "allow_float": LAYERS},
    ],
    ids=["default", "tensor", "percentile", "entropy", "int8"],
)
def test_quantization_keeps_the_accuracy_and_shrinks_the_file(
    folder: Path, quantized: Callable[..., Path], parameters: dict
) -> None:
    path = quantized(**parameters)
    expected = open_engine("onnxruntime", folder / "model.onnx", threads=1).predict(TEST.images)
    found = open_engine("onnxruntime", path, threads=1).predict(TEST.images)
    assert accuracy(expected) > 0.95
    assert accuracy(found) > accuracy(expected) - 0.03
    assert path.stat().st_size < 0.75 * (folder / "model.onnx").stat().st_size


def weights(path: Path) -> dict[str, np.ndarray]:
    return {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in onnx.load(path).graph.initializer}


def test_parameters_mean_what_they_say(quantized: Callable[..., Path]) -> None:
    default = weights(quantized(reduce_range=False))
    assert default["conv2.weight_quantized"].dtype == np.int8
    assert default["conv2.weight_scale"].shape == (16,)
    assert np.abs(default["conv2.weight_quantized"]).max() > 64
    assert default["images_zero_point"].dtype == np.uint8
    other = weights(quantized(reduce_range=True, granularity="tensor", activations="int8"))
    assert other["conv2.weight_scale"].size == 1
    assert np.abs(other["conv2.weight_quantized"]).max() <= 64
    assert other["images_zero_point"].dtype == np.int8


def test_weights_are_rounded_to_the_nearest_step_of_their_channel(folder: Path, quantized: Callable[..., Path]) -> None:
    found = weights(quantized(reduce_range=False))
    expected = load(folder / "model.safetensors").module.state_dict()["conv2.weight"].numpy()
    scale = found["conv2.weight_scale"][:, None, None, None]
    assert np.abs(found["conv2.weight_quantized"] * scale - expected).max() <= scale.max() * 0.5001


def test_percentile_ranges_are_narrower(quantized: Callable[..., Path]) -> None:
    whole = weights(quantized())
    narrow = weights(quantized(calibration={"ranges": "percentile", "percentile": 95}))
    assert narrow["conv2_scale"] < whole["conv2_scale"]


def test_calibration_is_preprocessed_as_the_model_says(quantized: Callable[..., Path]) -> None:
    scale = float(weights(quantized())["images_scale"])
    normalized = PREPROCESSING.normalize(TRAIN.images)
    assert scale == pytest.approx((max(normalized.max(), 0) - min(normalized.min(), 0)) / 255, rel=1e-5)


class Images(CalibrationDataReader):
    """Feeds ONNX Runtime's own calibrators, which keep all that they see."""

    def __init__(self) -> None:
        self._images = iter(PREPROCESSING.normalize(TRAIN.images).transpose(0, 3, 1, 2))

    def get_next(self) -> dict[str, np.ndarray] | None:
        image = next(self._images, None)
        return None if image is None else {"images": image[None]}


@pytest.mark.parametrize("ranges", ["minmax", "percentile", "entropy"])
def test_ranges_seen_image_by_image_are_those_of_all_images_at_once(folder: Path, tmp_path: Path, ranges: str) -> None:
    prepare(folder / "model.onnx", tmp_path / "prepared.onnx")
    options = {"percentile": 99.5} if ranges == "percentile" else {}
    augmented = str(tmp_path / "augmented.onnx")
    calibrator = create_calibrator(
        tmp_path / "prepared.onnx", None, augmented, calibration_onnx.METHODS[ranges], extra_options=options
    )
    calibrator.collect_data(Images())
    expected = {name: tuple(np.ravel(data.range_value)) for name, data in calibrator.compute_data().items()}
    settings = Calibration(ranges=ranges, percentile=99.5)
    ranges_found = observe_ranges(tmp_path / "prepared.onnx", TRAIN.images, PREPROCESSING, settings, threads=1)
    assert {name: tuple(np.ravel(data.range_value)) for name, data in ranges_found.items()} == expected
    assert len(expected) == 11


def test_entropy_chooses_narrower_ranges_from_more_bins_than_it_merges_them_into(
    quantized: Callable[..., Path],
) -> None:
    whole, finer = (weights(quantized(calibration={"ranges": "entropy", "bins": bins})) for bins in (128, 512))
    scales = [name for name in whole if name.endswith("_scale")]
    assert all((finer[name] <= whole[name]).all() for name in scales)
    assert any((finer[name] < whole[name]).any() for name in scales)


@pytest.mark.parametrize("ranges", ["minmax", "entropy"])
def test_calibration_does_not_keep_the_activations_of_earlier_images(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ranges: str
) -> None:
    seen: list[weakref.ref] = []
    alive: list[int] = []
    original = calibration_onnx._activations

    def watched(*arguments: object) -> Iterator[dict[str, np.ndarray]]:
        for activations in original(*arguments):
            alive.append(sum(reference() is not None for reference in seen))
            seen.extend(map(weakref.ref, activations.values()))
            yield activations

    monkeypatch.setattr(calibration_onnx, "_activations", watched)
    prepare(folder / "model.onnx", tmp_path / "prepared.onnx")
    observe_ranges(tmp_path / "prepared.onnx", TRAIN.images[:9], PREPROCESSING, Calibration(ranges=ranges), threads=1)
    assert len(alive) == (9 if ranges == "minmax" else 18)
    # The next image, and the one before it, which nothing has let go of yet.
    assert max(alive) <= 2 * len(seen) / len(alive)


def test_calibration_uses_the_threads_it_was_given(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare(folder / "model.onnx", tmp_path / "prepared.onnx")
    seen = []
    original = onnxruntime.InferenceSession

    def spy(model: object, options: onnxruntime.SessionOptions, **rest: object) -> onnxruntime.InferenceSession:
        seen.append(options.intra_op_num_threads)
        return original(model, options, **rest)

    monkeypatch.setattr(onnxruntime, "InferenceSession", spy)
    observe_ranges(tmp_path / "prepared.onnx", TRAIN.images[:2], PREPROCESSING, Calibration(), threads=3)
    assert seen == [3]


def test_calibration_without_images_is_told_in_a_line(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"at least one image; raise calibration\.images"):
        quantize(folder / "model.onnx", tmp_path / "out.onnx", TRAIN.images[:0], Parameters())
    assert not (tmp_path / "out.onnx").exists()


def test_quantization_gives_the_same_bytes_again_and_keeps_the_metadata(
    folder: Path, quantized: Callable[..., Path], capfd: pytest.CaptureFixture[str]
) -> None:
    calibration = {"ranges": "percentile"}
    first = quantized(calibration=calibration).read_bytes()
    assert quantized(calibration=calibration).read_bytes() == first
    metadata = [onnx.load_from_string(blob).metadata_props for blob in (first, (folder / "model.onnx").read_bytes())]
    assert {(p.key, p.value) for p in metadata[0]} == {(p.key, p.value) for p in metadata[1]}
    assert b"/tmp" not in first
    assert capfd.readouterr().out == ""


def test_every_matrix_product_runs_in_integers(quantized: Callable[..., Path]) -> None:
    rows = {row.node: row.runs_as for row in audit(quantized(), [])}
    assert {layer: rows[layer] for layer in LAYERS} == dict.fromkeys(LAYERS, "integer")
    # ONNX Runtime has no integer SELU or GELU: they are computed in float between conversions.
    assert (rows["selu2"], rows["gelu3"]) == ("float", "float")


def test_the_trace_of_a_quantized_model_is_dequantized_and_leads_to_its_logits(
    folder: Path, quantized: Callable[..., Path]
) -> None:
    path = quantized()
    engine = open_engine("onnxruntime", path, threads=1)
    trace, reference = engine.trace(TEST.images[:32]), open_engine("onnxruntime", folder / "model.onnx", threads=1)
    np.testing.assert_array_equal(trace["linear"], engine.predict(TEST.images[:32]))
    found = weights(path)
    steps = trace["conv1"] / found["relu1_scale"]
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)
    assert len(np.unique(trace["conv1"])) <= 256
    for layer, values in reference.trace(TEST.images[:32]).items():
        assert trace[layer].shape == values.shape
        error = np.linalg.norm(trace[layer] - values) / np.linalg.norm(values)
        assert 0 < error < 0.2, layer


@pytest.mark.parametrize(
    ("flags", "machine", "choice", "reduced"),
    [
        (["avx2"], "x86_64", "auto", True),
        (["avx2", "avx512_vnni"], "x86_64", "auto", False),
        (["avx2", "avx_vnni"], "AMD64", "auto", False),
        (["amx_int8"], "x86_64", "auto", False),
        (["asimddp"], "aarch64", "auto", False),
        (["avx2"], "x86_64", False, False),
        (["avx512_vnni"], "x86_64", True, True),
    ],
)
def test_weights_lose_a_bit_only_where_the_cpu_would_saturate(
    monkeypatch: pytest.MonkeyPatch, flags: list[str], machine: str, choice: str | bool, reduced: bool
) -> None:
    monkeypatch.setattr(reduced_range.cpuinfo, "get_cpu_info", lambda: {"flags": flags})
    monkeypatch.setattr(reduced_range.platform, "machine", lambda: machine)
    has_vnni = any("vnni" in flag or "amx" in flag for flag in flags)
    assert reduced_range.decide(choice) == Quantization(reduced, has_vnni)


def foreign(path: Path) -> Path:
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    x, y = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy")
    model = onnx.helper.make_model(
        onnx.helper.make_graph([node], "foreign", [x], [y]),
        ir_version=10,
        opset_imports=[onnx.helper.make_opsetid("", 20)],
    )
    onnx.save(model, path)
    return path


def test_a_model_of_another_program_is_named(tmp_path: Path) -> None:
    path = foreign(tmp_path / "foreign.onnx")
    with pytest.raises(ValueError, match=r"foreign\.onnx: not a compresslab model") as error:
        onnxruntime_engine.open_model(path, threads=1)
    assert "inputs ['x'], outputs ['y'], missing metadata: preprocessing, classes, layers" in str(error.value)
    with pytest.raises(ValueError, match=r"foreign\.onnx: not a compresslab model"):
        quantize(path, tmp_path / "out.onnx", TRAIN.images, Parameters())


@pytest.mark.parametrize("part", [0.0, 0.3, 0.9])
def test_a_truncated_model_is_one_clear_line(folder: Path, tmp_path: Path, part: float) -> None:
    whole = (folder / "model.onnx").read_bytes()
    cut = tmp_path / "cut.onnx"
    cut.write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(ValueError, match=r"cut\.onnx: .*delete it and run again") as error:
        onnxruntime_engine.open_model(cut, threads=1)
    assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match=r"cut\.onnx"):
        quantize(cut, tmp_path / "out.onnx", TRAIN.images, Parameters())
    assert not (tmp_path / "out.onnx").exists()


def test_a_missing_model_stays_a_missing_file(tmp_path: Path) -> None:
    for use in (
        lambda path: onnxruntime_engine.open_model(path, threads=1),
        lambda path: quantize(path, tmp_path / "out.onnx", TRAIN.images, Parameters()),
        lambda path: audit(path, []),
    ):
        with pytest.raises(FileNotFoundError):
            use(tmp_path / "no.onnx")


def test_the_session_uses_the_threads_it_was_given(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    original = onnxruntime.InferenceSession

    def spy(model: object, options: onnxruntime.SessionOptions, **rest: object) -> onnxruntime.InferenceSession:
        seen.append((options.intra_op_num_threads, rest["providers"]))
        return original(model, options, **rest)

    monkeypatch.setattr(onnxruntime, "InferenceSession", spy)
    onnxruntime_engine.open_model(folder / "model.onnx", threads=3)
    assert seen == [(3, ["CPUExecutionProvider"])]
