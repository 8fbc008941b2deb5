"""Tables: one form, deterministic bytes, and nothing outside the schema."""

import math

import numpy as np
import pandas as pd
import pytest

from compresslab.measure.predictions import Predictions
from compresslab.measure.scores import confusion, score, score_by_class
from compresslab.tables.collect import collect_lab, identified, merge_labs, read_piece, read_table, write_table
from compresslab.tables.comparisons import compare
from compresslab.tables.schemas import TABLES, column_kind, table

VARIANT = "mnist-integer/gapcnn/torch-fp32"


def predictions(seed, classes=3, images=30):
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(images, classes)).astype(np.float32)
    return Predictions(logits, np.arange(images) % classes, np.arange(images))


def scores(seed, variant=VARIANT):
    return identified(score(predictions(seed)), variant, seed)


def test_every_table_is_written_and_empty_ones_keep_their_header(tmp_path):
    collect_lab(tmp_path, {"scores": [scores(0)]})
    assert sorted(path.stem for path in tmp_path.iterdir()) == sorted(TABLES)
    for name, known in TABLES.items():
        lines = (tmp_path / f"{name}.csv").read_text(encoding="utf-8").splitlines()
        assert lines[0] == ",".join(known.columns)
        assert len(lines) == (2 if name == "scores" else 1)
        assert list(read_table(tmp_path / f"{name}.csv").columns) == list(known.columns)


def test_the_order_of_pieces_does_not_change_a_byte(tmp_path):
    pieces = [scores(0), scores(1), scores(0, "mnist-integer/gapcnn/onnx-int8")]
    for name, order in (("one", pieces), ("two", pieces[::-1]), ("three", [pd.concat(pieces)])):
        collect_lab(tmp_path / name, {"scores": order})
    contents = {(tmp_path / name / "scores.csv").read_bytes() for name in ("one", "two", "three")}
    assert len(contents) == 1
    seeds = read_table(tmp_path / "one" / "scores.csv")[["variant", "seed"]].to_numpy().tolist()
    assert seeds == [["onnx-int8", 0], ["torch-fp32", 0], ["torch-fp32", 1]]


def test_classes_and_layers_keep_the_order_of_the_model(tmp_path):
    names = ["short", "copper", "NA"]
    pieces = {
        "scores_by_class": [identified(score_by_class(predictions(0), names), VARIANT, 0)],
        "confusion": [identified(confusion(predictions(0), names), VARIANT, 0)],
    }
    collect_lab(tmp_path, pieces)
    assert read_table(tmp_path / "scores_by_class.csv")["class"].tolist() == names
    assert read_table(tmp_path / "confusion.csv")["true_class"].unique().tolist() == names


def test_tables_of_all_labs_stand_together(tmp_path):
    for lab in ("b-lab", "a-lab"):
        collect_lab(tmp_path / lab, {"scores": [scores(0, f"{lab}/lenet5/torch-fp32")]})
    merge_labs([tmp_path / "b-lab", tmp_path / "a-lab"], tmp_path / "all")
    assert read_table(tmp_path / "all" / "scores.csv")["lab"].tolist() == ["a-lab", "b-lab"]


def test_a_comparison_fits_its_table(tmp_path):
    row = pd.DataFrame([compare(predictions(0), predictions(1))]).assign(reference="numpy-fp32")
    collect_lab(tmp_path, {"comparisons": [identified(row, VARIANT, 0)]})
    written = read_table(tmp_path / "comparisons.csv")
    assert written["reference"].tolist() == ["numpy-fp32"]
    assert written["mcnemar_p"].item() == pytest.approx(row["mcnemar_p"].item(), rel=1e-9)


def latency_row(**changes):
    numbers = {"load_ms": 1, "first_call_ms": 2, "calls": 10, "p50_ms": 0.1, "p50_low_ms": 0.09, "p50_high_ms": 0.11}
    numbers |= {"p90_ms": math.nan, "p99_ms": math.nan, "mean_ms": 0.1, "batch": 256, "offline_images_per_s": 1e4}
    numbers |= {"offline_low_images_per_s": 9e3, "offline_high_images_per_s": 1.1e4, "rounds": 1, "peak_rss_bytes": 9}
    names = {"lab": "mnist-integer", "host": "local", "model": "gapcnn", "variant": "torch-fp32", "engine": "torch"}
    return pd.DataFrame([{**names, "seed": 0, "threads": 1, **numbers, "noisy": False, "noise": "", **changes}])


def test_unsupported_percentiles_and_silent_noise_stay_empty(tmp_path):
    write_table(tmp_path / "latency.csv", latency_row())
    again = read_table(tmp_path / "latency.csv")
    assert math.isnan(again["p99_ms"].item())
    assert again["noise"].item() == ""
    assert not again["noisy"].item()


