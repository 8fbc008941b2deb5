"""The claims ledger: every kind with every verdict, its mistakes, and the ledger of this repository."""

from pathlib import Path

import pandas as pd
import pytest
import synthetic_pcb
from hypothesis import given
from hypothesis import strategies as st

from compresslab.config.problems import ConfigurationError
from compresslab.config.sources import read_yaml
from compresslab.tables.claims import Ledger, Region, read_claims
from compresslab.tables.schemas import TABLES
from compresslab.tables.statistics import Estimate
from compresslab.tables.verdicts import RunFacts, evaluate_claims

PROJECT = Path(__file__).parents[2]
LEDGER = PROJECT / "report" / "claims.yaml"
FULL = RunFacts(scale="full", source="upstream", embedded=False, substitute=False, host="local")
ACCURACY = {"table": "scores", "column": "accuracy_percent", "where": {"variant": "torch-fp32"}}
SIZE = {"table": "costs", "column": "weight_bytes", "where": {"variant": "numpy-fp32"}}


def claim(kind, metric=None, **fields):
    common = {"id": "a-claim", "lab": "mnist-integer", "kind": kind, "unit": "%"}
    common["statement"] = {"en": "So it is.", "zh-TW": "正是如此。"}
    common["source"] = {"document": "README", "place": "results"}
    metrics = {} if kind == "order" else {"metric": metric or ACCURACY}
    return Ledger(claims=[{**common, **metrics, **fields}]).claims[0]


