"""ONNX graphs that others made: taken in the form of this house, with their own answers, or refused in a line."""

import json
import logging
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from test_import_torch import TERMS, answers, card, network, parameters
from textures import CLASSES, PREPROCESSING, SHAPE, textures

from compresslab.artifacts import file_sha256
from compresslab.compress import ptq_onnx
from compresslab.config.methods.ptq_onnx import Parameters as PtqParameters
from compresslab.data.prepared import SPLITS, Samples, content_sha256, write_prepared
from compresslab.engines.contract import open_engine
from compresslab.intake.graph import Changes, bring
from compresslab.intake.terms import ImportRefusedError, Terms
from compresslab.measure.cost_onnx import count
from compresslab.measure.layers import layer_errors

IMAGES = textures(8, seed=5).images
SAMPLE = textures(3, seed=6).images


def weights() -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    shapes = {"w1": (4, 1, 3, 3), "b1": (4,), "w2": (4, 4), "b2": (4,)}
    return {name: generator.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def nodes(first: str = "x", last: str = "y", opset: int = 17) -> list[onnx.NodeProto]:
    """A convolution, ReLU, pooling, a reshape for a batch of one, and a matrix product with its bias; without names."""
    return [
        helper.make_node("Conv", [first, "w1", "b1"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("GlobalAveragePool", ["r"], ["g"]),
        helper.make_node("Reshape", ["g", "shape"], ["f"], **({"allowzero": 1} if opset >= 14 else {})),
        helper.make_node("MatMul", ["f", "w2"], ["m"]),
        helper.make_node("Add", ["m", "b2"], [last]),
    ]


def theirs(**other: Any) -> onnx.ModelProto:
    """A user's model for one image at a time; every part may be another one."""
    constants = {**weights(), "shape": np.array([1, 4], np.int64), **other.get("constants", {})}
    graph = helper.make_graph(
        other.get("nodes", nodes()),
        "theirs",
        other.get("inputs", [value("x", [1, 1, 8, 8])]),
        other.get("outputs", [value("y", [1, 4])]),
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
        doc_string="made at /home/somebody",
    )
    opsets = other.get("opsets", [helper.make_opsetid("", 17)])
    return helper.make_model(graph, ir_version=8, opset_imports=opsets, functions=other.get("functions", []))


def value(name: str, shape: list[int | str], kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def saved(folder: Path, model: onnx.ModelProto) -> Path:
    path = folder / "mine.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def imported(path: Path, terms: Terms = TERMS) -> tuple[Path, Changes, list[str]]:
    said: list[str] = []
    out = path.with_name("model.onnx")
    changes = bring(path, out, terms, SAMPLE, said.append)
    return out, changes, said


def refusal(path: Path, terms: Terms = TERMS) -> str:
    with pytest.raises(ImportRefusedError, match=r"mine\.onnx: ") as error:
        imported(path, terms)
    assert "\n" not in str(error.value)
    assert not path.with_name("model.onnx").exists()
    return str(error.value)


def one_by_one(path: Path, images: np.ndarray) -> np.ndarray:
    """What the user's own file answers, for a batch of one."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    inputs = PREPROCESSING.normalize(images).transpose(0, 3, 1, 2)
    return np.concatenate([session.run(None, {session.get_inputs()[0].name: image[None]})[0] for image in inputs])


def predicted(path: Path) -> np.ndarray:
    return open_engine("onnxruntime", path, threads=1).predict(IMAGES)


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[bool], Path]:
    """A network exported by PyTorch for one image, under PyTorch's names, by either of its exporters."""

    def export(dynamo: bool) -> Path:
        path = tmp_path_factory.mktemp("exported") / "mine.onnx"
        logging.getLogger("torch.onnx").setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                network(),
                (torch.zeros(1, 1, *SHAPE[:2]),),
                path,
                input_names=["pixels"],
                output_names=["scores"],
                dynamo=dynamo,
                verbose=False,
                external_data=False,
                **({} if dynamo else {"opset_version": 12}),
            )
        return path

    return export


@pytest.mark.parametrize(("dynamo", "opset"), [(True, (20, 20)), (False, (12, 13))])
def test_an_export_of_pytorch_answers_as_pytorch_for_any_batch(
    exported: Callable[[bool], Path], dynamo: bool, opset: tuple[int, int]
) -> None:
    out, changes, _ = imported(exported(dynamo))
    np.testing.assert_allclose(predicted(out), answers(network()), atol=1e-5)
    assert (changes.input, changes.output, changes.static_batch, changes.opset) == ("pixels", "scores", 1, opset)
    assert len(changes.layers) == 4


def test_a_static_batch_becomes_any(tmp_path: Path) -> None:
    path = saved(tmp_path, theirs())
    out, _, said = imported(path)
    np.testing.assert_allclose(predicted(out), one_by_one(path, IMAGES), atol=1e-5)
    assert said == ["the batch of 1 becomes a batch of any size"]
    assert [size.dim_param for size in onnx.load(out).graph.output[0].type.tensor_type.shape.dim] == ["batch", ""]


def test_the_file_holds_what_engines_need_and_nothing_of_its_past(tmp_path: Path) -> None:
    model = theirs(constants={"unused": np.zeros(1000, np.float32)})
    model.graph.node[0].doc_string = "/home/somebody/net.py"
    model.producer_name = "somebody"
    model.metadata_props.add(key="path", value="/home/somebody")
    out, changes, _ = imported(saved(tmp_path, model))
    found = {entry.key: json.loads(entry.value) for entry in onnx.load(out).metadata_props}
    assert found == {
        "preprocessing": PREPROCESSING.to_json(),
        "classes": list(CLASSES),
        # After the activation, and after the bias.
        "layers": {"Conv_0": "r", "MatMul_4": "logits"},
    }
    assert changes.named_nodes == 6
    assert b"somebody" not in out.read_bytes()
    assert b"unused" not in out.read_bytes()


def test_equal_files_give_equal_bytes(tmp_path: Path) -> None:
    path = saved(tmp_path, theirs())
    assert imported(path)[0].read_bytes() == imported(path)[0].read_bytes()


def test_tensors_that_had_our_names_get_others(tmp_path: Path) -> None:
    swapped = nodes("logits", "images")
    path = saved(
        tmp_path, theirs(nodes=swapped, inputs=[value("logits", [1, 1, 8, 8])], outputs=[value("images", [1, 4])])
    )
    out, _, _ = imported(path)
    np.testing.assert_allclose(predicted(out), one_by_one(path, IMAGES), atol=1e-5)
    inside = [*nodes()[:-1], helper.make_node("Add", ["m", "b2"], ["y"])]
    inside[1] = helper.make_node("Relu", ["c"], ["images"])
    inside[2] = helper.make_node("GlobalAveragePool", ["images"], ["logits"])
    inside[3] = helper.make_node("Reshape", ["logits", "shape"], ["f"])
    path = saved(tmp_path, theirs(nodes=inside))
    out, _, _ = imported(path)
    np.testing.assert_allclose(predicted(out), one_by_one(path, IMAGES), atol=1e-5)


def test_nodes_get_names_of_their_own_that_a_page_can_show(tmp_path: Path) -> None:
    model = theirs()
    for node, name in zip(model.graph.node, ["a", "a", "", "<script>", "/layer1/fc", "a"], strict=True):
        node.name = name
    out, _, _ = imported(saved(tmp_path, model))
    names = [node.name for node in onnx.load(out).graph.node]
    assert names == ["a", "a_1", "GlobalAveragePool_2", "_script_", "/layer1/fc", "a_5"]


def test_permuted_classes_give_the_order_of_the_dataset(tmp_path: Path) -> None:
    outputs = (2, 0, 3, 1)
    path = saved(tmp_path, theirs())
    out, _, _ = imported(path, Terms(SHAPE, PREPROCESSING, CLASSES, outputs, ()))
    np.testing.assert_allclose(predicted(out), one_by_one(path, IMAGES)[:, outputs], atol=1e-5)
    trace = open_engine("onnxruntime", out, threads=1).trace(IMAGES)
    np.testing.assert_array_equal(trace["MatMul_4"], predicted(out))


def test_weights_among_the_inputs_stay_weights(tmp_path: Path) -> None:
    """As files before version 4 of the format have them."""
    inputs = [value("x", [1, 1, 8, 8]), *(value(name, list(array.shape)) for name, array in weights().items())]
    inputs.append(value("shape", [2], TensorProto.INT64))
    model = theirs(inputs=inputs, nodes=nodes(opset=9), opsets=[helper.make_opsetid("ai.onnx", 9)])
    model.ir_version = 3
    model.graph.node[0].domain = "ai.onnx"
    path = saved(tmp_path, model)
    out, changes, _ = imported(path)
    np.testing.assert_allclose(predicted(out), one_by_one(path, IMAGES), atol=1e-5)
    assert changes.opset == (9, 13)


def test_layers_pair_up_with_those_of_the_quantized_child(exported: Callable[[bool], Path], tmp_path: Path) -> None:
    out, changes, _ = imported(exported(False), Terms(SHAPE, PREPROCESSING, CLASSES, (1, 0, 3, 2), ()))
    quantized = tmp_path / "quantized.onnx"
    ptq_onnx.quantize(out, quantized, textures(64, seed=7).images, PtqParameters())
    traces = [open_engine("onnxruntime", path, threads=1).trace(IMAGES) for path in (out, quantized)]
    errors = layer_errors([(traces[0], traces[1])])
    assert errors["layer"].tolist() == changes.layers
    assert errors["relative_l2_percent"].between(0.01, 40).all()


def test_costs_are_counted(tmp_path: Path) -> None:
    out, _, _ = imported(saved(tmp_path, theirs()))
    costs = count(out, SHAPE)
    assert (costs.parameters, costs.macs) == (40 + 20, 8 * 8 * 4 * 9 + 16)


def control_flow() -> onnx.ModelProto:
    branch = helper.make_graph([helper.make_node("Identity", ["r"], ["i"])], "branch", [], [value("i", [1, 4, 8, 8])])
    choice = helper.make_node("If", ["yes"], ["chosen"], then_branch=branch, else_branch=branch)
    changed = [*nodes()[:2], choice, helper.make_node("GlobalAveragePool", ["chosen"], ["g"]), *nodes()[3:]]
    return theirs(nodes=changed, constants={"yes": np.array(True)})


def with_external_data() -> onnx.ModelProto:
    model = theirs()
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../etc/passwd")
    return model


def quantized() -> onnx.ModelProto:
    pair = [
        helper.make_node("QuantizeLinear", ["x", "scale", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "scale", "zero"], ["d"]),
    ]
    constants = {"scale": np.array(0.1, np.float32), "zero": np.array(0, np.uint8)}
    return theirs(nodes=[*pair, *nodes("d")], constants=constants)


def foreign() -> onnx.ModelProto:
    own = helper.make_node("Gelu", ["c"], ["r"], domain="com.microsoft")
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return theirs(nodes=[nodes()[0], own, *nodes()[2:]], opsets=opsets)


def function() -> onnx.ModelProto:
    opset = helper.make_opsetid("", 17)
    body = helper.make_function("mine", "Act", ["a"], ["b"], [helper.make_node("Relu", ["a"], ["b"])], [opset])
    call = helper.make_node("Act", ["c"], ["r"], domain="mine")
    opsets = [opset, helper.make_opsetid("mine", 1)]
    return theirs(nodes=[nodes()[0], call, *nodes()[2:]], opsets=opsets, functions=[body])


def sum_over_images() -> onnx.ModelProto:
    total = helper.make_node("ReduceSum", ["z", "axis"], ["s"])
    added = helper.make_node("Add", ["z", "s"], ["y"])
    return theirs(nodes=[*nodes(last="z"), total, added], constants={"axis": np.array([0], np.int64)})


def first_image_only() -> onnx.ModelProto:
    cut = helper.make_node("Slice", ["z", "start", "end"], ["y"])
    constants = {"start": np.array([0], np.int64), "end": np.array([1], np.int64)}
    return theirs(nodes=[*nodes(last="z"), cut], constants=constants)


REFUSED: dict[str, tuple[Callable[[], onnx.ModelProto], str]] = {
    "external data": (with_external_data, "keeps its weights in other files (w1)"),
    "another domain": (foreign, "operators outside the ONNX standard (com.microsoft.Gelu)"),
    "a function": (function, "operators outside the ONNX standard (function Act, mine.Act)"),
    "a branch": (control_flow, "branches or loops (If)"),
    "quantized": (quantized, "quantized already (DequantizeLinear, QuantizeLinear): import the float model"),
    "float16": (
        lambda: theirs(constants={"w2": weights()["w2"].astype(np.float16)}),
        "weights that are not float32 (w2)",
    ),
    "probabilities": (
        lambda: theirs(nodes=[*nodes(last="z"), helper.make_node("Softmax", ["z"], ["y"])]),
        "probabilities as its output (Softmax)",
    ),
    "two inputs": (
        lambda: theirs(inputs=[value("x", [1, 1, 8, 8]), value("z", [1])]),
        "inputs x, z and outputs y: one of each is needed",
    ),
    "two outputs": (
        lambda: theirs(outputs=[value("y", [1, 4]), value("f", [1, 4])]),
        "inputs x and outputs y, f: one of each is needed",
    ),
    "channels last": (
        lambda: theirs(
            inputs=[value("x", [1, 8, 8, 1])],
            nodes=[helper.make_node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]), *nodes("t")],
        ),
        "its input x is float32 (1, 8, 8, 1), and this dataset needs float32 (N, 1, 8, 8)",
    ),
    "another size": (
        lambda: theirs(inputs=[value("x", [1, 1, 9, 9])]),
        "its input x is float32 (1, 1, 9, 9), and this dataset needs float32 (N, 1, 8, 8)",
    ),
    "another number of classes": (
        lambda: theirs(
            constants={"w2": np.zeros((4, 5), np.float32), "b2": np.zeros(5, np.float32)}, outputs=[value("y", [1, 5])]
        ),
        "its output y is float32 (1, 5), and this dataset needs float32 (N, 4)",
    ),
    "an invalid graph": (lambda: theirs(nodes=nodes()[1:]), "not a valid ONNX model"),
    "an unknown operator": (
        lambda: theirs(nodes=[nodes()[0], helper.make_node("Rulu", ["c"], ["r"]), *nodes()[2:]]),
        "not a valid ONNX model",
    ),
    "no graph": (onnx.ModelProto, "not an ONNX model"),
    "weights without value": (
        lambda: theirs(constants={"b1": np.array([0, np.nan, 0, 0], np.float32)}),
        "b1 is not finite",
    ),
    "a huge batch": (
        lambda: theirs(inputs=[value("x", [2**40, 1, 8, 8])], outputs=[value("y", ["n", 4])]),
        "takes batches of 1099511627776",
    ),
    "a sum over images": (sum_over_images, "it answers an image otherwise when others are beside it"),
    "one image of many": (first_image_only, "it answers an image otherwise when others are beside it"),
}


@pytest.mark.parametrize("case", list(REFUSED))
def test_what_cannot_be_taken_is_told_in_a_line(tmp_path: Path, case: str) -> None:
    make, says = REFUSED[case]
    assert says in refusal(saved(tmp_path, make()))


def test_all_reasons_are_told_at_once(tmp_path: Path) -> None:
    model = quantized()
    model.graph.output.append(value("f", [1, 4]))
    text = refusal(saved(tmp_path, model))
    assert "quantized already" in text
    assert "outputs y, f" in text


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.95])
def test_a_truncated_file_is_one_clear_line(tmp_path: Path, part: float) -> None:
    whole = theirs().SerializeToString()
    path = tmp_path / "mine.onnx"
    path.write_bytes(whole[: int(part * len(whole))])
    refusal(path)


