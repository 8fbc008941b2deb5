"""Weights that others trained: read without running anything, fitted by name, and every misfit told."""

import io
import json
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from textures import CLASSES, PREPROCESSING, SHAPE, textures
from torch import nn

from compresslab.artifacts import file_sha256
from compresslab.config.methods.import_ import Parameters
from compresslab.data.card import DataCard
from compresslab.data.prepared import SPLITS, Samples, content_sha256, write_prepared
from compresslab.engines.contract import open_engine
from compresslab.intake import names
from compresslab.intake.terms import ImportRefusedError, Terms, agreed, require_file
from compresslab.intake.weights import Imported, bring
from compresslab.models.torch.artifact import build, load

IMAGES = textures(8, seed=5).images
TERMS = Terms(SHAPE, PREPROCESSING, CLASSES, (0, 1, 2, 3), ())


def network(seed: int = 0, architecture: str = "gapcnn", image_shape: tuple[int, int, int] = SHAPE) -> nn.Module:
    torch.manual_seed(seed)
    return build(architecture, image_shape, len(CLASSES)).eval()


def answers(module: nn.Module) -> np.ndarray:
    inputs = torch.from_numpy(PREPROCESSING.normalize(IMAGES)).permute(0, 3, 1, 2)
    with torch.inference_mode():
        return module(inputs).numpy()


def imported(path: Path, module: nn.Module | None = None, **choices: Any) -> tuple[nn.Module, Imported, list[str]]:
    """The network with the file's weights, what was done to them, and what was said."""
    said: list[str] = []
    module = module or network(seed=1)
    done = bring(path, module, choices.get("terms", TERMS), choices.get("rename", {}), said.append)
    return module, done, said


def refusal(path: Path, **choices: Any) -> str:
    with pytest.raises(ImportRefusedError) as error:
        imported(path, **choices)
    text = str(error.value)
    assert "\n" not in text
    assert path.name in text or "rename" in text
    return text


def saved(folder: Path, weights: Any, name: str = "mine.pth", **options: Any) -> Path:
    path = folder / name
    torch.save(weights, path, **options)
    return path


class TestWhatIsUnderstood:
    @pytest.mark.parametrize("form", ["zip", "legacy", "safetensors"])
    def test_the_imported_network_answers_as_the_users(self, tmp_path: Path, form: str) -> None:
        theirs = network()
        path = tmp_path / ("mine.safetensors" if form == "safetensors" else "mine.pt")
        if form == "safetensors":
            save_file(theirs.state_dict(), path)
        else:
            torch.save(theirs.state_dict(), path, _use_new_zipfile_serialization=form == "zip")
        module, done, _ = imported(path)
        np.testing.assert_array_equal(answers(module), answers(theirs))
        assert done == Imported("", "", 0, {})
        assert not module.training

    @pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model", "net"])
    @pytest.mark.parametrize("start", ["", "module.", "_orig_mod.", "module._orig_mod."])
    def test_checkpoints_of_training_programs_are_unwrapped(self, tmp_path: Path, key: str, start: str) -> None:
        theirs = network()
        weights = {f"{start}{name}": tensor for name, tensor in theirs.state_dict().items()}
        optimizer = torch.optim.Adam(theirs.parameters()).state_dict()
        path = saved(tmp_path, {"epoch": 3, "optimizer": optimizer, key: weights, "acc": 91.2})
        module, done, _ = imported(path)
        np.testing.assert_array_equal(answers(module), answers(theirs))
        assert (done.key, done.wrapping) == (key, start)

    @pytest.mark.parametrize(("kind", "error"), [("float16", 1e-3), ("bfloat16", 1e-2), ("float64", 0)])
    def test_other_floats_become_float32(self, tmp_path: Path, kind: str, error: float) -> None:
        theirs = network()
        path = tmp_path / "mine.safetensors"
        save_file({name: tensor.to(getattr(torch, kind)) for name, tensor in theirs.state_dict().items()}, path)
        module, done, said = imported(path)
        assert {tensor.dtype for tensor in module.state_dict().values()} == {torch.float32}
        np.testing.assert_allclose(answers(module), answers(theirs), atol=error)
        assert done.converted_to_float32 == {kind: 8}
        assert f"8 tensors of {kind} become float32" in said

    def test_a_count_of_batches_may_be_missing(self, tmp_path: Path) -> None:
        theirs = network(architecture="resnet18", image_shape=(32, 32, 1))
        weights = {name: t for name, t in theirs.state_dict().items() if not name.endswith("num_batches_tracked")}
        module = network(1, "resnet18", (32, 32, 1))
        imported(saved(tmp_path, weights), module)
        assert all(
            torch.equal(tensor, weights[name]) for name, tensor in module.state_dict().items() if name in weights
        )

    def test_permuted_classes_give_the_dataset_s_order(self, tmp_path: Path) -> None:
        theirs = network()
        outputs = (2, 0, 3, 1)
        terms = Terms(SHAPE, PREPROCESSING, CLASSES, outputs, ())
        module, _, _ = imported(saved(tmp_path, theirs.state_dict()), terms=terms)
        np.testing.assert_allclose(answers(module), answers(theirs)[:, outputs], atol=1e-6)