def scores(*accuracies, variant="torch-fp32", half=0.5, lab="mnist-integer"):
    """A table of scores with one row per seed, of the columns that claims read."""
    rows = [
        {"lab": lab, "model": "gapcnn", "variant": variant, "seed": seed, "accuracy_percent": value,
         "accuracy_low_percent": value - half, "accuracy_high_percent": value + half}
        for seed, value in enumerate(accuracies)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def costs(**weight_bytes):
    rows = [
        {"lab": "mnist-integer", "model": "gapcnn", "variant": variant.replace("_", "-"), "weight_bytes": count}
        for variant, count in weight_bytes.items()
    ]
    return pd.DataFrame(rows)


def verdict(judged, facts=FULL, **tables):
    row = evaluate_claims([judged], tables, facts).iloc[0]
    return row["verdict"] + (f": {row['reason']}" if row["reason"] else "")


BOUNDS = {"published": 93.0, "exceeds": 95.0}


@pytest.mark.parametrize(
    ("kind", "fields", "measured", "expected"),
    [
        ("within", {"published": 93.62, "tolerance": 0.5, "better": "higher"}, 93.9, "reproduced"),
        ("within", {"published": 93.62, "tolerance": 0.5, "better": "higher"}, 97.3, "exceeded"),
        ("within", {"published": 93.62, "tolerance": 0.5, "better": "higher"}, 94.3, "reproduced"),
        ("within", {"published": 93.62, "tolerance": 0.5, "better": "higher"}, 90.0, "not_reproduced"),
        ("within", {"published": 93.62, "tolerance": 0.5, "better": "higher"}, 92.9, "not_comparable: inside_noise"),
        ("within", {"published": 93.62, "tolerance": 0.5}, 97.3, "not_reproduced"),
        ("within", {"published": 100, "tolerance_percent": 10, "better": "lower"}, 91.0, "reproduced"),
        ("within", {"published": 80, "tolerance_percent": 10, "better": "lower"}, 50.0, "exceeded"),
        ("within", {"published": [20, 40], "better": "higher"}, 20.0, "reproduced"),
        ("within", {"published": [20, 40], "better": "higher"}, 41.0, "exceeded"),
        ("within", {"published": [20, 40], "better": "higher"}, 19.0, "not_reproduced"),
        ("within", {"published": [20, 40], "better": "higher"}, 19.8, "not_comparable: inside_noise"),
        ("at_least", BOUNDS, 93.1, "reproduced"),
        ("at_least", BOUNDS, 96.0, "exceeded"),
        ("at_least", BOUNDS, 90.0, "not_reproduced"),
        ("at_least", BOUNDS, 92.8, "not_comparable: inside_noise"),
        ("at_least", {"published": 93.0}, 99.0, "reproduced"),
        ("at_most", {"published": 95.0, "exceeds": 93.0}, 94.9, "reproduced"),
        ("at_most", {"published": 95.0, "exceeds": 93.0}, 90.0, "exceeded"),
        ("at_most", {"published": 95.0, "exceeds": 93.0}, 96.0, "not_reproduced"),
        ("at_most", {"published": 95.0, "exceeds": 93.0}, 95.3, "not_comparable: inside_noise"),
        ("at_most", {"published": 95.0}, 1.0, "reproduced"),
        ("exact", {"published": 93.6, "decimals": 1}, 93.64, "reproduced"),
        ("exact", {"published": 93.6, "decimals": 1}, 93.7, "not_reproduced"),
        ("exact", {"published": 100, "decimals": 2}, 99.98, "not_reproduced"),
        ("exact", {"published": 93.6, "decimals": 1, "better": "higher"}, 93.7, "exceeded"),
        ("exact", {"published": 93.6, "decimals": 1, "better": "higher"}, 93.5, "not_reproduced"),
    ],
)  # fmt: skip
def test_verdicts_of_one_metric_with_half_a_point_of_noise(kind, fields, measured, expected):
    assert verdict(claim(kind, **fields), scores=scores(measured)) == expected


@pytest.mark.parametrize(
    ("quantized", "expected"),
    [(6218, "reproduced"), (6000, "exceeded"), (6416, "not_reproduced")],
)
def test_verdicts_of_a_ratio(quantized, expected):
    over = {**SIZE, "where": {"variant": "numpy-int8"}}
    ratio = claim("ratio", SIZE, over=over, published=4.0, tolerance=0.005, better="higher")
    assert verdict(ratio, costs=costs(numpy_fp32=24872, numpy_int8=quantized)) == expected


def test_a_ratio_inside_the_noise_has_no_verdict():
    over = {**ACCURACY, "where": {"variant": "onnx-int8"}}
    ratio = claim("ratio", over=over, published=1.0, tolerance=0.0, better="higher")
    both = pd.concat([scores(97.0), scores(97.1, variant="onnx-int8")])
    assert verdict(ratio, scores=both) == "not_comparable: inside_noise"


def order(better="higher"):
    metrics = [{**ACCURACY, "where": {"variant": variant}} for variant in ("first", "second", "third")]
    return claim("order", metrics=metrics, better=better)


@pytest.mark.parametrize(
    ("values", "better", "expected"),
    [
        ((98, 96, 94), "higher", "reproduced"),
        ((94, 96, 98), "lower", "reproduced"),
        ((98, 94, 96), "higher", "not_reproduced"),
        ((98, 97.8, 94), "higher", "not_comparable: inside_noise"),
        ((97.8, 98, 94), "higher", "not_comparable: inside_noise"),
        ((97.8, 98, 99.5), "higher", "not_reproduced"),
    ],
)
def test_verdicts_of_an_order(values, better, expected):
    names = ("first", "second", "third")
    table = pd.concat([scores(value, variant=name) for name, value in zip(names, values, strict=True)])
    assert verdict(order(better), scores=table) == expected


def paired(*points, half=0.5):
    """A table of comparisons of ``elastic`` with ``plain``: the difference of accuracy in points, one row per seed."""
    rows = [
        {"lab": "mnist-integer", "model": "ciresan", "variant": "elastic", "reference": "plain", "seed": seed,
         "accuracy_difference_points": value, "accuracy_difference_low_points": value - half,
         "accuracy_difference_high_points": value + half}
        for seed, value in enumerate(points)
    ]  # fmt: skip
    return pd.DataFrame(rows)


LEAD = {"table": "comparisons", "column": "accuracy_difference_points", "where": {"variant": "elastic"}}


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ((0.6,), "reproduced"),
        ((0.4,), "not_comparable: inside_noise"),
        ((-0.4,), "not_comparable: inside_noise"),
        ((-0.5,), "not_reproduced"),
        # Several seeds: Student's interval over them, whatever the intervals of each.
        ((0.1, 0.1, 0.11), "reproduced"),
        ((0.5, 0.1, -0.2), "not_comparable: inside_noise"),
        ((-0.1, -0.1, -0.11), "not_reproduced"),
    ],
)
def test_verdicts_of_a_lead(points, expected):
    assert verdict(claim("lead", LEAD, published=[99.43, 99.32]), comparisons=paired(*points)) == expected


