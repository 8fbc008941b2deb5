"""The configuration is read as a person wrote it: later sources win, and every mistake is told at once and in words."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compresslab.config.experiment import METHODS, STUDIES, Experiment, json_schema
from compresslab.config.load import load
from compresslab.config.plan import Plan
from compresslab.config.problems import ConfigurationError
from compresslab.console.reference import reference_page, write_reference

PROJECT = Path(__file__).resolve().parents[2]

VALID = """\
scale: full
seeds: [0, 1]
languages: [zh-TW, en]
data: {source: upstream}
benchmark:
  host: local
  rounds: 5
labs:
  digits:
    dataset: mnist
    models:
      gapcnn:
        train:
          epochs: 5
          optimizer: {name: adam, lr: 0.01}
        variants:
          torch-fp32: {method: train-torch}
          torch-long: {method: train-torch, epochs: 9}
          numpy-fp32: {from: torch-fp32, method: export-numpy}
          numpy-int8: {from: numpy-fp32, method: quantize-numpy}
          onnx-fp32: {from: torch-fp32, method: export-onnx}
          onnx-int8: {from: onnx-fp32, method: ptq-onnx}
    engines:
      torch-fp32: [torch]
    baseline: torch-fp32
"""


def mistakes(text: str | bytes, folder: Path, **command_line: Any) -> list[str]:
    """What is said of a configuration file that cannot be used: its lines, without the headline."""
    with pytest.raises(ConfigurationError) as raised:
        load([written(folder, text)], PROJECT / "workflow" / "scales", command_line)
    headline, *lines = str(raised.value).splitlines()
    assert headline == f"{len(lines)} mistake{'s' if len(lines) > 1 else ''} in the configuration:"
    return [line.removeprefix(f"  {folder}/") for line in lines]


def experiment(folder: Path, *texts: str, **command_line: Any) -> Experiment:
    """The experiment of several files, in the order of the command line, with the project's scales."""
    files = [written(folder, text, f"{index}.yaml") for index, text in enumerate(texts)]
    return load(files, PROJECT / "workflow" / "scales", command_line)


def written(folder: Path, text: str | bytes, name: str = "config.yaml") -> Path:
    path = folder / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@dataclass(frozen=True)
class Mistake:
    """A line of the valid file made wrong, and the parts that the message must have."""

    right: str
    wrong: str
    says: tuple[str, ...]

    def made_in(self, text: str) -> str:
        assert text.count(self.right) == 1, self.right
        return text.replace(self.right, self.wrong)

    def place(self, text: str) -> str:
        """`file:line` of the mistake in a text that has it: the first line of what was written wrong."""
        before, _, _ = text.partition(self.wrong)
        return f"config.yaml:{before.count(chr(10)) + 1}: "


