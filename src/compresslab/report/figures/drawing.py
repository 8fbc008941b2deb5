"""What all figures share: ink that is readable in grey, type that has every character, bytes that repeat."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from compresslab.artifacts import written_whole
from compresslab.report.fonts import chinese_face, use_in_matplotlib
from compresslab.report.languages import Language

WIDTH_IN = 6.6
"""Width of every figure in inches: the text width of the documents on A4."""

INK, ACCENT, CONTRAST, MUTED, FAINT = "#1f2933", "#0b6e8f", "#c8551b", "#7b8794", "#d5dae0"
SERIES = ("#12324a", "#c8551b", "#2b8fb3", "#8a6d00", "#6d4b8d", "#4f9d69", "#b33a5a", "#7b8794")
MARKERS = ("o", "D", "s", "^", "v", "P", "X", "*")
DASHES: tuple[str | tuple[int, tuple[float, ...]], ...] = (
    "-",
    (0, (5, 2)),
    (0, (1.2, 1.4)),
    (0, (6, 2, 1.2, 2)),
    (0, (3, 1.2)),
    (0, (8, 2)),
    (0, (2, 3)),
    (0, (4, 1, 1, 1, 1, 1)),
)

_BITMAP_DPI = 200
_STYLE: dict[str, Any] = {
    "figure.constrained_layout.use": True,
    "figure.constrained_layout.w_pad": 0.07,
    "figure.constrained_layout.h_pad": 0.07,
    "figure.facecolor": "white",
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.titlepad": 8,
    "axes.labelsize": 9,
    "axes.labelcolor": INK,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "grid.color": "#e4e8ec",
    "grid.linewidth": 0.7,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "lines.linewidth": 1.5,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    # Outlines instead of text: a page shows the same letters whatever fonts its reader has.
    "svg.fonttype": "path",
    "svg.hashsalt": "compresslab",
}


@contextmanager
def drawing_in(language: Language) -> Iterator[None]:
    """Draw and save inside this block: it sets the style and the typefaces of ``language``."""
    families = ["DejaVu Sans"]
    if language.is_chinese:
        face = chinese_face()
        use_in_matplotlib(face)
        families.insert(0, face.family)
    style: Any = {**_STYLE, "font.family": families}
    with matplotlib.rc_context(style):
        yield


def save(figure: Figure | None, svg: Path, png: Path) -> None:
    """Write a figure as SVG and PNG, the same bytes every time; without a figure, two empty files that say so.

    Call it inside ``drawing_in``.
    """
    for path, metadata in ((svg, {"Date": None, "Creator": None}), (png, {"Software": None})):
        with written_whole(path) as temporary:
            if figure is not None:
                figure.savefig(temporary, format=path.suffix[1:], dpi=_BITMAP_DPI, metadata=metadata)


def variant_names(table: pd.DataFrame) -> pd.Series:
    """Name each row's variant, with its model in front only where the lab has several models."""
    if table["model"].nunique() > 1:
        return table["model"] + "/" + table["variant"]
    return table["variant"]


class Rows:
    """The rows of a figure from top to bottom: one per name, and a heading above each model of several.

    Names are those of ``variant_names``, with anything after a blank; under a heading the model is left out, and a
    model of one row has no heading. ``shown`` gives rows a heading and a label of their own, by name; rows of one
    heading stand together.
    """

    def __init__(self, names: Sequence[str], shown: Mapping[str, tuple[str, str]] | None = None) -> None:
        self.names = list(names)
        self.at: dict[str, float] = {}
        """Place of each name on the y axis."""
        self._shown = shown or _below_their_models(self.names)
        self._headings: dict[str, float] = {}
        for name in self.names:
            heading, _ = self._shown[name]
            if heading and heading not in self._headings:
                self._headings[heading] = self.count
            self.at[name] = self.count

    @property
    def count(self) -> int:
        """Number of rows, headings included."""
        return len(self.at) + len(self._headings)

    def height(self, extra_in: float = 0.9) -> float:
        """Height in inches of a figure with these rows."""
        return max(1.6, 0.27 * self.count + extra_in)

    def label(self, axes: Axes) -> None:
        """Label the y axis; the rows of a model stand below its name."""
        labels = {place: self._shown[name][1] for name, place in self.at.items()}
        labels = dict(sorted((labels | {place: heading for heading, place in self._headings.items()}).items()))
        axes.set_yticks(list(labels), list(labels.values()))
        for place, text in zip(labels, axes.get_yticklabels(), strict=True):
            if place in self._headings.values():
                text.set(color=MUTED, style="italic")
        axes.set_ylim(self.count - 0.5, -0.5)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        self.rule(axes)

    def rule(self, axes: Axes) -> None:
        """Draw a faint line through every row; headings have none."""
        axes.grid(axis="y", visible=False)
        for place in self.at.values():
            axes.axhline(place, color="#e4e8ec", linewidth=0.7, zorder=0)

    def label_both(self, left: Axes, right: Axes) -> None:
        """Label the y axis that two panels share, at the left one."""
        self.label(left)
        self.rule(right)
        right.spines["left"].set_visible(False)


def _below_their_models(names: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Give every name its model as a heading and the rest as a label; a model of one row needs no heading."""
    parts = {name: name.partition("/") for name in names}
    rows = Counter(model for model, slash, _ in parts.values() if slash)
    return {
        name: (model, rest) if rows[model] > 1 and " " not in model else ("", name)
        for name, (model, _, rest) in parts.items()
    }


def single_and_offline(
    rows: Rows, extra_in: float, panels: tuple[Callable[[Axes], None], Callable[[Axes], None]], language: Language
) -> Figure:
    """A single image at a time beside the whole test set in batches, each drawn by its own function."""
    figure = Figure(figsize=(WIDTH_IN, rows.height(extra_in)))
    single, offline = figure.subplots(1, 2, sharey=True)
    for axes, draw in zip((single, offline), panels, strict=True):
        draw(axes)
    rows.label_both(single, offline)
    single.set_title(language("figure.latency.single"))
    offline.set_title(language("figure.latency.offline"))
    figure.legend(*single.get_legend_handles_labels(), loc="outside lower center", ncols=4)
    return figure
