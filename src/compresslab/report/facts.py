"""The facts that a sentence is built on: plain numbers beside the verdict that a table gave."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Score:
    """Accuracy of a variant over its seeds, in percent, and the half-width of one training's 95 % interval."""

    mean: float
    low: float
    high: float
    seeds: int
    images: int
    half_width_points: float


@dataclass(frozen=True)
class Size:
    """Bytes of a variant, and how many times smaller it is than its model's first variant."""

    stored_bytes: float
    weight_bytes: float
    table_bytes: float
    file_bytes: float
    activation_peak_bytes: float
    ratio: float


@dataclass(frozen=True)
class Change:
    """A variant against a reference over seeds: ``verdicts`` counts better, worse and noise.

    ``difference_low`` and ``difference_high`` are the 95 % interval of the mean difference; ``smallest_p`` is McNemar's
    in the seed where it is smallest. The confidence is the variant's in the reference's answer.
    """

    variant: str
    reference: str
    agreement_percent: float
    difference_points: float
    difference_low: float
    difference_high: float
    smallest_p: float
    seeds: int
    verdicts: Mapping[str, int]
    relative_l2_percent: float
    confidence_shift_points: float
    confidence_distance_points: float
    detectable_points: float

    @property
    def verdict(self) -> str:
        """``better``, ``worse`` or ``noise`` when all seeds say so, else ``mixed``."""
        return shared(self.verdicts, self.seeds)


@dataclass(frozen=True)
class Speed:
    """A cell against its baseline on one host: ratios above 1 are faster; throughput may not have been measured."""

    variant: str
    engine: str
    baseline_variant: str
    baseline_engine: str
    threads: int
    verdict: str
    ratio: float
    low: float
    high: float
    throughput_ratio: float | None


@dataclass(frozen=True)
class LayerError:
    """The layer after which a variant is farthest from its reference, and the error of the last layer, in percent."""

    reference: str
    layer: str
    percent: float
    last_layer: str
    last_percent: float


@dataclass(frozen=True)
class Slimming:
    """What a method took away from a variant's parent: shares of the parent's numbers, in percent."""

    parent: str
    sparsity_percent: float
    macs_percent: float
    file_percent: float
    gzip_percent: float
    sparse_percent: float


@dataclass(frozen=True)
class BreakEven:
    """From which sparsity on a layer's sparse product is faster, and its storage smaller; None: not even at the most.

    ``most_percent`` is the highest sparsity that was tried.
    """

    layer: str
    batch: int
    faster_percent: float | None
    smaller_percent: float | None
    most_percent: float


@dataclass(frozen=True)
class HardestClass:
    """The class with the lowest mean recall, and what it is most often taken for (empty when it never is)."""

    name: str
    recall_percent: float
    taken_for: str
    images: int


@dataclass(frozen=True)
class Claim:
    """A published number, what was measured for it, and the verdict with its reason (empty where there is none).

    ``published_low`` and ``published_high`` are the ends of a range, or the two values of a lead.
    """

    id: str
    statements: Mapping[str, str]
    published: float
    published_low: float
    published_high: float
    measured: float
    low: float
    high: float
    verdict: str
    reason: str


@dataclass(frozen=True)
class Lead:
    """One variant that was published ahead of another, in points of accuracy.

    ``published_low`` and ``published_high`` are what two single runs over as many images leave open;
    ``detectable_points`` is the smallest difference that one of our trainings would have shown on the same images.
    """

    claim: Claim
    published_low: float
    published_high: float
    detectable_points: float

    @property
    def uncertainty_points(self) -> float:
        """Half the width of what the two single runs leave open."""
        return (self.published_high - self.published_low) / 2

    @property
    def shown_by_single_runs(self) -> bool:
        """Whether the two published numbers alone could show who leads."""
        return self.published_low > 0


@dataclass(frozen=True)
class Counted:
    """What an architecture costs; ``agree`` says whether formula, counter and library are one in every layer."""

    parameters: int
    macs: int
    layers: int
    agree: bool


@dataclass(frozen=True)
class Gain:
    """How many times faster a separable convolution is than a regular one, and how many times less it multiplies."""

    kernel: int
    input_channels: int
    output_channels: int
    map_size: int
    promised: float
    measured: float
    low: float
    high: float
    verdict: str

    @property
    def kept_percent(self) -> float:
        """Share of the promised gain that the clock shows."""
        return 100 * self.measured / self.promised


@dataclass(frozen=True)
class GainGroup:
    """Cells of the grid of convolutions that share a kernel, a size of the map or a number of channels.

    ``kept_percent`` is the median share of the promised gain that the clock shows.
    """

    value: int
    cells: int
    slower: int
    kept_percent: float


@dataclass(frozen=True)
class Step:
    """Time of a training step, and how many times as long it takes as the baseline's."""

    variant: str
    baseline: str
    ms: float
    ratio: float
    low: float
    high: float