# Those that fit into one file; each stands on a line of its own.
MISTAKES = {
    "unknown key at the top": Mistake(
        "languages: [zh-TW, en]",
        "language: [zh-TW]",
        ("language: unknown key", "did you mean 'languages'?", "known here: scale, run, seeds"),
    ),
    "unknown key in a section": Mistake(
        "  rounds: 5", "  round: 5", ("benchmark.round: unknown key", "did you mean 'rounds'?", "warmup_calls")
    ),
    "wrong literal": Mistake(
        "data: {source: upstream}",
        "data: {source: miror}",
        ("data.source: 'miror' is not one of upstream, mirror, embedded", "did you mean 'mirror'?"),
    ),
    "duplicate seeds": Mistake("seeds: [0, 1]", "seeds: [3, 1, 3]", ("seeds: [3, 1, 3] names a seed twice",)),
    "not a name": Mistake("  host: local", "  host: My Host", ("benchmark.host: 'My Host' is not a name",)),
    "unknown dataset": Mistake(
        "    dataset: mnist",
        "    dataset: minst",
        ("labs.digits.dataset: unknown dataset 'minst'", "did you mean 'mnist'?", "deeppcb, deeppcb-pair"),
    ),
    "out of bounds": Mistake(
        "          epochs: 5",
        "          epochs: 0",
        ("labs.digits.models.gapcnn.train.epochs: ", "0", "greater than or equal to 1"),
    ),
    "wrong literal in a list": Mistake(
        "          optimizer: {name: adam, lr: 0.01}",
        "          optimizer: {name: adamm}",
        ("gapcnn.train.optimizer.name: 'adamm' is not one of adam, adamw, sgd", "did you mean 'adam'?"),
    ),
    "wrong method": Mistake(
        "          torch-long: {method: train-torch, epochs: 9}",
        "          torch-long: {method: train-torsh}",
        ("variants.torch-long: unknown method 'train-torsh'", "did you mean 'train-torch'?", "known: cluster-tfmot"),
    ),
    "parent of the wrong kind": Mistake(
        "{from: torch-fp32, method: export-numpy}",
        "{from: onnx-fp32, method: export-numpy}",
        (
            "variants.numpy-fp32.from: method 'export-numpy' cannot start from 'onnx-fp32' (onnx)",
            "those that fit: torch-fp32",
        ),
    ),
    "method's parameter misspelt": Mistake(
        "numpy-int8: {from: numpy-fp32, method: quantize-numpy}",
        "numpy-int8: {from: numpy-fp32, method: quantize-numpy, granularty: tensor}",
        (
            "variants.numpy-int8.granularty: unknown key",
            "did you mean 'granularity'?",
            "known here: method, from, arithmetic",
        ),
    ),
    "unknown parent": Mistake(
        "{from: torch-fp32, method: export-onnx}",
        "{from: torch-fp23, method: export-onnx}",
        ("variants.onnx-fp32.from: unknown variant 'torch-fp23'", "did you mean 'torch-fp32'?"),
    ),
    "wrong parameter far inside": Mistake(
        "onnx-int8: {from: onnx-fp32, method: ptq-onnx}",
        "onnx-int8: {from: onnx-fp32, method: ptq-onnx, calibration: {imagse: 5}}",
        ("variants.onnx-int8.calibration.imagse: unknown key", "did you mean 'images'?", "known here: images, ranges"),
    ),
    "unknown engine": Mistake(
        "      torch-fp32: [torch]",
        "      torch-fp32: [torhc]",
        ("labs.digits.engines.torch-fp32.0: unknown engine 'torhc'", "did you mean 'torch'?", "onnxruntime"),
    ),
    "unknown baseline": Mistake(
        "    baseline: torch-fp32",
        "    baseline: torch-fp16",
        ("labs.digits.baseline: unknown variant 'torch-fp16'", "did you mean 'torch-fp32'?"),
    ),
}