def test_a_lead_shows_the_published_difference_and_both_values():
    row = evaluate_claims([claim("lead", LEAD, published=[99.43, 99.32])], {"comparisons": paired(0.6)}, FULL).iloc[0]
    assert (row["published"], row["published_low"], row["published_high"]) == (0.11, 99.32, 99.43)


def test_equal_counts_contradict_an_order():
    metrics = [{**SIZE, "where": {"variant": variant}} for variant in ("a", "b")]
    assert verdict(claim("order", metrics=metrics, better="lower"), costs=costs(a=5, b=5)) == "not_reproduced"


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        (RunFacts("smoke", "embedded", True, False, "local"), "embedded_data"),
        (RunFacts("full", "mirror", False, True, "local"), "substitute_data"),
        (RunFacts("quick", "upstream", False, False, "local"), "reduced_scale"),
    ],
)
def test_a_run_that_cannot_be_compared_says_why_and_still_shows_what_it_measured(facts, reason):
    demanding = claim("within", published=93.62, tolerance=0.5)
    row = evaluate_claims([demanding], {"scores": scores(93.6)}, facts).iloc[0]
    assert (row["verdict"], row["reason"], row["measured"]) == ("not_comparable", reason, 93.6)
    modest = claim("within", published=93.62, tolerance=0.5, requires={"real_data": False, "full_scale": False})
    assert verdict(modest, facts, scores=scores(93.6)) == "reproduced"


def test_scores_on_data_that_the_source_does_not_name_are_measured_and_not_judged():
    judged = claim("at_least", published=93, requires={"published_data": True})
    row = evaluate_claims([judged], {"scores": scores(93.6)}, FULL).iloc[0]
    assert (row["verdict"], row["reason"], row["measured"]) == ("not_comparable", "other_data", 93.6)


@pytest.mark.parametrize(
    "tables", [{}, {"scores": scores(93.6, variant="other")}, {"scores": scores(93.6, lab="other")}]
)
def test_what_was_not_measured_is_not_judged(tables):
    judged = claim("within", published=93.62, tolerance=0.5)
    assert verdict(judged, **tables) == "not_comparable: missing_measurement"


def latency(**p50_ms):
    rows = [
        {"lab": "mnist-integer", "host": host, "model": "gapcnn", "variant": "torch-fp32", "seed": 0, "engine": "torch",
         "threads": threads, "p50_ms": value, "p50_low_ms": 0.9 * value, "p50_high_ms": 1.1 * value}
        for host, value in p50_ms.items() for threads in (1, 2)
    ]  # fmt: skip
    return pd.DataFrame(rows)


TIME = {"table": "latency", "column": "p50_ms", "where": {"threads": 1}}


def test_absolute_times_of_another_machine_are_not_comparable():
    judged = claim("within", TIME, published=0.08, tolerance=0.01, hardware_dependent=True)
    row = evaluate_claims([judged], {"latency": latency(local=0.08)}, FULL).iloc[0]
    assert (row["verdict"], row["reason"]) == ("not_comparable", "other_hardware")
    assert row["measured"] == 0.08


def test_ratios_of_times_are_judged_for_this_host_alone():
    over = {**TIME, "where": {"threads": 2}}
    judged = claim("ratio", TIME, over=over, published=1, tolerance=0.1, hardware_dependent=True)
    row = evaluate_claims([judged], {"latency": latency(local=0.08, server=5.0)}, FULL).iloc[0]
    assert row["verdict"] == "reproduced"
    assert row["hardware_dependent"]


def test_several_matching_rows_are_a_mistake_that_names_the_missing_filter():
    judged = claim("at_most", {**TIME, "where": {}}, published=1)
    with pytest.raises(ValueError, match="claim a-claim: 2 rows of table latency match; add threads to where"):
        verdict(judged, latency=latency(local=0.08))


