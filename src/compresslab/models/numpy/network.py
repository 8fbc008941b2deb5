"""The NumPy network: one container for float, integer and dequantized arithmetic, in a plain ``.npz``.

The member ``network`` is a 0-d unicode array that holds JSON: format, version, arithmetic, input shape [H, W, C],
preprocessing, classes and the list of layers; a quantized network adds ``activations`` (``lut`` or ``pwl``),
``granularity`` (``channel`` or ``tensor``) and ``segments`` (of each piecewise-linear curve). Every other member is
``{layer}.{array}``:

================================  =============  ================================================================
array                             dtype          meaning
================================  =============  ================================================================
weight                            float32, int8  convolution (kh, kw, in, out), linear (in, out)
bias                              float32, int8  (out,); int32 in integer arithmetic, with scale ``S_x S_w``
weight_scale, weight_zero_point   float32, int8  dequantized arithmetic: the affine map of the weights; bias alike
multiplier, shift                 int32, int8    integer arithmetic: ``M = multiplier / 2**shift``, (out,) or (1,)
preactivation_scale, _zero_point  float32, int8  the codes that enter a curve (SELU, GELU, Swish)
output_scale, output_zero_point   float32, int8  the codes that leave the layer (dequantized: not the last, which
                                                 stays real unless a curve made codes of it)
table                             int8           lut: the 256 outputs of codes -128 ... 127
breakpoints, slopes, intercepts,  int8, int16,   pwl in integer arithmetic: the first codes of all segments but the
slope_shift                       int32, int8    first, and the lines (see ``compress.activations``)
================================  =============  ================================================================

``input.scale`` and ``input.zero_point`` (one per channel) belong to a quantized network's input: the code of a pixel
p is p - 128, always. A linear layer that follows a feature map reads it flattened in (H, W, C) order.
"""

import json
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from compresslab.arrays import read_arrays, write_arrays
from compresslab.artifacts import canonical_json
from compresslab.data.preprocessing import Preprocessing
from compresslab.models.numpy.activations import ACTIVATIONS, CURVES
from compresslab.models.numpy.affine import QMAX, QMIN, Affine

FORMAT, VERSION = "compresslab-network", 1
ARITHMETICS = ("float", "integer", "dequantized")
CURVE_METHODS = ("lut", "pwl")
GRANULARITIES = ("channel", "tensor")
WEIGHTED = ("conv2d", "linear")
SETTINGS = {
    "conv2d": ("stride", "padding", "activation"),
    "max_pool": ("size", "stride"),
    "global_average_pool": (),
    "linear": ("activation",),
}
"""The kinds of layer, and the settings that each has beside its name."""