# Those whose file would be another one altogether.
LONELY = {
    "wrong scale": Mistake(
        "scale: full", "scale: ful", ("scale: 'ful' is not one of smoke, quick, full", "did you mean 'full'?")
    ),
    "missing key": Mistake("  digits:\n    dataset: mnist\n", "  digits:\n", ("labs.digits.dataset: is required",)),
    "missing method": Mistake(
        "torch-fp32: {method: train-torch}",
        "torch-fp32: {epochs: 3}",
        ("torch-fp32: needs a method: one of cluster-tfmot,",),
    ),
    "parent needed": Mistake(
        "{from: torch-fp32, method: export-numpy}",
        "{method: export-numpy}",
        ("numpy-fp32.from: method 'export-numpy' needs a parent; those that fit: torch-fp32, torch-long",),
    ),
    "parent not wanted": Mistake(
        "torch-fp32: {method: train-torch}",
        "torch-fp32: {from: torch-long, method: train-torch}",
        ("torch-fp32.from: method 'train-torch' starts from data and takes no parent",),
    ),
    "unknown architecture": Mistake(
        "        train:\n",
        "        architecture: gapcn\n        train:\n",
        ("gapcnn.architecture: unknown architecture 'gapcn'", "did you mean 'gapcnn'?"),
    ),
    "unknown dataset of a model": Mistake(
        "        train:\n",
        "        dataset: minst\n        train:\n",
        ("gapcnn.dataset: unknown dataset 'minst'", "did you mean 'mnist'?"),
    ),
    "unknown argument of the architecture": Mistake(
        "        train:\n",
        "        arguments: {activation: swish}\n        train:\n",
        ("gapcnn.arguments.activation: unknown argument 'activation'; gapcnn of torch takes: none",),
    ),
    "channels of an architecture without widths": Mistake(
        "          torch-long: {method: train-torch, epochs: 9}",
        "          torch-long: {from: torch-fp32, method: prune-channels}",
        ("torch-long.method: method 'prune-channels' needs an architecture that takes widths; gapcnn does not",),
    ),
    "comparison with an unknown variant": Mistake(
        "    baseline: torch-fp32",
        "    comparisons: {numpy-fp32: [torch-lang]}",
        ("comparisons.numpy-fp32: unknown variant 'torch-lang'", "did you mean 'torch-long'?"),
    ),
    "unknown study": Mistake(
        "    baseline: torch-fp32",
        "    studies: {sparse-product: {of: gapcnn/numpy-fp32}}",
        ("studies.sparse-product: unknown key", "did you mean 'sparse-products'?"),
    ),
    "study of an unknown variant": Mistake(
        "    baseline: torch-fp32",
        "    studies: {sparse-products: {of: numpy-fp32}}",
        ("studies.sparse-products: unknown variant 'numpy-fp32'", "gapcnn/numpy-fp32"),
    ),
    "study of a variant that does not fit": Mistake(
        "    baseline: torch-fp32",
        "    studies: {sparse-products: {of: gapcnn/torch-fp32}}",
        ("study 'sparse-products' cannot look into 'gapcnn/torch-fp32'; those that fit: gapcnn/numpy-fp32",),
    ),
    "study without its setting": Mistake(
        "    baseline: torch-fp32",
        "    studies:\n      sparse-products:",
        ("studies.sparse-products.of: is required",),
    ),
    "unknown setting of a study": Mistake(
        "    baseline: torch-fp32",
        "    studies: {sparse-products: {of: gapcnn/numpy-fp32, off: 1}}",
        ("studies.sparse-products.off: unknown key", "did you mean 'of'?"),
    ),
    "unknown variant after a codec": Mistake(
        "    baseline: torch-fp32",
        "    codec_shift: {of: [gapcnn/torch-fp32, gapcnn/onx-int8], baseline: gapcnn/torch-fp32}",
        ("codec_shift.of.1: unknown variant 'gapcnn/onx-int8'", "did you mean 'gapcnn/onnx-int8'?"),
    ),
    "baseline that answers no codec": Mistake(
        "    baseline: torch-fp32",
        "    codec_shift: {of: [gapcnn/onnx-int8], baseline: gapcnn/onnx-fp32}",
        ("codec_shift: the baseline 'gapcnn/onnx-fp32' is none of those that answer: gapcnn/onnx-int8",),
    ),
    "quality beyond JPEG's": Mistake(
        "    baseline: torch-fp32",
        "    codec_shift: {of: [gapcnn/onnx-int8], baseline: gapcnn/onnx-int8, qualities: [101]}",
        ("codec_shift.qualities.0: ", "less than or equal to 100"),
    ),
    "unknown dataset in place of another": Mistake(
        "data: {source: upstream}",
        "data: {instead: {mnist: minst}}",
        ("data.instead.mnist: unknown dataset 'minst'", "did you mean 'mnist'?"),
    ),
    "limits at an unknown scale": Mistake(
        "    baseline: torch-fp32",
        "    limits: {qick: {epochs: 1}}",
        ("labs.digits.limits.qick: 'qick' is not one of smoke, quick, full", "did you mean 'quick'?"),
    ),
    "unknown variant with an engine": Mistake(
        "      torch-fp32: [torch]",
        "      torch-fp33: [torch]",
        ("engines.torch-fp33: unknown variant", "did you mean 'torch-fp32'?"),
    ),
    "step schedule without steps": Mistake(
        "        train:\n          epochs: 5",
        "        train:\n          schedule: step",
        ("gapcnn.train: schedule 'step' needs step_epochs",),
    ),
    "wrong type": Mistake("  rounds: 5", "  rounds: many", ("benchmark.rounds: ", "'many'", "integer")),
    "name of a model": Mistake(
        "      gapcnn:\n",
        "      Gap_CNN:\n        architecture: gapcnn\n",
        ("labs.digits.models.Gap_CNN: 'Gap_CNN' is not a name",),
    ),
    "own host among the others": Mistake(
        "  host: local", "  other_hosts: [local]", ("'local' is this run's own host",)
    ),
    "integers on a GPU": Mistake(
        "torch-fp32: [torch]",
        "onnx-int8: [onnxruntime-cuda]",
        ("engines.onnx-int8.0: 'onnxruntime-cuda' has no integer kernels; 'onnx-int8' needs a CPU's",),
    ),
    "mirror without directory": Mistake(
        "data: {source: upstream}", "data: {source: mirror}", ("data.source: 'mirror' needs data.mirror",)
    ),
}


