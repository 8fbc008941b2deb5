"""What a run has to show, which two variants stand side by side, and what is said of them."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from compresslab.artifacts import read_json, write_json
from compresslab.data.prepared import read_split
from compresslab.demo import classifier, view
from compresslab.demo.classifier import Answer, Classifier, softmax
from compresslab.demo.results import ResultsError, Run, Variant, newest_run, read_run, shown_first
from compresslab.report.languages import language
from compresslab.tables.collect import read_table, write_table
from made_up_run import COLOUR, GREY, NUMPY_LAB, ONNX_LAB, make

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made-up")
    make(folder)
    return folder


@pytest.fixture
def spoiled(made: Path, tmp_path: Path) -> Path:
    """A copy to be changed."""
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    return tmp_path


def run_of(folder: Path, scale: str | None = None) -> Run:
    return read_run(folder / "results" / "smoke", folder / "data" / "prepared", scale)


def variants(**engines: str) -> dict[str, Variant]:
    """Variants by name, of the engines given; names with ``int8`` are quantized."""
    files = {"onnxruntime": "model.onnx", "litert": "model.tflite"}
    return {
        name: Variant("lab", "model", name, 0, Path(files.get(engine, "model.npz")), engine, "int8" in name, 1, None)
        for name, engine in ((key.replace("_", "-"), engine) for key, engine in engines.items())
    }


CIFAR: Mapping[str, str | None] = {
    "torch-fp32": None,
    "onnx-fp32": "torch-fp32",
    **dict.fromkeys(("onnx-int8", "onnx-int8-tensor", "onnx-int8-dynamic"), "onnx-fp32"),
}


def test_the_headline_of_several_quantized_variants_has_the_shortest_name() -> None:
    shown = variants(onnx_int8_dynamic="onnxruntime", onnx_int8_tensor="onnxruntime", onnx_int8="onnxruntime",
                     onnx_fp32="onnxruntime")  # fmt: skip
    assert shown_first(shown, CIFAR, "onnx-fp32") == ("onnx-fp32", "onnx-int8")


def test_the_baseline_of_the_lab_chooses_the_format() -> None:
    onnx = variants(onnx_fp32="onnxruntime", onnx_int8="onnxruntime")
    shown = onnx | variants(numpy_fp32="numpy", numpy_int8_lut="numpy-integer")
    parents = {"numpy-fp32": "torch-fp32", "numpy-int8-lut": "numpy-fp32", **CIFAR}
    assert shown_first(shown, parents, "numpy-fp32") == ("numpy-fp32", "numpy-int8-lut")
    assert shown_first(shown, parents, "torch-fp32") == ("onnx-fp32", "onnx-int8")
    assert shown_first(shown, parents, None) == ("onnx-fp32", "onnx-int8")


def test_a_quantized_variant_of_the_same_format_is_near_though_it_has_another_parent() -> None:
    shown = variants(litert_fp32="litert", tf_qat_int8="litert", onnx_int8="onnxruntime")
    parents = {"litert-fp32": "tf-fp32", "tf-qat-int8": "tf-fp32", "onnx-int8": "onnx-fp32"}
    assert shown_first(shown, parents, None) == ("litert-fp32", "tf-qat-int8")


def test_a_lone_variant_stands_beside_itself_and_two_floats_beside_each_other() -> None:
    assert shown_first(variants(numpy_fp32="numpy"), {}, None) == ("numpy-fp32", "numpy-fp32")
    assert shown_first(variants(numpy_fp32="numpy", onnx_fp32="onnxruntime"), {}, None) == ("onnx-fp32", "numpy-fp32")
    assert shown_first(variants(onnx_int8="onnxruntime"), {}, None) == ("onnx-int8", "onnx-int8")


def test_a_run_is_read_with_sizes_and_accuracies_of_its_tables(made: Path) -> None:
    run = run_of(made)
    assert set(run.models) == {(NUMPY_LAB, "filter"), (ONNX_LAB, "filter")}
    model = run.models[NUMPY_LAB, "filter"]
    assert {name: variant.engine for name, variant in model.variants.items()} == {
        "numpy-fp32": "numpy", "numpy-int8-lut": "numpy-integer", "numpy-int8-dequant": "numpy-dequantized"
    }  # fmt: skip
    assert model.pair == ("numpy-fp32", "numpy-int8-lut")
    quantized = model.variants["numpy-int8-lut"]
    assert quantized.file_bytes == quantized.file.stat().st_size
    assert quantized.accuracy is not None
    assert (quantized.accuracy.percent, quantized.accuracy.images) == (87.5, 24)


def test_a_run_without_tables_is_shown_without_accuracies(spoiled: Path) -> None:
    shutil.rmtree(spoiled / "results/smoke/tables")
    model = run_of(spoiled).models[ONNX_LAB, "filter"]
    variant = model.variants["onnx-int8"]
    assert model.pair == ("onnx-fp32", "onnx-int8")
    assert variant.accuracy is None
    assert variant.file_bytes == variant.file.stat().st_size


def test_a_lab_that_answers_per_pixel_is_left_out(spoiled: Path) -> None:
    def segment(dataset: str) -> None:
        card = spoiled / f"data/prepared/embedded/{dataset}.json"
        write_json(card, {**read_json(card), "task": "segmentation"})

    segment(COLOUR)
    assert run_of(spoiled).labs == [NUMPY_LAB]
    segment(GREY)
    with pytest.raises(ResultsError, match=r"or of segmentation.*snakemake --cores 2"):
        run_of(spoiled)


def test_what_needs_a_training_framework_is_left_out(spoiled: Path) -> None:
    for card in (spoiled / "results/smoke/models" / ONNX_LAB).rglob("card.json"):
        write_json(card, read_json(card) | {"method": "train-torch"})
    assert run_of(spoiled).labs == [NUMPY_LAB]
    shutil.rmtree(spoiled / "results/smoke/models" / NUMPY_LAB)
    with pytest.raises(ResultsError, match=r"only variants of PyTorch and TensorFlow.*snakemake --cores 2"):
        run_of(spoiled)


def test_a_file_that_is_no_card_is_named(spoiled: Path) -> None:
    card = next((spoiled / "results/smoke/models").rglob("card.json"))
    card.write_text("{}")
    with pytest.raises(ValueError, match=r"card\.json lacks data, method"):
        run_of(spoiled)


def test_examples_are_of_the_validation_split_one_per_class(made: Path) -> None:
    model = run_of(made).models[ONNX_LAB, "filter"]
    validation = read_split(model.prepared, "validation").images
    test = read_split(model.prepared, "test").images
    assert [example.label for example in model.examples] == model.card.classes
    for example in model.examples:
        assert any(np.array_equal(example.image, image) for image in validation)
        assert not any(np.array_equal(example.image, image) for image in test)


def test_other_data_than_the_models_own_give_no_examples(spoiled: Path) -> None:
    card = spoiled / f"data/prepared/embedded/{COLOUR}.json"
    write_json(card, read_json(card) | {"content_sha256": "0" * 64})
    assert run_of(spoiled).models[ONNX_LAB, "filter"].examples == ()


def test_only_grey_datasets_have_a_background(made: Path) -> None:
    run = run_of(made)
    assert run.models[NUMPY_LAB, "filter"].background == "dark"
    assert run.models[ONNX_LAB, "filter"].background is None
    assert run.models[NUMPY_LAB, "filter"].card.dataset == GREY


def test_the_newest_run_is_the_one_of_the_largest_scale(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="holds no run yet"):
        newest_run(tmp_path)
    for name in ("tuning", "smoke", "quick"):
        (tmp_path / name / "models" / "lab").mkdir(parents=True)
        assert newest_run(tmp_path).name == name
    (tmp_path / "full" / "logs").mkdir(parents=True)
    assert newest_run(tmp_path).name == "quick"


def test_the_scale_of_a_run_with_a_name_is_what_its_claims_were_judged_at(spoiled: Path) -> None:
    folder, data = spoiled / "results" / "tuning", spoiled / "data" / "prepared"
    (spoiled / "results" / "smoke").rename(folder)
    assert read_run(folder, data).scale == "full"
    assert read_run(folder, data, "smoke").scale == "smoke"
    claims = folder / "tables" / ONNX_LAB / "claims.csv"
    row = dict.fromkeys(read_table(claims).columns, "text") | {
        "published": 1, "published_low": 1, "published_high": 1, "tolerance": 1, "measured": 1, "measured_low": 1,
        "measured_high": 1, "kind": "exact", "verdict": "not_comparable", "reason": "reduced_scale",
        "hardware_dependent": True,
    }  # fmt: skip
    frame = read_table(claims)
    frame.loc[0] = row
    write_table(claims, frame.astype({"hardware_dependent": bool}))
    assert read_run(folder, data).scale == "quick"


def test_a_banner_says_what_keeps_answers_from_being_results(made: Path) -> None:
    words = language("en", PROJECT / "report")
    smoke, full = run_of(made), run_of(made, "full")
    model = smoke.models[ONNX_LAB, "filter"]
    said = view.banner(smoke, model, words)
    assert words("demo.banner_embedded") in said
    assert words("demo.banner_smoke") in said
    assert words("demo.banner_smoke") not in view.banner(full, model, words)


def side(name: str, *probabilities: float) -> view.Side:
    return view.Side(variants(**{name.replace("-", "_"): "numpy"})[name], Answer(np.array(probabilities), 1.0, 5))


@pytest.mark.parametrize(
    ("second", "said"),
    [
        ((0.6, 0.4), "Both say cat. int8 is 20.0 percentage points less sure than fp32."),
        ((0.9, 0.1), "Both say cat. int8 is 10.0 percentage points surer than fp32."),
        ((0.8006, 0.1994), "Both say cat. int8 is 0.1 percentage points surer than fp32."),
        ((0.8004, 0.1996), "Both say cat, and are equally sure to within 0.1 percentage points."),
        (
            (0.3, 0.7),
            "They disagree: fp32 says cat (80.0\u202f%), int8 says dog and gives cat 50.0 percentage points less.",
        ),
    ],
)
def test_the_verdict_has_a_form_for_each_outcome(second: tuple[float, float], said: str) -> None:
    sides = side("fp32", 0.8, 0.2), side("int8", *second)
    assert view.verdict_text(*sides, ["cat", "dog"], language("en", PROJECT / "report")) == said


def test_a_verdict_of_close_calls_says_that_the_second_is_surer_of_an_answer_that_it_does_not_give() -> None:
    sides = side("fp32", 0.4, 0.35, 0.25), side("int8", 0.45, 0.55, 0.0)
    said = view.verdict_text(*sides, ["cat", "dog", "owl"], language("en", PROJECT / "report"))
    assert said.startswith("They disagree: fp32 says cat")
    assert said.endswith("though it gives cat 5.0 percentage points more.")


def test_names_are_escaped() -> None:
    shown = side("fp32", 0.8, 0.2)
    html = view.card(shown, ["<script>", "b"], language("en", PROJECT / "report"))
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


def test_probabilities_are_those_of_the_logits_however_large() -> None:
    np.testing.assert_allclose(softmax(np.log([1.0, 2.0, 5.0])), [0.125, 0.25, 0.625])
    np.testing.assert_allclose(softmax(np.array([1e4, 1e4])), [0.5, 0.5])


def test_the_most_probable_classes_come_first_and_equal_ones_in_their_order() -> None:
    assert Answer(np.array([0.1, 0.4, 0.1, 0.4]), 1.0, 5).top(3) == [1, 3, 0]


def test_only_so_many_networks_stay_open(made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Path] = []
    monkeypatch.setattr(classifier, "MOST_OPEN", 2)
    own = classifier.open_engine
    monkeypatch.setattr(classifier, "open_engine", lambda *a, **k: opened.append(a[1]) or own(*a, **k))
    model = run_of(made).models[NUMPY_LAB, "filter"]
    asked, image = Classifier(), model.examples[0].image
    for name in ("numpy-fp32", "numpy-int8-lut", "numpy-fp32", "numpy-int8-dequant", "numpy-fp32", "numpy-int8-lut"):
        answer = asked.ask(model.variants[name], image)
        assert answer.answer == 0
        assert answer.p50_ms > 0
        assert classifier.FEWEST_CALLS <= answer.calls <= classifier.TIMED_CALLS
    assert [path.parent.parent.name for path in opened] == [
        "numpy-fp32", "numpy-int8-lut", "numpy-int8-dequant", "numpy-int8-lut"
    ]  # fmt: skip


def test_a_page_of_several_pictures_per_image_offers_examples_only(spoiled: Path) -> None:
    card = spoiled / f"data/prepared/embedded/{COLOUR}.json"
    text = json.dumps(read_json(card)).replace(COLOUR, "deeppcb-pair")
    card.with_stem("deeppcb-pair").write_text(text)
    (card.parent / f"{COLOUR}.npz").rename(card.parent / "deeppcb-pair.npz")
    for file in (spoiled / "results/smoke/models" / ONNX_LAB).rglob("card.json"):
        file.write_text(file.read_text().replace(COLOUR, "deeppcb-pair"))
    model = run_of(spoiled).models[ONNX_LAB, "filter"]
    assert not model.takes_pictures
    assert len(model.examples) == 3