TABLES = ("table", "breakpoints", "slopes", "intercepts", "slope_shift")

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layer:
    """One layer: its settings and its arrays (names without the layer's prefix)."""

    name: str
    kind: str
    activation: str = "none"
    stride: int = 1
    padding: int = 0
    size: int = 0
    arrays: Mapping[str, np.ndarray] = field(default_factory=dict)

    def affine(self, tensor: str) -> Affine:
        """Return the affine map of ``tensor``: ``output``, ``preactivation``, ``weight`` or ``bias``."""
        return Affine(self.arrays[f"{tensor}_scale"], self.arrays[f"{tensor}_zero_point"])

    @property
    def curved(self) -> bool:
        """Whether the activation needs a table or a piecewise-linear approximation."""
        return self.activation in CURVES

    @property
    def codes(self) -> range:
        """The codes, relative to their zero point, between which a quantized layer's sums saturate.

        They are those of the pre-activation where a curve follows; a ReLU is a saturation at the zero point.
        """
        zero_point = int(self.affine("preactivation" if self.curved else "output").zero_point)
        return range(0 if self.activation == "relu" else QMIN - zero_point, QMAX - zero_point + 1)

    @property
    def weight(self) -> np.ndarray:
        """The weights: (kh, kw, in, out) or (in, out)."""
        return self.arrays["weight"]

    @property
    def bias(self) -> np.ndarray:
        """The bias (out,)."""
        return self.arrays["bias"]

    @property
    def nonzero_parameters(self) -> int:
        """The number of weights and biases whose real value is not zero (the code is not the zero point)."""
        count = 0
        for name in {"weight", "bias"} & set(self.arrays):
            zero = self.arrays.get(f"{name}_zero_point", np.int8(0))
            count += int(np.count_nonzero(self.arrays[name] != zero))
        return count

    def output_shape(self, shape: Shape) -> Shape:
        """Return the output shape, (H, W, C) or (features,), for an input shape; ValueError when they do not fit."""
        if self.kind == "linear":
            features = int(np.prod(shape))
            if self.weight.ndim != 2 or self.weight.shape[0] != features:
                raise ValueError(f"layer {self.name}: weight {self.weight.shape} does not read {features} features")
            return (self.weight.shape[1],)
        if len(shape) != 3:
            raise ValueError(f"layer {self.name}: {self.kind} needs a feature map, not {shape}")
        height, width, channels = shape
        if self.kind == "global_average_pool":
            return (channels,)
        if self.kind == "max_pool":
            window: Shape = (self.size, self.size)
        else:
            if self.weight.ndim != 4 or self.weight.shape[2] != channels:
                raise ValueError(f"layer {self.name}: weight {self.weight.shape} does not read {channels} channels")
            window, channels = self.weight.shape[:2], self.weight.shape[3]
        rows, columns = (
            (extent + 2 * self.padding - taps) // self.stride + 1
            for extent, taps in zip((height, width), window, strict=True)
        )
        if min(rows, columns, *window) < 1:
            raise ValueError(f"layer {self.name}: a window {window} does not fit into {shape}")
        return (rows, columns, channels)