def test_the_valid_file_has_no_mistakes(tmp_path: Path) -> None:
    assert list(experiment(tmp_path, VALID).labs) == ["digits"]


@pytest.mark.parametrize("mistake", [*MISTAKES.values(), *LONELY.values()], ids=[*MISTAKES, *LONELY])
def test_a_mistake_is_told_in_one_line_with_its_place_and_its_cure(mistake: Mistake, tmp_path: Path) -> None:
    text = mistake.made_in(VALID)
    lines = mistakes(text, tmp_path)
    assert len(lines) == 1, lines
    missing = [part for part in (mistake.place(text), *mistake.says) if part not in lines[0]]
    # A key that is missing has no line of its own; its section's is told.
    assert not missing or ("is required" in lines[0] and missing == [mistake.place(text)]), lines[0]


def test_all_mistakes_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = VALID
    for mistake in MISTAKES.values():
        text = mistake.made_in(text)
    lines = mistakes(text, tmp_path)
    for mistake in MISTAKES.values():
        assert [line for line in lines if all(part in line for part in (mistake.place(text), *mistake.says))], mistake
    assert len(lines) == len(MISTAKES)
    places = [int(line.split(":")[1]) for line in lines]
    assert places == sorted(places)


def test_a_missing_key_is_told_at_its_section(tmp_path: Path) -> None:
    assert mistakes(VALID.replace("    dataset: mnist\n", ""), tmp_path) == [
        "config.yaml:9: labs.digits.dataset: is required"
    ]


def test_variants_that_descend_from_each_other(tmp_path: Path) -> None:
    text = VALID.replace(
        "onnx-fp32: {from: torch-fp32, method: export-onnx}", "onnx-fp32: {from: onnx-int8, method: ptq-onnx}"
    )
    lines = mistakes(text, tmp_path)
    assert [line.split(": ", 2)[1:] for line in lines] == [
        ["labs.digits.models.gapcnn.variants.onnx-fp32.from", "'onnx-fp32' descends from itself"],
        ["labs.digits.models.gapcnn.variants.onnx-int8.from", "'onnx-int8' descends from itself"],
    ]


def test_yaml_that_does_not_parse(tmp_path: Path) -> None:
    (line,) = mistakes("scale: full\nseeds: [0, 1\nlabs: {}\n", tmp_path)
    assert line.startswith("config.yaml:3: the file: not valid YAML: ")


def test_a_key_that_is_there_twice(tmp_path: Path) -> None:
    (line,) = mistakes(VALID.replace("  rounds: 5\n", "  rounds: 5\n  rounds: 3\n"), tmp_path)
    assert line.startswith("config.yaml:8: ")
    assert 'duplicate key "rounds"' in line


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("labs: \xe9".encode("latin-1"), "config.yaml: the file: not UTF-8 text"),
        (b"", "labs: is required"),
        (b"- a\n- list\n", "config.yaml:1: the file: expected 'key: value' lines"),
        (b"just words", "config.yaml:1: the file: expected 'key: value' lines"),
        (b"labs: \x00", "config.yaml: the file: not valid YAML: "),
        (b"a: &loop\n  b: *loop", "config.yaml:1: a: unknown key"),
        (b"scale: " + b"s" * 5000, "config.yaml:1: scale: "),
        (b"[" * 600, "config.yaml: the file: not valid YAML: nested too deeply"),
    ],
    ids=[
        "not UTF-8",
        "empty",
        "a list",
        "words",
        "a null byte",
        "a loop of anchors",
        "an endless name",
        "endless nesting",
    ],
)
def test_a_file_that_is_no_configuration_at_all(content: bytes, says: str, tmp_path: Path) -> None:
    assert says in "\n".join(mistakes(content, tmp_path))


