"""A report lists models and variants as the configuration does, and says once how they are trained."""

import json
from pathlib import Path

from compresslab.config.load import load
from compresslab.config.plan import Plan
from compresslab.stages.subject import in_order

PROJECT = Path(__file__).resolve().parents[2]
LABS = """\
labs:
  digits:
    dataset: mnist
    models:
      small:
        architecture: gapcnn
        train: {epochs: 3}
        variants:
          torch-long: {method: train-torch, epochs: 9}
          torch-fp32: {method: train-torch}
      large:
        architecture: ciresan
        train: {epochs: 3}
        variants:
          torch-fp32: {method: train-torch}
          torch-elastic: {method: train-torch, augmentation: elastic}
"""


def test_the_order_is_that_of_the_configuration_and_the_training_that_of_the_first_variant(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(LABS)
    plan = Plan(load([tmp_path / "config.yaml"], PROJECT / "workflow" / "scales"))
    subject = in_order(json.loads(plan.subject_slice("digits")))
    assert {model: list(described["variants"]) for model, described in subject["models"].items()} == {
        "small": ["torch-long", "torch-fp32"],
        "large": ["torch-fp32", "torch-elastic"],
    }
    assert list(subject["models"]) == ["small", "large"]
    assert subject["models"]["small"]["train"]["epochs"] == 9
    assert subject["models"]["large"]["train"]["augmentation"] == "none"
