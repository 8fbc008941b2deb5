"""Layers that can be trained: forward and backward, with the images of a batch side by side in memory.

Feature maps are (C, H, W, N), features (F, N): the batch is the innermost axis. A row of a map over all images is then
one contiguous run of W x N numbers, whatever part of the row a tap of a kernel or a window of a pooling wants, and the
matrix of a convolution is long copies instead of many short ones.

Every layer is bound to the array that it reads and owns the arrays that it writes; the next call overwrites them.
"""

from dataclasses import dataclass
from itertools import product
from typing import Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from compresslab.models.numpy.network import Layer
from compresslab.train.numpy.parameters import Weights

CHUNK_BYTES = 2**21
"""Most that the matrix of a convolution takes at a time: small enough for a cache, large enough to share the calls."""


class Trainable(Protocol):
    """One step of a network in training."""

    output: np.ndarray

    def forward(self) -> None:
        """Compute ``output`` from the array that the layer reads."""

    def backward(self, gradient: np.ndarray) -> np.ndarray | None:
        """Take the gradient with respect to ``output`` and return the one with respect to what was read.

        Writes the gradients of the layer's weights; the returned array is the layer's own. None where nobody asked
        for it. Valid after :meth:`forward`; ``gradient`` is left as it is.
        """


@dataclass(frozen=True)
class _Rows:
    """Some output rows of a convolution: their windows, and buffers for their columns.

    ``windows`` and ``taps`` are (C, kh, kw, rows, W', N), ``columns`` is ``taps`` as a matrix, ``outputs`` says which
    columns of the whole (out, H' * W' * N) they are.
    """

    first: int
    count: int
    windows: np.ndarray
    taps: np.ndarray
    columns: np.ndarray
    outputs: slice


