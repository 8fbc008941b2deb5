"""A NumPy network compiled into a flat list of array calls, for a fixed number of images.

What float and integer arithmetic share is here: the order of the layers, the layout, the buffers. What differs is an
:class:`Arithmetic`: the numbers that a layer's sums are made of, and how finished values come from sums.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Protocol

import numpy as np

from compresslab.engines.phase_planes import Axis, Convolution, Lanes, Planes, Step, copying, max_pool
from compresslab.models.numpy.network import Layer, Network, Shape

CHUNK = 8
"""Images per program of a larger batch: enough to share the calls, few enough for the caches (4 and 16 are slower)."""

FEWEST_LANES = 7
"""A feature map is kept in phases while each has at least this many rows and columns: a gap costs a column."""


class Arithmetic(Protocol):
    """What the numbers of a network are."""

    def enter(self, destination: np.ndarray, source: np.ndarray) -> None:
        """Turn native input, a view (N,C,rows,columns), into the first layer's input."""

    def dtype(self, layer: Layer) -> np.dtype:
        """Return the dtype in which the layer's input and sums are computed."""

    def weights(self, layer: Layer) -> tuple[np.ndarray, np.ndarray]:
        """Return the weights, in the layer's shape, and the bias (out,) of a convolution or linear layer."""

    def pools_first(self, layer: Layer) -> bool:
        """Whether ``finish`` is monotone, so that a max-pooling may come before it."""

    def mean_factor(self, layer: Layer, pixels: int) -> float:
        """Return what each of ``pixels`` values is multiplied by in the sum of a global average pooling."""

    def finish(self, layer: Layer, sums: np.ndarray, out: np.ndarray) -> list[Step]:
        """Return the steps from ``sums`` to the layer's output, written to ``out``.

        Both are (N, phases, phases, channels, run) or (N, channels); ``out`` may be ``sums`` itself.
        """


@dataclass(frozen=True)
class _Pending:
    """Sums that wait for the next layer to say where the output should go; ``lanes`` is None for (N, features)."""

    values: np.ndarray
    lanes: Lanes | None
    finish: Callable[[np.ndarray, np.ndarray], list[Step]]


