"""A model that is not the one that its card describes is refused by every stage that reads it, before it works."""

import argparse
import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from compresslab.artifacts import file_sha256
from compresslab.stages.intact import DamagedError, require_intact

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A file of a variant, with its card."""
    path = tmp_path / "seed-0" / "model.safetensors"
    path.parent.mkdir()
    path.write_bytes(bytes(range(200)))
    (path.parent / "card.json").write_text(json.dumps({"model_sha256": file_sha256(path)}))
    return path


def test_a_whole_model_passes(model: Path) -> None:
    require_intact(model)


@pytest.mark.parametrize("position", [0, 100, 199])
@pytest.mark.parametrize("bit", [0, 7])
def test_any_flipped_bit_is_told_with_what_to_do(model: Path, position: int, bit: int) -> None:
    content = bytearray(model.read_bytes())
    content[position] ^= 1 << bit
    model.write_bytes(content)
    with pytest.raises(DamagedError, match=re.escape(f"{model} is not the file that")) as caught:
        require_intact(model)
    assert str(caught.value).endswith("delete it and run again")


def test_a_card_that_is_damaged_itself_is_told(model: Path) -> None:
    card = model.parent / "card.json"
    card.write_text(card.read_text()[:-3])
    with pytest.raises(ValueError, match=r"card\.json is not valid JSON"):
        require_intact(model)


def test_a_file_without_a_card_is_left_to_its_reader(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"from elsewhere")
    require_intact(path)


STAGE = """
from compresslab.stages.command import running, variant_parser
with running(variant_parser("x", model="made", parent="read")):
    print("worked")
"""


def test_a_stage_stops_before_its_work(model: Path) -> None:
    options = ["--data", "data", "--parent", str(model), "--model", "model", "--card", "card"]
    command = [sys.executable, "-c", STAGE, *options]
    assert subprocess.run(command, capture_output=True, text=True, check=True, timeout=20).stdout == "worked\n"
    model.write_bytes(b"other")
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {model} is not the file that ")


def read_models() -> dict[str, set[str]]:
    """By stage, the options that its rule fills with files of variants."""
    rules = "".join(path.read_text() for path in sorted((PROJECT / "workflow" / "rules").glob("*.smk")))
    commands = re.findall(r'"python -m compresslab\.stages\.(\w+) ([^,]*?)--spec', rules)
    found = {
        name: set(re.findall(r"--(\w+) \{input\.(?:model|models|parent|reference)\}", text)) for name, text in commands
    }
    return {name: options for name, options in found.items() if options}


class ParsedError(Exception):
    """The stage has come to where it parses its options."""


@pytest.mark.parametrize("name", sorted(read_models()))
def test_every_stage_that_reads_models_checks_them(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def running(stage: argparse.ArgumentParser) -> None:
        assert read_models()[name] <= set(stage.get_default("variants"))
        raise ParsedError

    module = importlib.import_module(f"compresslab.stages.{name}")
    monkeypatch.setattr(module, "running", running)
    with pytest.raises(ParsedError):
        module.main()