def test_rows_of_a_seed_can_be_reduced():
    best = claim("at_most", {**TIME, "where": {}, "rows": "sum", "divide_by": 2}, published=1)
    row = evaluate_claims([best], {"latency": latency(local=0.08)}, FULL).iloc[0]
    assert row["measured"] == pytest.approx(0.08)


def test_seeds_are_averaged_and_their_spread_is_the_interval():
    judged = claim("within", published=97, tolerance=0.1)
    row = evaluate_claims([judged], {"scores": scores(96, 97, 98)}, FULL).iloc[0]
    assert row["measured"] == pytest.approx(97)
    assert row["measured_high"] == pytest.approx(97 + 4.302653 / 3**0.5)


def test_one_seed_takes_the_interval_of_the_table():
    row = evaluate_claims([claim("at_least", published=90)], {"scores": scores(96)}, FULL).iloc[0]
    assert (row["measured_low"], row["measured_high"]) == (95.5, 96.5)


@given(st.floats(-10, 10), st.floats(0, 3), st.sampled_from(["higher", "lower", None]))
def test_a_narrower_interval_never_turns_a_verdict_around(value, half, better):
    region = Region(-1, 1, better)
    wide = region.judge(Estimate(value, value - half, value + half))
    narrow = region.judge(Estimate(value))
    allowed = {"reproduced": {"reproduced", "exceeded"}, "not_comparable": {"not_reproduced"}}
    assert narrow.verdict in allowed.get(wide.verdict, set()) | {wide.verdict}


