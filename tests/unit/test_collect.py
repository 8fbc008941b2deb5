"""Tables: one form, deterministic bytes, and nothing outside the schema."""

import argparse
import math

import numpy as np
import pandas as pd
import pytest

from compresslab.arrays import write_arrays
from compresslab.artifacts import write_json
from compresslab.measure.label_maps import LabelMaps, write_label_maps
from compresslab.measure.predictions import Predictions, write_predictions
from compresslab.measure.scores import confusion, score, score_by_class
from compresslab.stages.answers import SCORED
from compresslab.stages.collect import _sessions
from compresslab.stages.command import Job
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


def job_over(run, task, *rows):
    """A job that collects the variants ``rows``: name, reference or None, and whether it is weighed."""
    variants = [
        {"model": "net", "variant": name, "training": not name.endswith("int8"), "weighed": weighed,
         "compared_with": {reference: f"a-lab/net/{reference}"} if reference else {}}
        for name, reference, weighed in rows
    ]  # fmt: skip
    spec = {"lab": "a-lab", "task": task, "seeds": [0, 1], "baseline": "net/torch-fp32", "variants": variants}
    return Job(argparse.Namespace(run=run), spec)


def collected(folder, job, classes):
    collect_lab(folder, SCORED[job.spec["task"]](job, classes))
    return {name: read_table(folder / f"{name}.csv") for name in TABLES}


def test_a_lab_of_classifications_fills_its_own_tables(tmp_path):
    job = job_over(tmp_path, "classification", ("torch-fp32", None, True), ("onnx-int8", "torch-fp32", True))
    for number, (name, seed) in enumerate((name, seed) for name in ("torch-fp32", "onnx-int8") for seed in (0, 1)):
        write_predictions(tmp_path / f"predictions/a-lab/net/{name}/seed-{seed}.npz", predictions(number))
    tables = collected(tmp_path / "tables", job, ("a", "b", "c"))
    filled = {"scores": 4, "scores_by_class": 12, "confusion": 36, "comparisons": 2}
    assert {name: len(table) for name, table in tables.items() if len(table)} == filled
    again = compare(predictions(2), predictions(0))
    assert tables["comparisons"]["mcnemar_p"].iloc[0] == pytest.approx(again["mcnemar_p"], rel=1e-9)


