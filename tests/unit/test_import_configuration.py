"""`import` in the configuration: a file's kind, every mistake with its line, one seed, no place in a slice."""

import json
from pathlib import Path

import pytest

from compresslab.config.experiment import METHODS
from compresslab.config.inventory import methods, module_name
from compresslab.config.load import load
from compresslab.config.plan import Plan
from compresslab.config.problems import ConfigurationError

PROJECT = Path(__file__).resolve().parents[2]

OWN = """\
seeds: [3, 1]
labs:
  own:
    dataset: mnist
    models:
      gapcnn:
        variants:
          mine: {method: import, file: mine.pth, rename: {"fc.": "linear."}, classes: [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]}
          onnx-fp32: {from: mine, method: export-onnx}
      brought:
        variants:
          mine: {method: import, file: mine.onnx}
          int8: {from: mine, method: ptq-onnx}
"""
TRAINED = """\
  trained:
    dataset: mnist
    models:
      gapcnn:
        variants:
          torch-fp32: {method: train-torch}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with two files of the user's."""
    monkeypatch.chdir(tmp_path)
    for name in ("mine.pth", "mine.onnx"):
        Path(name).write_bytes(name.encode())
    return tmp_path


def plan(text: str) -> Plan:
    Path("config.yaml").write_text(text)
    return Plan(load([Path("config.yaml")], PROJECT / "workflow" / "scales"))


def mistakes(text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        plan(text)
    return [line.strip() for line in str(raised.value).splitlines()[1:]]


def test_a_method_may_be_a_word_of_python() -> None:
    assert "import" in methods()
    assert "import" in METHODS
    assert (module_name("import"), module_name("export-onnx")) == ("import_", "export_onnx")


def test_a_file_is_what_its_suffix_says() -> None:
    made = plan(OWN)
    kinds = {variant.id: (variant.method.makes, variant.method.artifact) for variant in made.variants.values()}
    assert kinds["own/gapcnn/mine"] == ("torch", "model.safetensors")
    assert kinds["own/brought/mine"] == ("onnx", "model.onnx")
    assert made.made_by("import", "torch") == ["own/gapcnn/mine"]
    assert made.made_by("import", "onnx") == ["own/brought/mine"]
    assert [made.engines(made.variants[name]) for name in made.made_by("import")] == [["torch"], ["onnxruntime"]]


def test_only_weights_need_an_architecture() -> None:
    made = plan(OWN)
    assert made.code_of_method("own/gapcnn/mine") == ["compresslab.models.torch.gapcnn"]
    assert made.code_of_method("own/brought/mine") == []
    (message,) = mistakes(OWN.replace("gapcnn:", "gapnn:"))
    assert message.startswith("config.yaml:6: labs.own.models.gapnn: unknown architecture 'gapnn'")
    (message,) = mistakes(OWN.replace("      gapcnn:", "      gapcnn:\n        arguments: {stem: 3x3}"))
    assert "unknown argument 'stem'" in message


def test_classes_of_digits_are_texts() -> None:
    assert plan(OWN).variants["own/gapcnn/mine"].method.parameters()["classes"] == list("9876543210")


WRONG = {
    "suffix": (
        "file: mine.pth",
        "file: mine.h5",
        "mine.file: 'mine.h5' cannot be imported; the name of a file that can",
    ),
    "no file": ("file: mine.onnx", "file: sub/nine.onnx", "mine.file: there is no file 'sub/nine.onnx' below /"),
    "classes": ("classes: [9, 8,", "classes: [9, 9,", "mine.classes: a class is named twice: 9"),
    "mean alone": ("file: mine.onnx", "file: mine.onnx, mean: [0.1]", "mine: mean and std belong together"),
    "lengths": ("file: mine.onnx", "file: mine.onnx, mean: [0.1], std: [1, 1]", "mean has 1 channels and std 2"),
    "std": ("file: mine.onnx", "file: mine.onnx, mean: [0.1], std: [0]", "mine.std.0: "),
    "rename": ("file: mine.onnx", 'file: mine.onnx, rename: {"a": "b"}', "rename is for files of weights"),
    "a parent": (
        "{method: import, file: mine.onnx}",
        "{method: import, from: none, file: mine.onnx}",
        "takes no parent",
    ),
    "a child": (
        "{from: mine, method: ptq-onnx}",
        "{from: mine, method: export-numpy}",
        "cannot start from 'mine' (onnx)",
    ),
}


@pytest.mark.parametrize("name", list(WRONG))
def test_a_mistake_is_told_with_its_line(name: str) -> None:
    right, wrong, says = WRONG[name]
    assert OWN.count(right) == 1
    text = OWN.replace(right, wrong)
    (message,) = mistakes(text)
    line = text[: text.index(wrong)].count("\n") + 1
    assert message.startswith(f"config.yaml:{line}: labs.own.models.")
    assert says in message


def test_a_huge_file_is_a_mistake_before_it_is_read() -> None:
    with Path("mine.pth").open("wb") as stream:
        stream.truncate(2_000_000_001)
    (message,) = mistakes(OWN)
    assert "'mine.pth' has more than 2 GB" in message


def test_a_lab_of_imports_has_one_seed() -> None:
    made = plan(OWN + TRAINED)
    assert (made.seeds_of("own"), made.seeds_of("trained")) == ([3], [3, 1])


def test_an_import_among_trainings_of_several_seeds_is_a_mistake() -> None:
    text = OWN.replace("      brought:", "          torch-fp32: {method: train-torch}\n      brought:")
    assert mistakes(text) == [
        f"config.yaml:{line}: labs.own.models.{model}.variants.mine.method: an imported model is the same for all 2 "
        "seeds that this lab trains with; move it to a lab of imports only, or run one seed"
        for line, model in ((8, "gapcnn"), (13, "brought"))
    ]
    assert plan(text.replace("[3, 1]", "[3]")).seeds_of("own") == [3]
    assert plan(text.replace("    models:", "    limits: {full: {seeds: 1}}\n    models:")).seeds_of("own") == [3]


def test_a_slice_holds_what_the_file_holds_and_not_its_place(folder: Path) -> None:
    before = plan(OWN).import_slice("own/gapcnn/mine", 3)
    assert json.loads(before)["parameters"]["rename"] == {"fc.": "linear."}
    assert "mine.pth" not in before
    Path("elsewhere").mkdir()
    Path("mine.pth").rename("elsewhere/yours.pt")
    for place in ("elsewhere/yours.pt", str(folder / "elsewhere" / "yours.pt")):
        assert plan(OWN.replace("mine.pth", place)).import_slice("own/gapcnn/mine", 3) == before
    Path("elsewhere/yours.pt").write_bytes(b"other weights")
    assert plan(OWN.replace("mine.pth", "elsewhere/yours.pt")).import_slice("own/gapcnn/mine", 3) != before
