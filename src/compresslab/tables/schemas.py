"""The tables of a run: their columns in order, units in the names, ranges, and what makes a row unique.

This is the contract between measuring and reporting. A report, a figure or a claim may rely on every column
that stands here, and on nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import pandera.pandas as pa
from pandera.errors import SchemaErrors

from compresslab.config.problems import did_you_mean


@dataclass(frozen=True)
class Table:
    """One table: pandera columns in their order, the ``key`` that no two rows share, and the sort order.

    ``sorted_by`` leaves out layers and classes: those keep the order in which they come, which is the model's own.
    ``intervals`` names the two columns that hold a column's 95 % interval.
    """

    name: str
    columns: dict[str, pa.Column]
    key: tuple[str, ...]
    sorted_by: tuple[str, ...]
    intervals: dict[str, tuple[str, str]] = field(default_factory=dict)

    def empty(self) -> pd.DataFrame:
        """The table without rows, in its dtypes."""
        dtypes = {name: column.properties["dtype"].type for name, column in self.columns.items()}
        return pd.DataFrame(columns=list(self.columns)).astype(dtypes)

    def validated(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The frame with the schema's column order and dtypes, or a ValueError that names column and value."""
        self._check_columns(frame)
        if frame.empty:
            return self.empty()
        self._check_whole_numbers(frame)
        schema = pa.DataFrameSchema(self.columns, unique=list(self.key), coerce=True, strict=True, name=self.name)
        try:
            return schema.validate(frame[list(self.columns)].reset_index(drop=True), lazy=True)
        except SchemaErrors as errors:
            raise ValueError(_violations(self.name, errors)) from None

    def _check_columns(self, frame: pd.DataFrame) -> None:
        missing = [name for name in self.columns if name not in frame.columns]
        unknown = [str(name) for name in frame.columns if name not in self.columns]
        complaints = [f"lacks the column {name}" for name in missing]
        complaints += [f"has an unknown column {name}{did_you_mean(name, missing)}" for name in unknown]
        if complaints:
            raise ValueError(f"table {self.name} {' and '.join(complaints)}")

    def _check_whole_numbers(self, frame: pd.DataFrame) -> None:
        # Coercion to int64 would cut off a fraction without a word.
        for name, values in frame.select_dtypes("float").items():
            fractions = values[values % 1 != 0]
            if column_kind(self.name, str(name)) is int and len(fractions):
                raise ValueError(f"table {self.name}, column {name}: {fractions.iloc[0]} is not a whole number")


def _violations(table: str, errors: SchemaErrors) -> str:
    cases = errors.failure_cases
    lines = [
        f"table {table}, column {case['column']}: {case['failure_case']!r} violates {case['check']}"
        for case in cases.to_dict("records")
    ]
    shown = list(dict.fromkeys(lines))[:10]
    rest = len(set(lines)) - len(shown)
    return "\n".join([*shown, f"... and {rest} more"] if rest else shown)


def _text(empty: bool = False) -> pa.Column:
    checks = [] if empty else [pa.Check.str_length(min_value=1)]
    return pa.Column(pd.StringDtype(na_value=float("nan")), checks)


def _choice(*words: str) -> pa.Column:
    return pa.Column(pd.StringDtype(na_value=float("nan")), pa.Check.isin(words))


def _count(least: int = 0) -> pa.Column:
    return pa.Column("int64", pa.Check.ge(least))


def _flag() -> pa.Column:
    return pa.Column("bool")


def _number(least: float | None = None, most: float | None = None, nullable: bool = False) -> pa.Column:
    checks = [] if least is None else [pa.Check.ge(least)]
    checks += [] if most is None else [pa.Check.le(most)]
    return pa.Column("float64", checks, nullable=nullable)


def _percent() -> pa.Column:
    return _number(0, 100)


def _points() -> pa.Column:
    return _number(-100, 100)


def _positive(nullable: bool = False) -> pa.Column:
    return pa.Column("float64", pa.Check.gt(0), nullable=nullable)


