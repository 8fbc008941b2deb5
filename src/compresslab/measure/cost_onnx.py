"""Cost of an ONNX artifact, float or quantized (QDQ, QOperator or integer operators), from inferred shapes.

Constants are told apart by their use: what a convolution or a product reads is a parameter, also through a
``DequantizeLinear``; scales and zero points are quantization parameters; the rest (shapes, the constants of a
decomposed activation) is neither. Activation memory is that of an integer runtime where the graph allows one:
between operators, ``QuantizeLinear`` and ``DequantizeLinear`` hold nothing, and a value that only ever gets
quantized takes the bytes of its code.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path

import numpy as np
import onnx
from onnx import NodeProto, ValueInfoProto, helper, inliner, numpy_helper, shape_inference

from compresslab.measure.cost import Costs, ImageShape, LayerCost, Storage, sparse_bytes, total

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Roles:
    """What an operator's inputs are, by position; ``zero_points`` maps a parameter to its zero point."""

    parameters: tuple[int, ...] = ()
    statistics: tuple[int, ...] = ()
    quantization: tuple[int, ...] = ()
    zero_points: Mapping[int, int] = field(default_factory=dict)


ROLES = {
    "Conv": Roles((1, 2)),
    "ConvTranspose": Roles((1, 2)),
    "Gemm": Roles((0, 1, 2)),
    "MatMul": Roles((0, 1)),
    "ConvInteger": Roles((1,), quantization=(2, 3), zero_points={1: 3}),
    "MatMulInteger": Roles((0, 1), quantization=(2, 3), zero_points={0: 2, 1: 3}),
    "QLinearConv": Roles((3, 8), quantization=(1, 2, 4, 5, 6, 7), zero_points={3: 5}),
    "QLinearMatMul": Roles((0, 3), quantization=(1, 2, 4, 5, 6, 7), zero_points={0: 2, 3: 5}),
    "BatchNormalization": Roles((1, 2), statistics=(3, 4)),
    "PRelu": Roles((1,)),
    "QuantizeLinear": Roles(quantization=(1, 2)),
    "DequantizeLinear": Roles(quantization=(1, 2)),
}

PRODUCTS_WITHOUT_RULE = {
    *("Attention", "DeformConv", "Einsum", "FusedConv", "FusedGemm", "FusedMatMul", "GRU", "LSTM", "MatMulNBits"),
    *("MultiHeadAttention", "NhwcConv", "NhwcFusedConv", "QAttention", "QGemm", "RNN"),
}
"""Operators that multiply matrices and that nobody taught this module to count: an error rather than 0 MACs."""