@pytest.mark.parametrize("kind", ["absent", "a folder"])
def test_a_file_that_cannot_be_read_is_named(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    if kind == "a folder":
        path.mkdir()
    with pytest.raises(ConfigurationError, match=r"mine\.yaml"):
        load([path], tmp_path)


def test_the_command_line_is_named_as_the_place(tmp_path: Path) -> None:
    lines = mistakes(VALID, tmp_path, **{"data-source": "miror", "seeds": [4, 4], "scales": "quick"})
    assert sorted(line.strip() for line in lines) == [
        "command line: data.source: 'miror' is not one of upstream, mirror, embedded (did you mean 'mirror'?)",
        "command line: scales: unknown key (did you mean 'scale'?); known here: "
        "scale, run, seeds, languages, data, limits, benchmark, labs",
        "command line: seeds: [4, 4] names a seed twice",
    ]


def test_a_mistake_in_an_overlay_is_told_with_the_overlays_line(tmp_path: Path) -> None:
    scales = tmp_path / "scales"
    scales.mkdir()
    written(scales, "# reason\nlimits: {epoch: 1}\n", "quick.yaml")
    with pytest.raises(ConfigurationError, match=r"scales/quick\.yaml:2: limits\.epoch: unknown key"):
        load([written(tmp_path, VALID)], scales, {"scale": "quick"})


def test_a_mistake_in_a_merged_block_is_told_with_the_line_of_that_block(tmp_path: Path) -> None:
    merged = VALID.replace("benchmark:\n", "benchmark:\n  <<: {\n    hots: other,\n    calls: 77}\n", 1)
    line = merged.splitlines().index("    hots: other,") + 1
    with pytest.raises(ConfigurationError, match=rf"yaml:{line}: benchmark\.hots: unknown key"):
        experiment(tmp_path, merged)
    repaired = experiment(tmp_path, merged.replace("    hots: other,\n", ""))
    assert repaired.benchmark.calls == 77


class TestOrderOfSources:
    """`config.yaml` < `--configfile` < the scale's overlay < `--config`."""

    def test_a_later_file_wins_key_by_key(self, tmp_path: Path) -> None:
        read = experiment(tmp_path, VALID, "benchmark: {rounds: 7}\nseeds: [9]\n")
        assert (read.benchmark.rounds, read.benchmark.host, read.seeds) == (7, "local", [9])

    def test_the_scale_wins_over_every_file(self, tmp_path: Path) -> None:
        overlay = yaml.safe_load((PROJECT / "workflow" / "scales" / "smoke.yaml").read_text())
        read = experiment(tmp_path, VALID, "scale: smoke\nseeds: [9]\nbenchmark: {rounds: 9, calls: 5000}\n")
        assert read.scale == "smoke"
        assert read.seeds == overlay["seeds"]
        assert read.data.source == overlay["data"]["source"]
        assert read.benchmark.calls == overlay["benchmark"]["calls"]
        assert read.limits.epochs == overlay["limits"]["epochs"]

    def test_the_command_line_wins_over_the_scale(self, tmp_path: Path) -> None:
        read = experiment(tmp_path, VALID, scale="smoke", seeds=[5], data={"source": "upstream"})
        assert (read.scale, read.seeds, read.data.source) == ("smoke", [5], "upstream")
        assert read.limits.epochs is not None, "what the command line does not name stays the scale's"

    def test_the_scale_of_the_command_line_chooses_the_overlay(self, tmp_path: Path) -> None:
        assert experiment(tmp_path, VALID.replace("scale: full", "scale: smoke"), scale="full").limits.epochs is None

    def test_a_dash_on_the_command_line_goes_into_a_section(self, tmp_path: Path) -> None:
        read = experiment(tmp_path, VALID, **{"data-source": "mirror", "data-mirror": "/a/b", "benchmark-rounds": 2})
        assert (read.data.source, read.data.mirror, read.benchmark.rounds) == ("mirror", "/a/b", 2)

    def test_a_list_is_replaced_as_a_whole(self, tmp_path: Path) -> None:
        assert experiment(tmp_path, VALID, "languages: [en]\n").languages == ["en"]

    def test_results_are_named_after_the_scale_or_as_the_user_says(self, tmp_path: Path) -> None:
        assert experiment(tmp_path, VALID, scale="quick").run_name == "quick"
        assert experiment(tmp_path, VALID, scale="quick", run="mine").run_name == "mine"


class TestRecipe:
    """A model's `train` block holds for its variants; a variant replaces settings one by one."""

    def parameters(self, folder: Path, variant: str, **command_line: Any) -> dict[str, Any]:
        plan = Plan(experiment(folder, VALID, **command_line))
        return json.loads(plan.method_slice(f"digits/gapcnn/{variant}", 0))["parameters"]

    def test_is_inherited(self, tmp_path: Path) -> None:
        parameters = self.parameters(tmp_path, "torch-fp32")
        assert (parameters["epochs"], parameters["optimizer"]["lr"]) == (5, 0.01)

    def test_is_replaced_setting_by_setting(self, tmp_path: Path) -> None:
        parameters = self.parameters(tmp_path, "torch-long")
        assert (parameters["epochs"], parameters["optimizer"]["lr"]) == (9, 0.01)

    def test_its_epochs_are_capped_and_never_raised_by_the_scale(self, tmp_path: Path) -> None:
        limits = {"epochs": 7}
        assert self.parameters(tmp_path, "torch-fp32", limits=limits)["epochs"] == 5
        assert self.parameters(tmp_path, "torch-long", limits=limits)["epochs"] == 7

    def test_its_batch_is_capped_and_never_raised_by_the_scale(self, tmp_path: Path) -> None:
        assert [self.parameters(tmp_path, "torch-fp32", limits={"batch": cap})["batch"] for cap in (16, 999)] == [
            16,
            64,
        ]


class TestDataInPlaceOfOthers:
    """A dataset may be read in place of another one, and everything that reads data then names it."""

    def test_reaches_the_variants_that_read_the_other(self, tmp_path: Path) -> None:
        plan = Plan(experiment(tmp_path, VALID, data={"instead": {"mnist": "deeppcb"}}))
        assert plan.datasets("digits") == ["deeppcb"]
        assert json.loads(plan.subject_slice("digits"))["datasets"] == ["deeppcb"]

    def test_leaves_other_datasets_alone(self, tmp_path: Path) -> None:
        plan = Plan(experiment(tmp_path, VALID, data={"instead": {"deeppcb": "deeppcb-pair"}}))
        assert plan.datasets("digits") == ["mnist"]


class TestLimits:
    """A lab may be cut down further than the run is, scale by scale; of two caps the smaller one holds."""

    LIMITS = "    limits: {quick: {train_images: 700, epochs: 2, calls: 50, rounds: 9, seeds: 2}, smoke: {epochs: 1}}\n"

    def plan(self, folder: Path, **command_line: Any) -> Plan:
        return Plan(experiment(folder, VALID + self.LIMITS, **command_line))

    def test_hold_at_their_scale_only(self, tmp_path: Path) -> None:
        full, quick = (self.plan(tmp_path, scale=scale) for scale in ("full", "quick"))
        assert (full.limits("digits").train_images, quick.limits("digits").train_images) == (None, 700)
        assert (full.protocol("digits")["calls"], quick.protocol("digits")["calls"]) == (662, 50)
        parameters = json.loads(quick.method_slice("digits/gapcnn/torch-fp32", 0))["parameters"]
        assert parameters["epochs"] == 2

    @pytest.mark.parametrize(("seeds", "kept"), [([3, 1, 2], [3, 1]), ([5], [5])])
    def test_keep_the_first_seeds(self, seeds: list[int], kept: list[int], tmp_path: Path) -> None:
        plan = self.plan(tmp_path, scale="quick", seeds=seeds)
        assert plan.seeds_of("digits") == kept
        assert json.loads(plan.tables_slice("digits"))["seeds"] == kept
        assert self.plan(tmp_path, scale="full", seeds=seeds).seeds_of("digits") == seeds

    def test_never_raise_what_the_run_allows(self, tmp_path: Path) -> None:
        plan = self.plan(tmp_path, scale="quick", limits={"train_images": 300}, benchmark={"rounds": 2})
        assert plan.limits("digits").train_images == 300
        assert plan.protocol("digits")["rounds"] == 2

    def test_cap_the_images_that_calibrate(self, tmp_path: Path) -> None:
        plan = self.plan(tmp_path, scale="quick", limits={"calibration_images": 16})
        for variant in ("numpy-int8", "onnx-int8"):
            parameters = json.loads(plan.method_slice(f"digits/gapcnn/{variant}", 0))["parameters"]
            assert parameters["calibration"]["images"] == 16

    def test_leave_the_rest_to_the_run(self, tmp_path: Path) -> None:
        plan = self.plan(tmp_path, scale="quick")
        assert plan.limits("digits").test_images == plan.experiment.limits.test_images
        assert plan.protocol("digits")["threads"] == plan.experiment.benchmark.threads


class TestPlannedFigures:
    """A figure that can show nothing of a lab is not drawn."""

    STREETS = """\
labs:
  streets:
    dataset: camvid
    models:
      unet: {variants: {torch-fp32: {method: train-torch}}}
"""

    def test_a_study_adds_its_figure(self, tmp_path: Path) -> None:
        without = Plan(experiment(tmp_path, VALID)).figures("digits")
        studied = Plan(experiment(tmp_path, VALID, "labs: {digits: {studies: {convolutions: }}}\n")).figures("digits")
        assert set(studied) - set(without) == {"convolutions"}

    def test_what_a_lab_has_nothing_of_is_left_out(self, tmp_path: Path) -> None:
        drawn = Plan(experiment(tmp_path, VALID)).figures("digits")
        assert {"accuracy", "confusion", "training", "layer_errors", "activations", "sparsity"} <= set(drawn)
        assert {"codec_shift", "elastic", "sensitivity", "segmented", "merit"}.isdisjoint(drawn)

    def test_a_task_has_its_own(self, tmp_path: Path) -> None:
        drawn = Plan(experiment(tmp_path, self.STREETS)).figures("streets")
        assert {"segmented", "class_iou", "merit", "training", "latency"} <= set(drawn)
        assert {"confusion", "misclassified", "agreement", "layer_errors", "activations"}.isdisjoint(drawn)


class TestPlan:
    """Two ways to name a variant: alone, or with its model."""

    def lab(self, folder: Path, extra: str) -> Plan:
        other = (
            "      other:\n        architecture: gapcnn\n        variants:\n"
            "          torch-fp32: {method: train-torch}\n"
            "          onnx-fp32: {from: torch-fp32, method: export-onnx}\n"
        )
        other = """\
      other:
        architecture: gapcnn
        variants:
          torch-fp32: {method: train-torch}
          onnx-fp32: {from: torch-fp32, method: export-onnx}
    engines:"""
        second = VALID.replace("    engines:", other)
        assert second != VALID
        return Plan(experiment(folder, second.replace("    baseline: torch-fp32\n", extra)))

    def test_engines_of_one_model_leave_the_other_alone(self, tmp_path: Path) -> None:
        text = VALID.replace("torch-fp32: [torch]", "gapcnn/torch-fp32: [torch-compile, torch]")
        plan = Plan(experiment(tmp_path, text))
        assert plan.engines(plan.variants["digits/gapcnn/torch-fp32"]) == ["torch-compile", "torch"]
        assert plan.engines(plan.variants["digits/gapcnn/torch-long"]) == ["torch"]

    def test_what_needs_a_gpu_is_known_before_the_run(self, tmp_path: Path) -> None:
        engines = "torch-fp32: [torch, torch-cuda]\n      onnx-fp32: [onnxruntime-cuda]"
        text = VALID.replace("torch-fp32: [torch]", engines)
        text = text.replace("method: train-torch, epochs: 9", "method: train-torch, device: cuda")
        assert [tuple(need) for need in Plan(experiment(tmp_path, text)).on_gpu_only()] == [
            ("digits/gapcnn/torch-fp32", "engine torch-cuda", "cells are skipped"),
            ("digits/gapcnn/torch-long", "device: cuda", "training fails"),
            ("digits/gapcnn/onnx-fp32", "engine onnxruntime-cuda", "predictions fail"),
        ]
        assert list(Plan(experiment(tmp_path, VALID)).on_gpu_only()) == []

    def test_the_baseline_of_every_model(self, tmp_path: Path) -> None:
        plan = self.lab(tmp_path, "    baseline: onnx-fp32\n")
        baselines = {id: plan.baseline(variant).id for id, variant in plan.variants.items()}
        assert set(baselines.values()) == {"digits/gapcnn/onnx-fp32", "digits/other/onnx-fp32"}
        assert all(id.rpartition("/")[0] == baseline.rpartition("/")[0] for id, baseline in baselines.items())

    def test_a_baseline_named_with_its_model_holds_for_that_model(self, tmp_path: Path) -> None:
        plan = self.lab(tmp_path, "    baseline: other/onnx-fp32\n")
        assert plan.baseline(plan.variants["digits/other/torch-fp32"]).id == "digits/other/onnx-fp32"

    def test_a_reference_of_layers_may_be_named_with_its_model(self, tmp_path: Path) -> None:
        plan = self.lab(tmp_path, "    layer_references: {onnx-int8: [gapcnn/numpy-fp32]}\n")
        references = plan.references(plan.variants["digits/gapcnn/onnx-int8"])
        assert [reference.id for reference in references] == ["digits/gapcnn/onnx-fp32", "digits/gapcnn/numpy-fp32"]


class TestGeneratedFiles:
    """The schema for editors and the reference page are what the models say; `make docs` writes them."""

    def test_are_in_step_with_the_models(self, tmp_path: Path) -> None:
        page, schema = tmp_path / "page.md", tmp_path / "schema.json"
        write_reference(page, schema)
        assert (PROJECT / "docs" / "configuration.md").read_text() == page.read_text(), "run `make docs`"
        assert (PROJECT / "workflow" / "schemas" / "config.schema.json").read_text() == schema.read_text(), (
            "run `make docs`"
        )

    def test_every_key_of_every_model_has_its_meaning_on_the_page(self) -> None:
        page = reference_page()
        meanings = dict(re.findall(r"^\| `([\w-]+)` \|.*\| (.*) \|$", page, flags=re.MULTILINE))
        models = [json_schema(), *json_schema()["$defs"].values()]
        for name in [name for model in models for name in model["properties"]]:
            assert meanings[name].endswith("."), f"{name} is not explained"

    def test_the_schema_knows_the_methods(self) -> None:
        (variant,) = json_schema()["$defs"]["Model"]["properties"]["variants"]["patternProperties"].values()
        assert set(variant["discriminator"]["mapping"]) == set(METHODS)

    def test_the_schema_knows_the_studies(self) -> None:
        assert set(json_schema()["$defs"]["Studies"]["properties"]) == set(STUDIES)

    def test_the_projects_own_configuration_holds_at_every_scale(self) -> None:
        for scale in ("smoke", "quick", "full"):
            read = load([PROJECT / "config.yaml"], PROJECT / "workflow" / "scales", {"scale": scale})
            assert read.scale == scale


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 10**20),
    st.floats(),
    st.dates(),
    st.binary(max_size=3),
    st.sampled_from(["", "full", "mnist", "torch-fp32", "train-torch", "x" * 300, "../smoke", "a\0b", "名", "\n"]),
)
TREES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(SCALARS.filter(lambda key: key == key), inner, max_size=3)
    ),
    max_leaves=6,
)


