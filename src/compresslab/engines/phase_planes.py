"""A memory layout in which convolution, max-pooling and activations only ever touch long contiguous runs.

NumPy is fast on runs of hundreds of numbers and slow on many short ones, so the layout is chosen for the runs:

*Planes* hold the input of a convolution. A channel is one flat run of rows; the gap of zeros after each row is the
padding on the right of that row and on the left of the next. Moving a window by one pixel is then an offset into the
run, and a tap of the kernel sees one contiguous slice, not one slice per row. What falls into the gaps is garbage,
ignored later.

*Phases*. A stride s (of the convolution, or of a 2 x 2 pooling behind it) would tear the runs apart, so rows and
columns are stored by their remainder modulo s: pixel (s y + a, s x + b) lies in phase (a, b) at (y, x). Max-pooling
becomes the maximum of four contiguous runs.

*Columns* are the matrix of a convolution, one row per tap and channel and a last row of ones (the weights' last
column is the bias), one column per output pixel: ``sums = weights @ columns``, (out, K + 1) @ (K + 1, pixels), by
BLAS.

All arrays are allocated and all views made once, for a fixed number of images.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import product
from math import ceil

import numpy as np
from numpy.lib.stride_tricks import as_strided

Step = Callable[[], object]
"""One call on arrays bound beforehand.

