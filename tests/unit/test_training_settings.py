"""Settings that a framework does not have are told before anything runs, at the line that sets them."""

from pathlib import Path

import pytest
from test_configuration import VALID, experiment, mistakes

from compresslab.config.plan import Plan

SEVERAL = (
    VALID.replace("gapcnn:", "lenet5:")
    .replace("          epochs: 5\n", "          epochs: 5\n          batch: 64\n")
    .replace(
        "          torch-long: {method: train-torch, epochs: 9}\n",
        "          torch-long: {method: train-torch, epochs: 9}\n"
        "          numpy: {method: train-numpy}\n"
        "          tensorflow: {method: train-tensorflow}\n"
        "          pruned: {from: tensorflow, method: prune-tfmot}\n"
        "          smaller: {from: torch-fp32, method: prune-torch}\n",
    )
    .replace("          numpy-fp32: {from: torch-fp32, method: export-numpy}\n", "")
    .replace("          numpy-int8: {from: numpy-fp32, method: quantize-numpy}\n", "")
)
NUMPY, RECIPE = "          numpy: {method: train-numpy", "          batch: 64\n"


def line_of(text: str, part: str) -> int:
    return text[: text.index(part)].count("\n") + 1


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("augmentation: elastic", "method 'train-numpy' knows no augmentation 'elastic'; train-torch does"),
        ("precision: bfloat16", "method 'train-numpy' knows no precision 'bfloat16'; train-torch does"),
        ("precision: auto", "method 'train-numpy' knows no precision 'auto'; train-torch does"),
        ("ema: 0.99", "method 'train-numpy' knows no ema '0.99'; train-torch does"),
        ("loss: {dice: 1}", "method 'train-numpy' knows no loss '1 cross_entropy + 1 dice'; train-torch does"),
        ("augmentation: scenes", "method 'train-numpy' knows no augmentation 'scenes'; train-torch does"),
        ("device: cuda", "method 'train-numpy' knows no device 'cuda'; train-tensorflow, train-torch do"),
    ],
)
def test_a_setting_that_a_framework_lacks_is_told_at_the_variant(tmp_path: Path, setting: str, says: str) -> None:
    text = SEVERAL.replace(NUMPY, f"{NUMPY}, {setting}")
    path = f"labs.digits.models.lenet5.variants.numpy.{setting.partition(':')[0]}"
    (line, *of_the_task) = mistakes(text, tmp_path)
    assert line == f"config.yaml:{line_of(text, NUMPY)}: {path}: {says}"
    assert len(of_the_task) == (setting in ("loss: {dice: 1}", "augmentation: scenes"))


def test_a_setting_of_the_recipe_is_told_there_once_for_each_method_that_lacks_it(tmp_path: Path) -> None:
    text = SEVERAL.replace(RECIPE, RECIPE + "          precision: bfloat16\n")
    place = f"config.yaml:{line_of(text, 'precision')}: labs.digits.models.lenet5.train.precision: "
    assert mistakes(text, tmp_path) == [
        f"{place}method 'train-numpy' knows no precision 'bfloat16'; train-torch does",
        f"{place}method 'train-tensorflow' knows no precision 'bfloat16'; train-torch does",
        f"{place}method 'prune-tfmot' knows no precision 'bfloat16'; prune-channels, prune-torch do",
    ]


@pytest.mark.parametrize("setting", ["precision: float32", "ema: null", "augmentation: crops", "device: cpu"])
def test_what_every_framework_knows_may_be_said_anywhere(tmp_path: Path, setting: str) -> None:
    said = SEVERAL.replace(NUMPY, f"{NUMPY}, {setting}").replace(RECIPE, f"{RECIPE}          {setting}\n")
    assert list(experiment(tmp_path, said).labs) == ["digits"]


def test_a_variant_that_takes_back_a_setting_of_the_recipe_is_no_mistake(tmp_path: Path) -> None:
    text = VALID.replace("          epochs: 5\n", "          epochs: 5\n          device: cuda\n")
    text = text.replace("torch-long: {method: train-torch", "numpy: {method: train-numpy, device: cpu")
    text = text.replace("gapcnn:", "lenet5:").replace(
        "          numpy-fp32: {from: torch-fp32, method: export-numpy}\n", ""
    )
    text = text.replace("          numpy-int8: {from: numpy-fp32, method: quantize-numpy}\n", "")
    assert list(experiment(tmp_path, text).labs) == ["digits"]


