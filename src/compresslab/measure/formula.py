"""Costs by formula, from shapes alone: no tensor goes through the network.

torch.fx writes a network down as a graph of calls. Shapes go through it by the arithmetic of Dumoulin and Visin 2016
("A guide to convolution arithmetic for deep learning"), and parameters and multiply-accumulates (MACs) follow from
them. It is the count by hand, done by a program, and shares nothing with the counters that watch a network run.

In the formulas, D_k is the side of a square kernel, M the input and N the output channels, and D_f the side of the
output's feature map; biases count as parameters, not as MACs.
"""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, prod
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional

from compresslab.measure.cost import ImageShape
from compresslab.models.torch.layers import (
    JOINTS,
    Addition,
    Concatenation,
    Cropping,
    Multiplication,
    Padding,
    Spreading,
    Stacking,
)

Shape = tuple[int, ...]
"""The shape of one image's tensor, without the batch: (C, H, W) or (features,)."""


def regular_parameters(kernel: int, inputs: int, outputs: int) -> int:
    """D_k^2 M N: the weights of a regular convolution."""
    return kernel**2 * inputs * outputs


def separable_parameters(kernel: int, inputs: int, outputs: int) -> int:
    """(D_k^2 + N) M: the weights of a depthwise convolution and the pointwise one after it."""
    return (kernel**2 + outputs) * inputs


def regular_macs(kernel: int, inputs: int, outputs: int, map_size: int) -> int:
    """D_k^2 M N D_f^2: the MACs of a regular convolution."""
    return kernel**2 * inputs * outputs * map_size**2


def separable_macs(kernel: int, inputs: int, outputs: int, map_size: int) -> int:
    """(D_k^2 + N) M D_f^2: the MACs of a depthwise separable convolution (Howard et al. 2017, MobileNets)."""
    return (kernel**2 + outputs) * inputs * map_size**2


def separable_to_regular_ratio(kernel: int, outputs: int) -> float:
    """1/N + 1/D_k^2: the share of the regular convolution's MACs that the separable one needs."""
    return 1 / outputs + 1 / kernel**2


@dataclass(frozen=True)
class LayerFormula:
    """One module of a network: what it makes of one image, and what that costs."""

    layer: str
    operator: str
    output_shape: Shape
    parameters: int
    macs: int


def count_layers(network: nn.Module, image_shape: ImageShape) -> list[LayerFormula]:
    """Count every module for one image (H, W, C), in the order of execution.

    Functions between the modules (additions, concatenations) cost nothing and have no row. Raises ValueError, naming
    it, for an operation without a formula here, for a shape that does not fit, and for a network whose path depends on
    its input.
    """
    height, width, channels = image_shape
    shapes: dict[fx.Node, Shape] = {}
    layers = []
    for node in _trace(network).nodes:
        read = [shapes[source] for source in node.all_input_nodes]
        match node.op:
            case "placeholder":
                shapes[node] = (channels, height, width)
            case "call_module":
                module = network.get_submodule(node.target)
                layers.append(_layer(node.target, module, read))
                shapes[node] = layers[-1].output_shape
            case "call_function" | "call_method":
                shapes[node] = _function(node, read)
            case "get_attr":
                raise ValueError(
                    f"{node.target} is read outside of a layer: compresslab.measure.formula cannot count it"
                )
    return layers


class _Tracer(fx.Tracer):
    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, JOINTS) or super().is_leaf_module(m, module_qualified_name)


def _trace(network: nn.Module) -> fx.Graph:
    try:
        return _Tracer().trace(network)
    except fx.proxy.TraceError as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"the path through {type(network).__name__} depends on its input: {reason}") from error


Counted = tuple[Shape, int, int]
"""Output shape, parameters, MACs."""


def _layer(name: str, module: nn.Module, read: Sequence[Shape]) -> LayerFormula:
    kind = type(module).__name__
    rule = next((_RULES[base] for base in type(module).__mro__ if base in _RULES), None)
    if rule is None:
        raise ValueError(f"layer {name}: compresslab.measure.formula has no formula for {kind}")
    try:
        shape, parameters, macs = rule(module, *read)
    except ValueError as error:
        raise ValueError(f"layer {name}: {error}") from error
    if min(shape) < 1:
        raise ValueError(f"layer {name}: {kind} leaves nothing of an input of shape {read[0]}")
    return LayerFormula(name, kind, shape, parameters, macs)