class TestWhatOthersLeaveOrLose:
    @pytest.mark.parametrize("form", ["pth", "safetensors"])
    def test_counters_of_profilers_are_left_out_wherever_they_lie(self, tmp_path: Path, form: str) -> None:
        theirs = network()
        counters = {"total_ops": torch.zeros(1, dtype=torch.float64), "conv1.total_params": torch.ones(1)}
        weights = {f"module.{name}": tensor for name, tensor in {**counters, **theirs.state_dict()}.items()}
        path = tmp_path / f"mine.{form}"
        (torch.save if form == "pth" else save_file)(weights, path)
        module, done, said = imported(path)
        np.testing.assert_array_equal(answers(module), answers(theirs))
        assert done.leftovers == 2
        assert "2 counters of a profiler (total_ops, total_params) are left out" in said

    def test_a_tensor_that_is_named_like_no_layer_is_refused_all_the_same(self, tmp_path: Path) -> None:
        path = saved(tmp_path, {**network().state_dict(), "conv1.total_losses": torch.ones(1)})
        assert "1 unknown: conv1.total_losses" in refusal(path)

    def test_weights_in_int8_are_known_by_their_tensors(self, tmp_path: Path) -> None:
        """Of a file of PyTorch's own quantization, and of one of this house under another name."""
        theirs = {**network().state_dict(), "conv1.scale": torch.tensor(0.1), "conv1.zero_point": torch.tensor(3)}
        codes = torch.randint(-128, 128, theirs["conv1.weight"].shape).to(torch.int8)
        save_file({**theirs, "conv1.weight": codes}, tmp_path / "codes.safetensors")
        quantized = torch._make_per_tensor_quantized_tensor(codes, 0.1, 0)
        saved(tmp_path, {**theirs, "conv1.weight": quantized}, "quantized.pth")
        for name in ("codes.safetensors", "quantized.pth"):
            text = refusal(tmp_path / name)
            assert "these are weights in INT8 (conv1.weight and 0 more)" in text
            assert "import the FP32 weights that they were made of" in text


class TestNames:
    def test_names_of_others_are_renamed(self, tmp_path: Path) -> None:
        theirs = network(architecture="resnet18", image_shape=(32, 32, 1))
        weights = {
            name.replace("downsample.", "shortcut.").replace("fc.", "linear."): t
            for name, t in theirs.state_dict().items()
        }
        path = saved(tmp_path, weights)
        module = network(1, "resnet18", (32, 32, 1))
        text = refusal(path, module=module)
        assert '; try rename: {"shortcut.": "downsample.", "linear.": "fc."}' in text
        _, _, said = imported(path, module, rename={"shortcut.": "downsample.", "linear.": "fc.", "head.": "fc."})
        assert said == ["rename: no tensor has 'head.' in its name"]
        assert all(torch.equal(tensor, theirs.state_dict()[name]) for name, tensor in module.state_dict().items())

    def test_parts_are_replaced_in_one_pass_and_the_longest_first(self) -> None:
        parts = {"a.": "b.", "b.": "a.", "a.a.": "c."}
        assert list(names.renamed({"a.x": 0, "b.x": 0, "a.a.x": 0}, parts)) == ["b.x", "a.x", "c.x"]

    def test_two_tensors_of_one_name_are_told(self, tmp_path: Path) -> None:
        path = saved(tmp_path, network().state_dict())
        assert "rename gives two tensors the name conv1.bias, conv1.weight" in refusal(path, rename={"conv2": "conv1"})

    @given(st.lists(st.text("abc", min_size=1, max_size=3), min_size=1, max_size=4, unique=True), st.data())
    def test_a_proposal_never_fits_less_than_what_was_given(self, layers: list[str], data: st.DataObject) -> None:
        expected = {f"{layer}.weight": (number % 2,) for number, layer in enumerate(layers)}
        others = data.draw(st.lists(st.text("abcd", min_size=1, max_size=3), min_size=len(layers), unique=True))
        found = {f"net.{layer}.weight": shape for layer, shape in zip(others, expected.values(), strict=False)}
        proposed = names.proposal(found, expected, {})
        fits = [name for name, shape in names.renamed(found, proposed).items() if expected.get(name) == shape]
        without = [name for name in found if name in expected]
        assert len(fits) >= len(without)


