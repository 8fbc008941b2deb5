"""What the studies found: architectures counted three times, separable convolutions, training steps, codecs."""

from typing import Literal

import pandas as pd

from compresslab.report.evidence import Evidence
from compresslab.report.exhibits.sheets import Builder, Sheet
from compresslab.report.figures.codec_shift import codec_name
from compresslab.report.figures.drawing import variant_names
from compresslab.report.findings import Findings
from compresslab.report.findings_costs import COUNTS
from compresslab.report.languages import Language
from compresslab.report.names import Names
from compresslab.report.numbers import MISSING, count, decimals, significant

_TALLIED = ("faster", "noise", "slower")


def architecture_costs(
    evidence: Evidence, language: Language, architecture: str, quantity: Literal["parameters", "macs"]
) -> Sheet | None:
    """Parameters or multiply-accumulates of every layer by formula, by our counter and by torchinfo, with the sum."""
    table = evidence.table("architecture_costs")
    if table is None:
        return None
    rows = table[(table["architecture"] == architecture) & (table["host"] == evidence.subject.host)]
    columns = [f"{quantity}_by_{way}" for way in COUNTS]
    rows = rows[rows[columns].any(axis=1)]
    if rows.empty:
        return None
    builder = Builder(language, architecture=architecture, quantity=language(f"column.{quantity}"))
    builder.text("layer", [*(f"`{layer}`" for layer in rows["layer"]), f"**{language('table.total')}**"])
    builder.text("operator", [*rows["operator"], ""])
    builder.numbers("output_shape", [*rows["output_shape"], ""], str)
    for way, column in zip(COUNTS, columns, strict=True):
        builder.numbers(way, [*rows[column], rows[column].sum()], count)
    return builder.sheet()


def convolutions(evidence: Evidence, language: Language) -> Sheet | None:
    """By kernel and size of the map: the promised gain and the measured one over all pairs of channels."""
    gains = pd.DataFrame([{**vars(gain), "kept": gain.kept_percent} for gain in Findings(evidence).gains])
    if gains.empty:
        return None
    groups = gains.groupby(["kernel", "map_size"], sort=True)
    keys = groups.size().reset_index()
    builder = Builder(language).numbers("kernel", [f"{side} × {side}" for side in keys["kernel"]], str)
    builder.numbers("map_size", [f"{side} × {side}" for side in keys["map_size"]], str)
    for column, header in (("promised", "promised_gain_ratio"), ("measured", "measured_gain_ratio")):
        low, high = groups[column].min(), groups[column].max()
        ranges = [f"{significant(least)}–{significant(most)}" for least, most in zip(low, high, strict=True)]
        builder.numbers(header, ranges, str)
    builder.numbers("kept_gain_percent", groups["kept"].median(), decimals(0))
    tallies = [" / ".join(str((cells["verdict"] == verdict).sum()) for verdict in _TALLIED) for _, cells in groups]
    return builder.text("faster_noise_slower", tallies).sheet()


def training_steps(evidence: Evidence, language: Language) -> Sheet | None:
    """Size of every network, the time of a training step side by side, and of an epoch as it was trained."""
    table = evidence.table("training_steps")
    if table is None:
        return None
    found = Findings(evidence)
    rows = table[table["host"] == evidence.subject.host].reset_index(drop=True)
    names = list(variant_names(rows))
    counted = [found.counted(name) or {} for name in names]
    trained = [found.trained(name) or {} for name in names]
    first = rows.iloc[0]
    builder = Builder(language, batch=first["batch"], device=first["device"], baseline=first["baseline_model"])
    builder.code("variant", names)
    builder.numbers("parameters", [costs.get("parameters") for costs in counted], count)
    builder.numbers("macs", [costs.get("macs") for costs in counted], count)
    builder.intervals("step_ms", rows, "step_low_ms", "step_high_ms")
    ratio = "step_to_baseline_ratio"
    builder.intervals(ratio, rows, f"{ratio}_low", f"{ratio}_high")
    return builder.numbers("epoch_s", [means.get("epoch_s") for means in trained]).sheet()


def codec_shift(evidence: Evidence, language: Language) -> Sheet | None:
    """Every encoding of the test images and every variant: accuracy, its change, and that beyond the reference's."""
    table = evidence.table("codec_shift")
    if table is None:
        return None
    rows = table[table["host"] == evidence.subject.host]
    if rows.empty:
        return None
    names = Names(evidence.subject)
    references = dict.fromkeys(names.resolved(str(reference)) for reference in rows["reference"])
    places = {codec: place for place, codec in enumerate(dict.fromkeys(rows["codec"]))}
    rows = rows.sort_values("codec", key=lambda codecs: codecs.map(places), kind="stable").reset_index(drop=True)
    own = rows["codec"] == "original"
    same = names.of(rows).isin(references)
    builder = Builder(language, reference=language("list.join").join(f"`{name}`" for name in references))
    builder.text("codec", [codec_name(str(codec), language) for codec in rows["codec"]])
    builder.numbers("bytes_per_image", rows["bytes_per_image"], count)
    builder.numbers("pixel_error_percent", rows["pixel_error_percent"])
    builder.code("variant", names.of(rows))
    builder.intervals("accuracy_percent", rows, "accuracy_low_percent", "accuracy_high_percent")
    # The originals lose nothing against themselves, nor the reference: such zeros would read as measurements.
    builder.intervals("drop_points", _blank(rows, "drop_points", own), "drop_low_points", "drop_high_points")
    excess = _blank(rows, "excess_drop_points", own | same)
    builder.intervals("excess_drop_points", excess, "excess_drop_low_points", "excess_drop_high_points")
    verdicts = zip(rows["excess_verdict"], own | same, strict=True)
    return builder.text(
        "excess_verdict",
        [MISSING if empty else language(f"verdict.excess.{verdict}") for verdict, empty in verdicts],
    ).sheet()


def _blank(rows: pd.DataFrame, column: str, chosen: pd.Series) -> pd.DataFrame:
    return rows.assign(**{column: rows[column].where(~chosen)})
