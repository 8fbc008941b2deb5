"""An integer network evaluated with Python integers and loops, and random networks to evaluate.

Nothing here is shared with the engines: no NumPy arithmetic, no fixed-point module, no int32. Python's integers have no
width, so a wrap-around in an engine cannot hide.
"""

from fractions import Fraction
from math import floor

import numpy as np
from hypothesis import strategies as st

from compresslab.compress import fixed_point
from compresslab.data.preprocessing import Preprocessing
from compresslab.models.numpy.activations import CURVES
from compresslab.models.numpy.affine import Affine
from compresslab.models.numpy.network import Layer, Network

Map = list[list[list[int]]]


def logits(network: Network, codes: np.ndarray) -> np.ndarray:
    """The int8 logits (N, classes) of int8 input codes (N,H,W,C)."""
    return np.array([_image(network, image.tolist()) for image in codes], np.int8)


def _image(network: Network, values):
    zeros = network.input_affine.zero_point.tolist()
    for layer in network.layers:
        if layer.kind == "conv2d":
            values = _convolution(layer, values, zeros)
        elif layer.kind == "max_pool":
            values = _max_pool(layer, values)
        elif layer.kind == "global_average_pool":
            values = _average(layer, values, zeros)
        else:
            values = _linear(layer, values, zeros)
        if "output_zero_point" in layer.arrays:
            zeros = [int(layer.arrays["output_zero_point"])] * layer.arrays.get("bias", np.zeros(len(zeros))).size
    return values


def _convolution(layer: Layer, image: Map, zeros: list[int]) -> Map:
    weight = layer.weight.tolist()
    height, width = len(image), len(image[0])
    kernel_height, kernel_width, channels, outputs = layer.weight.shape
    rows = (height + 2 * layer.padding - kernel_height) // layer.stride + 1
    columns = (width + 2 * layer.padding - kernel_width) // layer.stride + 1
    result = []
    for row in range(rows):
        line = []
        for column in range(columns):
            sums = [int(bias) for bias in layer.bias]
            for i in range(kernel_height):
                for j in range(kernel_width):
                    y, x = row * layer.stride + i - layer.padding, column * layer.stride + j - layer.padding
                    for c in range(channels):
                        # Padding holds the zero point itself.
                        code = image[y][x][c] if 0 <= y < height and 0 <= x < width else zeros[c]
                        for output in range(outputs):
                            sums[output] += weight[i][j][c][output] * (code - zeros[c])
            line.append([_finish(layer, total, output) for output, total in enumerate(sums)])
        result.append(line)
    return result


def _max_pool(layer: Layer, image: Map) -> Map:
    rows = (len(image) - layer.size) // layer.stride + 1
    columns = (len(image[0]) - layer.size) // layer.stride + 1
    window = range(layer.size)
    return [
        [
            [
                max(image[row * layer.stride + i][column * layer.stride + j][c] for i in window for j in window)
                for c in range(len(image[0][0]))
            ]
            for column in range(columns)
        ]
        for row in range(rows)
    ]


def _average(layer: Layer, image: Map, zeros: list[int]) -> list[int]:
    sums = [sum(pixel[c] - zeros[c] for line in image for pixel in line) for c in range(len(zeros))]
    return [_finish(layer, total, 0) for total in sums]