class Convolution:
    """A convolution as products of matrices, a few output rows at a time."""

    def __init__(self, source: np.ndarray, layer: Layer, weights: Weights, with_gradient: bool) -> None:
        channels, height, width, images = source.shape
        self._source, self._weights, self._stride = source, weights, layer.stride
        padding = layer.padding
        self._padded = source
        if padding:
            self._padded = np.zeros((channels, height + 2 * padding, width + 2 * padding, images), source.dtype)
        inside = (slice(None), slice(padding, padding + height), slice(padding, padding + width))
        self._interior = self._padded[inside]
        self._windows = self._all_windows(layer.weight.shape[:2])
        rows, columns = self._windows.shape[3:5]
        self.output = np.empty((len(weights.bias), rows, columns, images), source.dtype)
        self._chunks = self._split()
        self._share = np.empty_like(weights.weight)
        if with_gradient:
            self._padded_gradient = np.empty_like(self._padded)
            self._gradient: np.ndarray | None = self._padded_gradient[inside]
        else:
            self._gradient = None

    def forward(self) -> None:
        """Compute ``weight @ columns + bias``."""
        if self._padded is not self._source:
            np.copyto(self._interior, self._source)
        sums = self.output.reshape(len(self.output), -1)
        bias = self._weights.bias[:, np.newaxis]
        for chunk in self._chunks:
            np.copyto(chunk.taps, chunk.windows)
            part = sums[:, chunk.outputs]
            np.matmul(self._weights.weight, chunk.columns, out=part)
            np.add(part, bias, out=part)

    def backward(self, gradient: np.ndarray) -> np.ndarray | None:
        """Compute ``gradient @ columns.T`` for the weights, and scatter ``weight.T @ gradient`` for the input."""
        sums = gradient.reshape(len(gradient), -1)
        np.sum(sums, axis=1, out=self._weights.bias_gradient)
        self._weights.weight_gradient[...] = 0
        if self._gradient is not None:
            self._padded_gradient[...] = 0
        for chunk in self._chunks:
            # The columns are made anew: that is cheaper than to keep those of all rows, which no cache holds.
            np.copyto(chunk.taps, chunk.windows)
            part = sums[:, chunk.outputs]
            np.matmul(part, chunk.columns.T, out=self._share)
            np.add(self._weights.weight_gradient, self._share, out=self._weights.weight_gradient)
            if self._gradient is not None:
                np.matmul(self._weights.weight.T, part, out=chunk.columns)
                self._scatter(chunk)
        return self._gradient

    def _all_windows(self, kernel: tuple[int, ...]) -> np.ndarray:
        windows = sliding_window_view(self._padded, kernel, (1, 2))
        return windows[:, :: self._stride, :: self._stride].transpose(0, 4, 5, 1, 2, 3)

    def _split(self) -> list[_Rows]:
        windows = self._windows
        *taps, rows, columns, images = windows.shape
        depth, run = int(np.prod(taps)), columns * images
        most = min(rows, max(1, CHUNK_BYTES // (depth * run * windows.itemsize)))
        buffer = np.empty(depth * most * run, windows.dtype)
        chunks = []
        for first in range(0, rows, most):
            count = min(most, rows - first)
            used = buffer[: depth * count * run]
            chunks.append(
                _Rows(
                    first,
                    count,
                    windows[:, :, :, first : first + count],
                    used.reshape(*taps, count, columns, images),
                    used.reshape(depth, -1),
                    slice(first * run, (first + count) * run),
                )
            )
        return chunks

    def _scatter(self, chunk: _Rows) -> None:
        """Add the gradients of the columns to the pixels that they were copied from."""
        stride, (height, width) = self._stride, chunk.taps.shape[1:3]
        row_reach, column_reach = stride * (chunk.count - 1) + 1, stride * (chunk.taps.shape[4] - 1) + 1
        for row, column in product(range(height), range(width)):
            top = chunk.first * stride + row
            pixels = self._padded_gradient[:, top : top + row_reach : stride, column : column + column_reach : stride]
            np.add(pixels, chunk.taps[:, row, column], out=pixels)


class Linear:
    """A product with a weight matrix; a feature map is read flattened in (C, H, W) order."""

    def __init__(self, source: np.ndarray, weights: Weights, with_gradient: bool) -> None:
        self._features = source.reshape(-1, source.shape[-1])
        self._weights = weights
        self.output = np.empty((len(weights.bias), source.shape[-1]), source.dtype)
        self._gradient = np.empty_like(source) if with_gradient else None

    def forward(self) -> None:
        """Compute ``weight @ features + bias``."""
        np.matmul(self._weights.weight, self._features, out=self.output)
        np.add(self.output, self._weights.bias[:, np.newaxis], out=self.output)

    def backward(self, gradient: np.ndarray) -> np.ndarray | None:
        """Compute ``gradient @ features.T`` and ``weight.T @ gradient``."""
        np.matmul(gradient, self._features.T, out=self._weights.weight_gradient)
        np.sum(gradient, axis=1, out=self._weights.bias_gradient)
        if self._gradient is not None:
            np.matmul(self._weights.weight.T, gradient, out=self._gradient.reshape(self._features.shape))
        return self._gradient


class MaxPool:
    """The largest value of every window; where several are largest, the first (row by row) gets the gradient."""

    def __init__(self, source: np.ndarray, layer: Layer) -> None:
        channels, height, width, images = source.shape
        size, stride = layer.size, layer.stride
        rows, columns = ((extent - size) // stride + 1 for extent in (height, width))
        self.output = np.empty((channels, rows, columns, images), source.dtype)
        self._gradient = np.empty_like(source)
        self._tiled = size == stride and (rows * size, columns * size) == (height, width)
        row_reach, column_reach = stride * (rows - 1) + 1, stride * (columns - 1) + 1
        places = [
            (slice(None), slice(top, top + row_reach, stride), slice(left, left + column_reach, stride))
            for top, left in product(range(size), range(size))
        ]
        self._views = [source[place] for place in places]
        self._gradients = [self._gradient[place] for place in places]
        self._largest = np.empty(self.output.shape, bool)
        self._share, self._rest = np.empty_like(self.output), np.empty_like(self.output)

    def forward(self) -> None:
        """Take the maximum over the windows' places, one place of all windows at a time."""
        np.copyto(self.output, self._views[0])
        for view in self._views[1:]:
            np.maximum(self.output, view, out=self.output)

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        """Hand the gradient from place to place until one is the largest; what has gone is zero from there on."""
        if not self._tiled:
            self._gradient[...] = 0
        np.copyto(self._rest, gradient)
        for view, pixels in zip(self._views[:-1], self._gradients[:-1], strict=True):
            np.equal(view, self.output, out=self._largest)
            np.multiply(self._rest, self._largest, out=self._share)
            np.subtract(self._rest, self._share, out=self._rest)
            self._give(pixels, self._share)
        self._give(self._gradients[-1], self._rest)
        return self._gradient

    def _give(self, pixels: np.ndarray, share: np.ndarray) -> None:
        if self._tiled:
            np.copyto(pixels, share)
        else:
            np.add(pixels, share, out=pixels)


class GlobalAveragePool:
    """The mean of every channel."""

    def __init__(self, source: np.ndarray) -> None:
        self._source = source
        self.output = np.empty((source.shape[0], source.shape[-1]), source.dtype)
        self._gradient = np.empty_like(source)

    def forward(self) -> None:
        """Average over rows and columns."""
        np.mean(self._source, axis=(1, 2), out=self.output)

    def backward(self, gradient: np.ndarray) -> np.ndarray:
        """Give every pixel the same part."""
        _, height, width, _ = self._source.shape
        np.copyto(self._gradient, (gradient / (height * width))[:, np.newaxis, np.newaxis])
        return self._gradient