_VARIANT = ("lab", "model", "variant")
_SEED = (*_VARIANT, "seed")


def _identity(names: Sequence[str]) -> dict[str, pa.Column]:
    return {name: _count() if name == "seed" else _text() for name in names}


SCORES = Table(
    "scores",
    {
        **_identity(_SEED),
        "images": _count(1),
        "accuracy_percent": _percent(),
        "accuracy_low_percent": _percent(),
        "accuracy_high_percent": _percent(),
        "macro_precision_percent": _percent(),
        "macro_recall_percent": _percent(),
        "macro_f1_percent": _percent(),
        "mean_loss": _number(0),
    },
    key=_SEED,
    sorted_by=_SEED,
    intervals={"accuracy_percent": ("accuracy_low_percent", "accuracy_high_percent")},
)

SCORES_BY_CLASS = Table(
    "scores_by_class",
    {
        **_identity((*_SEED, "class")),
        "images": _count(),
        "precision_percent": _percent(),
        "recall_percent": _percent(),
        "f1_percent": _percent(),
    },
    key=(*_SEED, "class"),
    sorted_by=_SEED,
)

CONFUSION = Table(
    "confusion",
    {**_identity((*_SEED, "true_class", "predicted_class")), "images": _count()},
    key=(*_SEED, "true_class", "predicted_class"),
    sorted_by=_SEED,
)

SEGMENTATION = Table(
    "segmentation",
    {
        **_identity(_SEED),
        "images": _count(1),
        "pixels": _count(1),
        "miou_percent": _percent(),
        "miou_low_percent": _percent(),
        "miou_high_percent": _percent(),
        "pixel_accuracy_percent": _percent(),
        "pixel_accuracy_low_percent": _percent(),
        "pixel_accuracy_high_percent": _percent(),
        "mean_class_accuracy_percent": _percent(),
    },
    key=_SEED,
    sorted_by=_SEED,
    intervals={
        "miou_percent": ("miou_low_percent", "miou_high_percent"),
        "pixel_accuracy_percent": ("pixel_accuracy_low_percent", "pixel_accuracy_high_percent"),
    },
)

SEGMENTATION_BY_CLASS = Table(
    "segmentation_by_class",
    {
        **_identity((*_SEED, "class")),
        "pixels": _count(),
        "iou_percent": _number(0, 100, nullable=True),
        "iou_low_percent": _number(0, 100, nullable=True),
        "iou_high_percent": _number(0, 100, nullable=True),
        "precision_percent": _percent(),
        "recall_percent": _percent(),
    },
    key=(*_SEED, "class"),
    sorted_by=_SEED,
    intervals={"iou_percent": ("iou_low_percent", "iou_high_percent")},
)

SEGMENTATION_CONFUSION = Table(
    "segmentation_confusion",
    {**_identity((*_SEED, "true_class", "predicted_class")), "pixels": _count()},
    key=(*_SEED, "true_class", "predicted_class"),
    sorted_by=_SEED,
)

SEGMENTATION_COMPARISONS = Table(
    "segmentation_comparisons",
    {
        **_identity((*_VARIANT, "reference", "seed")),
        "images": _count(1),
        "pixel_agreement_percent": _percent(),
        "miou_difference_points": _points(),
        "miou_difference_low_points": _points(),
        "miou_difference_high_points": _points(),
        "pixel_accuracy_difference_points": _points(),
        "miou_verdict": _choice("better", "worse", "noise"),
    },
    key=(*_VARIANT, "reference", "seed"),
    sorted_by=(*_VARIANT, "reference", "seed"),
    intervals={"miou_difference_points": ("miou_difference_low_points", "miou_difference_high_points")},
)