def test_infinite_ratios_and_negative_zero_survive_writing(tmp_path):
    errors = {"reference": "torch-fp32", "layer": "gap", "relative_l2_percent": -0.0, "max_abs_difference": 0.0}
    row = identified(pd.DataFrame([{**errors, "signal_to_noise_db": math.inf}]), VARIANT, 0)
    write_table(tmp_path / "layers.csv", row)
    assert (tmp_path / "layers.csv").read_text(encoding="utf-8").endswith(",gap,0,0,inf\n")
    assert read_table(tmp_path / "layers.csv")["signal_to_noise_db"].item() == math.inf


def test_floats_have_ten_significant_digits(tmp_path):
    write_table(tmp_path / "scores.csv", scores(0).assign(mean_loss=1 / 3))
    assert (tmp_path / "scores.csv").read_text(encoding="utf-8").endswith(",0.3333333333\n")


@pytest.mark.parametrize(
    ("name", "frame", "complaint"),
    [
        ("scores", scores(0).assign(accuracy_percent=104.2), r"table scores, column accuracy_percent: 104\.2 violates"),
        ("scores", scores(0).assign(mean_loss=math.nan), "column mean_loss"),
        ("scores", scores(0).assign(images=2.5), "column images"),
        ("scores", scores(0).drop(columns="images"), "table scores lacks the column images"),
        ("scores", scores(0).rename(columns={"images": "image"}), r"unknown column image \(did you mean 'images'\?\)"),
        ("scores", pd.concat([scores(0), scores(0)]), "table scores, column .*(lab|seed)"),
        ("latency", latency_row(p50_ms=0.0), "column p50_ms: 0.0"),
        ("latency", latency_row(engine=""), "column engine"),
    ],
)
def test_what_breaks_the_schema_is_named_and_nothing_is_written(tmp_path, name, frame, complaint):
    with pytest.raises(ValueError, match=complaint):
        collect_lab(tmp_path, {name: [frame]})
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_table_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no table 'score' \(did you mean 'scores'\?\)"):
        collect_lab(tmp_path, {"score": [scores(0)]})


def test_a_damaged_table_is_named(tmp_path):
    (tmp_path / "scores.csv").write_text("lab,model\nmnist-integer", encoding="utf-8")
    with pytest.raises(ValueError, match=r"scores\.csv: table scores lacks the column .*run again"):
        read_table(tmp_path / "scores.csv")


def test_a_piece_is_read_in_the_types_of_its_table(tmp_path):
    (tmp_path / "seed-0.csv").write_text("epoch,train_loss,note\n1,0.5,NA\n", encoding="utf-8")
    piece = read_piece(tmp_path / "seed-0.csv", "training")
    assert (piece["epoch"].item(), piece["train_loss"].item(), piece["note"].item()) == (1, 0.5, "NA")


@pytest.mark.parametrize("content", ["", "epoch,train_loss\nx,y\n"])
def test_a_foreign_piece_is_named(tmp_path, content):
    (tmp_path / "seed-0.csv").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=r"seed-0\.csv is not a piece of table training"):
        read_piece(tmp_path / "seed-0.csv", "training")


@pytest.mark.parametrize("name", TABLES)
def test_keys_orders_and_intervals_name_columns_of_the_table(name):
    known = table(name)
    named = {
        *known.key,
        *known.sorted_by,
        *known.intervals,
        *(bound for pair in known.intervals.values() for bound in pair),
    }
    assert named <= set(known.columns)


@pytest.mark.parametrize("name", TABLES)
def test_every_number_names_its_unit_or_is_a_plain_count(name):
    plain = {
        "epoch",
        "seed",
        "images",
        "calls",
        "rounds",
        "batch",
        "threads",
        "parameters",
        "nonzero_parameters",
        "macs",
    }
    plain |= {"flops", "learning_rate", "train_loss", "validation_loss", "mean_loss", "mcnemar_p", "max_abs_difference"}
    plain |= {"only_reference_correct", "only_variant_correct", "probe_images", "bytes_per_image", "loss_increase"}
    plain |= {"kernel", "input_channels", "output_channels", "map_size"}
    plain |= {
        f"{quantity}_by_{way}" for quantity in ("parameters", "macs") for way in ("formula", "counter", "library")
    }
    plain |= {f"{side}_{quantity}" for side in ("regular", "separable") for quantity in ("parameters", "macs")}
    units = ("_percent", "_points", "_bytes", "_ms", "_s", "_db", "_ratio", "_ratio_low", "_ratio_high")
    if name == "claims":  # its unit is a column
        return
    for column in table(name).columns:
        assert column_kind(name, column) in (str, bool) or column in plain or column.endswith(units), column