class TestMisfits:
    def test_all_are_told_in_the_log_and_the_first_ones_in_the_line(self, tmp_path: Path) -> None:
        theirs = network().state_dict()
        weights = OrderedDict(theirs)
        del weights["conv1.bias"]
        weights["conv2.weihgt"] = weights.pop("conv2.weight")
        weights["linear.bias"] = torch.zeros(10)
        weights["linear.weight"] = torch.zeros(4, 32, dtype=torch.int64)
        weights["conv3.bias"] = "none"
        said: list[str] = []
        with pytest.raises(ImportRefusedError) as error:
            bring(saved(tmp_path, weights), network(1), TERMS, {}, said.append)
        for problem in (
            "missing: conv1.bias",
            "missing: conv2.weight",
            "unknown: conv2.weihgt (like conv2.weight)",
            "different: conv3.bias is no tensor (str)",
            "different: linear.weight is int64, not float32",
            "different: linear.bias is [10], not [4]",
        ):
            _, text = problem.split(": ")
            assert problem in said
            assert text in str(error.value)
        assert "2 missing: conv1.bias, conv2.weight; 1 unknown" in str(error.value)
        assert '"weihgt": "weight"' in str(error.value)

    def test_a_long_list_is_cut_in_the_line_only(self, tmp_path: Path) -> None:
        said: list[str] = []
        module = network(1, "resnet18", (32, 32, 1))
        with pytest.raises(ImportRefusedError, match=r"102 missing: .* and 96 more in the log") as error:
            bring(saved(tmp_path, {"w": torch.zeros(1)}), module, TERMS, {}, said.append)
        assert len(str(error.value)) < 500
        assert sum(line.startswith("missing: ") for line in said) == 102

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    def test_values_that_are_not_finite_are_refused_by_name(self, tmp_path: Path, value: float) -> None:
        weights = network().state_dict()
        weights["conv2.bias"][3] = value
        assert "not finite in float32: conv2.bias;" in refusal(saved(tmp_path, weights))

    def test_float64_beyond_float32_is_refused(self, tmp_path: Path) -> None:
        weights = {name: tensor.double() for name, tensor in network().state_dict().items()}
        weights["conv1.bias"][0] = 1e300
        assert "conv1.bias" in refusal(saved(tmp_path, weights))

    @pytest.mark.parametrize(
        ("holds", "says"),
        [
            ({"epoch": 3, "weights": {}}, "it holds: epoch, weights"),
            ([torch.zeros(1)], "it holds: list"),
            ({}, "it holds: nothing"),
        ],
    )
    def test_a_file_without_weights_says_what_it_holds(self, tmp_path: Path, holds: Any, says: str) -> None:
        assert says in refusal(saved(tmp_path, holds))

    def test_a_sparse_tensor_is_a_misfit(self, tmp_path: Path) -> None:
        weights = network().state_dict()
        weights["linear.weight"] = weights["linear.weight"].to_sparse()
        assert "linear.weight has no plain values" in refusal(saved(tmp_path, weights))


class Command:
    """Unpickled, it runs a command."""

    def __init__(self, call: Any, *arguments: Any) -> None:
        self.call, self.arguments = call, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.call, self.arguments


class Custom(nn.Module):
    """A class that only this file knows."""