FIGURE_OF_MERIT = Table(
    "figure_of_merit",
    {
        **_identity(_SEED),
        "gflops": _positive(),
        "model_mb": _positive(),
        "cost_gflops2_mb2": _positive(),
        "miou_percent": _percent(),
        "miou_low_percent": _percent(),
        "miou_high_percent": _percent(),
        "validation_miou_percent": _number(0, 100, nullable=True),
        "merit_gflops2_mb2": _positive(nullable=True),
        "merit_low_gflops2_mb2": _positive(nullable=True),
        "merit_high_gflops2_mb2": _positive(nullable=True),
        "condition": _choice("defined", "ill_conditioned", "undefined"),
        "on_front": _flag(),
        "baseline": _text(),
        "cost_to_baseline_ratio": _positive(),
        "miou_to_baseline_points": _points(),
        "miou_to_baseline_low_points": _points(),
        "miou_to_baseline_high_points": _points(),
        "miou_to_baseline_verdict": _choice("better", "worse", "noise"),
        "merit_to_baseline_ratio": _positive(nullable=True),
        "merit_to_baseline_low_ratio": _positive(nullable=True),
        "merit_to_baseline_high_ratio": _positive(nullable=True),
    },
    key=_SEED,
    sorted_by=_SEED,
    intervals={
        "miou_percent": ("miou_low_percent", "miou_high_percent"),
        "merit_gflops2_mb2": ("merit_low_gflops2_mb2", "merit_high_gflops2_mb2"),
        "miou_to_baseline_points": ("miou_to_baseline_low_points", "miou_to_baseline_high_points"),
        "merit_to_baseline_ratio": ("merit_to_baseline_low_ratio", "merit_to_baseline_high_ratio"),
    },
)

TRAINING = Table(
    "training",
    {
        **_identity(_SEED),
        "epoch": _count(1),
        "train_loss": _number(),
        "train_accuracy_percent": _percent(),
        "train_miou_percent": _number(0, 100, nullable=True),
        "validation_loss": _number(),
        "validation_accuracy_percent": _percent(),
        "validation_miou_percent": _number(0, 100, nullable=True),
        "learning_rate": _number(0),
        "kept": _flag(),
        "epoch_s": _number(0),
    },
    key=(*_SEED, "epoch"),
    sorted_by=(*_SEED, "epoch"),
)

COSTS = Table(
    "costs",
    {
        **_identity(_VARIANT),
        "parameters": _count(),
        "nonzero_parameters": _count(),
        "macs": _count(),
        "flops": _count(),
        "weight_bytes": _count(),
        "table_bytes": _count(),
        "quantization_bytes": _count(),
        "stored_bytes": _count(),
        "file_bytes": _count(1),
        "file_gz_bytes": _count(1),
        "sparse_bytes": _count(),
        "activation_bytes": _count(),
        "activation_peak_bytes": _count(),
    },
    key=_VARIANT,
    sorted_by=_VARIANT,
)

COST_LAYERS = Table(
    "cost_layers",
    {
        **_identity((*_VARIANT, "layer", "operator")),
        "output_shape": _text(empty=True),
        "parameters": _count(),
        "nonzero_parameters": _count(),
        "macs": _count(),
        "weight_bytes": _count(),
        "activation_bytes": _count(),
    },
    key=(*_VARIANT, "layer"),
    sorted_by=_VARIANT,
)

_CELL = ("lab", "host", "model", "variant", "engine", "threads")

LATENCY = Table(
    "latency",
    {
        "lab": _text(),
        "host": _text(),
        "model": _text(),
        "variant": _text(),
        "seed": _count(),
        "engine": _text(),
        "threads": _count(1),
        "load_ms": _number(0),
        "first_call_ms": _number(0),
        "calls": _count(1),
        "p50_ms": _positive(),
        "p50_low_ms": _positive(),
        "p50_high_ms": _positive(),
        "p90_ms": _positive(nullable=True),
        "p99_ms": _positive(nullable=True),
        "mean_ms": _positive(),
        "batch": _count(1),
        "offline_images_per_s": _positive(nullable=True),
        "offline_low_images_per_s": _positive(nullable=True),
        "offline_high_images_per_s": _positive(nullable=True),
        "rounds": _count(1),
        "peak_rss_bytes": _count(),
        "noisy": _flag(),
        "noise": _text(empty=True),
    },
    key=_CELL,
    sorted_by=_CELL,
    intervals={
        "p50_ms": ("p50_low_ms", "p50_high_ms"),
        "offline_images_per_s": ("offline_low_images_per_s", "offline_high_images_per_s"),
    },
)