@dataclass(frozen=True)
class Network:
    """A sequence of layers with the preprocessing and the classes it was trained with; consistent once it exists.

    Raises ValueError (one line: which layer, what is wrong) when settings, shapes or dtypes contradict each other, or
    when an integer layer's accumulators could leave int32.
    """

    arithmetic: str
    input_shape: tuple[int, int, int]
    preprocessing: Preprocessing
    classes: tuple[str, ...]
    layers: tuple[Layer, ...]
    activations: str | None = None
    granularity: str | None = None
    segments: int | None = None
    input_affine: Affine | None = None

    def __post_init__(self) -> None:
        _check_settings(self)
        for layer, shape in zip(self.layers, (self.input_shape, *self.shapes.values()), strict=False):
            _check_arrays(self, layer, shape)
        if list(self.shapes.values())[-1] != (len(self.classes),):
            raise ValueError(f"the last layer gives {list(self.shapes.values())[-1]}, not {len(self.classes)} classes")
        if self.arithmetic == "integer":
            for layer, bound in zip(self.layers, self.accumulator_bounds, strict=True):
                if bound >= 2**31:
                    raise ValueError(f"layer {layer.name}: accumulators may reach {bound}, which int32 cannot hold")

    @cached_property
    def shapes(self) -> dict[str, Shape]:
        """The output shape of each layer by name: (H, W, C), or (features,) after pooling everything."""
        shapes: dict[str, Shape] = {}
        shape: Shape = self.input_shape
        for layer in self.layers:
            shape = shapes[layer.name] = layer.output_shape(shape)
        return shapes

    @cached_property
    def input_affines(self) -> tuple[Affine, ...]:
        """The affine map of the codes that enter each layer of a quantized network."""
        assert self.input_affine is not None
        affines = [self.input_affine]
        for layer in self.layers[:-1]:
            affines.append(layer.affine("output") if "output_scale" in layer.arrays else affines[-1])
        return tuple(affines)

    @cached_property
    def accumulator_bounds(self) -> tuple[int, ...]:
        """For each layer of an integer network, a proven bound of ``|accumulator|`` and of every partial sum of it.

        Weighted layers: the largest over output channels of ``sum |w| max|q - Z| + |bias|``. Global average pooling:
        ``H W max|q - Z|``. Max-pooling accumulates nothing.
        """
        bounds = []
        shape: Shape = self.input_shape
        for layer, affine in zip(self.layers, self.input_affines, strict=True):
            offset = affine.largest_offset
            if layer.kind in WEIGHTED:
                sizes = np.abs(layer.weight.astype(np.int64))
                if layer.kind == "linear" and offset.ndim:
                    offset = np.tile(offset, len(sizes) // len(offset))
                products = sizes * (offset[:, np.newaxis] if offset.ndim else offset)
                totals = products.reshape(-1, sizes.shape[-1]).sum(0) + np.abs(layer.bias.astype(np.int64))
                bounds.append(int(totals.max()))
            elif layer.kind == "global_average_pool":
                bounds.append(shape[0] * shape[1] * int(offset.max()))
            else:
                bounds.append(0)
            shape = self.shapes[layer.name]
        return tuple(bounds)

    def arrays(self) -> Iterator[tuple[str, np.ndarray]]:
        """Yield every stored array with its full name, in layer order."""
        if self.input_affine is not None:
            yield "input.scale", self.input_affine.scale
            yield "input.zero_point", self.input_affine.zero_point
        for layer in self.layers:
            for name, array in layer.arrays.items():
                yield f"{layer.name}.{name}", array

    @property
    def parameters(self) -> int:
        """The number of weights and biases."""
        return sum(array.size for name, array in self.arrays() if _role(name) == "weight")

    @property
    def nonzero_parameters(self) -> int:
        """The number of weights and biases whose real value is not zero (the code is not the zero point)."""
        return sum(layer.nonzero_parameters for layer in self.layers)

    @property
    def weight_bytes(self) -> int:
        """The bytes of weights and biases."""
        return self._bytes("weight")

    @property
    def table_bytes(self) -> int:
        """The bytes of look-up tables and of stored piecewise-linear curves."""
        return self._bytes("table")

    @property
    def quantization_bytes(self) -> int:
        """The bytes of scales, zero points, multipliers and shifts."""
        return self._bytes("quantization")

    def _bytes(self, role: str) -> int:
        return sum(array.nbytes for name, array in self.arrays() if _role(name) == role)


def save(network: Network, path: Path) -> None:
    """Write ``network`` to ``path`` (whole or not at all); equal networks give equal bytes."""
    header = canonical_json(_header(network))
    write_arrays(path, {"network": np.array(header), **dict(network.arrays())}, compress=True)


def load(path: Path) -> Network:
    """Read a network and check it; whatever is wrong with the file is a one-line ValueError that names it."""
    try:
        return _parse(read_arrays(path))
    except FileNotFoundError:
        raise
    except (
        ValueError,
        TypeError,
        KeyError,
        EOFError,
        OSError,
        NotImplementedError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} is not a usable NumPy network: {reason}") from error


def _role(name: str) -> str:
    array = name.rpartition(".")[2]
    if array in ("weight", "bias"):
        return "weight"
    return "table" if array in TABLES else "quantization"


def _header(network: Network) -> dict[str, Any]:
    header = {
        "format": FORMAT,
        "version": VERSION,
        "arithmetic": network.arithmetic,
        "input_shape": list(network.input_shape),
        "preprocessing": network.preprocessing.to_json(),
        "classes": list(network.classes),
        "layers": [
            {"name": layer.name, "kind": layer.kind} | {key: getattr(layer, key) for key in SETTINGS[layer.kind]}
            for layer in network.layers
        ],
    }
    if network.arithmetic != "float":
        header |= {"activations": network.activations, "granularity": network.granularity, "segments": network.segments}
    return header


def _parse(members: dict[str, np.ndarray]) -> Network:
    if "network" not in members or members["network"].dtype.kind != "U":
        raise ValueError("it has no member 'network' with the description of the layers")
    header = json.loads(str(members.pop("network")))
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise ValueError(f"its format is not {FORMAT!r}")
    if header.get("version") != VERSION:
        raise ValueError(f"its version is {header.get('version')!r}, this program reads {VERSION}")
    missing = {"arithmetic", "input_shape", "preprocessing", "classes", "layers"} - header.keys()
    if missing:
        raise ValueError(f"its description lacks {', '.join(sorted(missing))}")
    if not all(isinstance(header[key], list) for key in ("input_shape", "classes", "layers")):
        raise ValueError("input_shape, classes and layers must be lists")
    by_layer: dict[str, dict[str, np.ndarray]] = {}
    for name, array in members.items():
        layer, _, key = name.rpartition(".")
        by_layer.setdefault(layer, {})[key] = array
    layers = tuple(_parse_layer(entry, by_layer) for entry in header["layers"])
    input_arrays = by_layer.pop("input", None)
    if by_layer:
        raise ValueError(f"it has arrays of no layer: {', '.join(sorted(by_layer))}")
    return Network(
        arithmetic=header["arithmetic"],
        input_shape=tuple(header["input_shape"]),
        preprocessing=Preprocessing.from_json(header["preprocessing"]),
        classes=tuple(header["classes"]),
        layers=layers,
        activations=header.get("activations"),
        granularity=header.get("granularity"),
        segments=header.get("segments"),
        input_affine=None if input_arrays is None else Affine(input_arrays["scale"], input_arrays["zero_point"]),
    )


def _parse_layer(entry: Any, by_layer: dict[str, dict[str, np.ndarray]]) -> Layer:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise ValueError(f"a layer must have a name, got {entry!r}")
    if entry.get("kind") not in SETTINGS:
        raise ValueError(f"layer {entry['name']}: unknown kind {entry.get('kind')!r}")
    settings = set(SETTINGS[entry["kind"]])
    if entry.keys() != settings | {"name", "kind"}:
        raise ValueError(f"layer {entry['name']}: a {entry['kind']} has the settings {sorted(settings)}, got {entry}")
    return Layer(**entry, arrays=by_layer.pop(entry["name"], {}))


def _check_settings(network: Network) -> None:
    names = [layer.name for layer in network.layers]
    if not names or len(set(names)) != len(names) or "input" in names:
        raise ValueError(f"layers need distinct names other than 'input', got {names}")
    if network.arithmetic not in ARITHMETICS:
        raise ValueError(f"unknown arithmetic {network.arithmetic!r}; known are {', '.join(ARITHMETICS)}")
    if len(network.input_shape) != 3 or not all(_natural(extent, 1) for extent in network.input_shape):
        raise ValueError(f"input_shape must be three positive integers [H, W, C], got {network.input_shape}")
    if len(network.preprocessing.mean) != network.input_shape[2]:
        raise ValueError(f"preprocessing has {len(network.preprocessing.mean)} channels, input {network.input_shape}")
    if not all(isinstance(name, str) for name in network.classes):
        raise ValueError(f"classes must be names, got {network.classes}")
    quantized = network.arithmetic != "float"
    if quantized and (network.activations not in CURVE_METHODS or network.granularity not in GRANULARITIES):
        raise ValueError(f"unknown activations {network.activations!r} or granularity {network.granularity!r}")
    if quantized and not (_natural(network.segments, 1) and int(network.segments or 0) <= 255):
        raise ValueError(f"segments must be 1 to 255, got {network.segments!r}")
    for layer in network.layers:
        smallest = {"stride": 1, "padding": 0, "size": 1}
        for setting in set(smallest) & set(SETTINGS[layer.kind]):
            if not _natural(getattr(layer, setting), smallest[setting]):
                raise ValueError(f"layer {layer.name}: {setting} must be an integer of at least {smallest[setting]}")
        if layer.activation not in ACTIVATIONS:
            raise ValueError(f"layer {layer.name}: unknown activation {layer.activation!r}")
    if quantized != (network.input_affine is not None):
        raise ValueError("a quantized network, and no other, has input.scale and input.zero_point")
    if network.input_affine is not None:
        wanted = {"scale": ("float32", ()), "zero_point": ("int8", (network.input_shape[2],))}
        _compare("input", {"scale": network.input_affine.scale, "zero_point": network.input_affine.zero_point}, wanted)


def _check_arrays(network: Network, layer: Layer, shape: Shape) -> None:
    wanted = _expected_arrays(network, layer)
    _compare(f"layer {layer.name}", layer.arrays, wanted)
    if "shift" in layer.arrays and (np.any(layer.arrays["shift"] < 1) or np.any(layer.arrays["shift"] > 62)):
        raise ValueError(f"layer {layer.name}: shifts must be 1 to 62")
    if "multiplier" in layer.arrays and np.any(layer.arrays["multiplier"] < 0):
        raise ValueError(f"layer {layer.name}: multipliers must not be negative")
    if "slope_shift" in layer.arrays and not 1 <= layer.arrays["slope_shift"] <= 30:
        raise ValueError(f"layer {layer.name}: slope_shift must be 1 to 30")
    if "breakpoints" in layer.arrays and np.any(np.diff(layer.arrays["breakpoints"].astype(int)) <= 0):
        raise ValueError(f"layer {layer.name}: breakpoints must increase")
    layer.output_shape(shape)


def _expected_arrays(network: Network, layer: Layer) -> dict[str, tuple[str, Shape]]:
    """Return the dtype and shape of every array that ``layer`` must have (a weight of the right rank: its own)."""
    affine: dict[str, tuple[str, Shape]] = {"scale": ("float32", ()), "zero_point": ("int8", ())}
    expected: dict[str, tuple[str, Shape]] = {}
    weighted = layer.kind in WEIGHTED
    if weighted:
        if "weight" not in layer.arrays or layer.weight.ndim != (4 if layer.kind == "conv2d" else 2):
            raise ValueError(f"layer {layer.name}: a {layer.kind} needs a weight of the right rank")
        code = "float32" if network.arithmetic == "float" else "int8"
        outputs = layer.weight.shape[-1]
        bias = "int32" if network.arithmetic == "integer" else code
        expected = {"weight": (code, layer.weight.shape), "bias": (bias, (outputs,))}
    if network.arithmetic == "float" or layer.kind == "max_pool":
        return expected
    last = layer is network.layers[-1]
    real = last and network.arithmetic == "dequantized" and not layer.curved
    tensors = [] if real else ["output"]
    if weighted and layer.curved:
        tensors.append("preactivation")
        if network.activations == "lut":
            expected["table"] = ("int8", (256,))
        elif network.arithmetic == "integer":
            segments = int(network.segments or 0)
            expected |= {"breakpoints": ("int8", (segments - 1,)), "slopes": ("int16", (segments,))}
            expected |= {"intercepts": ("int32", (segments,)), "slope_shift": ("int8", ())}
    if network.arithmetic == "dequantized" and weighted:
        tensors += ["weight", "bias"]
    if network.arithmetic == "integer":
        factors = (outputs,) if weighted and network.granularity == "channel" else (1,)
        expected |= {"multiplier": ("int32", factors), "shift": ("int8", factors)}
    return expected | {f"{tensor}_{key}": affine[key] for tensor in tensors for key in affine}


def _compare(owner: str, arrays: Mapping[str, np.ndarray], wanted: Mapping[str, tuple[str, Shape]]) -> None:
    if arrays.keys() != wanted.keys():
        raise ValueError(f"{owner}: has the arrays {sorted(arrays)}, needs {sorted(wanted)}")
    for name, (dtype, shape) in wanted.items():
        array = arrays[name]
        if array.dtype != np.dtype(dtype) or array.shape != shape:
            raise ValueError(f"{owner}: {name} is {array.dtype} {array.shape}, needs {dtype} {shape}")
        if array.dtype.kind == "f" and not np.all(np.isfinite(array)):
            raise ValueError(f"{owner}: {name} is not finite")
        if name.endswith("scale") and not array > 0:
            raise ValueError(f"{owner}: {name} must be positive")


def _natural(value: object, smallest: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= smallest