@dataclass(frozen=True)
class Sensitive:
    """What quantizing one layer alone does, every other one in float: means over the seeds, on validation images.

    ``loss_increase`` is of the mean cross entropy, in nats; ``kept_float`` counts the seeds in which the mixed variant
    keeps the layer in float.
    """

    layer: str
    operator: str
    macs: int
    images: int
    seeds: int
    relative_l2_percent: float
    agreement_percent: float
    loss_increase: float
    accuracy_difference_points: float
    kept_float: int


@dataclass(frozen=True)
class Shift:
    """A variant's answers to re-encoded test images against its answers to the originals (``codec`` ``original``).

    A negative ``drop_points`` is lost accuracy; ``excess_points`` is the drop less that of ``reference``, whose verdict
    is ``worse`` when the variant loses more.
    """

    variant: str
    reference: str
    codec: str
    bytes_per_image: float
    pixel_error_percent: float
    accuracy_percent: float
    agreement_percent: float
    drop_points: float
    drop_verdict: str
    excess_points: float
    excess_low: float
    excess_high: float
    excess_verdict: str

    @property
    def quality(self) -> int | None:
        """The quality of a JPEG codec; None for the originals."""
        digits = self.codec.removeprefix("jpeg")
        return int(digits) if digits.isdigit() else None


@dataclass(frozen=True)
class Overlap:
    """Mean IoU of a variant on the test split, in percent, its mean over the seeds.

    ``low`` and ``high`` are means of the seeds' 95 % bounds, which are those of the images; ``lowest`` and ``highest``
    are the seeds themselves.
    """

    variant: str
    miou_percent: float
    low: float
    high: float
    lowest: float
    highest: float
    pixel_accuracy_percent: float
    seeds: int
    images: int
    pixels: int


@dataclass(frozen=True)
class OverlapChange:
    """A variant against a reference over seeds, by mean IoU: ``verdicts`` counts better, worse and noise.

    ``low`` and ``high`` are means of the seeds' 95 % bounds, which are those of the images.
    """

    variant: str
    reference: str
    difference_points: float
    low: float
    high: float
    agreement_percent: float
    seeds: int
    verdicts: Mapping[str, int]

    @property
    def verdict(self) -> str:
        """``better``, ``worse`` or ``noise`` when all seeds say so, else ``mixed``."""
        return shared(self.verdicts, self.seeds)


@dataclass(frozen=True)
class ClassOverlap:
    """IoU of one class, in percent; ``share_percent`` of the labelled test pixels are of it."""

    name: str
    share_percent: float
    iou_percent: float
    low: float
    high: float


@dataclass(frozen=True)
class Merit:
    """What a variant costs and what its mean IoU makes of that, means over the seeds; None where it is not defined.

    ``cost`` is in (10⁹ FLOPs)² × (10⁶ bytes)², ``merit`` is the cost over the mean IoU above 0.65. ``condition`` is
    ``defined``, ``ill_conditioned`` or ``undefined``, the worst of the seeds. What is against ``baseline`` ends in
    ``ratio`` or ``points``; ``verdicts`` counts better, worse and noise by mean IoU, ``fronts`` the seeds in which
    no other variant costs less and overlaps more.
    """

    variant: str
    baseline: str
    is_root: bool
    gflops: float
    model_mb: float
    cost: float
    miou_percent: float
    miou_low: float
    miou_high: float
    validation_miou_percent: float | None
    merit: float | None
    merit_low: float | None
    merit_high: float | None
    condition: str
    cost_ratio: float
    miou_points: float
    miou_points_low: float
    miou_points_high: float
    verdicts: Mapping[str, int]
    merit_ratio: float | None
    merit_ratio_low: float | None
    merit_ratio_high: float | None
    seeds: int
    fronts: int

    @property
    def verdict(self) -> str:
        """``better``, ``worse`` or ``noise`` when all seeds say so, else ``mixed``."""
        return shared(self.verdicts, self.seeds)

    @property
    def is_worse(self) -> bool:
        """Whether any seed falls short of the baseline beyond the noise."""
        return self.verdicts.get("worse", 0) > 0


@dataclass(frozen=True)
class Separable:
    """Depthwise separable convolutions of a network, and what regular ones of the same shapes would multiply.

    ``least`` and ``most``: how many times as many multiply-accumulates a single one would take.
    """

    convolutions: int
    macs: int
    regular_macs: int
    network_macs: int
    least: float
    most: float

    @property
    def ratio(self) -> float:
        """How many times as many multiply-accumulates the regular convolutions would take."""
        return self.regular_macs / self.macs

    @property
    def network_ratio(self) -> float:
        """How many times as many the whole network would take with them."""
        return (self.network_macs - self.macs + self.regular_macs) / self.network_macs


def shared(verdicts: Mapping[str, int], seeds: int) -> str:
    """Return the verdict that all seeds share, else ``mixed``."""
    return next((verdict for verdict, count in verdicts.items() if count == seeds), "mixed")