A network is a few dozen such calls, and at one image each costs as much to make as its arithmetic: outputs are passed
by position, which NumPy parses in half the time of ``out=``.
"""


def copying(destination: np.ndarray, source: np.ndarray) -> Step:
    """Return the step that copies ``source``, cast as needed; an assignment starts faster than ``np.copyto``."""
    return partial(destination.__setitem__, ..., source)


@dataclass(frozen=True)
class Axis:
    """One spatial direction of a convolution (or of a plain feature map: one tap, stride 1, no padding)."""

    extent: int
    taps: int = 1
    stride: int = 1
    padding: int = 0
    phases_out: int = 1

    @property
    def phases(self) -> int:
        """Phases of the input."""
        return self.stride * self.phases_out

    @property
    def outputs(self) -> int:
        """Output positions."""
        return (self.extent + 2 * self.padding - self.taps) // self.stride + 1

    @property
    def lanes(self) -> int:
        """Output positions of one output phase."""
        return self.outputs // self.phases_out

    @property
    def cells(self) -> int:
        """Input positions of the fullest input phase."""
        return ceil(self.extent / self.phases)

    def source(self, tap: int, phase: int) -> tuple[int, int]:
        """Return (shift, input phase) of what ``tap`` reads for output ``phase``: lane y reads cell y + shift."""
        return divmod(self.stride * phase + tap - self.padding, self.phases)

    @property
    def border(self) -> int:
        """Cells that are read before the first; after the last they are never more, since padding is symmetric."""
        return max(0, -self.source(0, 0)[0])

    @property
    def groups(self) -> list[range]:
        """The taps, in groups that read the same phase."""
        return [range(first, self.taps, self.phases) for first in range(min(self.phases, self.taps))]


@dataclass(frozen=True)
class Lanes:
    """Results in phases, (N, phases, phases, channels, rows * pitch); ``columns`` of each ``pitch`` are valid."""

    values: np.ndarray
    rows: int
    columns: int
    pitch: int

    @property
    def phases(self) -> int:
        """Phases per direction."""
        return self.values.shape[1]

    @property
    def map(self) -> np.ndarray:
        """The valid results by phase: a view (N, phases, phases, channels, rows, columns)."""
        return grid(self.values, self.rows, self.columns, self.pitch)

    def like(self, values: np.ndarray) -> "Lanes":
        """Return the same geometry around other ``values``."""
        return Lanes(values, self.rows, self.columns, self.pitch)


def grid(runs: np.ndarray, rows: int, columns: int, pitch: int) -> np.ndarray:
    """Return a view (..., rows, columns) of flat runs (..., at least (rows - 1) * pitch + columns)."""
    item = runs.strides[-1]
    return as_strided(runs, (*runs.shape[:-1], rows, columns), (*runs.strides[:-1], pitch * item, item))


class Planes:
    """The zero-padded input of a convolution in phases: (N, row phases, column phases, channels, length)."""

    def __init__(self, images: int, channels: int, rows: Axis, columns: Axis, dtype: np.dtype) -> None:
        self.rows, self.columns = rows, columns
        self.pitch = max(columns.cells + columns.border, columns.lanes)
        self._origin = rows.border * self.pitch + columns.border
        height = rows.cells + rows.border + 1
        length = self._origin + height * self.pitch
        self.values = np.zeros((images, rows.phases, columns.phases, channels, length), dtype)
        self._places = list(self._find_places())
        self._map = grid(self.values[..., self._origin :], rows.cells, columns.cells, self.pitch)

    @property
    def uniform(self) -> bool:
        """Whether all phases hold equally many pixels."""
        return self.rows.extent % self.rows.phases == 0 and self.columns.extent % self.columns.phases == 0

    def fill(self, pixels: np.ndarray, copy: Callable[[np.ndarray, np.ndarray], object] = np.copyto) -> None:
        """Put a feature map (N,H,W,C) in its place by ``copy(destination, source)``, views (..., C, rows, columns)."""
        if self.uniform:
            copy(self._map, self._by_phase(pixels))
            return
        for rows, columns, place in self._places:
            copy(place, pixels[:, rows, columns].transpose(0, 3, 1, 2))

    def accepts(self, lanes: Lanes) -> bool:
        """Whether results of that geometry lie in these planes just as they are: as runs at one offset."""
        same_phases = self.rows.phases == self.columns.phases == lanes.phases
        return same_phases and self.uniform and self.pitch == lanes.pitch

    def runs(self, rows: int) -> np.ndarray:
        """Return the view (N, phases, phases, channels, rows * pitch) into which accepted results are written."""
        return self.values[..., self._origin : self._origin + rows * self.pitch]

    def wipe(self, rows: int) -> Step:
        """Return the step that makes the gaps zero again after accepted results were written with their garbage."""
        gaps = grid(self.runs(rows), rows, self.pitch, self.pitch)[..., self.columns.cells :]
        return partial(gaps.fill, 0)

    def slices(self) -> Iterator[tuple[tuple[slice, slice], np.ndarray]]:
        """Yield, for every group of taps, its slices of the kernel's two axes and the runs that these taps read.

        The runs are a view (N, row phases out, column phases out, row taps, column taps, channels, lanes * pitch):
        within a group, the next tap is one cell further, and of the at most two output phases the second is one
        offset away.
        """
        images, _, _, channels, _ = self.values.shape
        stride_image, stride_row_phase, stride_column_phase, stride_channel, item = self.values.strides
        for rows, columns in product(self.rows.groups, self.columns.groups):
            down = self._offsets(self.rows, rows[0], stride_row_phase, self.pitch * item)
            right = self._offsets(self.columns, columns[0], stride_column_phase, item)
            flat = self.values.reshape(-1)[self._origin + (down[0] + right[0]) // item :]
            shape = (images, len(down), len(right), len(rows), len(columns), channels, self.rows.lanes * self.pitch)
            steps = (down[-1] - down[0], right[-1] - right[0], self.pitch * item, item)
            runs = as_strided(flat, shape, (stride_image, *steps, stride_channel, item))
            yield (slice(rows[0], None, self.rows.phases), slice(columns[0], None, self.columns.phases)), runs

    def _by_phase(self, pixels: np.ndarray) -> np.ndarray:
        """Return the view (N, row phases, column phases, C, rows, columns) of a feature map (N,H,W,C)."""
        rows, columns = self.rows, self.columns
        shape = (len(pixels), rows.cells, rows.phases, columns.cells, columns.phases, pixels.shape[-1])
        return pixels.reshape(shape).transpose(0, 2, 4, 5, 1, 3)

    def _find_places(self) -> Iterator[tuple[slice, slice, np.ndarray]]:
        """Yield the rows and columns of a feature map that form a phase, and the view (N,C,rows,columns) for them."""
        for row, column in product(range(self.rows.phases), range(self.columns.phases)):
            rows, columns = slice(row, None, self.rows.phases), slice(column, None, self.columns.phases)
            height, width = len(range(self.rows.extent)[rows]), len(range(self.columns.extent)[columns])
            yield rows, columns, grid(self.values[:, row, column, :, self._origin :], height, width, self.pitch)

    @staticmethod
    def _offsets(axis: Axis, tap: int, stride_phase: int, stride_cell: int) -> list[int]:
        """Return the byte offsets of what ``tap`` reads for each output phase."""
        sources = [axis.source(tap, phase) for phase in range(axis.phases_out)]
        return [shift * stride_cell + phase * stride_phase for shift, phase in sources]


class Convolution:
    """``sums = weights @ columns`` of one layer, for a fixed number of images.

    ``weights`` is (out, kh * kw * in + 1): taps in (kh, kw, in) order, and the bias. Run ``steps``, read ``sums``.
    """

    def __init__(self, weights: np.ndarray, planes: Planes) -> None:
        rows, columns, pitch = planes.rows, planes.columns, planes.pitch
        images, channels = len(planes.values), planes.values.shape[3]
        phases, run = rows.phases_out, rows.lanes * pitch
        matrix = np.ones((images, phases, phases, weights.shape[1], run), planes.values.dtype)
        taps = matrix[..., :-1, :].reshape(images, phases, phases, rows.taps, columns.taps, channels, run)
        sums = np.empty((images, phases, phases, len(weights), run), planes.values.dtype)
        self.steps: list[Step] = [copying(taps[:, :, :, i, j], runs) for (i, j), runs in planes.slices()]
        self.steps.append(partial(np.matmul, weights, matrix, sums))
        self.sums = Lanes(sums, rows.lanes, columns.lanes, pitch)


def max_pool(lanes: Lanes, size: int, stride: int) -> tuple[list[Step], Lanes]:
    """Return the steps that pool ``lanes`` by the maximum, and where the result is.

    In phases, a pooling whose size and stride are the phases is a maximum of whole runs; any other one takes strided
    views.
    """
    values = lanes.values
    images, phases, _, channels, _ = values.shape
    if size == stride == phases == 2:
        halves = np.empty_like(values[:, 0])
        pooled = np.empty_like(values[:, :1, :1])
        steps: list[Step] = [
            partial(np.maximum, values[:, 0], values[:, 1], out=halves),
            partial(np.maximum, halves[:, 0], halves[:, 1], out=pooled[:, 0, 0]),
        ]
        return steps, lanes.like(pooled)
    if phases != 1:
        raise ValueError(f"cannot pool {phases} phases by {size} with stride {stride}")
    rows, columns = (lanes.rows - size) // stride + 1, (lanes.columns - size) // stride + 1
    pooled = np.empty((images, 1, 1, channels, rows * columns), values.dtype)
    windows = [
        lanes.map[:, 0, 0, :, i : i + stride * rows : stride, j : j + stride * columns : stride]
        for i, j in product(range(size), range(size))
    ]
    windows = [window[:, :, :rows, :columns] for window in windows]
    target = pooled.reshape(images, channels, rows, columns)
    steps = [copying(target, windows[0])]
    steps += [partial(np.maximum, target, window, out=target) for window in windows[1:]]
    return steps, Lanes(pooled, rows, columns, columns)