GPU_STATES = Table(
    "gpu_states",
    {
        **_identity(_CELL[:-1]),
        "threads": _count(1),
        "round": _count(),
        "after": _choice("single", "offline"),
        "sm_clock_mhz": _number(0, nullable=True),
        "memory_clock_mhz": _number(0, nullable=True),
        "temperature_celsius": _number(nullable=True),
        "power_w": _number(0, nullable=True),
        "utilization_percent": _number(0, 100, nullable=True),
        "slowed_by": _text(),
        "other_processes": _number(0, nullable=True),
    },
    key=(*_CELL, "round", "after"),
    sorted_by=(*_CELL, "round", "after"),
)

SPEED = Table(
    "speed",
    {
        **_identity(_CELL[:-1]),
        "threads": _count(1),
        "baseline_variant": _text(),
        "baseline_engine": _text(),
        "latency_ratio": _positive(),
        "latency_ratio_low": _positive(),
        "latency_ratio_high": _positive(),
        "throughput_ratio": _positive(nullable=True),
        "throughput_ratio_low": _positive(nullable=True),
        "throughput_ratio_high": _positive(nullable=True),
        "speed_verdict": _choice("faster", "slower", "noise"),
    },
    key=(*_CELL, "baseline_variant", "baseline_engine"),
    sorted_by=(*_CELL, "baseline_variant", "baseline_engine"),
    intervals={
        "latency_ratio": ("latency_ratio_low", "latency_ratio_high"),
        "throughput_ratio": ("throughput_ratio_low", "throughput_ratio_high"),
    },
)

SPARSE_PRODUCTS = Table(
    "sparse_products",
    {
        **_identity(("lab", "host", "model", "variant", "layer")),
        "batch": _count(1),
        "sparsity_percent": _percent(),
        "dense_ms": _positive(),
        "dense_low_ms": _positive(),
        "dense_high_ms": _positive(),
        "sparse_ms": _positive(),
        "sparse_low_ms": _positive(),
        "sparse_high_ms": _positive(),
        "sparse_to_dense_ratio": _positive(),
        "sparse_to_dense_ratio_low": _positive(),
        "sparse_to_dense_ratio_high": _positive(),
        "dense_bytes": _count(),
        "sparse_bytes": _count(),
    },
    key=("lab", "host", "model", "variant", "layer", "batch", "sparsity_percent"),
    sorted_by=("lab", "host", "model", "variant"),
    intervals={
        "dense_ms": ("dense_low_ms", "dense_high_ms"),
        "sparse_ms": ("sparse_low_ms", "sparse_high_ms"),
        "sparse_to_dense_ratio": ("sparse_to_dense_ratio_low", "sparse_to_dense_ratio_high"),
    },
)

ARCHITECTURE_COSTS = Table(
    "architecture_costs",
    {
        **_identity(("lab", "host", "architecture", "layer", "operator", "output_shape")),
        "weighted": _flag(),
        "parameters_by_formula": _count(),
        "parameters_by_counter": _count(),
        "parameters_by_library": _count(),
        "macs_by_formula": _count(),
        "macs_by_counter": _count(),
        "macs_by_library": _count(),
        "weight_bytes": _count(),
        "activation_bytes": _count(),
    },
    key=("lab", "host", "architecture", "layer"),
    sorted_by=("lab", "host", "architecture"),
)