def maps(wrong):
    """Answers to four images of which the first ``wrong`` pixels of the first row are answered as the other class."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 2, (4, 8, 8)).astype(np.uint8)
    labels[generator.random(labels.shape) < 0.1] = 255
    answers = np.where(labels == 255, 0, labels)
    answers[:, 0, :wrong] = 1 - answers[:, 0, :wrong]
    return LabelMaps(answers.astype(np.uint8), labels, np.arange(4))


@pytest.fixture
def segmented_run(tmp_path):
    """A run of a float network, one that simulates integers, and the integer one, whose answers differ by seed."""
    for name, wrong in (("torch-fp32", 2), ("torch-qat", 3), ("torch-int8", 4)):
        for seed in (0, 1):
            write_label_maps(tmp_path / f"predictions/a-lab/net/{name}/seed-{seed}.npz", maps(wrong + seed))
            if name != "torch-int8":
                curve = "epoch,validation_miou_percent,kept\n1,70.5,False\n2,80.5,True\n3,75.5,False\n"
                path = tmp_path / f"models/a-lab/net/{name}/seed-{seed}/training.csv"
                path.parent.mkdir(parents=True)
                path.write_text(curve, encoding="utf-8")
    for name, stored in (("torch-fp32", 4_000_000), ("torch-int8", 1_000_000)):
        write_json(tmp_path / f"costs/a-lab/net/{name}.json", {"totals": {"flops": 10**9, "stored_bytes": stored}})
    return tmp_path


def test_a_lab_of_segmentations_fills_its_own_tables_and_weighs_no_simulation(segmented_run):
    job = job_over(
        segmented_run,
        "segmentation",
        ("torch-fp32", None, True),
        ("torch-qat", "torch-fp32", False),
        ("torch-int8", "torch-qat", True),
    )
    tables = collected(segmented_run / "tables", job, ("road", "sky"))
    filled = {"segmentation": 6, "segmentation_by_class": 12, "segmentation_confusion": 24}
    filled |= {"segmentation_comparisons": 4, "figure_of_merit": 4}
    assert {name: len(table) for name, table in tables.items() if len(table)} == filled
    merits = tables["figure_of_merit"]
    assert merits["variant"].tolist() == ["torch-fp32", "torch-fp32", "torch-int8", "torch-int8"]
    assert merits["cost_to_baseline_ratio"].tolist() == [1, 1, 1 / 16, 1 / 16]
    # The integer network was converted, not trained: what its parent validated is not its own.
    assert merits["validation_miou_percent"].tolist()[:2] == [80.5, 80.5]
    assert merits["validation_miou_percent"].isna().tolist() == [False, False, True, True]
    scored = tables["segmentation"].set_index(["variant", "seed"])["miou_percent"]
    lost = tables["segmentation_comparisons"].set_index(["variant", "seed"])["miou_difference_points"]
    assert lost["torch-int8", 1] == pytest.approx(scored["torch-int8", 1] - scored["torch-qat", 1])


def latency_row(**changes):
    numbers = {"load_ms": 1, "first_call_ms": 2, "calls": 10, "p50_ms": 0.1, "p50_low_ms": 0.09, "p50_high_ms": 0.11}
    numbers |= {"p90_ms": math.nan, "p99_ms": math.nan, "mean_ms": 0.1, "batch": 256, "offline_images_per_s": 1e4}
    numbers |= {"offline_low_images_per_s": 9e3, "offline_high_images_per_s": 1.1e4, "rounds": 1, "peak_rss_bytes": 9}
    names = {"lab": "mnist-integer", "host": "local", "model": "gapcnn", "variant": "torch-fp32", "engine": "torch"}
    return pd.DataFrame([{**names, "seed": 0, "threads": 1, **numbers, "noisy": False, "noise": "", **changes}])


def write_session(folder, host, p50_ms, seen=()):
    """The session of a host with two variants of a lab, the second of them ``p50_ms`` fast on a GPU."""
    rows = [latency_row(host=host), latency_row(host=host, variant="torch-other", engine="torch-cuda", p50_ms=p50_ms)]
    times = {"torch-fp32/torch": 0.1, "torch-other/torch-cuda": p50_ms}
    samples = {}
    for cell, time in times.items():
        samples[f"gapcnn/{cell}/1"] = np.full(10, time, np.float32)
        samples[f"gapcnn/{cell}/1/rounds"] = np.zeros(10, np.int32)
        samples[f"gapcnn/{cell}/1/offline_images_per_s"] = np.full(1, 1e3 / time, np.float32)
        samples[f"gapcnn/{cell}/1/offline_rounds"] = np.zeros(1, np.int32)
    session = folder / "benchmarks" / host
    session.mkdir(parents=True)
    write_arrays(session / "mnist-integer.samples.npz", samples)
    pd.concat(rows).to_csv(session / "mnist-integer.csv", index=False)
    tables = {"audit": [], "skipped": [], "gpu_states": seen}
    for name, found in tables.items():
        frame = pd.DataFrame(found, columns=list(TABLES[name].columns))
        frame.to_csv(session / f"mnist-integer.{name}.csv", index=False)


def test_sessions_of_all_hosts_stand_side_by_side(tmp_path):
    look = {"lab": "mnist-integer", "host": "gpu-server", "model": "gapcnn", "variant": "torch-other"}
    look |= {"engine": "torch-cuda", "threads": 1, "round": 0, "after": "single", "sm_clock_mhz": 2040.0}
    look |= {"slowed_by": "nothing", "other_processes": 0}
    write_session(tmp_path, "local", 0.2)
    write_session(tmp_path, "gpu-server", 0.02, [look])
    variants = [
        {
            "model": "gapcnn",
            "variant": variant,
            "engines": [engine],
            "baseline": "torch-fp32",
            "baseline_engine": "torch",
        }
        for variant, engine in (("torch-fp32", "torch"), ("torch-other", "torch-cuda"))
    ]
    spec = {"lab": "mnist-integer", "host": "local", "other_hosts": ["gpu-server"], "variants": variants}
    collect_lab(tmp_path / "tables", _sessions(Job(argparse.Namespace(run=tmp_path), spec)))
    speed = read_table(tmp_path / "tables" / "speed.csv")
    assert dict(zip(speed["host"], speed["speed_verdict"], strict=True)) == {"gpu-server": "faster", "local": "slower"}
    assert len(read_table(tmp_path / "tables" / "latency.csv")) == 4
    states = read_table(tmp_path / "tables" / "gpu_states.csv")
    assert (states["host"].item(), states["sm_clock_mhz"].item()) == ("gpu-server", 2040)
    assert math.isnan(states["power_w"].item())


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
    plain |= {"round", "other_processes", "kernel", "input_channels", "output_channels", "map_size", "pixels", "gflops"}
    plain |= {
        f"{quantity}_by_{way}" for quantity in ("parameters", "macs") for way in ("formula", "counter", "library")
    }
    plain |= {f"{side}_{quantity}" for side in ("regular", "separable") for quantity in ("parameters", "macs")}
    units = ("_percent", "_points", "_bytes", "_ms", "_s", "_db", "_ratio", "_ratio_low", "_ratio_high")
    units += ("_mb", "_gflops2_mb2", "_mhz", "_celsius", "_w")
    if name == "claims":  # its unit is a column
        return
    for column in table(name).columns:
        assert column_kind(name, column) in (str, bool) or column in plain or column.endswith(units), column
