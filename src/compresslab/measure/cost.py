"""Cost accounting, the same for every framework: what a model stores and what one inference computes.

The counters (``cost_torch``, ``cost_onnx``, ``cost_numpy``) fill these records from an artifact and an image shape.
Their common conventions, per image:

* MACs are the multiply-accumulates of convolutions, linear layers and matrix products; biases, activations,
  pooling and normalization count none. FLOPs are always two per MAC.
* Parameters are the numbers that training sets: weights, biases, scales and shifts of a normalization. A quantized
  parameter is zero when it stands for the real number zero.
* Weight bytes are the parameters and the running statistics in the type they are stored in; tables of activation
  functions and quantization parameters are apart.
* Sparse bytes are the weight bytes when every tensor takes the smaller of its dense and its sparse form.
* Activation bytes are the memory that a layer's output needs. Element-wise functions (activations, normalizations,
  additions) work in place, and views hold nothing, so these add none. The total is the sum over the layers, as if
  nothing were freed; the peak is the most that must be held at once while one image goes through layer by layer.
"""

import gzip
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

ImageShape = tuple[int, int, int]
"""Height, width, channels."""


@dataclass(frozen=True)
class LayerCost:
    """One layer of a model; ``output_shape`` is for one image and without the batch, in the framework's own order."""

    layer: str
    operator: str
    output_shape: tuple[int, ...]
    parameters: int
    nonzero_parameters: int
    macs: int
    weight_bytes: int
    activation_bytes: int


@dataclass(frozen=True)
class Storage:
    """What the parts of a model take, summed over its layers."""

    sparse_bytes: int
    table_bytes: int = 0
    quantization_bytes: int = 0


@dataclass(frozen=True)
class Costs:
    """The cost of one artifact; ``layers`` in the order of execution."""

    parameters: int
    nonzero_parameters: int
    macs: int
    flops: int
    weight_bytes: int
    table_bytes: int
    quantization_bytes: int
    stored_bytes: int
    file_bytes: int
    file_gz_bytes: int
    sparse_bytes: int
    activation_bytes: int
    activation_peak_bytes: int
    layers: tuple[LayerCost, ...]

    def totals(self) -> dict[str, int]:
        """Return the columns of the costs table."""
        return {name: value for name, value in asdict(self).items() if name != "layers"}

    def layer_rows(self) -> list[dict[str, Any]]:
        """Return the rows of the table of layers; shapes are written as ``16x14x14``."""
        return [{**asdict(layer), "output_shape": "x".join(map(str, layer.output_shape))} for layer in self.layers]

    def to_json(self) -> dict[str, Any]:
        """Return totals and layers, ready for JSON."""
        return {**self.totals(), "layers": self.layer_rows()}


def sparse_bytes(tensor: np.ndarray, zero_point: np.ndarray | int = 0) -> int:
    """Return the bytes of ``tensor`` in compressed sparse rows, or dense where that is smaller.

    The first axis makes the rows. CSR keeps the values that are not ``zero_point`` (of a shape that fits), a column
    index for each (16 bits where they suffice, else 32), and a 32-bit pointer per row and one more.
    """
    if tensor.ndim < 2:
        return int(tensor.nbytes)
    rows = len(tensor)
    index_bytes = 2 if tensor.size // rows <= 1 << 16 else 4
    kept = int(np.count_nonzero(tensor != zero_point))
    return min(int(tensor.nbytes), kept * (tensor.itemsize + index_bytes) + 4 * (rows + 1))


def total(layers: Sequence[LayerCost], storage: Storage, activation_peak_bytes: int, artifact: Path) -> Costs:
    """Add up the layers and measure the file, plain and under gzip (level 9, no time stamp)."""
    content = artifact.read_bytes()
    macs = sum(layer.macs for layer in layers)
    weight_bytes = sum(layer.weight_bytes for layer in layers)
    return Costs(
        parameters=sum(layer.parameters for layer in layers),
        nonzero_parameters=sum(layer.nonzero_parameters for layer in layers),
        macs=macs,
        flops=2 * macs,
        weight_bytes=weight_bytes,
        table_bytes=storage.table_bytes,
        quantization_bytes=storage.quantization_bytes,
        stored_bytes=weight_bytes + storage.table_bytes,
        file_bytes=len(content),
        file_gz_bytes=len(gzip.compress(content, compresslevel=9, mtime=0)),
        sparse_bytes=storage.sparse_bytes,
        activation_bytes=sum(layer.activation_bytes for layer in layers),
        activation_peak_bytes=activation_peak_bytes,
        layers=tuple(layers),
    )