CONVOLUTIONS = Table(
    "convolutions",
    {
        **_identity(("lab", "host", "engine")),
        "kernel": _count(1),
        "input_channels": _count(1),
        "output_channels": _count(1),
        "map_size": _count(1),
        "regular_parameters": _count(1),
        "separable_parameters": _count(1),
        "regular_macs": _count(1),
        "separable_macs": _count(1),
        "separable_to_regular_macs_ratio": _positive(),
        "regular_ms": _positive(),
        "regular_low_ms": _positive(),
        "regular_high_ms": _positive(),
        "separable_ms": _positive(),
        "separable_low_ms": _positive(),
        "separable_high_ms": _positive(),
        "separable_to_regular_time_ratio": _positive(),
        "separable_to_regular_time_ratio_low": _positive(),
        "separable_to_regular_time_ratio_high": _positive(),
        "speed_verdict": _choice("faster", "slower", "noise"),
    },
    key=("lab", "host", "engine", "kernel", "input_channels", "output_channels", "map_size"),
    sorted_by=("lab", "host", "engine", "kernel", "input_channels", "output_channels", "map_size"),
    intervals={
        "regular_ms": ("regular_low_ms", "regular_high_ms"),
        "separable_ms": ("separable_low_ms", "separable_high_ms"),
        "separable_to_regular_time_ratio": (
            "separable_to_regular_time_ratio_low",
            "separable_to_regular_time_ratio_high",
        ),
    },
)

TRAINING_STEPS = Table(
    "training_steps",
    {
        **_identity(("lab", "host", "model", "variant", "architecture")),
        "batch": _count(1),
        "device": _text(),
        "precision": _text(),
        "step_ms": _positive(),
        "step_low_ms": _positive(),
        "step_high_ms": _positive(),
        "images_per_s": _positive(),
        "baseline_model": _text(),
        "step_to_baseline_ratio": _positive(),
        "step_to_baseline_ratio_low": _positive(),
        "step_to_baseline_ratio_high": _positive(),
    },
    key=("lab", "host", "model", "variant"),
    sorted_by=("lab", "host", "model", "variant"),
    intervals={
        "step_ms": ("step_low_ms", "step_high_ms"),
        "step_to_baseline_ratio": ("step_to_baseline_ratio_low", "step_to_baseline_ratio_high"),
    },
)

AUDIT = Table(
    "audit",
    {
        "lab": _text(),
        "host": _text(),
        "model": _text(),
        "variant": _text(),
        "engine": _text(),
        "node": _text(),
        "operator": _text(),
        "runs_as": _choice("integer", "float", "unfused"),
        "expected": _flag(),
    },
    key=("lab", "host", "model", "variant", "engine", "node"),
    sorted_by=("lab", "host", "model", "variant", "engine"),
)

SKIPPED = Table(
    "skipped",
    {name: _text() for name in ("lab", "model", "variant", "engine", "host", "reason")},
    key=("lab", "model", "variant", "engine", "host", "reason"),
    sorted_by=("lab", "model", "variant", "engine", "host", "reason"),
)

COMPARISONS = Table(
    "comparisons",
    {
        **_identity((*_VARIANT, "reference", "seed")),
        "images": _count(1),
        "agreement_percent": _percent(),
        "only_reference_correct": _count(),
        "only_variant_correct": _count(),
        "mcnemar_p": _number(0, 1),
        "accuracy_difference_points": _points(),
        "accuracy_difference_low_points": _points(),
        "accuracy_difference_high_points": _points(),
        "relative_l2_percent": _number(0),
        "confidence_shift_points": _points(),
        "confidence_distance_points": _percent(),
        "smallest_detectable_points": _number(0, 100, nullable=True),
        "accuracy_verdict": _choice("better", "worse", "noise"),
    },
    key=(*_VARIANT, "reference", "seed"),
    sorted_by=(*_VARIANT, "reference", "seed"),
    intervals={
        "accuracy_difference_points": ("accuracy_difference_low_points", "accuracy_difference_high_points"),
    },
)

LAYERS = Table(
    "layers",
    {
        **_identity((*_SEED, "reference", "layer")),
        "relative_l2_percent": _number(0),
        "max_abs_difference": _number(0),
        "signal_to_noise_db": _number(),
    },
    key=(*_SEED, "reference", "layer"),
    sorted_by=(*_SEED, "reference"),
)