def test_the_stage_writes_a_model_and_a_card(tmp_path: Path) -> None:
    path = saved(tmp_path, theirs())
    splits = {split: Samples(*_arrays(seed)) for seed, split in enumerate(SPLITS)}
    write_prepared(tmp_path / "textures.npz", splits, card(content_sha256=content_sha256(splits)))
    spec = {"file_sha256": file_sha256(path), "parameters": parameters(file="mine.onnx").parameters()}
    command = [sys.executable, "-m", "compresslab.stages.import_onnx", "--data", str(tmp_path / "textures.npz")]
    command += ["--file", str(path), "--model", str(tmp_path / "model.onnx"), "--card", str(tmp_path / "card.json")]
    done = subprocess.run([*command, "--spec", json.dumps(spec)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "card.json").read_text())
    assert found["file_sha256"] == file_sha256(path)
    assert found["import"] == {
        "file": "mine.onnx",
        "preprocessing": {"mean": [0.45], "std": [0.3]},
        "outputs_reordered": None,
        "from_the_dataset": ["classes", "mean", "std"],
        **{"input": "x", "output": "y", "opset": [17, 17], "static_batch": 1, "named_nodes": 6},
        "layers": ["Conv_0", "MatMul_4"],
    }
    assert str(tmp_path) not in json.dumps(found)
    np.testing.assert_allclose(predicted(tmp_path / "model.onnx"), one_by_one(path, IMAGES), atol=1e-5)


def _arrays(seed: int) -> tuple[np.ndarray, np.ndarray]:
    split = textures(8, seed)
    return split.images, split.labels