def _function(node: fx.Node, read: Sequence[Shape]) -> Shape:
    """Return the output shape of a call that has no parameters and multiplies nothing."""
    match node.target:
        case operator.add | operator.iadd | torch.add | "add" | "add_":
            return _common(read)
        case functional.relu | torch.relu | "relu":
            return read[0]
        case torch.cat if _argument(node, 1, "dim", 0) == 1:
            return _joined(read)
        case torch.flatten | "flatten" if _argument(node, 1, "start_dim", 0) == 1 and len(node.args) < 3:
            return (prod(read[0]),)
        case torch.transpose | "transpose" if min(axes := _axes(node)) > 0:
            return _exchanged(read[0], *axes)
    named = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", str(node.target))
    raise ValueError(f"{node.name}: compresslab.measure.formula has no formula for the function {named}")


def _argument(node: fx.Node, position: int, name: str, default: int) -> Any:
    return node.args[position] if len(node.args) > position else node.kwargs.get(name, default)


def _axes(node: fx.Node) -> tuple[int, int]:
    return _argument(node, 1, "dim0", 0), _argument(node, 2, "dim1", 0)


def _common(shapes: Sequence[Sequence[int]]) -> Shape:
    first, *others = map(tuple, shapes)
    if any(other != first for other in others):
        raise ValueError(f"shapes that go together differ: {', '.join(map(str, [first, *others]))}")
    return first


def _joined(shapes: Sequence[Shape]) -> Shape:
    return (sum(channels for channels, *_ in shapes), *_common([extents for _, *extents in shapes]))


def _exchanged(shape: Shape, first: int, second: int) -> Shape:
    """Exchange two axes, counted with the batch."""
    extents = [1, *shape]
    extents[first], extents[second] = extents[second], extents[first]
    return tuple(extents[1:])


def _convolution(module: nn.Conv2d, read: Shape) -> Counted:
    channels, *extents = read
    _require(module, channels, module.in_channels)
    out = tuple(
        (extent + padding - dilation * (taps - 1) - 1) // stride + 1
        for extent, taps, stride, dilation, padding in zip(
            extents, module.kernel_size, module.stride, module.dilation, _total_padding(module), strict=True
        )
    )
    weights = prod(module.kernel_size) * module.in_channels // module.groups * module.out_channels
    return (module.out_channels, *out), weights + _biases(module, module.out_channels), weights * prod(out)


def _transposed_convolution(module: nn.ConvTranspose2d, read: Shape) -> Counted:
    channels, *extents = read
    _require(module, channels, module.in_channels)
    assert not isinstance(module.padding, str), "a transposed convolution is padded in numbers"
    out = tuple(
        (extent - 1) * stride - 2 * padding + dilation * (taps - 1) + more + 1
        for extent, taps, stride, dilation, padding, more in zip(
            *(extents, module.kernel_size, module.stride, module.dilation, module.padding, module.output_padding),
            strict=True,
        )
    )
    weights = prod(module.kernel_size) * module.in_channels * module.out_channels // module.groups
    return (module.out_channels, *out), weights + _biases(module, module.out_channels), weights * prod(extents)


def _linear(module: nn.Linear, read: Shape) -> Counted:
    *leading, features = read
    _require(module, features, module.in_features)
    weights = module.in_features * module.out_features
    biases = _biases(module, module.out_features)
    return (*leading, module.out_features), weights + biases, weights * prod(leading)


def _normalization(module: nn.BatchNorm2d, read: Shape) -> Counted:
    _require(module, read[0], module.num_features)
    return read, 2 * module.num_features if module.affine else 0, 0


