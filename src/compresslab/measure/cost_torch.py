"""Cost of a PyTorch artifact, counted by hooks on its modules and checked against PyTorch's own FLOP counter."""

from contextlib import ExitStack
from functools import partial
from pathlib import Path

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.flop_counter import FlopCounterMode

from compresslab.measure import cost_torch_integer
from compresslab.measure.cost import Costs, ImageShape, LayerCost, Storage, sparse_bytes, total
from compresslab.models.stored import framework_of
from compresslab.models.torch.artifact import load
from compresslab.models.torch.eager_artifact import INTEGER, load_integer
from compresslab.models.torch.eager_quantization import IntegerNetwork
from compresslab.models.torch.layers import Addition, Cropping, Multiplication, Padding, Spreading
from compresslab.models.torch.rebuilt import float_form

IN_PLACE = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Hardswish, nn.Hardsigmoid),
    *(nn.Sigmoid, nn.Tanh, nn.Dropout, nn.Dropout2d, nn.Identity, nn.Flatten, _BatchNorm),
    *(Addition, Multiplication),
)
"""Modules that need no memory beside their input."""

SIZED = (Padding, Cropping, Spreading)
"""Modules that read one tensor, and of another one nothing but its size."""


def count(path: Path, image_shape: ImageShape) -> Costs:
    """Count a ``model.safetensors``, in float or in integers, for images of ``image_shape`` (H, W, C).

    Raises ArtifactError (a ValueError) for a file that is not a compresslab network, and ValueError when a module
    computes products that no rule here knows.
    """
    if framework_of(path) == INTEGER:
        return _count_integer(path, image_shape)
    network = load(path).module
    layers = count_layers(network, image_shape)
    tensors = [tensor.detach().numpy() for tensor in network.state_dict().values() if tensor.is_floating_point()]
    return total(layers.costs, Storage(sum(map(sparse_bytes, tensors))), layers.peak_bytes, Path(path))


def _count_integer(path: Path, image_shape: ImageShape) -> Costs:
    """Count a network of ``convert-eager``, whose products must be those of its architecture in float."""
    model = load_integer(path)
    assert isinstance(model.module, IntegerNetwork)
    costs = cost_torch_integer.count(model.module, path, image_shape)
    macs = sum(layer.macs for layer in count_layers(float_form(model), image_shape).costs)
    if costs.macs != macs:
        raise ValueError(f"{path}: its layers add up to {costs.macs:,} MACs, those of its architecture to {macs:,}")
    return costs


class Layers:
    """Costs of the modules in the order in which they were called, and the largest activation memory.

    Hooks see modules only: a tensor that waits for a later addition (a residual) is not part of the memory.
    """

    def __init__(self) -> None:
        self.costs: list[LayerCost] = []
        self.peak_bytes = 0

    def record(self, name: str, module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        """Add ``module``, which has just been called; ``partial(record, name)`` is a forward hook."""
        parameters = list(module.parameters(recurse=False))
        statistics = [buffer for buffer in module.buffers(recurse=False) if buffer.is_floating_point()]
        in_place = isinstance(module, IN_PLACE) or output is inputs[0]
        read = inputs[:1] if isinstance(module, SIZED) else inputs
        self.costs.append(
            LayerCost(
                layer=name,
                operator=type(module).__name__,
                output_shape=tuple(output.shape[1:]),
                parameters=sum(parameter.numel() for parameter in parameters),
                nonzero_parameters=sum(_nonzero(parameter) for parameter in parameters),
                macs=_macs(module, inputs[0], output),
                weight_bytes=sum(tensor.nbytes for tensor in [*parameters, *statistics]),
                activation_bytes=0 if in_place else output.nbytes,
            )
        )
        if not in_place:
            self.peak_bytes = max(self.peak_bytes, output.nbytes + sum(tensor.nbytes for tensor in read))


def count_layers(network: nn.Module, image_shape: ImageShape) -> Layers:
    """Send one image of zeros through the network and count every module that has parameters or no children.

    A network on the meta device is counted by its shapes, and none of its parameters as zero. Raises ValueError when
    PyTorch's own counter disagrees with the sum of the layers.
    """
    height, width, channels = image_shape
    layers = Layers()
    with ExitStack() as hooks, torch.inference_mode():
        for name, module in network.named_modules():
            if list(module.parameters(recurse=False)) or not list(module.children()):
                hooks.callback(module.register_forward_hook(partial(layers.record, name)).remove)
        with FlopCounterMode(display=False) as counter:
            network.eval()(torch.zeros(1, channels, height, width, device=_device(network)))
    macs, counted = sum(layer.macs for layer in layers.costs), counter.get_total_flops() // 2
    if macs != counted:
        raise ValueError(
            f"the layers of this network add up to {macs:,} MACs, PyTorch counts {counted:,}: "
            "a module computes products that compresslab.measure.cost_torch has no rule for"
        )
    return layers


def _device(network: nn.Module) -> torch.device:
    return next((parameter.device for parameter in network.parameters()), torch.device("cpu"))


def _nonzero(parameter: torch.Tensor) -> int:
    return parameter.numel() if parameter.is_meta else int(torch.count_nonzero(parameter))


def _macs(module: nn.Module, features: torch.Tensor, output: torch.Tensor) -> int:
    match module:
        case nn.ConvTranspose1d() | nn.ConvTranspose2d() | nn.ConvTranspose3d():
            return features.numel() * module.weight[0].numel()
        case nn.Conv1d() | nn.Conv2d() | nn.Conv3d():
            return output.numel() * module.weight[0].numel()
        case nn.Linear():
            return output.numel() * module.in_features
        case _:
            return 0
