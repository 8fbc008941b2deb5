"""Cost of a network in PyTorch's integers, whose file is read by ``cost_torch``: weights of a byte, biases of four."""

from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from compresslab.measure.cost import Costs, ImageShape, LayerCost, Storage, sparse_bytes, total
from compresslab.models.torch import eager_quantization as eager
from compresslab.models.torch.layers import Cropping, Padding, Spreading

_IN_PLACE = (nn.ReLU, nn.Sigmoid, nn.Flatten, nn.Dropout, nn.Dropout2d, nn.Identity)


def count(network: eager.IntegerNetwork, path: Path, image_shape: ImageShape) -> Costs:
    """Count an integer network, which was read from ``path``, for images of ``image_shape`` (H, W, C)."""
    numbers = eager.tensors(network)
    layers = _layers(network, numbers, image_shape)
    parts = {name: array for name, array in numbers.items() if _is_parameter(name)}
    storage = Storage(
        sparse_bytes=sum(map(sparse_bytes, parts.values())),
        quantization_bytes=sum(array.nbytes for name, array in numbers.items() if name not in parts),
    )
    return total(layers.costs, storage, layers.peak_bytes, path)


class _Layers:
    """Costs of the modules in the order in which they were called, and the largest activation memory."""

    def __init__(self, numbers: dict[str, np.ndarray]) -> None:
        self.costs: list[LayerCost] = []
        self.peak_bytes = 0
        self._numbers = numbers

    def record(self, name: str, module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        """Add ``module``, which has just been called; ``partial(record, name)`` is a forward hook."""
        weight = self._numbers.get(f"body.{name}.weight")
        bias = self._numbers.get(f"body.{name}.bias")
        parameters = [each for each in (weight, bias) if each is not None]
        in_place = _works_in_place(module) or output is inputs[0]
        read = inputs[:1] if isinstance(module, (Padding, Cropping, Spreading)) else inputs
        self.costs.append(
            LayerCost(
                layer=name,
                operator=module.operation if isinstance(module, eager.Calculation) else type(module).__name__,
                output_shape=tuple(output.shape[1:]),
                parameters=sum(each.size for each in parameters),
                nonzero_parameters=sum(int(np.count_nonzero(each)) for each in parameters),
                macs=0 if weight is None else output.numel() * weight[0].size,
                weight_bytes=sum(each.nbytes for each in parameters),
                activation_bytes=0 if in_place else output.nbytes,
            )
        )
        if not in_place:
            self.peak_bytes = max(self.peak_bytes, output.nbytes + sum(tensor.nbytes for tensor in read))


def _layers(network: eager.IntegerNetwork, numbers: dict[str, np.ndarray], image_shape: ImageShape) -> _Layers:
    """Send one image of zeros through the network; what was fused into another module is none of its own any more."""
    height, width, channels = image_shape
    layers = _Layers(numbers)
    with ExitStack() as hooks, torch.inference_mode():
        for name, module in eager.operations(network):
            hooks.callback(module.register_forward_hook(partial(layers.record, name)).remove)
        network(torch.zeros(1, channels, height, width))
    return layers


def _works_in_place(module: nn.Module) -> bool:
    is_calculation = isinstance(module, eager.Calculation)
    return module.operation != "cat" if is_calculation else isinstance(module, _IN_PLACE)


def _is_parameter(name: str) -> bool:
    return name.endswith((".weight", ".bias"))