def hostile(trace: Path) -> dict[str, Any]:
    return {
        "system": Command(os.system, f"touch {trace}"),
        "eval": Command(eval, f"open({str(trace)!r}, 'w')"),
        "open": Command(open, str(trace), "w"),
        "popen": Command(subprocess.Popen, ["touch", str(trace)]),
        "getattr": Command(getattr, Command(__import__, "os"), "system"),
        "module": Custom(),
        "network": network(),
    }


class TestHostileFiles:
    """Nothing that a file holds is executed, in either format of PyTorch or in a bare pickle."""

    @pytest.mark.parametrize("form", ["zip", "legacy", "pickle"])
    @pytest.mark.parametrize("kind", list(hostile(Path())))
    def test_code_is_refused_and_leaves_no_trace(self, tmp_path: Path, kind: str, form: str) -> None:
        trace = tmp_path / "trace"
        weights = {**network().state_dict(), "conv1.bias": hostile(trace)[kind]}
        path = tmp_path / "mine.pth"
        if form == "pickle":
            path.write_bytes(pickle.dumps(weights["conv1.bias"], protocol=2))
        else:
            torch.save(weights, path, _use_new_zipfile_serialization=form == "zip")
        text = refusal(path)
        assert "torch.save(model.state_dict(), ...)" in text
        if form != "pickle":
            assert "reading it would run code (" in text
        assert not trace.exists()

    def test_the_hostile_files_are_hostile(self, tmp_path: Path) -> None:
        """Else the test above would hold for any reader."""
        trace = tmp_path / "trace"
        torch.load(saved(tmp_path, hostile(trace)["open"]), weights_only=False)
        assert trace.exists()

    def test_a_torchscript_program_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "mine.pt"
        torch.jit.script(nn.Linear(2, 2)).save(path)
        assert "TorchScript" in refusal(path)

    def test_an_archive_that_would_grow_is_refused(self, tmp_path: Path) -> None:
        plain = saved(tmp_path, {**network().state_dict(), "zeros": torch.zeros(1_000_000)}, "plain.pth")
        bomb = tmp_path / "bomb.pth"
        with zipfile.ZipFile(plain) as source, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as target:
            for member in source.infolist():
                target.writestr(member.filename, source.read(member))
        assert bomb.stat().st_size < 100_000
        assert "that would unpack to 40" in refusal(bomb)

    def test_a_storage_larger_than_its_file_is_refused(self, tmp_path: Path) -> None:
        """A pickle of a few bytes that claims a tensor of four terabytes."""
        buffer = io.BytesIO()
        torch.save({"w": torch.zeros(77)}, buffer, _use_new_zipfile_serialization=False)
        blob = buffer.getvalue()
        assert blob.count(b"K\x4d") >= 2
        path = tmp_path / "mine.pth"
        path.write_bytes(blob.replace(b"K\x4d", b"\x8a\x06" + struct.pack("<Q", 1 << 40)[:6]))
        assert "mine.pth" in refusal(path)

    @pytest.mark.parametrize("form", ["zip", "legacy", "safetensors"])
    @pytest.mark.parametrize("part", [0.0, 0.02, 0.5, 0.98])
    def test_a_truncated_file_is_one_clear_line(self, tmp_path: Path, form: str, part: float) -> None:
        whole, cut = tmp_path / "whole", tmp_path / f"cut.{'safetensors' if form == 'safetensors' else 'pth'}"
        if form == "safetensors":
            save_file(network().state_dict(), whole)
        else:
            torch.save(network().state_dict(), whole, _use_new_zipfile_serialization=form == "zip")
        cut.write_bytes(whole.read_bytes()[: int(part * whole.stat().st_size)])
        assert "truncated, damaged" in refusal(cut) or "or is damaged" in refusal(cut)

    def test_a_file_under_another_suffix_is_told(self, tmp_path: Path) -> None:
        path = tmp_path / "mine.pth"
        save_file(network().state_dict(), path)
        assert "is damaged" in refusal(path)


def card(**other: Any) -> DataCard:
    texts = {"en": "x", "zh-TW": "x"}
    facts = {
        **dict.fromkeys(("title", "description", "protocol"), texts),
        **{"dataset": "textures", "source": "embedded", "embedded": True, "substitute": False, "files": []},
        **{
            "classes": list(CLASSES),
            "image_shape": SHAPE,
            "counts": {},
            "caveats": [],
            "licence": "x",
            "citation": "x",
        },
        **{"mean": [0.45], "std": [0.3], "content_sha256": "0" * 64},
    }
    return DataCard.model_validate(facts | other)