def test_settings_that_contradict_each_other_only_together(tmp_path: Path) -> None:
    text = VALID.replace("          epochs: 5\n", "          epochs: 5\n          keep: best\n          patience: 2\n")
    text = text.replace("torch-long: {method: train-torch", "torch-long: {method: train-torch, keep: last")
    (line,) = mistakes(text, tmp_path)
    assert line == f"config.yaml:{line_of(text, 'torch-long')}: labs.digits.models.gapcnn.variants.torch-long: " + (
        "patience needs keep: best"
    )


def test_a_fine_tuning_takes_how_images_are_seen_and_computed_but_not_how_long(tmp_path: Path) -> None:
    text = VALID.replace(
        "          epochs: 5\n",
        "          epochs: 5\n          precision: bfloat16\n          augmentation: elastic\n"
        "          elastic: {strength_px: 20}\n          ema: 0.9\n          keep: best\n          patience: 2\n",
    ).replace("torch-long: {method: train-torch, epochs: 9}", "smaller: {from: torch-fp32, method: prune-torch}")
    plan = Plan(experiment(tmp_path, text))
    settings = plan.variants["digits/gapcnn/smaller"].method.parameters()
    assert settings["precision"] == "bfloat16"
    assert settings["augmentation"] == "elastic"
    assert settings["elastic"] == {"strength_px": 20.0, "smoothness_px": 4.0}
    assert (settings["ema"], settings["keep"], settings["patience"]) == (None, "last", None)


STREETS = """\
labs:
  streets:
    dataset: camvid
    models:
      unet:
        train: {epochs: 5}
        variants:
          torch-fp32: {method: train-torch}
          smaller: {from: torch-fp32, method: prune-torch}
"""


def test_a_fine_tuning_takes_losses_and_views_from_the_recipe(tmp_path: Path) -> None:
    recipe = "{epochs: 5, loss: {dice: 1, lovasz: 0.5}, augmentation: scenes, scenes: {scale_high: 1.5}}"
    plan = Plan(experiment(tmp_path, STREETS.replace("{epochs: 5}", recipe)))
    for variant in ("torch-fp32", "smaller"):
        settings = plan.variants[f"streets/unet/{variant}"].method.parameters()
        assert settings["loss"] == {"cross_entropy": 1.0, "dice": 1.0, "lovasz": 0.5}
        assert (settings["augmentation"], settings["scenes"]["scale_high"]) == ("scenes", 1.5)
        assert settings["scenes"]["scale_low"] == 0.75


@pytest.mark.parametrize("augmentation", ["symmetries", "crops", "elastic"])
def test_an_augmentation_that_leaves_masks_behind_is_told_where_it_is_set(tmp_path: Path, augmentation: str) -> None:
    text = STREETS.replace("{epochs: 5}", f"{{epochs: 5, augmentation: {augmentation}}}")
    path = "labs.streets.models.unet.train.augmentation"
    says = f"augmentation '{augmentation}' is not for segmentation; known there: none, scenes"
    assert mistakes(text, tmp_path) == [f"config.yaml:{line_of(text, 'train:')}: {path}: {says}"]


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        (
            "loss: {lovasz: 1}",
            "loss '1 cross_entropy + 1 lovasz' is not for classification; known there: 1 cross_entropy",
        ),
        (
            "augmentation: scenes",
            "augmentation 'scenes' is not for classification; known there: none, symmetries, crops, elastic",
        ),
    ],
)
def test_what_needs_masks_is_told_where_there_are_none(tmp_path: Path, setting: str, says: str) -> None:
    long = "          torch-long: {method: train-torch"
    text = VALID.replace(long, f"{long}, {setting}")
    path = f"labs.digits.models.gapcnn.variants.torch-long.{setting.partition(':')[0]}"
    assert mistakes(text, tmp_path) == [f"config.yaml:{line_of(text, long)}: {path}: {says}"]


@pytest.mark.parametrize(
    ("setting", "says"),
    [
        ("loss: {cross_entropy: 0}", "all weights are 0; give at least one loss a weight"),
        ("loss: {dice: -1}", "greater than or equal to 0"),
        ("scenes: {scale_low: 3}", "scale_low 3 is above scale_high 2"),
        ("loss: {dyce: 1}", "did you mean 'dice'"),
    ],
)
def test_a_loss_that_asks_nothing_and_scales_that_do_not_ascend_are_mistakes(
    tmp_path: Path, setting: str, says: str
) -> None:
    (line,) = mistakes(STREETS.replace("{epochs: 5}", f"{{epochs: 5, {setting}}}"), tmp_path)
    assert says in line
