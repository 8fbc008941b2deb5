"""The study of training steps: it times real updates, and its ratios are those of its times."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from textures import CLASSES, PREPROCESSING, SHAPE

from compresslab.config.studies.training_steps import Settings
from compresslab.measure.in_turns import Effort
from compresslab.measure.studies.training_steps import study, training_step
from compresslab.models.torch.artifact import TorchModel, build, load, save
from compresslab.tables.schemas import TABLES
from compresslab.train.torch.learner import initialize

NETWORKS = {"small/torch-fp32": "gapcnn", "large/torch-fp32": "ciresan"}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    paths = {}
    for name, architecture in NETWORKS.items():
        module = build(architecture, SHAPE, len(CLASSES))
        initialize(module, 0)
        paths[name] = folder / f"{architecture}.safetensors"
        save(paths[name], TorchModel(module, architecture, SHAPE, PREPROCESSING, CLASSES))
    return paths


def test_every_network_is_a_row_and_stands_against_the_baseline(models: dict[str, Path]) -> None:
    settings = Settings(of=list(NETWORKS), baseline="small/torch-fp32", batch=4)
    threads = torch.get_num_threads()
    found = pd.DataFrame(study(settings, models, Effort(rounds=3, seconds=1e-5, calls=3)))
    assert torch.get_num_threads() == threads
    rows = TABLES["training_steps"].validated(found.assign(lab="x", host="x")).set_index("architecture")
    assert set(rows.index) == set(NETWORKS.values())
    assert set(rows["baseline_model"]) == {"small"}
    ratio = "step_to_baseline_ratio"
    assert list(rows.loc["gapcnn", [ratio, f"{ratio}_low", f"{ratio}_high"]]) == [1, 1, 1]
    for name in ("step{}_ms", ratio + "{}"):
        low, middle, high = (rows[name.format(end)] for end in ("_low", "", "_high"))
        assert ((low <= middle) & (middle <= high)).all()
    assert list(rows["images_per_s"]) == pytest.approx(list(4000 / rows["step_ms"]))


def test_a_step_is_an_update_by_adam(models: dict[str, Path]) -> None:
    """By PyTorch's own Adam, the first update moves nearly every weight by its rate."""
    network, before = (load(models["small/torch-fp32"]) for _ in range(2))
    network.module.train()
    training_step(network, 8)(0)
    for one, other in zip(network.module.parameters(), before.module.parameters(), strict=True):
        moved = (one - other).detach().abs()
        assert moved.max() <= 0.001001
        assert float(moved.median()) == pytest.approx(0.001, rel=1e-3)