VIEWS = {"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout"}
QUANTIZERS = {"QuantizeLinear", "DequantizeLinear"}
ELEMENT_WISE = {
    *("Add", "BatchNormalization", "Clip", "Div", "Elu", "Erf", "Exp", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu"),
    *("Mul", "Neg", "PRelu", "Pow", "Relu", "Selu", "Sigmoid", "Softplus", "Sqrt", "Sub", "Tanh"),
}


def count(path: Path, image_shape: ImageShape) -> Costs:
    """Count a ``model.onnx`` for images of ``image_shape`` (H, W, C); its one input is (N, C, H, W).

    Raises ValueError for a file that is not ONNX, a tensor whose shape cannot be inferred, or an operator that
    multiplies but has no rule here.
    """
    graph = Graph.read(Path(path), image_shape)
    memory = Memory(graph)
    seen: set[str] = set()
    layers, sparse = [], 0
    for node in graph.nodes:
        if node.op_type in QUANTIZERS:
            continue
        parameters = [parameter for parameter in graph.parameters(node) if parameter.name not in seen]
        seen.update(parameter.name for parameter in parameters)
        sparse += sum(parameter.sparse_bytes for parameter in parameters)
        layers.append(_layer_cost(graph, memory, node, parameters))
    storage = Storage(sparse, quantization_bytes=graph.quantization_bytes())
    return total(layers, storage, memory.peak_bytes(), Path(path))


@dataclass(frozen=True)
class Parameter:
    """A constant that training set, or a running statistic; ``trained`` tells the two apart."""

    name: str
    values: np.ndarray
    zero_point: np.ndarray
    axis: int
    trained: bool

    @property
    def nonzero(self) -> int:
        """Number of trained values that stand for another real number than zero."""
        return int(np.count_nonzero(self.values != self._zero)) if self.trained else 0

    @property
    def sparse_bytes(self) -> int:
        """Bytes in the smaller of the dense and the sparse form."""
        return sparse_bytes(self.values, self._zero)

    @property
    def _zero(self) -> np.ndarray:
        """The codes that stand for the real number zero, in a shape that fits the values."""
        zero = self.zero_point
        if zero.size > 1:
            return zero.reshape([-1 if axis == self.axis % self.values.ndim else 1 for axis in range(self.values.ndim)])
        return zero


class Graph:
    """A model's nodes in order, with the shapes for one image and the constants by name."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
        self.nodes: list[NodeProto] = []
        for node in model.graph.node:
            if node.op_type == "Constant":
                self.constants[node.output[0]] = np.asarray(_constant(node))
            else:
                self.nodes.append(node)
        self.producers = {name: node for node in self.nodes for name in node.output}
        self.inputs = [value.name for value in model.graph.input if value.name not in self.constants]
        self.outputs = [value.name for value in model.graph.output]
        values = [*model.graph.input, *model.graph.value_info, *model.graph.output]
        self._values = {value.name: value.type.tensor_type for value in values}

    @classmethod
    def read(cls, path: Path, image_shape: ImageShape) -> "Graph":
        """Load a model, expand its functions, and infer every shape for one image (H, W, C)."""
        try:
            model = inliner.inline_local_functions(onnx.load(path))
        except FileNotFoundError:
            raise
        except Exception as error:
            raise ValueError(f"{path} is not a readable ONNX model ({error}); delete it and run again") from error
        height, width, channels = image_shape
        (images,) = [
            value for value in model.graph.input if value.name not in {i.name for i in model.graph.initializer}
        ]
        _set_shape(images, (1, channels, height, width))
        for value in model.graph.output:
            value.type.tensor_type.ClearField("shape")
        del model.graph.value_info[:]
        try:
            return cls(shape_inference.infer_shapes(model, data_prop=True))
        except shape_inference.InferenceError as error:
            raise ValueError(f"{path}: its shapes cannot be inferred for images of {image_shape} ({error})") from error

    def shape(self, name: str) -> Shape:
        """Return a tensor's shape for one image, batch axis included."""
        if name in self.constants:
            return self.constants[name].shape
        value = self._values.get(name)
        dimensions = list(value.shape.dim) if value is not None and value.HasField("shape") else None
        if dimensions is None or not all(dimension.HasField("dim_value") for dimension in dimensions):
            raise ValueError(f"the shape of tensor {name} cannot be inferred for a batch of 1")
        return tuple(dimension.dim_value for dimension in dimensions)

    def bytes(self, name: str) -> int:
        """Return the bytes of a tensor for one image in the type that the graph gives it."""
        item = np.dtype(helper.tensor_dtype_to_np_dtype(self._values[name].elem_type)).itemsize
        return prod(self.shape(name)) * item

    def parameters(self, node: NodeProto) -> Iterator[Parameter]:
        """Yield the parameters and statistics that a node reads, also those that it reads dequantized."""
        roles = ROLES.get(node.op_type, Roles())
        for position, name in enumerate(node.input):
            trained = position in roles.parameters or self._is_bias(node, position)
            if not name or not (trained or position in roles.statistics):
                continue
            source, dequantize = self._constant_source(name)
            if source is None:
                continue
            zero_name = _input(node, roles.zero_points[position]) if position in roles.zero_points else ""
            axis = 0 if node.op_type.endswith("Conv") else -1
            if dequantize is not None:
                zero_name, axis = _input(dequantize, 2), _attribute(dequantize, "axis", 1)
            values = self.constants[source]
            zero_point = self.constants.get(zero_name, np.zeros((), values.dtype))
            yield Parameter(source, values, zero_point, axis, trained)

    def quantization_bytes(self) -> int:
        """Return the bytes of all scales and zero points, each counted once."""
        names = {
            node.input[position]
            for node in self.nodes
            for position in ROLES.get(node.op_type, Roles()).quantization
            if position < len(node.input)
        }
        return sum(self.constants[name].nbytes for name in names & self.constants.keys())

    def activations(self, names: Iterable[str]) -> list[str]:
        """Return those names that are neither constants nor views of constants nor left out."""
        return [name for name in names if name and self._constant_source(name)[0] is None]

    def _constant_source(self, name: str) -> tuple[str | None, NodeProto | None]:
        """Follow a tensor to the constant behind it: its name, and the DequantizeLinear on the way."""
        dequantize = None
        while name not in self.constants:
            node = self.producers.get(name)
            if node is None or node.op_type not in VIEWS | {"Transpose", "DequantizeLinear"}:
                return None, None
            if node.op_type == "DequantizeLinear":
                dequantize = node
            name = node.input[0]
        return name, dequantize

    def _is_bias(self, node: NodeProto, position: int) -> bool:
        """Tell a bias that an exporter split off a product from the numbers of a decomposed activation."""
        source = self._constant_source(node.input[position])[0] if node.op_type == "Add" else None
        return source is not None and self.constants[source].size > 1


class Memory:
    """Which activations share memory, and how many bytes each of these buffers takes."""

    def __init__(self, graph: Graph) -> None:
        self._steps = [graph.inputs, *([*node.input, *node.output] for node in graph.nodes), graph.outputs]
        self._buffer_of = _buffers(graph)
        self._sizes: dict[str, int] = {}
        for name, buffer in self._buffer_of.items():
            self._sizes[buffer] = min(graph.bytes(name), self._sizes.get(buffer, graph.bytes(name)))

    def new_bytes(self, name: str) -> int:
        """Return the bytes of the buffer that tensor ``name`` is the first to use; none for others and constants."""
        return self._sizes[name] if self._buffer_of.get(name) == name else 0

    def peak_bytes(self) -> int:
        """Return the most bytes alive at once when the nodes run in order.

        A buffer is alive from the first to the last node that touches it.
        """
        spans: dict[str, tuple[int, int]] = {}
        for step, names in enumerate(self._steps):
            for buffer in {self._buffer_of[name] for name in names if name in self._buffer_of}:
                spans[buffer] = (spans.get(buffer, (step, step))[0], step)
        return max(
            sum(self._sizes[buffer] for buffer, (first, last) in spans.items() if first <= step <= last)
            for step in range(len(self._steps))
        )


def _layer_cost(graph: Graph, memory: Memory, node: NodeProto, parameters: list[Parameter]) -> LayerCost:
    output = node.output[0]
    return LayerCost(
        layer=node.name or output,
        operator=node.op_type,
        output_shape=graph.shape(output)[1:],
        parameters=sum(parameter.values.size for parameter in parameters if parameter.trained),
        nonzero_parameters=sum(parameter.nonzero for parameter in parameters),
        macs=_macs(graph, node),
        weight_bytes=sum(parameter.values.nbytes for parameter in parameters),
        activation_bytes=memory.new_bytes(output),
    )


def _macs(graph: Graph, node: NodeProto) -> int:
    def size(name: str) -> int:
        return prod(graph.shape(name))

    match node.op_type:
        case "Conv" | "ConvInteger":
            return size(node.output[0]) * prod(graph.shape(node.input[1])[1:])
        case "QLinearConv":
            return size(node.output[0]) * prod(graph.shape(node.input[3])[1:])
        case "ConvTranspose":
            return size(node.input[0]) * prod(graph.shape(node.input[1])[1:])
        case "Gemm":
            return size(node.output[0]) * graph.shape(node.input[0])[0 if _attribute(node, "transA", 0) else 1]
        case "MatMul" | "MatMulInteger" | "QLinearMatMul":
            return size(node.output[0]) * graph.shape(node.input[0])[-1]
        case operator if operator in PRODUCTS_WITHOUT_RULE:
            raise ValueError(f"node {node.name}: compresslab.measure.cost_onnx has no rule to count {operator}")
        case _:
            return 0


def _buffers(graph: Graph) -> dict[str, str]:
    """Name for every activation the tensor that first used its memory."""
    last_read = {name: step for step, node in enumerate(graph.nodes) for name in node.input}
    last_read.update(dict.fromkeys(graph.outputs, len(graph.nodes)))
    buffer_of = {name: name for name in graph.inputs}
    for step, node in enumerate(graph.nodes):
        sources = graph.activations(node.input)
        wanted = {buffer for name, buffer in buffer_of.items() if last_read.get(name, step) > step}
        for name in graph.activations(node.output):
            if _is_view(graph, node):
                buffer_of[name] = buffer_of[sources[0]]
                continue
            free = [source for source in sources if buffer_of[source] not in wanted]
            buffer_of[name] = buffer_of.get(_overwritten(graph, node, free), name)
    return buffer_of


def _is_view(graph: Graph, node: NodeProto) -> bool:
    if node.op_type == "Transpose":
        shape = graph.shape(node.input[0])
        moved = [axis for axis in _axes(node, len(shape)) if shape[axis] > 1]
        return moved == sorted(moved)
    return node.op_type in VIEWS | QUANTIZERS


def _overwritten(graph: Graph, node: NodeProto, free: list[str]) -> str:
    """Return the tensor of ``free`` in whose place an element-wise node writes, or an empty name."""
    if node.op_type not in ELEMENT_WISE:
        return ""
    return next((name for name in free if graph.shape(name) == graph.shape(node.output[0])), "")


def _axes(node: NodeProto, rank: int) -> list[int]:
    permutation = next((attribute.ints for attribute in node.attribute if attribute.name == "perm"), None)
    return list(reversed(range(rank))) if permutation is None else list(permutation)


def _constant(node: NodeProto) -> np.ndarray | float | int | list[float] | list[int]:
    value = helper.get_attribute_value(node.attribute[0])
    return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value


def _attribute(node: NodeProto, name: str, default: int) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == name), default)


def _input(node: NodeProto, position: int) -> str:
    return node.input[position] if position < len(node.input) else ""


def _set_shape(value: ValueInfoProto, shape: Shape) -> None:
    kind = value.type.tensor_type.elem_type
    value.CopyFrom(helper.make_tensor_value_info(value.name, kind, shape))