def parameters(**choices: Any) -> Parameters:
    return Parameters.model_validate({"file": "mine.pth", **choices})


class TestTerms:
    def test_what_is_not_given_is_the_dataset_s_and_is_said(self) -> None:
        said: list[str] = []
        assert agreed(parameters(), card(), said.append) == Terms(
            SHAPE, PREPROCESSING, CLASSES, (0, 1, 2, 3), ("classes", "mean", "std")
        )
        assert said == ["classes, mean, std: not given, so those of textures are taken"]

    def test_what_is_given_holds(self) -> None:
        classes = ["plain", "rows", "columns", "checks"]
        terms = agreed(parameters(classes=classes, mean=[0.5], std=[1]), card(), lambda _: None)
        assert [classes[output] for output in terms.outputs] == list(CLASSES)
        assert (terms.preprocessing.mean, terms.preprocessing.std, terms.defaults) == ((0.5,), (1.0,), ())

    def test_other_classes_and_channels_are_told(self) -> None:
        with pytest.raises(ImportRefusedError, match=r"missing: checks, plain; unknown: dots$"):
            agreed(parameters(classes=["rows", "columns", "dots"]), card(), lambda _: None)
        with pytest.raises(ImportRefusedError, match=r"have 3 channels and the images of textures 1;"):
            agreed(parameters(mean=[0, 0, 0], std=[1, 1, 1]), card(), lambda _: None)

    def test_another_file_than_the_planned_one_is_refused(self, tmp_path: Path) -> None:
        path = saved(tmp_path, {})
        require_file(path, file_sha256(path))
        with pytest.raises(ImportRefusedError, match="changed since this run was planned"):
            require_file(path, "0" * 64)

    def test_a_huge_file_is_refused_unread(self, tmp_path: Path) -> None:
        path = tmp_path / "huge.pth"
        with path.open("wb") as stream:
            stream.truncate(2_000_000_001)
        with pytest.raises(ImportRefusedError, match="more than 2 GB"):
            require_file(path, "")


def test_the_stage_writes_a_model_and_says_in_the_card_what_it_did(tmp_path: Path) -> None:
    theirs = network()
    path = saved(tmp_path, {"net": {f"module.{name}": tensor.half() for name, tensor in theirs.state_dict().items()}})
    splits = {split: _samples(8, seed) for seed, split in enumerate(SPLITS)}
    write_prepared(tmp_path / "textures.npz", splits, card(content_sha256=content_sha256(splits)))
    classes = [CLASSES[position] for position in (1, 0, 2, 3)]
    spec = {
        "architecture": "gapcnn",
        "arguments": {},
        "file_sha256": file_sha256(path),
        "parameters": parameters(classes=classes).parameters(),
    }
    files = {name: str(tmp_path / name) for name in ("model.safetensors", "card.json", "log")}
    command = [sys.executable, "-m", "compresslab.stages.import_torch", "--data", str(tmp_path / "textures.npz")]
    command += ["--file", str(path), "--model", files["model.safetensors"], "--card", files["card.json"]]
    done = subprocess.run(
        [*command, "--spec", json.dumps(spec), "--log", files["log"]], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(Path(files["card.json"]).read_text())
    assert found["import"] == {
        "file": "mine.pth",
        "preprocessing": {"mean": [0.45], "std": [0.3]},
        "outputs_reordered": [1, 0, 2, 3],
        "from_the_dataset": ["mean", "std"],
        "key": "net",
        "wrapping": "module.",
        "leftovers": 0,
        "converted_to_float32": {"float16": 8},
    }
    assert str(tmp_path) not in json.dumps(found)
    assert load(Path(files["model.safetensors"])).classes == CLASSES
    predicted = open_engine("torch", Path(files["model.safetensors"]), threads=1).predict(IMAGES)
    np.testing.assert_allclose(predicted, answers(theirs)[:, [1, 0, 2, 3]], atol=1e-3)
    assert "8 tensors of float16 become float32" in Path(files["log"]).read_text()


def _samples(count: int, seed: int) -> Samples:
    split = textures(count, seed)
    return Samples(split.images, split.labels)
