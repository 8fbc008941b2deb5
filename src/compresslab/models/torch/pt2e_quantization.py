"""Networks that PyTorch's export has made graphs of, fake-quantized for ONNX Runtime's integer operators.

torchao puts fake quantization into the graph of ``torch.export`` and folds batch normalizations when it is converted
(https://docs.pytorch.org/ao/stable/pt2e_quantization/pt2e_quant_qat.html). Which tensor is rounded how is decided here,
by what ONNX Runtime fuses on x86: uint8 activations with a zero point, int8 weights that are symmetric and have one
scale per output channel, and codes before and after every convolution, product, sum, product of maps and pooling.
What only chooses among numbers keeps the codes of its input.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any

import torch
from torch import nn
from torch.fx import GraphModule, Interpreter, Node

from compresslab.models.errors import UnquantizableError
from compresslab.models.quiet import quiet


@contextmanager
def _silent() -> Iterator[None]:
    """Keep what libraries tell of kernels for other machines out of terminal and log; errors are raised as ever."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with quiet():
            yield
    finally:
        logging.disable(before)


with _silent():
    from torchao.quantization.pt2e import (
        FakeQuantize,
        FusedMovingAvgObsFakeQuantize,
        MovingAverageMinMaxObserver,
        MovingAveragePerChannelMinMaxObserver,
        disable_observer,
        enable_observer,
    )
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_qat_pt2e
    from torchao.quantization.pt2e.quantizer import (
        FixedQParamsQuantizationSpec,
        QuantizationAnnotation,
        QuantizationSpec,
        QuantizationSpecBase,
        Quantizer,
        SharedQuantizationSpec,
    )

ImageShape = tuple[int, int, int]

CODES = 256
LARGEST_WEIGHT, LARGEST_REDUCED = 127, 64
"""With 7 bits no sum of two products of a code and a weight leaves 16 bits, which CPUs without VNNI add them in."""

_aten = torch.ops.aten

_NORMALIZATION = _aten.batch_norm.default
_DROPOUT = _aten.dropout.default
_ACTIVATIONS = (_aten.relu.default, _aten.relu_.default)
_WEIGHTED = (_aten.conv2d.default, _aten.linear.default)
_CALCULATED = (
    *(_aten.add.Tensor, _aten.mul.Tensor, _aten.cat.default, _aten.adaptive_avg_pool2d.default),
    *(_aten.avg_pool2d.default, _aten.gelu.default, _aten.selu.default, _aten.silu.default),
)
"""What makes numbers for which codes of their own are worth it."""

_PASSED = (
    *(_aten.max_pool2d.default, _aten.upsample_bilinear2d.vec, _aten.pad.default, _aten.slice.Tensor, _DROPOUT),
    *(_aten.expand.default, _aten.transpose.int, _aten.flatten.using_ints, _aten.pixel_unshuffle.default),
    *_ACTIVATIONS,
)
"""What chooses among numbers, or lies between them."""