class Program:
    """A network, an arithmetic and a number of images, compiled; call it with native input (N,H,W,C)."""

    def __init__(self, network: Network, arithmetic: Arithmetic, images: int) -> None:
        self._network, self._arithmetic, self._images = network, arithmetic, images
        self._steps: list[Step] = []
        self._enter: Callable[[np.ndarray], None] | None = None
        shapes: list[Shape] = [network.input_shape, *network.shapes.values()]
        phases = output_phases(network)
        pending: _Pending | None = None
        for layer, shape, phases_out in zip(network.layers, shapes[:-1], phases, strict=True):
            pending = self._layer(layer, shape, phases_out, pending)
        assert pending is not None
        self._output = np.empty_like(pending.values)
        self._steps += pending.finish(pending.values, self._output)

    def __call__(self, native: np.ndarray) -> np.ndarray:
        """Return the last layer's output (N, classes), in a buffer that the next call overwrites."""
        assert self._enter is not None
        self._enter(native)
        for step in self._steps:
            step()
        return self._output

    def _layer(self, layer: Layer, shape: Shape, phases_out: int, pending: _Pending | None) -> _Pending:
        finish = partial(self._arithmetic.finish, layer)
        match layer.kind:
            case "conv2d":
                lanes = self._convolution(layer, shape, phases_out, pending)
                return _Pending(lanes.values, lanes, finish)
            case "max_pool":
                return self._max_pool(layer, shape, pending)
            case "global_average_pool":
                return _Pending(self._average(layer, shape, pending), None, finish)
        return _Pending(self._linear(layer, shape, pending), None, finish)

    def _convolution(self, layer: Layer, shape: Shape, phases_out: int, pending: _Pending | None) -> Lanes:
        weight, bias = self._arithmetic.weights(layer)
        height, width, channels = shape
        rows, columns = (
            Axis(extent, taps, layer.stride, layer.padding, phases_out)
            for extent, taps in zip((height, width), weight.shape[:2], strict=True)
        )
        dtype = self._arithmetic.dtype(layer)
        planes = Planes(self._images, channels, rows, columns, dtype)
        self._deliver(pending, planes)
        matrix = np.vstack([weight.reshape(-1, weight.shape[-1]), bias]).T
        convolution = Convolution(np.ascontiguousarray(matrix, dtype), planes)
        self._steps += convolution.steps
        return convolution.sums

    def _max_pool(self, layer: Layer, shape: Shape, pending: _Pending | None) -> _Pending:
        pending = pending or self._raw(layer, shape)
        assert pending.lanes is not None
        finish = pending.finish
        if not self._pools_first(layer):
            self._steps += finish(pending.values, pending.values)
            finish = _copy
        steps, lanes = max_pool(pending.lanes, layer.size, layer.stride)
        self._steps += steps
        return _Pending(lanes.values, lanes, finish)

    def _pools_first(self, pool: Layer) -> bool:
        index = self._network.layers.index(pool)
        before = [layer for layer in self._network.layers[:index] if layer.kind != "max_pool"]
        return bool(before) and self._arithmetic.pools_first(before[-1])

    def _average(self, layer: Layer, shape: Shape, pending: _Pending | None) -> np.ndarray:
        pending = pending or self._raw(layer, shape)
        assert pending.lanes is not None
        dtype = self._arithmetic.dtype(layer)
        values = pending.values if pending.values.dtype == dtype else np.empty(pending.values.shape, dtype)
        self._steps += pending.finish(pending.values, values)
        mask = np.zeros((1, 1, 1, 1, values.shape[-1]), dtype)
        pending.lanes.like(mask).map[...] = self._arithmetic.mean_factor(layer, shape[0] * shape[1])
        sums = np.empty((self._images, shape[2]), dtype)
        self._steps.append(partial(np.matmul, values[:, 0, 0], mask.reshape(-1), sums))
        return sums

    def _linear(self, layer: Layer, shape: Shape, pending: _Pending | None) -> np.ndarray:
        weight, bias = self._arithmetic.weights(layer)
        dtype = self._arithmetic.dtype(layer)
        features = np.ones((self._images, len(weight) + 1), dtype)
        if pending is None:
            pixels = features[:, :-1].reshape(self._images, *shape).transpose(0, 3, 1, 2)
            self._enter = lambda native: self._arithmetic.enter(pixels, native.transpose(0, 3, 1, 2))
        elif pending.lanes is None:
            self._steps += pending.finish(pending.values, features[:, :-1])
        else:
            self._steps += pending.finish(pending.values, pending.values)
            pixels = features[:, :-1].reshape(self._images, *shape)
            self._steps += [copying(*pair) for pair in _pixels(pending.lanes, pixels)]
        sums = np.empty((self._images, len(bias)), dtype)
        matrix = np.ascontiguousarray(np.vstack([weight, bias]), dtype)
        self._steps.append(partial(features.dot, matrix, sums))
        return sums

    def _deliver(self, pending: _Pending | None, planes: Planes) -> None:
        """Add the steps that finish what is pending and put it into ``planes``: directly where the layouts agree."""
        if pending is None:
            self._enter = partial(planes.fill, copy=self._arithmetic.enter)
            return
        lanes = pending.lanes
        assert lanes is not None
        if planes.accepts(lanes):
            self._steps += [*pending.finish(pending.values, planes.runs(lanes.rows)), planes.wipe(lanes.rows)]
            return
        self._steps += pending.finish(pending.values, pending.values)
        channels = lanes.values.shape[3]
        pixels = np.empty((self._images, planes.rows.extent, planes.columns.extent, channels), lanes.values.dtype)
        self._steps += [copying(*pair) for pair in _pixels(lanes, pixels)]
        self._steps.append(partial(planes.fill, pixels))

    def _raw(self, layer: Layer, shape: Shape) -> _Pending:
        """Return the network's input as it is, for a first layer that is no convolution."""
        height, width, channels = shape
        values = np.empty((self._images, 1, 1, channels, height * width), self._arithmetic.dtype(layer))
        pixels = values.reshape(self._images, channels, height, width)
        self._enter = lambda native: self._arithmetic.enter(pixels, native.transpose(0, 3, 1, 2))
        return _Pending(values, Lanes(values, height, width, width), _copy)