def paths_in(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every path of keys and indices below `tree`."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    return [found for key, value in items for found in ((*path, key), *paths_in(value, (*path, key)))]


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """The valid configuration with up to three values replaced, or keys added, by anything that YAML can say."""
    tree = yaml.safe_load(VALID)
    for _ in range(draw(st.integers(1, 3))):
        *above, last = draw(st.sampled_from(paths_in(tree)))
        inside = tree
        for key in above:
            inside = inside[key]
        if isinstance(inside, dict) and draw(st.booleans()):
            last = draw(SCALARS)
        inside[last] = draw(TREES)
    return yaml.dump(tree, allow_unicode=True)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=damaged() | st.text(max_size=40) | TREES.map(yaml.dump))
def test_any_file_at_all_is_an_experiment_or_a_list_of_mistakes(text: str, tmp_path: Path) -> None:
    try:
        read = experiment(tmp_path, text)
    except ConfigurationError as error:
        told, problems = str(error), error.problems
        assert problems
        assert len(told.splitlines()) == 1 + len(problems), "one line per mistake"
    else:
        plan = Plan(read)
        for variant in plan.variants.values():
            assert plan.method_slice(variant.id, 0)
            assert plan.engines(variant)
            assert plan.baseline(variant).model == variant.model
            assert all(plan.layers_slice(variant.id, reference.id) for reference in plan.references(variant))
        for lab in plan.labs:
            assert plan.benchmark_slice(lab)
            assert plan.tables_slice(lab)