class ActivationRounding(FusedMovingAvgObsFakeQuantize):
    """Rounds activations; the codes that are asked of it are the very ones that it rounds to."""

    def calculate_qparams(self, **_: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Return scale and zero point as the fused kernel found them; computed anew they can differ by a code."""
        return self.scale, self.zero_point


_ACTIVATION_CODES = QuantizationSpec(
    dtype=torch.uint8,
    quant_min=0,
    quant_max=CODES - 1,
    qscheme=torch.per_tensor_affine,
    observer_or_fake_quant_ctr=ActivationRounding.with_args(observer=MovingAverageMinMaxObserver),
)
_CODES_OF_SHARES = FixedQParamsQuantizationSpec(
    dtype=torch.uint8,
    scale=1 / CODES,
    zero_point=0,
    quant_min=0,
    quant_max=CODES - 1,
    qscheme=torch.per_tensor_affine,
)
"""Of a sigmoid, whose results lie between 0 and 1."""


class SimulatedGraph(nn.Module):
    """A network that computes in float what its integer form will: every value rounded to one of 256 codes.

    Ranges of activations are moving averages over the batches of a training; in evaluation mode they stand still.
    """

    def __init__(self, graph: GraphModule, reduce_range: bool) -> None:
        super().__init__()
        self.graph = graph
        self.reduce_range = reduce_range
        self._still = False

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map normalized images (N, C, H, W) to logits (N, classes, ...), both float32."""
        logits: torch.Tensor = self.graph(images)
        return logits

    def train(self, mode: bool = True) -> "SimulatedGraph":
        """Set the mode; ranges and statistics are only learned in training, and no longer once they stand still."""
        self.training = mode
        learning = mode and not self._still
        self.graph.apply(enable_observer if learning else disable_observer)
        _set_mode(self.graph, normalizing=learning, dropping=mode)
        return self

    def stand_still(self) -> None:
        """Keep ranges and the statistics of batch normalizations from here on: what is trained on is what will run."""
        self._still = True
        self.train(self.training)


def simulate(network: nn.Module, image_shape: ImageShape, reduce_range: bool) -> SimulatedGraph:
    """Return a fake-quantized copy of ``network``, in evaluation mode and with ranges that nothing has been seen for.

    ``image_shape`` is (H, W, C); any number of images can be given. With ``reduce_range`` weights have 7 bits. Raises
    UnquantizableError, naming module and operation, for what cannot be made integer.
    """
    graph = _exported(network, image_shape)
    _require_known(graph)
    with _silent():
        prepared = prepare_qat_pt2e(graph, _OnnxRuntimeQuantizer(reduce_range))
    return SimulatedGraph(prepared, reduce_range).eval()


def observed_form(network: nn.Module, image_shape: ImageShape, reduce_range: bool) -> SimulatedGraph:
    """Return the fake-quantized form of an architecture, with ranges of the right shapes that mean nothing."""
    simulated = simulate(network, image_shape, reduce_range)
    observe(simulated, torch.zeros(1, image_shape[2], *image_shape[:2]))
    return simulated


@torch.no_grad()
def observe(simulated: SimulatedGraph, images: torch.Tensor) -> None:
    """Let ranges that nothing has been seen for start at what these normalized images (N, C, H, W) make."""
    simulated.eval().apply(enable_observer)
    simulated(images)
    simulated.eval()


def converted(simulated: SimulatedGraph) -> GraphModule:
    """Return the graph with int8 weights and with quantization and dequantization as operators of their own."""
    with _silent():
        graph = deepcopy(simulated).eval().graph
        _fold_normalizations(graph)
        return convert_pt2e(graph)


def outputs_of_modules(simulated: SimulatedGraph, images: torch.Tensor) -> dict[str, torch.Tensor]:
    """Run the network on normalized images (N, C, H, W) and return every module's output, rounded to its codes."""
    recorder = _Recorder(simulated.graph)
    with torch.no_grad():
        recorder.run(images)
    return recorder.outputs


class _OnnxRuntimeQuantizer(Quantizer):
    """Says of every operation which codes its inputs and its output have."""

    def __init__(self, reduce_range: bool) -> None:
        super().__init__()
        largest = LARGEST_REDUCED if reduce_range else LARGEST_WEIGHT
        self._weight_codes = QuantizationSpec(
            dtype=torch.int8,
            quant_min=-largest,
            quant_max=largest,
            qscheme=torch.per_channel_symmetric,
            ch_axis=0,
            # Not the fused kernel, which takes a zero point where all weights of a channel have one sign.
            observer_or_fake_quant_ctr=FakeQuantize.with_args(observer=MovingAveragePerChannelMinMaxObserver),
        )

    def annotate(self, model: GraphModule) -> GraphModule:
        """Write the codes into the nodes of the graph."""
        for node in list(model.graph.nodes):
            if node.op != "call_function" or "quantization_annotation" in node.meta:
                continue
            inputs: dict[Node, Any] = dict.fromkeys(_tensors_read(node), _ACTIVATION_CODES)
            if node.target in _WEIGHTED:
                self._annotate(_row(node), {**inputs, node.args[1]: self._weight_codes}, _ACTIVATION_CODES)
            elif node.target in _CALCULATED:
                self._annotate(_row(node), inputs, _ACTIVATION_CODES)
            elif node.target is _aten.sigmoid.default:
                self._annotate([node], inputs, _CODES_OF_SHARES)
            elif node.target in _PASSED:
                self._annotate([node], inputs, SharedQuantizationSpec((node.args[0], node)))
        return model

    def validate(self, model: GraphModule) -> None:
        """Accept the graph: :func:`_require_known` has seen it."""

    @staticmethod
    def _annotate(row: list[Node], inputs: dict[Node, Any], output: QuantizationSpecBase) -> None:
        """Let a row of nodes be one operation: codes before its first and after its last."""
        for node in row:
            node.meta["quantization_annotation"] = QuantizationAnnotation(
                input_qspec_map=inputs if node is row[0] else {},
                output_qspec=output if node is row[-1] else None,
                _annotated=True,
            )


class _Recorder(Interpreter):
    """Runs a graph and keeps the output of every module; the last of several nodes of one module is its output."""

    def __init__(self, graph: GraphModule) -> None:
        super().__init__(graph)
        self.outputs: dict[str, torch.Tensor] = {}

    def run_node(self, n: Node) -> Any:
        """Run a node; a rounding belongs to the module whose output it rounds."""
        value = super().run_node(n)
        is_rounding = n.op == "call_module" and isinstance(n.args[0], Node)
        if module := _module_of(n.args[0] if is_rounding else n):  # type: ignore[arg-type]
            self.outputs[module] = value
        return value


def _exported(network: nn.Module, image_shape: ImageShape) -> GraphModule:
    """The graph of a copy of ``network``, for any number of images, which learns its statistics in training."""
    images = torch.zeros(2, image_shape[2], *image_shape[:2])
    with _silent():
        program = torch.export.export(
            deepcopy(network).train(), (images,), dynamic_shapes=({0: torch.export.Dim("batch")},)
        )
        graph = program.module()
    for node in list(graph.graph.nodes):
        # Counters of batches, which no normalization here reads; they would count in evaluation mode as well.
        if node.target is _aten.add_.Tensor and not node.users:
            graph.graph.erase_node(node)
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return graph


def _require_known(graph: GraphModule) -> None:
    rows = [_row(node) for node in graph.graph.nodes if node.target in (*_WEIGHTED, *_CALCULATED)]
    known = {node for row in rows for node in row}
    unknown = [
        f"{_module_of(node) or node.name} ({node.target.__name__.partition('.')[0]})"
        for node in graph.graph.nodes
        if node.op == "call_function" and node not in known and node.target not in (*_PASSED, _aten.sigmoid.default)
    ]
    if unknown:
        raise UnquantizableError(
            f"there is no integer form of {', '.join(unknown)} here; use another architecture or activation, or "
            "quantize an ONNX model (ptq-onnx)"
        )


def _row(node: Node) -> list[Node]:
    """The node and what belongs to it: its normalization and its ReLU, where nothing else reads what lies between."""
    row = [node]
    for targets in ((_NORMALIZATION,) if node.target in _WEIGHTED else (), _ACTIVATIONS):
        users = list(row[-1].users)
        if len(users) == 1 and users[0].target in targets:
            row.append(users[0])
    return row


def _tensors_read(node: Node) -> Iterator[Node]:
    """The tensors that a node reads beside its weights."""
    if node.target in _WEIGHTED:
        first = node.args[0]
        assert isinstance(first, Node)
        yield first
        return
    for argument in node.args:
        yield from (each for each in (argument if isinstance(argument, list) else [argument]) if isinstance(each, Node))


def _module_of(node: Node) -> str:
    """Path of the module that a node comes from; empty for what belongs to the whole network."""
    stack = node.meta.get("nn_module_stack") or {}
    paths = [path for path, _ in stack.values()]
    return str(paths[-1]) if paths else ""


@torch.no_grad()
def _fold_normalizations(graph: GraphModule) -> None:
    """Fold every batch normalization into its convolution, which then has the weights that were rounded in training.

    torchao folds as well, but first exports a hundred patterns to find them by, for minutes.
    """
    for node in [node for node in graph.graph.nodes if node.target is _NORMALIZATION]:
        scale, shift, mean, variance = (_value(graph, argument) for argument in node.args[1:5])
        convolution = node.args[0]
        bias = torch.zeros_like(mean)
        while convolution.target not in _WEIGHTED:
            if convolution.target is _aten.add.Tensor:
                bias = _value(graph, convolution.args[1].args[0])
            convolution = convolution.args[0]
        rounding = convolution.args[1]
        factors = scale / torch.sqrt(variance + node.args[7])
        weight = _value(graph, rounding.args[0].args[0])
        with graph.graph.inserting_before(rounding):
            rounding.args = (_constant(graph, rounding, "weight", weight * factors.reshape(-1, 1, 1, 1)),)
            new_bias = _constant(graph, rounding, "bias", shift + (bias - mean) * factors)
        convolution.args = (*convolution.args[:2], new_bias, *convolution.args[3:])
        node.replace_all_uses_with(convolution)
        graph.graph.erase_node(node)
    graph.graph.eliminate_dead_code()
    graph.recompile()


def _value(graph: GraphModule, node: Any) -> torch.Tensor:
    """The tensor behind a node that gets an attribute."""
    value: Any = graph
    for part in node.target.split("."):
        value = getattr(value, part)
    return value


def _constant(graph: GraphModule, rounding: Node, part: str, value: torch.Tensor) -> Node:
    """A node that gets ``value``, which the graph keeps under a name of its own."""
    name = f"folded_{rounding.name}_{part}"
    graph.register_buffer(name, value)
    return graph.graph.get_attr(name)


def _set_mode(graph: GraphModule, *, normalizing: bool, dropping: bool) -> None:
    """Let normalizations learn from their batch or not, and dropout drop or not: exported graphs hold it as numbers."""
    for node in graph.graph.nodes:
        if node.target is _NORMALIZATION:
            node.args = (*node.args[:5], normalizing, *node.args[6:])
        elif node.target is _DROPOUT:
            node.args = (*node.args[:2], dropping)
    graph.recompile()