def mistakes_of(tmp_path, text):
    (tmp_path / "claims.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as caught:
        read_claims(tmp_path / "claims.yaml")
    return str(caught.value).replace(f"{tmp_path}/", "")


def test_all_mistakes_are_told_at_once_with_line_and_suggestion(tmp_path):
    text = """claims:
  - id: One Claim
    lab: mnist-integer
    statement: {en: x}
    source: {document: d, place: p}
    kind: exact
    publishd: 3
    metric: {table: costs, column: weigth_bytes, where: {varian: numpy-fp32}}
  - id: two
    lab: mnist-integer
    statement: {en: x, zh-TW: 一}
    source: {document: d, place: p}
    kind: exactly
    published: 3
  - id: three
    lab: mnist-integer
    statement: {en: x, zh-TW: 一}
    source: {document: d, place: p}
    kind: within
    published: 3
    metric: {table: scoers, column: mean_loss}
  - id: four
    lab: mnist-integer
    statement: {en: x, zh-TW: 一}
    source: {document: d, place: p}
    kind: at_least
    published: 3
    exceeds: 2
    metric: {table: scores, column: variant, where: {seed: first}}
  - id: five
    lab: mnist-integer
    statement: {en: x, zh-TW: 一}
    source: {document: d, place: p}
    kind: within
    published: 3
    metric: {table: scores, column: mean_loss}
"""
    told = mistakes_of(tmp_path, text)
    for line in (
        "claims.yaml:2: claims.0.id",
        "claims.yaml:4: claims.0.statement.zh-TW: is required",
        "claims.yaml:7: claims.0.publishd: unknown key (did you mean 'published'?)",
        "claims.0.published: is required",
        "claims.yaml:8: claims.0.metric.column: table 'costs' has no column 'weigth_bytes' (did you mean 'weight_",
        "claims.yaml:8: claims.0.metric.where: table 'costs' has no column 'varian' (did you mean 'variant'?)",
        "claims.yaml:9: claims.1: needs a kind, one of exact, at_least, at_most, within, order, ratio, lead",
        "did you mean 'exact'?",
        "claims.yaml:21: claims.2.metric.table: there is no table 'scoers' (did you mean 'scores'?)",
        "claims.yaml:29: claims.3.metric.column: column 'variant' of table 'scores' is not a number",
        "claims.yaml:29: claims.3.metric.where: column 'seed' of table 'scores' holds int, not 'first'",
        "claims.yaml:30: claims.4: needs tolerance",
    ):
        assert line in told


def test_an_id_is_used_once(tmp_path):
    one = """  - id: same
    lab: mnist-integer
    statement: {en: x, zh-TW: 一}
    source: {document: d, place: p}
    kind: exact
    published: 3
    metric: {table: costs, column: weight_bytes}
"""
    assert "claims.yaml:9: claims.1.id: another claim has the same id" in mistakes_of(tmp_path, f"claims:\n{one}{one}")


@pytest.mark.parametrize(
    ("kind", "fields", "complaint"),
    [
        ("within", {"published": 1, "tolerance": 1, "tolerance_percent": 1}, "not both"),
        ("within", {"published": [4, 2]}, "must rise"),
        ("at_least", {"published": 3, "exceeds": 2}, "on the better side of published"),
        ("at_most", {"published": 3, "exceeds": 4}, "on the better side of published"),
        ("order", {"metrics": [ACCURACY], "better": "higher"}, "at least 2"),
        ("ratio", {"published": 4, "tolerance": 0.1}, "over"),
    ],
)
def test_contradictory_claims_are_refused(kind, fields, complaint):
    with pytest.raises(ValueError, match=complaint):
        claim(kind, **fields)


def test_the_ledger_reads_columns_that_exist_and_judges_an_empty_run():
    claims = read_claims(LEDGER)
    for judged in claims:
        for metric in judged.metrics_read:
            assert {metric.column, *metric.where} <= set(TABLES[metric.table].columns)
    table = evaluate_claims(claims, {}, FULL)
    assert table["claim"].tolist() == [judged.id for judged in claims]
    assert set(table["verdict"]) == {"not_comparable"}
    # What needs the publisher's own machine or data is not comparable, measured or not.
    assert set(table["reason"]) == {"missing_measurement", "other_data", "other_hardware"}


def test_the_ledger_names_variants_engines_references_and_architectures_of_the_configuration():
    labs = read_yaml(PROJECT / "config.yaml").values["labs"]
    for judged in read_claims(LEDGER):
        lab = labs[judged.lab]
        for metric in judged.metrics_read:
            where = metric.where
            if metric.table == "architecture_costs":
                assert where["architecture"] in lab["studies"]["architecture-costs"]["architectures"], judged.id
                continue
            if metric.table == "convolutions":
                study = lab["studies"]["convolutions"]
                assert where["kernel"] in study["kernels"], judged.id
                assert [where["input_channels"], where["output_channels"]] in study["channels"], judged.id
                continue
            variants = lab["models"][where["model"]]["variants"]
            assert where["variant"] in variants, judged.id
            assert where.get("baseline_variant", where["variant"]) in variants, judged.id
            name = f"{where['model']}/{where['variant']}"
            if metric.table in ("comparisons", "segmentation_comparisons"):
                parent = variants[where["variant"]].get("from")
                assert where["reference"] in (parent, *lab.get("comparisons", {}).get(name, [])), judged.id
            if metric.table == "training_steps":
                assert name in lab["studies"]["training-steps"]["of"], judged.id
            named = lab.get("engines", {}).get(name)
            if named and metric.table == "latency":
                assert where["engine"] in named, judged.id


SCORES = ("accuracy_percent", "miou_percent")


def test_a_lead_names_the_published_leader_as_the_variant():
    """Its two published scores are those of the claims on the variant and on the reference."""
    claims = read_claims(LEDGER)
    published = {
        (judged.lab, judged.metric.where["model"], judged.metric.where["variant"]): judged.published
        for judged in claims
        if judged.kind == "within" and judged.metric.column in SCORES
    }
    leads = [judged for judged in claims if judged.kind == "lead"]
    assert leads
    for judged in leads:
        where = judged.metric.where
        sides = [(where["model"], where["variant"]), tuple(where["reference"].split("/"))]
        assert judged.published == tuple(published[judged.lab, *side] for side in sides), judged.id
        assert judged.published[0] > judged.published[1], judged.id


SIZES = {"numpy-fp32": (24872, 0), "numpy-int8-dequant": (6218, 512), "numpy-int8-dequant-pwl": (6218, 0),
         "numpy-int8-lut": (6416, 512), "numpy-int8-pwl": (6416, 128)}  # fmt: skip


def test_the_ledger_confirms_the_documents_sizes_and_refuses_them_to_the_integer_engine():
    rows = [
        {"lab": "mnist-integer", "model": "gapcnn", "variant": name, "weight_bytes": weights,
         "stored_bytes": weights + tables, "activation_peak_bytes": 100 if name == "numpy-fp32" else 25}
        for name, (weights, tables) in SIZES.items()
    ]  # fmt: skip
    smoke = RunFacts("smoke", "embedded", embedded=True, substitute=False, host="local")
    judged = evaluate_claims(read_claims(LEDGER), {"costs": pd.DataFrame(rows)}, smoke).set_index("claim")["verdict"]
    confirmed = {name for name, word in judged.items() if word == "reproduced"}
    refuted = {name for name, word in judged.items() if word == "not_reproduced"}
    sizes = {f"mnist-integer-{kind}" for kind in ("lut-size", "lut-compression", "pwl-size", "pwl-compression")}
    others = {"mnist-integer-float-size", "mnist-integer-memory-quarter", "mnist-integer-only-activation-memory"}
    assert confirmed == sizes | others
    assert refuted == {name.replace("integer-", "integer-only-") for name in sizes}


def pcb_run():
    return {name: table for name, table in synthetic_pcb.tables().items() if name != "claims"}


def pcb_verdicts(tables, facts=FULL):
    claims = [judged for judged in read_claims(LEDGER) if judged.lab == "pcb-frameworks"]
    rows = evaluate_claims(claims, tables, facts)
    return dict(zip(rows["claim"].str.removeprefix("pcb-frameworks-"), rows["verdict"], strict=True)), rows


def test_counts_of_the_three_frameworks_are_confirmed_by_any_run():
    smoke = RunFacts("smoke", "embedded", embedded=True, substitute=False, host="local")
    verdicts, rows = pcb_verdicts(pcb_run(), smoke)
    counts = {"numpy-parameters", "torch-parameters", "tf-parameters", "macs", "flops", "pruning-gzip"}
    assert {name for name, word in verdicts.items() if word == "reproduced"} == counts
    assert set(rows[rows["verdict"] == "not_comparable"]["reason"]) <= {
        "embedded_data",
        "reduced_scale",
        "other_hardware",
    }


def test_another_split_can_confirm_a_bound_but_not_exceed_an_accuracy():
    tables = pcb_run()
    verdicts, _ = pcb_verdicts(tables)
    assert {verdicts[f"{name}-accuracy"] for name in ("numpy", "torch", "tf", "validation")} == {"reproduced"}
    assert verdicts["accuracy-order"] == "not_comparable"
    worse = {**tables, "scores": tables["scores"].assign(accuracy_percent=lambda table: table["accuracy_percent"] - 9)}
    assert pcb_verdicts(worse)[0]["numpy-accuracy"] == "not_reproduced"


def test_absolute_times_and_the_gpu_ratio_need_the_published_machine_and_are_still_measured():
    _, rows = pcb_verdicts(pcb_run())
    table = rows.set_index(rows["claim"].str.removeprefix("pcb-frameworks-"))
    for name in ("numpy-throughput", "graph-throughput", "pruning-throughput", "numpy-gpu"):
        assert table.loc[name, "reason"] == "other_hardware"
        assert table.loc[name, "measured"] > 0


@pytest.mark.parametrize(
    ("factor", "expected"), [(1.7 * 19000 / 20500, "reproduced"), (1.0, "not_reproduced"), (3.0, "exceeded")]
)
def test_graph_against_eager_is_judged_on_any_host(factor, expected):
    tables = pcb_run()
    graph = tables["latency"]["engine"] == "tf-graph"
    columns = [name for name in tables["latency"] if name.startswith("offline")]
    scaled = {name: tables["latency"][name].where(~graph, tables["latency"][name] * factor) for name in columns}
    verdicts, _ = pcb_verdicts({**tables, "latency": tables["latency"].assign(**scaled)})
    assert verdicts["graph-eager"] == expected


@pytest.mark.parametrize(("factor", "expected"), [(0.8, "reproduced"), (1.0, "reproduced"), (1.5, "not_reproduced")])
def test_a_pruned_network_that_becomes_faster_refutes_the_claim(factor, expected):
    tables = pcb_run()
    pruned = tables["latency"]["variant"] == "tf-prune50"
    columns = [name for name in tables["latency"] if name.startswith("offline")]
    scaled = {name: tables["latency"][name].where(~pruned, tables["latency"][name] * factor) for name in columns}
    verdicts, _ = pcb_verdicts({**tables, "latency": tables["latency"].assign(**scaled)})
    assert verdicts["pruning-speed"] == expected


URBAN = "urban-segmentation"


def urban_training(rates, mious):
    """Training curves of the U-Net: the learning rate and the validation mIoU of every epoch, one list per seed."""
    rows = [
        {"lab": URBAN, "model": "unet", "variant": "torch-fp32", "seed": seed, "epoch": epoch, "train_loss": 0.5,
         "learning_rate": rate, "validation_miou_percent": miou, "kept": miou == max(curve)}
        for seed, curve in enumerate(mious)
        for epoch, (rate, miou) in enumerate(zip(rates, curve, strict=True), start=1)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def urban_verdicts(**tables):
    claims = [judged for judged in read_claims(LEDGER) if judged.lab == URBAN]
    rows = evaluate_claims(claims, tables, FULL)
    return rows.set_index(rows["claim"].str.removeprefix(f"{URBAN}-"))


@pytest.mark.parametrize(
    ("mious", "expected"),
    [
        ([[50, 60, 66, 65]], "reproduced"),
        ([[50, 66, 60, 61]], "not_reproduced"),
        ([[50, 60, 66, 65], [50, 60.2, 66.2, 65], [50, 60.1, 66.1, 65]], "reproduced"),
        ([[50, 60, 60.5, 60], [50, 61, 60.8, 60]], "not_comparable"),
    ],
)
def test_a_rate_step_helps_when_the_best_epoch_after_it_is_better(mious, expected):
    found = urban_verdicts(training=urban_training([0.002, 0.002, 0.001, 0.001], mious))
    assert found.loc["rate-step", "verdict"] == expected


def test_scores_of_street_scenes_are_shown_beside_the_published_ones_and_not_judged():
    found = urban_verdicts(training=urban_training([0.002] * 6, [[50, 60, 71, 70, 69, 68]]))
    shown = {"unet-bound": 71, "unet-best": 71, "unet-epoch-0": 50, "unet-epoch-5": 68, "unet-epoch-5-loss": 0.5}
    assert found.loc[list(shown), "measured"].to_dict() == shown
    assert set(found.loc[list(shown), "reason"]) == {"other_data"}


def urban_comparison(variant, reference, points, half):
    return {
        "lab": URBAN, "model": "efficient-unet", "variant": variant, "reference": reference, "seed": 0,
        "miou_difference_points": points, "miou_difference_low_points": points - half,
        "miou_difference_high_points": points + half,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("lost", "half", "expected"),
    [
        (0.6, 0.3, ("reproduced", "reproduced")),
        (0.6, 0.7, ("not_comparable", "reproduced")),
        (1.4, 0.3, ("reproduced", "not_comparable")),
        (2.0, 0.3, ("reproduced", "not_reproduced")),
        (-0.6, 0.3, ("not_reproduced", "reproduced")),
    ],
)
def test_what_quantization_costs_is_judged_on_any_street_scenes(lost, half, expected):
    rows = [
        urban_comparison("torch-fp32", "efficient-unet/torch-qat", lost, half),
        urban_comparison("torch-int8", "torch-fp32", -lost, half),
    ]
    found = urban_verdicts(segmentation_comparisons=pd.DataFrame(rows))["verdict"]
    assert (found["float-over-fake-quantized"], found["int8-loss"]) == expected


def test_a_separable_convolution_costs_a_ninth_where_there_are_many_channels():
    rows = [
        {"lab": URBAN, "host": "local", "engine": "torch", "kernel": 3, "input_channels": channels,
         "output_channels": channels, "map_size": 32, "separable_to_regular_macs_ratio": 1 / 9 + 1 / channels}
        for channels in (9, 72)
    ]  # fmt: skip
    found = urban_verdicts(convolutions=pd.DataFrame(rows))["verdict"]
    assert (found["separable-wide"], found["separable-narrow"]) == ("reproduced", "not_reproduced")
