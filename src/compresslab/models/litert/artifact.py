"""A LiteRT model as one ``.tflite`` file: the converter's graph, what a user of it must know, and a seal.

Image shape, preprocessing, classes and layers are one JSON text in the flatbuffer's own metadata. Behind the flatbuffer
comes a seal, a mark and the SHA-256 of all before it, which the runtime does not look at. The runtime trusts its files
and may crash on a damaged one; a file without its seal is refused before anything is parsed.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from compresslab.artifacts import canonical_json, written_whole
from compresslab.data.preprocessing import Preprocessing
from compresslab.models.errors import ArtifactError

METADATA = "compresslab"
_IDENTIFIER = b"TFL3"
_MARK = b"compresslab-seal"
_SEAL_BYTES = len(_MARK) + hashlib.sha256().digest_size

_OPERATORS = {number: name for name, number in vars(schema.BuiltinOperator).items() if isinstance(number, int)}
_DTYPES = {
    getattr(schema.TensorType, name): np.dtype(dtype)
    for name, dtype in {
        **{"FLOAT32": "f4", "FLOAT16": "f2", "FLOAT64": "f8", "BOOL": "?", "UINT8": "u1"},
        **{"INT8": "i1", "INT16": "i2", "INT32": "i4", "INT64": "i8"},
    }.items()
}


@dataclass(frozen=True)
class Description:
    """What a user of a LiteRT model must know.

    ``image_shape`` is (H, W, C); ``layers`` maps a layer's name to the number of the tensor that it puts out, in order.
    """

    image_shape: tuple[int, int, int]
    preprocessing: Preprocessing
    classes: tuple[str, ...]
    layers: Mapping[str, int]


@dataclass(frozen=True, eq=False)
class Tensor:
    """One tensor of the graph; a real number is ``scale * (q - zero_point)``, per entry of dimension ``axis``.

    ``shape`` is for one image. ``scales`` and ``zero_points`` are empty for a tensor that is not quantized; ``values``
    is None for one that is computed.
    """

    name: str
    shape: tuple[int, ...]
    dtype: np.dtype
    scales: np.ndarray
    zero_points: np.ndarray
    axis: int
    values: np.ndarray | None

    def dequantized(self, values: np.ndarray) -> np.ndarray:
        """Return ``values`` of this tensor as float32."""
        if not len(self.scales):
            return values.astype(np.float32)
        shape = [1] * values.ndim
        if len(self.scales) > 1:
            shape[self.axis] = -1
        zero_points, scales = (parameter.reshape(shape) for parameter in (self.zero_points, self.scales))
        return ((values.astype(np.int32) - zero_points) * scales).astype(np.float32)


@dataclass(frozen=True)
class Operator:
    """One operation, by its name in the schema (``CONV_2D``), and the numbers of its tensors; absent ones are -1."""

    name: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Graph:
    """Tensors, operations in the order of execution, and the numbers of the input and output tensors."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class LiteRTModel:
    """A whole file: its flatbuffer for the runtime, its graph, its description."""

    flatbuffer: bytes
    graph: Graph
    description: Description


def save(path: Path, converted: LiteRTModel) -> None:
    """Write a model that was just converted; equal models give equal bytes."""
    model, description = schema.ModelT.InitFromPackedBuf(converted.flatbuffer), converted.description
    text = {
        "image_shape": list(description.image_shape),
        "preprocessing": description.preprocessing.to_json(),
        "classes": list(description.classes),
        # A list, since canonical JSON sorts the keys of an object.
        "layers": [[name, tensor] for name, tensor in description.layers.items()],
    }
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(canonical_json(text).encode(), np.uint8)
    entry.name, entry.buffer = METADATA, len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(model.metadata or []), entry]
    content = _packed(model)
    with written_whole(path) as temporary:
        temporary.write_bytes(content + _seal(content))


def load(path: Path) -> LiteRTModel:
    """Read what :func:`save` wrote; nothing of it is given to the runtime yet.

    Raises ArtifactError for a truncated, damaged or foreign file; FileNotFoundError when there is no file.
    """
    path = Path(path)
    content = path.read_bytes()
    flatbuffer, seal = content[:-_SEAL_BYTES], content[-_SEAL_BYTES:]
    if seal != _seal(flatbuffer):
        raise ArtifactError(
            f"{path}: truncated, damaged or not a LiteRT model of compresslab; delete it and run export-litert or "
            "qat-tfmot again"
        )
    model = schema.ModelT.InitFromPackedBuf(flatbuffer)
    return LiteRTModel(flatbuffer, _graph(model), _description(path, model))


def graph(flatbuffer: bytes) -> Graph:
    """Return the graph of a model that comes straight from the converter."""
    return _graph(schema.ModelT.InitFromPackedBuf(flatbuffer))


def with_outputs(flatbuffer: bytes, tensors: Sequence[int]) -> bytes:
    """Return the same model with other outputs: tensors that it computes on its way."""
    model = schema.ModelT.InitFromPackedBuf(flatbuffer)
    model.subgraphs[0].outputs = list(tensors)
    # Signatures name the outputs that were.
    model.signatureDefs = []
    return _packed(model)


def _packed(model: schema.ModelT) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=_IDENTIFIER)
    return bytes(builder.Output())


def _seal(flatbuffer: bytes) -> bytes:
    return _MARK + hashlib.sha256(flatbuffer).digest()


def _description(path: Path, model: schema.ModelT) -> Description:
    found = {entry.name.decode(): entry.buffer for entry in model.metadata or []}
    try:
        text = json.loads(bytes(model.buffers[found[METADATA]].data))
        height, width, channels = text["image_shape"]
        return Description(
            (height, width, channels),
            Preprocessing.from_json(text["preprocessing"]),
            tuple(text["classes"]),
            dict(text["layers"]),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise ArtifactError(
            f"{path}: its metadata does not describe a compresslab network ({error}); it comes from another program"
        ) from error


def _graph(model: schema.ModelT) -> Graph:
    (subgraph,) = model.subgraphs
    return Graph(
        tuple(_tensor(tensor, model.buffers) for tensor in subgraph.tensors),
        tuple(
            Operator(
                _operator_name(model.operatorCodes[operator.opcodeIndex]),
                _numbers(operator.inputs),
                _numbers(operator.outputs),
            )
            for operator in subgraph.operators
        ),
        _numbers(subgraph.inputs),
        _numbers(subgraph.outputs),
    )


def _tensor(tensor: schema.TensorT, buffers: Sequence[schema.BufferT]) -> Tensor:
    quantization = tensor.quantization
    quantized = quantization is not None and quantization.scale is not None and len(quantization.scale) > 0
    dtype = _DTYPES[tensor.type]
    shape = _numbers(tensor.shape)
    data = buffers[tensor.buffer].data
    return Tensor(
        name=tensor.name.decode(),
        shape=shape,
        dtype=dtype,
        scales=np.asarray(quantization.scale, np.float32) if quantized else np.empty(0, np.float32),
        zero_points=np.asarray(quantization.zeroPoint, np.int32) if quantized else np.empty(0, np.int32),
        axis=quantization.quantizedDimension if quantized else 0,
        values=None if data is None or not len(data) else np.frombuffer(bytes(data), dtype).reshape(shape),
    )


def _operator_name(code: schema.OperatorCodeT) -> str:
    # Codes beyond 127 do not fit in the older of the two fields, which then holds its largest value.
    return _OPERATORS[max(code.builtinCode, code.deprecatedBuiltinCode)]


def _numbers(values: Sequence[int] | np.ndarray | None) -> tuple[int, ...]:
    return () if values is None else tuple(int(value) for value in values)