def _linear(layer: Layer, values, zeros: list[int]) -> list[int]:
    if isinstance(values[0], list):
        values = [code for line in values for pixel in line for code in pixel]
    zeros = zeros * (len(values) // len(zeros))
    weight = layer.weight.tolist()
    result = []
    for output in range(layer.weight.shape[1]):
        total = int(layer.bias[output]) + sum(weight[k][output] * (code - zeros[k]) for k, code in enumerate(values))
        result.append(_finish(layer, total, output))
    return result


def _finish(layer: Layer, total: int, output: int) -> int:
    """Requantize one accumulator (exact fraction, round half up, saturate) and apply the activation."""
    multiplier, shift = layer.arrays["multiplier"].tolist(), layer.arrays["shift"].tolist()
    channel = output if len(multiplier) > 1 else 0
    scaled = floor(Fraction(total * multiplier[channel], 2 ** shift[channel]) + Fraction(1, 2))
    curved = "preactivation_zero_point" in layer.arrays
    zero_point = int(layer.arrays["preactivation_zero_point" if curved else "output_zero_point"])
    lowest = zero_point if layer.activation == "relu" else -128
    code = min(max(scaled + zero_point, lowest), 127)
    if not curved:
        return code
    if "table" in layer.arrays:
        return int(layer.arrays["table"][code + 128])
    segment = sum(1 for start in layer.arrays["breakpoints"].tolist() if start <= code)
    line = int(layer.arrays["slopes"][segment]) * code + int(layer.arrays["intercepts"][segment])
    return min(max(floor(Fraction(line, 2 ** int(layer.arrays["slope_shift"]))), -128), 127)


@st.composite
def networks(draw, smallest: int = 4, largest: int = 9) -> Network:
    """Random integer networks: geometry from hypothesis, numbers from a seeded generator (monotone curves or not)."""
    generator = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    granularity, curves = draw(st.sampled_from(["channel", "tensor"])), draw(st.sampled_from(["lut", "pwl"]))
    extents = st.integers(smallest, largest)
    input_shape = (draw(extents), draw(extents), draw(st.integers(1, 3)))
    segments = draw(st.integers(1, 6))
    numbers = _Numbers(generator, granularity, curves, segments)
    entering = numbers.affine((input_shape[2],))
    layers: list[Layer] = []
    shape: tuple[int, ...] = input_shape
    for index in range(draw(st.integers(1, 3))):
        if draw(st.booleans()):
            layer = Layer(f"pool{index}", "max_pool", size=draw(st.integers(1, 2)), stride=draw(st.integers(1, 2)))
        else:
            padding = draw(st.integers(0, 2))
            kernel = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
            weight = numbers.codes((*kernel, shape[2], draw(st.integers(1, 5))))
            activation = draw(st.sampled_from(["none", "relu", "selu", "gelu", "swish"]))
            arrays = numbers.weighted(weight, activation)
            layer = Layer(f"conv{index}", "conv2d", activation, draw(st.integers(1, 2)), padding, arrays=arrays)
        try:
            shape = layer.output_shape(shape)
        except ValueError:
            break
        layers.append(layer)
    if draw(st.booleans()):
        layers.append(Layer("gap", "global_average_pool", arrays=numbers.pooled(shape[0] * shape[1])))
        shape = shape[2:]
    weight = numbers.codes((int(np.prod(shape)), 4))
    layers.append(Layer("linear", "linear", arrays=numbers.weighted(weight, "none")))
    channels = input_shape[2]
    preprocessing = Preprocessing((0.5,) * channels, (0.5,) * channels)
    classes = tuple("abcd")
    return Network(
        "integer", input_shape, preprocessing, classes, tuple(layers), curves, granularity, segments, entering
    )


class _Numbers:
    """Draws the arrays of random integer layers."""

    def __init__(self, generator: np.random.Generator, granularity: str, curves: str, segments: int) -> None:
        self._generator, self._granularity, self._curves, self._segments = generator, granularity, curves, segments

    def codes(self, shape: tuple[int, ...]) -> np.ndarray:
        return self._generator.integers(-127, 128, shape, np.int8)

    def affine(self, shape: tuple[int, ...] = ()) -> Affine:
        zero_point = np.array(self._generator.integers(-128, 128, shape), np.int8)
        return Affine(np.array(self._generator.uniform(0.01, 1), np.float32), zero_point)

    def weighted(self, weight: np.ndarray, activation: str) -> dict[str, np.ndarray]:
        outputs, inputs = weight.shape[-1], weight.size // weight.shape[-1]
        bias = self._generator.integers(-3000, 3000, outputs).astype(np.int32)
        arrays = {"weight": weight, "bias": bias}
        arrays |= self._factors(outputs if self._granularity == "channel" else 1, 90 * 90 * inputs**0.5)
        arrays |= self._affine_arrays("output")
        if activation in CURVES:
            arrays |= self._affine_arrays("preactivation") | self._curve()
        return arrays

    def pooled(self, positions: int) -> dict[str, np.ndarray]:
        return self._factors(1, positions) | self._affine_arrays("output")

    def _affine_arrays(self, tensor: str) -> dict[str, np.ndarray]:
        affine = self.affine()
        return {f"{tensor}_scale": affine.scale, f"{tensor}_zero_point": affine.zero_point}

    def _factors(self, count: int, magnitude: float) -> dict[str, np.ndarray]:
        """Factors that bring accumulators of that magnitude somewhere between a few codes and far beyond saturation."""
        reach = self._generator.uniform(1, 400, count)
        multiplier, shift = fixed_point.encode(reach / magnitude)
        if self._generator.random() < 0.3:
            # A power of two makes exact ties common.
            multiplier = np.full_like(multiplier, 2**30)
        return {"multiplier": multiplier, "shift": shift}

    def _curve(self) -> dict[str, np.ndarray]:
        if self._curves == "lut":
            table = self._generator.integers(-128, 128, 256).astype(np.int8)
            return {"table": np.sort(table) if self._generator.random() < 0.5 else table}
        starts = self._generator.choice(np.arange(-127, 128), self._segments - 1, replace=False)
        return {
            "breakpoints": np.sort(starts).astype(np.int8),
            "slopes": self._generator.integers(-2000, 8000, self._segments).astype(np.int16),
            "intercepts": self._generator.integers(-400000, 400000, self._segments).astype(np.int32),
            "slope_shift": np.array(12, np.int8),
        }