def _pooling(module: nn.MaxPool2d | nn.AvgPool2d, read: Shape) -> Counted:
    channels, *extents = read
    settings = (module.kernel_size, module.stride, module.padding, getattr(module, "dilation", 1))
    out = []
    for extent, taps, stride, padding, dilation in zip(extents, *map(_pair, settings), strict=True):
        steps = (extent + 2 * padding - dilation * (taps - 1) - 1) / stride
        windows = ceil(steps) + 1 if module.ceil_mode else int(steps // 1) + 1
        # A last window that would start in the padding behind the input is left out.
        out.append(windows - 1 if (windows - 1) * stride >= extent + padding else windows)
    return (channels, *out), 0, 0


def _adaptive_pooling(module: nn.AdaptiveAvgPool2d, read: Shape) -> Counted:
    channels, *extents = read
    wanted = _pair(module.output_size)
    return (channels, *(extent if size is None else size for extent, size in zip(extents, wanted, strict=True))), 0, 0


def _enlarged(module: nn.Upsample, read: Shape) -> Counted:
    channels, *extents = read
    if module.size is not None:
        return (channels, *_pair(module.size)), 0, 0
    return (channels, *(int(extent * by) for extent, by in zip(extents, _pair(module.scale_factor), strict=True))), 0, 0


def _sized(_module: nn.Module, read: Shape, other: Shape) -> Counted:
    """Count what has its channels from one map and its size from another."""
    return (read[0], *other[1:]), 0, 0


def _stacked(module: Stacking, read: Shape) -> Counted:
    channels, *extents = read
    return (channels * module.side**2, *(ceil(extent / module.side) for extent in extents)), 0, 0


def _concatenated(_module: Concatenation, *read: Shape) -> Counted:
    return _joined(read), 0, 0


def _weighted(_module: Multiplication, read: Shape, weights: Shape) -> Counted:
    _common([read, (*weights[:1], *read[1:])])
    return read, 0, 0


def _flattened(module: nn.Flatten, read: Shape) -> Counted:
    if (module.start_dim, module.end_dim) != (1, -1):
        raise ValueError("compresslab.measure.formula flattens everything but the batch, not a part of it")
    return (prod(read),), 0, 0


def _unchanged(_module: nn.Module, *read: Shape) -> Counted:
    return _common(read), 0, 0


def _slopes(module: nn.PReLU, read: Shape) -> Counted:
    return read, module.num_parameters, 0


def _biases(module: nn.Module, outputs: int) -> int:
    return outputs if module.bias is not None else 0


def _total_padding(module: nn.Conv2d) -> Sequence[int]:
    """Return the pixels that both sides together add to the height and to the width."""
    if module.padding == "same":
        return [dilation * (taps - 1) for taps, dilation in zip(module.kernel_size, module.dilation, strict=True)]
    return (0, 0) if isinstance(module.padding, str) else [2 * padding for padding in module.padding]


def _pair(setting: Any) -> tuple[Any, Any]:
    return setting if isinstance(setting, tuple) else (setting, setting)


def _require(module: nn.Module, found: int, expected: int) -> None:
    if found != expected:
        raise ValueError(f"{type(module).__name__} reads {expected} channels or features, but gets {found}")


_ELEMENT_WISE: tuple[type[nn.Module], ...] = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Hardswish, nn.Hardsigmoid),
    *(nn.Sigmoid, nn.Tanh, nn.Dropout, nn.Dropout2d, nn.Identity, Addition),
)

_RULES: dict[type[nn.Module], Callable[..., Counted]] = {
    nn.Conv2d: _convolution,
    nn.ConvTranspose2d: _transposed_convolution,
    nn.Linear: _linear,
    nn.BatchNorm1d: _normalization,
    nn.BatchNorm2d: _normalization,
    nn.MaxPool2d: _pooling,
    nn.AvgPool2d: _pooling,
    nn.AdaptiveAvgPool2d: _adaptive_pooling,
    nn.Upsample: _enlarged,
    nn.Flatten: _flattened,
    nn.PReLU: _slopes,
    Stacking: _stacked,
    Concatenation: _concatenated,
    Multiplication: _weighted,
    **dict.fromkeys((Padding, Cropping, Spreading), _sized),
    **dict.fromkeys(_ELEMENT_WISE, _unchanged),
}