SENSITIVITY = Table(
    "sensitivity",
    {
        **_identity((*_SEED, "layer", "operator")),
        "macs": _count(),
        "probe_images": _count(1),
        "relative_l2_percent": _number(0),
        "agreement_percent": _percent(),
        "loss_increase": _number(),
        "accuracy_difference_points": _points(),
        "kept_float": _flag(),
    },
    key=(*_SEED, "layer"),
    sorted_by=_SEED,
)

CODEC_SHIFT = Table(
    "codec_shift",
    {
        **_identity(("lab", "host", "model", "variant", "engine", "codec")),
        "images": _count(1),
        "bytes_per_image": _positive(),
        "pixel_error_percent": _percent(),
        "accuracy_percent": _percent(),
        "accuracy_low_percent": _percent(),
        "accuracy_high_percent": _percent(),
        "agreement_percent": _percent(),
        "drop_points": _points(),
        "drop_low_points": _points(),
        "drop_high_points": _points(),
        "drop_verdict": _choice("better", "worse", "noise"),
        "reference": _text(),
        "excess_drop_points": _number(-200, 200),
        "excess_drop_low_points": _number(-200, 200),
        "excess_drop_high_points": _number(-200, 200),
        "excess_verdict": _choice("better", "worse", "noise"),
    },
    key=("lab", "host", "model", "variant", "codec"),
    sorted_by=("lab", "host", "model", "variant"),
    intervals={
        "accuracy_percent": ("accuracy_low_percent", "accuracy_high_percent"),
        "drop_points": ("drop_low_points", "drop_high_points"),
        "excess_drop_points": ("excess_drop_low_points", "excess_drop_high_points"),
    },
)

VERDICTS = ("reproduced", "exceeded", "not_reproduced", "not_comparable")
REASONS = (
    "embedded_data",
    "substitute_data",
    "reduced_scale",
    "missing_measurement",
    "other_data",
    "other_hardware",
    "inside_noise",
)
KINDS = ("exact", "at_least", "at_most", "within", "order", "ratio", "lead")

CLAIMS = Table(
    "claims",
    {
        "claim": _text(),
        "lab": _text(),
        "statement_en": _text(),
        "statement_zh": _text(),
        "source": _text(),
        "published": _number(nullable=True),
        "published_low": _number(nullable=True),
        "published_high": _number(nullable=True),
        "tolerance": _number(0, nullable=True),
        "unit": _text(empty=True),
        "kind": _choice(*KINDS),
        "measured": _number(nullable=True),
        "measured_low": _number(nullable=True),
        "measured_high": _number(nullable=True),
        "verdict": _choice(*VERDICTS),
        "reason": _choice("", *REASONS),
        "hardware_dependent": _flag(),
    },
    key=("claim",),
    sorted_by=("lab",),
)

TABLES = {
    table.name: table
    for table in (
        SCORES,
        SCORES_BY_CLASS,
        CONFUSION,
        SEGMENTATION,
        SEGMENTATION_BY_CLASS,
        SEGMENTATION_CONFUSION,
        SEGMENTATION_COMPARISONS,
        FIGURE_OF_MERIT,
        TRAINING,
        COSTS,
        COST_LAYERS,
        LATENCY,
        GPU_STATES,
        SPARSE_PRODUCTS,
        ARCHITECTURE_COSTS,
        CONVOLUTIONS,
        TRAINING_STEPS,
        AUDIT,
        SKIPPED,
        COMPARISONS,
        SPEED,
        LAYERS,
        SENSITIVITY,
        CODEC_SHIFT,
        CLAIMS,
    )
}


def table(name: str) -> Table:
    """The table of a name; an unknown name is a ValueError with the nearest one."""
    if name not in TABLES:
        raise ValueError(f"there is no table '{name}'{did_you_mean(name, TABLES)}; known: {', '.join(TABLES)}")
    return TABLES[name]


def column_kind(table_name: str, column: str) -> type[Any]:
    """``str``, ``bool``, ``int`` or ``float``: what the values of a column are in Python."""
    kind = TABLES[table_name].columns[column].properties["dtype"].type
    return {"i": int, "f": float, "b": bool}.get(getattr(kind, "kind", "O"), str)
