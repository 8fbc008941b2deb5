"""A PyTorch model as a NumPy float network: the modules of a Sequential, activations fused into the layer before."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor, nn

from compresslab.data.preprocessing import Preprocessing
from compresslab.models.numpy.network import Layer, Network


def to_network(
    module: nn.Module, preprocessing: Preprocessing, classes: Sequence[str], input_shape: tuple[int, int, int]
) -> Network:
    """Return the NumPy float network of ``module``, an ``nn.Sequential`` for inputs of ``input_shape`` (H, W, C).

    Layers keep the children's names. Weights become (kh, kw, in, out) and (in, out); a linear layer that reads a
    flattened feature map gets its rows in (H, W, C) order. Raises ValueError naming the child that has no NumPy
    counterpart.
    """
    if not isinstance(module, nn.Sequential):
        raise ValueError(f"only an nn.Sequential can become a NumPy network, not {type(module).__name__}")
    layers: list[Layer] = []
    shape: tuple[int, ...] = input_shape
    for name, child in module.named_children():
        if (activation := _activation(name, child)) is not None:
            _fuse(layers, name, activation)
        elif not isinstance(child, nn.Flatten | nn.Identity | nn.Dropout):
            layers.append(_layer(name, child, shape))
            shape = layers[-1].output_shape(shape)
        elif isinstance(child, nn.Flatten) and (child.start_dim, child.end_dim) != (1, -1):
            raise ValueError(f"module {name}: Flatten must flatten everything but the batch")
    return Network("float", input_shape, preprocessing, tuple(classes), tuple(layers))


def _activation(name: str, child: nn.Module) -> str | None:
    """Return the activation that ``child`` is, or None when it is none."""
    match child:
        case nn.ReLU():
            return "relu"
        case nn.SELU():
            return "selu"
        case nn.GELU(approximate="tanh"):
            return "gelu"
        case nn.SiLU():
            return "swish"
        case nn.GELU():
            raise ValueError(f'module {name}: only GELU(approximate="tanh") has a NumPy counterpart')
    return None


def _fuse(layers: list[Layer], name: str, activation: str) -> None:
    if not layers or layers[-1].kind not in ("conv2d", "linear") or layers[-1].activation != "none":
        raise ValueError(f"module {name}: an activation must follow a Conv2d or Linear directly")
    layers[-1] = replace(layers[-1], activation=activation)


def _layer(name: str, child: nn.Module, shape: tuple[int, ...]) -> Layer:
    """Return the layer of a module that is no activation; ``shape`` is its input's, (H, W, C) or (features,)."""
    builders: dict[type[nn.Module], Callable[..., Layer]] = {
        nn.Conv2d: _convolution,
        nn.Linear: _linear,
        nn.MaxPool2d: _max_pool,
        nn.AdaptiveAvgPool2d: _global_average_pool,
    }
    builder = builders.get(type(child))
    if builder is None:
        raise ValueError(f"module {name}: {type(child).__name__} has no NumPy counterpart")
    return builder(name, child, shape)


def _convolution(name: str, child: nn.Conv2d, shape: tuple[int, ...]) -> Layer:
    del shape
    if (
        child.groups != 1
        or child.padding_mode != "zeros"
        or set(child.dilation) != {1}
        or isinstance(child.padding, str)
    ):
        raise ValueError(f"module {name}: Conv2d must have groups=1, dilation=1 and zero padding given in numbers")
    stride, padding = _square(name, "stride", child.stride), _square(name, "padding", child.padding)
    weight = _array(child.weight).transpose(2, 3, 1, 0)
    arrays = {"weight": np.ascontiguousarray(weight), "bias": _bias(child.bias, child.out_channels)}
    return Layer(name, "conv2d", stride=stride, padding=padding, arrays=arrays)


def _linear(name: str, child: nn.Linear, shape: tuple[int, ...]) -> Layer:
    weight = _array(child.weight)
    if len(shape) == 3 and weight.shape[1] == np.prod(shape):
        height, width, channels = shape
        weight = weight.reshape(-1, channels, height, width).transpose(0, 2, 3, 1).reshape(len(weight), -1)
    arrays = {"weight": np.ascontiguousarray(weight.T), "bias": _bias(child.bias, child.out_features)}
    return Layer(name, "linear", arrays=arrays)


def _max_pool(name: str, child: nn.MaxPool2d, shape: tuple[int, ...]) -> Layer:
    del shape
    size = _square(name, "kernel_size", child.kernel_size)
    stride = _square(name, "stride", child.stride)
    if _square(name, "padding", child.padding) or _square(name, "dilation", child.dilation) != 1 or child.ceil_mode:
        raise ValueError(f"module {name}: MaxPool2d must have padding=0, dilation=1 and ceil_mode=False")
    return Layer(name, "max_pool", size=size, stride=stride)


def _global_average_pool(name: str, child: nn.AdaptiveAvgPool2d, shape: tuple[int, ...]) -> Layer:
    del shape
    if child.output_size not in (1, (1, 1)):
        raise ValueError(f"module {name}: AdaptiveAvgPool2d must have output_size=1")
    return Layer(name, "global_average_pool")


def _square(name: str, setting: str, value: int | tuple[int, ...]) -> int:
    if isinstance(value, int):
        return value
    if len(set(value)) != 1:
        raise ValueError(f"module {name}: {setting} must be the same in both directions, got {value}")
    return value[0]


def _bias(bias: Tensor | None, outputs: int) -> np.ndarray:
    return np.zeros(outputs, np.float32) if bias is None else _array(bias)


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().cpu().numpy().astype(np.float32)