class Programs:
    """The programs of a network for every number of images up to ``chunk``, each compiled when first needed."""

    def __init__(self, network: Network, arithmetic: Arithmetic, chunk: int = CHUNK) -> None:
        self._network, self._arithmetic, self._chunk = network, arithmetic, chunk
        self._programs: dict[int, Program] = {}

    def __call__(self, native: np.ndarray) -> np.ndarray:
        """Return the last layer's output (N, classes) for native input (N,H,W,C), ``chunk`` images at a time.

        The result may be a buffer that the next call overwrites. Raises ValueError for images of another shape.
        """
        if native.shape[1:] != self._network.input_shape:
            raise ValueError(f"expected images {self._network.input_shape}, got {native.shape[1:]}")
        if 0 < len(native) <= self._chunk:
            return self._program(len(native))(native)
        outputs = np.empty((len(native), len(self._network.classes)), self._arithmetic.dtype(self._network.layers[-1]))
        for start in range(0, len(native), self._chunk):
            part = native[start : start + self._chunk]
            outputs[start : start + self._chunk] = self._program(len(part))(part)
        return outputs

    def _program(self, images: int) -> Program:
        if images not in self._programs:
            self._programs[images] = Program(self._network, self._arithmetic, images)
        return self._programs[images]


def round_to_codes(layer: Layer, values: np.ndarray, out: np.ndarray) -> list[Step]:
    """Return the steps that round ``values``, in units of the output's scale, to the layer's saturated codes."""
    codes = layer.codes
    return [
        partial(np.maximum, values, np.full_like(values, codes[0]), out=values),
        partial(np.minimum, values, np.full_like(values, codes[-1]), out=values),
        partial(np.rint, values, out),
    ]


def look_up(table: np.ndarray, indices: np.ndarray, out: np.ndarray) -> list[Step]:
    """Return the steps that write the table's entries at ``indices`` (cut off to integers, saturated) to ``out``."""
    narrow, wide = np.empty(indices.shape, np.int32), np.empty(indices.shape, np.intp)
    entries = table.astype(out.dtype)
    found = out if out.flags.c_contiguous else np.empty(out.shape, out.dtype)
    # Casting in two steps is faster than in one; "clip" saturates.
    steps: list[Step] = [
        copying(narrow, indices),
        copying(wide, narrow),
        partial(entries.take, wide, None, found, "clip"),
    ]
    return steps if found is out else [*steps, copying(out, found)]


def output_phases(network: Network) -> list[int]:
    """Return in how many phases per direction (1 or 2) each layer leaves its output, so that the next reads runs."""
    phases: list[int] = []
    wanted = 1
    for layer in reversed(network.layers):
        shape = network.shapes[layer.name]
        even = len(shape) == 3 and all(extent % 2 == 0 and extent // 2 >= FEWEST_LANES for extent in shape[:2])
        phases.append(wanted if layer.kind == "conv2d" and layer.stride == 1 and wanted == 2 and even else 1)
        if layer.kind == "conv2d":
            wanted = layer.stride * phases[-1]
        else:
            wanted = 2 if layer.kind == "max_pool" and layer.size == layer.stride == 2 else 1
    return phases[::-1]


def _pixels(lanes: Lanes, pixels: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return (destination, source) pairs of views that turn ``lanes`` into ``pixels`` (N,H,W,C)."""
    phases = lanes.phases
    return [
        (pixels[:, row::phases, column::phases], lanes.map[:, row, column].transpose(0, 2, 3, 1))
        for row, column in product(range(phases), range(phases))
    ]


def _copy(values: np.ndarray, out: np.ndarray) -> list[Step]:
    return [] if values is out else [copying(out, values)]
