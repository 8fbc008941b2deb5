"""Profiles: each says again how every run behaves, and gives a GPU to every training that takes one."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from compresslab.lineage import code

PROJECT = Path(__file__).resolve().parents[2]
PROFILES = PROJECT / "workflow" / "profiles"
STAGES = sorted(path.stem for path in (PROJECT / "src/compresslab/stages").glob("[a-z]*.py"))


NAMES = sorted(path.parent.name for path in PROFILES.glob("*/profile.yaml"))


def settings(profile: str) -> dict[str, Any]:
    return yaml.safe_load((PROFILES / profile / "profile.yaml").read_text(encoding="utf-8"))


def taking_a_gpu() -> set[str]:
    """Rules whose stage trains in PyTorch, which takes a GPU where there is one; a rule and its stage have one name."""
    needed = {"compresslab.stages.training", "compresslab.train.torch.hardware"}
    return {name for name in STAGES if needed <= set(code.closure([f"compresslab.stages.{name}"]))}


@pytest.mark.parametrize("profile", [name for name in NAMES if "set-resources" in settings(name)])
def test_every_training_in_pytorch_has_a_gpu(profile: str) -> None:
    having = {rule for rule, resources in settings(profile)["set-resources"].items() if resources.get("gpu") == 1}
    assert taking_a_gpu() == having
    assert {"train_torch", "qat_pt2e"} <= having


@pytest.mark.parametrize("profile", NAMES)
def test_every_profile_behaves_as_the_default_one(profile: str) -> None:
    """A workflow profile replaces the default one as a whole."""
    usual, own = settings("default"), settings(profile)
    assert {name: own.get(name) for name in usual} == usual
