"""Views of training images: as the augmentation makes them, the same ones for a seed, for a figure to show."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from compresslab.arrays import write_arrays
from compresslab.config.load import load
from compresslab.config.plan import Plan
from compresslab.config.training import Elastic
from compresslab.data.views import read_views
from compresslab.train.torch.views import elastic_views

PROJECT = Path(__file__).parents[2]

CONFIGURATION = """
scale: full
seeds: [4, 0]
labs:
  digits:
    dataset: mnist
    models:
      lenet5:
        train: {augmentation: elastic, elastic: {strength_px: 20}}
        variants:
          torch-fp32: {method: train-torch}
          torch-gentle: {method: train-torch, elastic: {strength_px: 5}}
          torch-plain: {method: train-torch, augmentation: none}
          torch-prune50: {from: torch-fp32, method: prune-torch, sparsity: 0.5}
      other:
        architecture: lenet5
        variants:
          torch-fp32: {method: train-torch}
"""


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """Smooth blots with a border of zeros, uint8 (N, 24, 28, 1)."""
    rows, columns = np.mgrid[:24, :28]
    blots = [np.exp(-((rows - 12 - shift) ** 2 + (columns - 14 + shift) ** 2) / 20) for shift in range(3)]
    return (255 * np.stack(blots)).astype(np.uint8)[..., None]


def plan(folder: Path, lab: str = "") -> Plan:
    path = folder / "config.yaml"
    path.write_text(CONFIGURATION + lab)
    return Plan(load([path], PROJECT / "workflow" / "scales", {}))


def test_the_displacement_leads_from_a_view_to_its_image(images: np.ndarray) -> None:
    views, displacement_px = elastic_views(images, Elastic(), 2, seed=3)
    assert (views.shape, views.dtype) == ((2, *images.shape), np.uint8)
    assert displacement_px.shape == (2, 24, 28)
    looked_up = np.mgrid[:24, :28] + displacement_px
    expected = map_coordinates(images[0, ..., 0].astype(np.float64), looked_up, order=1)
    assert np.abs(views[0, 0, ..., 0] - expected).max() <= 1
    assert np.abs(views[0, 0].astype(int) - images[0]).max() > 20


def test_views_follow_from_the_seed_and_differ_from_one_another(images: np.ndarray) -> None:
    first, again, other = (elastic_views(images, Elastic(), 3, seed)[0] for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert not np.array_equal(first[0], first[1])


def test_without_strength_views_are_the_images(images: np.ndarray) -> None:
    views, displacement_px = elastic_views(images, Elastic(strength_px=0), 2, seed=0)
    assert not displacement_px.any()
    assert np.abs(views.astype(int) - images).max() <= 1


def test_the_stage_shows_the_first_image_of_every_class(images: np.ndarray, tmp_path: Path) -> None:
    labels = np.array([2, 2, 0, 1, 0], np.int64)
    training = np.concatenate([images, images[:2]])
    write_arrays(tmp_path / "mnist.npz", {"train_images": training, "train_labels": labels})
    spec = {"elastic": Elastic().model_dump(), "seed": 0, "images": 2, "views": 3}
    options = ["--data", str(tmp_path / "mnist.npz"), "--out", str(tmp_path / "views.npz")]
    command = [sys.executable, "-m", "compresslab.stages.views", "--spec", json.dumps(spec), *options]
    subprocess.run(command, check=True, capture_output=True)
    views = read_views(tmp_path / "views.npz")
    assert np.array_equal(views.labels, [0, 1])
    assert np.array_equal(views.images, training[[2, 3]])
    assert np.array_equal(views.views, elastic_views(training[[2, 3]], Elastic(), 3, 0)[0])


def test_only_fresh_trainings_on_distorted_images_have_views(tmp_path: Path) -> None:
    asked = plan(tmp_path)
    assert [variant.name for variant in asked.distorted("digits")] == ["torch-fp32", "torch-gentle"]
    gentle = json.loads(asked.views_slice("digits/lenet5/torch-gentle"))
    assert (gentle["elastic"]["strength_px"], gentle["seed"]) == (5, 4)


@pytest.mark.parametrize(
    ("named", "baseline"),
    [
        ("", "lenet5/torch-fp32"),
        ("    baseline: other/torch-fp32\n", "other/torch-fp32"),
        ("    baseline: torch-plain\n", "lenet5/torch-plain"),
    ],
)
def test_a_figure_knows_the_baseline_of_its_lab(named: str, baseline: str, tmp_path: Path) -> None:
    asked = json.loads(plan(tmp_path, named).figure_slice("digits", "misclassified"))
    assert asked["baseline"] == baseline
