"""Networks in the integers of PyTorch's eager mode (qnnpack), and the fake-quantized ones that they are trained as.

The only module that knows ``torch.ao.quantization``, which PyTorch keeps but no longer develops
(https://github.com/pytorch/ao/issues/2259). Activations are uint8 with a zero point, weights int8 and symmetric, biases
become int32 when they are used. Products are added in 32 bits, so none saturates and all 8 bits of a weight count.

Architectures know nothing of it: a copy of the network is made integer. What it does between its layers it says with
the modules of ``models.torch.layers``; any other operation is refused by name.
"""

import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from compresslab.models.errors import ArtifactError, UnquantizableError
from compresslab.models.torch import layers

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from torch.ao.nn import quantized
    from torch.ao.nn.intrinsic import qat as fused_qat
    from torch.ao.quantization import (
        DeQuantStub,
        FakeQuantize,
        FakeQuantizeBase,
        FusedMovingAvgObsFakeQuantize,
        MovingAverageMinMaxObserver,
        MovingAveragePerChannelMinMaxObserver,
        QConfig,
        QuantStub,
        convert,
        default_fixed_qparams_range_0to1_fake_quant,
        disable_observer,
        enable_observer,
        fuse_modules_qat,
        prepare_qat,
    )

ENGINE = "qnnpack"
"""PyTorch's integer kernels: both what weights are packed for and what runs."""

Granularity = Literal["channel", "tensor"]
ImageShape = tuple[int, int, int]

CODES = 256
SAME_WITHIN = 1e-3
"""Largest difference, as a part of the logits' range, between a network and its fused copy, which only round apart."""

_FUSED = (
    (nn.Conv2d, nn.BatchNorm2d, nn.ReLU),
    (nn.Conv2d, nn.BatchNorm2d),
    (nn.Conv2d, nn.ReLU),
    (nn.Linear, nn.ReLU),
)
"""What becomes one integer operation; longer rows first."""

_ROUNDED = (nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.Upsample)
"""What makes new numbers between those that it reads, which are rounded to the codes of its input."""

_PASSED = (nn.ReLU, nn.MaxPool2d, *layers.NO_LAYER)
"""What only chooses among the codes of its input, or clips them."""

_CALCULATED = (layers.Addition, layers.Multiplication, layers.Concatenation)
_KNOWN = (*_ROUNDED, *_PASSED, *_CALCULATED, nn.Conv2d, nn.Linear, nn.Sigmoid)
_WEIGHTED = (quantized.Conv2d, quantized.Linear)


class ActivationRounding(FusedMovingAvgObsFakeQuantize):
    """Rounds activations; the codes that are asked of it are the very ones that it rounds to."""

    def calculate_qparams(self, **_: Any) -> tuple[torch.Tensor, torch.Tensor]:
        """Return scale and zero point as the fused kernel found them; computed anew they can differ by a code."""
        return self.scale, self.zero_point


class Calculation(nn.Module):
    """A sum, a product or a concatenation whose result has codes of its own; a sum may end in a ReLU."""

    def __init__(self, operation: Literal["add", "add_relu", "mul", "cat"]) -> None:
        super().__init__()
        self.operation = operation
        self.arithmetic = quantized.FloatFunctional()

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        """Calculate with two tensors, or join any number along the channels."""
        if self.operation == "cat":
            return self.arithmetic.cat(list(tensors), dim=1)
        return getattr(self.arithmetic, self.operation)(*tensors)


class Rounded(nn.Module):
    """A pooling or an enlargement whose results are rounded as the integer kernel does: to the codes of its input."""

    def __init__(self, operation: nn.Module, codes: FakeQuantizeBase) -> None:
        super().__init__()
        self.operation = operation
        # In a tuple it is no submodule: it belongs to the module that makes the input.
        self._codes = (codes,)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """Apply the operation and round; the gradient passes the rounding unchanged."""
        codes: Any = self._codes[0]
        return torch.fake_quantize_per_tensor_affine(
            self.operation(features), codes.scale, codes.zero_point, codes.quant_min, codes.quant_max
        )


class SimulatedNetwork(nn.Module):
    """A network that computes in float what its integer form will: every value rounded to one of 256 codes.

    Ranges of activations are moving averages over the batches of a training; in evaluation mode they stand still.
    """

    def __init__(self, body: nn.Module, granularity: Granularity) -> None:
        super().__init__()
        self.quantize = QuantStub()
        self.body = body
        self.dequantize = DeQuantStub()
        self.granularity = granularity
        self._still = False

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map normalized images (N, C, H, W) to logits (N, classes, ...), both float32."""
        logits: torch.Tensor = self.dequantize(self.body(self.quantize(images)))
        return logits

    def train(self, mode: bool = True) -> "SimulatedNetwork":
        """Set the mode; ranges are only learned in training, and no longer once they stand still."""
        super().train(mode)
        self.apply(enable_observer if mode and not self._still else disable_observer)
        return self

    def stand_still(self) -> None:
        """Keep ranges and the statistics of batch normalizations from here on: what is trained on is what will run."""
        self._still = True
        self.apply(disable_observer)
        for module in self.modules():
            if isinstance(module, fused_qat.ConvBn2d):
                module.freeze_bn_stats()


class IntegerNetwork(nn.Module):
    """A network in integers between float images and float logits; it stays on the CPU, where its kernels are."""

    def __init__(self, simulated: SimulatedNetwork) -> None:
        super().__init__()
        self.quantize, self.body, self.dequantize = simulated.quantize, simulated.body, simulated.dequantize
        self.granularity = simulated.granularity

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map normalized images (N, C, H, W) to logits (N, classes, ...), both float32."""
        _use_engine()
        logits: torch.Tensor = self.dequantize(self.body(self.quantize(images)))
        return logits

    def to(self, *args: Any, **kwargs: Any) -> "IntegerNetwork":
        """Stay; ArtifactError for another device or type than the kernels have."""
        device, dtype, *_ = torch._C._nn._parse_to(*args, **kwargs)
        if device is not None and device.type != "cpu":
            raise _stays(f"on {device.type}")
        if dtype is not None:
            raise _stays(f"in {str(dtype).removeprefix('torch.')}")
        return self

    def cpu(self) -> "IntegerNetwork":
        """Stay where it is."""
        return self

    def _apply(self, fn: Any, recurse: bool = True) -> "IntegerNetwork":
        # What .cuda(), .half() and their like end in.
        del fn, recurse
        raise _stays("on another device or in another type")


def simulate(network: nn.Module, image_shape: ImageShape, granularity: Granularity) -> SimulatedNetwork:
    """Return a fake-quantized copy of ``network``, in evaluation mode and with ranges that nothing has been seen for.

    ``image_shape`` is (H, W, C). Raises UnquantizableError, naming the module, for an operation that cannot be made
    integer; whether all others run, :func:`integer` says.
    """
    body = deepcopy(network).eval()
    images = torch.rand(2, image_shape[2], *image_shape[:2], generator=torch.Generator().manual_seed(0))
    calls, expected = _Calls.of(body, images)
    groups = list(_groups(calls))
    _require_known(body, {name for group in groups for name in group})
    _calculate_with_codes(body, calls)
    with _quiet():
        simulated = SimulatedNetwork(body, granularity).train()
        if groups:
            fuse_modules_qat(simulated.body, groups, inplace=True)
        _require_same(simulated.eval(), images, expected)
        _choose_codes(simulated, granularity)
        prepare_qat(simulated.train(), inplace=True)
    _round_like_integers(simulated, calls, {name: group[0] for group in groups for name in group})
    return simulated.eval()


def integer(simulated: SimulatedNetwork, image_shape: ImageShape) -> IntegerNetwork:
    """Return ``simulated`` in integers, after an image of zeros went through it.

    Raises UnquantizableError, naming the module, when one of its operations has no integer kernel or when this build
    of PyTorch lacks the kernels.
    """
    _use_engine()
    with _quiet():
        network = IntegerNetwork(convert(deepcopy(simulated).eval()))
    for name, module in list(network.body.named_modules()):
        if isinstance(module, Rounded):
            _replace(network.body, name, module.operation)
    network.eval()
    _try(network, torch.zeros(1, image_shape[2], *image_shape[:2]))
    return network


def observed_form(network: nn.Module, image_shape: ImageShape, granularity: Granularity) -> SimulatedNetwork:
    """Return the fake-quantized form of an architecture, with ranges of the right shapes that mean nothing."""
    simulated = simulate(network, image_shape, granularity)
    observe(simulated, torch.zeros(1, image_shape[2], *image_shape[:2]))
    return simulated


def integer_form(network: nn.Module, image_shape: ImageShape, granularity: Granularity) -> IntegerNetwork:
    """Return the integer form of an architecture, for :func:`fill` to give it its numbers."""
    return integer(observed_form(network, image_shape, granularity), image_shape)


@torch.no_grad()
def observe(simulated: SimulatedNetwork, images: torch.Tensor) -> None:
    """Let ranges that nothing has been seen for start at what these normalized images (N, C, H, W) make."""
    simulated.eval().apply(enable_observer)
    simulated(images)
    simulated.eval()


def tensors(network: IntegerNetwork) -> dict[str, np.ndarray]:
    """Return the numbers of an integer network by name.

    Weights are int8, with float32 scales and int32 zero points, one or one per output channel; biases float32. Every
    output of a module has a float32 scale and an int32 zero point.
    """
    found: dict[str, np.ndarray] = {}
    for name, module in _numbered(network):
        if isinstance(module, _WEIGHTED):
            weight, bias = module._weight_bias()
            found[f"{name}.weight"] = weight.int_repr().numpy()
            scales, zero_points = _weight_codes(weight)
            found[f"{name}.weight_scale"] = scales.numpy()
            found[f"{name}.weight_zero_point"] = zero_points.numpy()
            if bias is not None:
                found[f"{name}.bias"] = bias.detach().numpy()
        scale, zero_point = _codes_of(module)
        found[f"{name}.scale"] = np.array([scale], np.float32)
        found[f"{name}.zero_point"] = np.array([zero_point], np.int32)
    return found


def fill(network: IntegerNetwork, numbers: Mapping[str, np.ndarray]) -> None:
    """Give ``network`` the numbers that :func:`tensors` took of another one of its form."""
    _use_engine()
    for name, module in _numbered(network):
        if isinstance(module, _WEIGHTED):
            weight = _with_codes(
                *(
                    torch.from_numpy(numbers[f"{name}.{part}"])
                    for part in ("weight", "weight_scale", "weight_zero_point")
                )
            )
            bias = torch.from_numpy(numbers[f"{name}.bias"]) if f"{name}.bias" in numbers else None
            module.set_weight_bias(weight, bias)
        scale, zero_point = float(numbers[f"{name}.scale"][0]), int(numbers[f"{name}.zero_point"][0])
        _set_codes(module, scale, zero_point)


def operations(network: IntegerNetwork) -> Iterator[tuple[str, nn.Module]]:
    """Yield what the network consists of by its names: modules that compute, without those that were fused away."""
    for name, module in network.body.named_modules():
        whole = (Calculation, quantized.QFunctional, *_WEIGHTED)
        is_part = isinstance(network.body.get_submodule(name.rpartition(".")[0]), whole)
        fused_away = isinstance(module, nn.Identity)
        if not is_part and (isinstance(module, whole) or (_is_leaf(module) and not fused_away)):
            yield name, module


@dataclass(frozen=True)
class _Call:
    """A module without children that was called: what it read and made, as identities of tensors."""

    name: str
    module: nn.Module
    inputs: tuple[int, ...]
    output: int


@dataclass(frozen=True)
class _Calls:
    """The calls of one pass through a network, in their order."""

    calls: list[_Call] = field(default_factory=list)
    _alive: list[torch.Tensor] = field(default_factory=list)
    """Every tensor of the pass, so that no two have one identity."""

    @classmethod
    @torch.no_grad()
    def of(cls, body: nn.Module, images: torch.Tensor) -> "tuple[_Calls, torch.Tensor]":
        """Send images through the network; return the calls and its answer."""
        found = cls()
        hooks = [
            module.register_forward_hook(partial(found._record, name))
            for name, module in body.named_modules()
            if _is_leaf(module)
        ]
        try:
            answer = body(images)
        finally:
            for hook in hooks:
                hook.remove()
        return found, answer

    def _record(self, name: str, module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        self._alive.extend([*inputs, output])
        self.calls.append(_Call(name, module, tuple(map(id, inputs)), id(output)))

    def reader(self, call: _Call) -> _Call | None:
        """The only call that reads what ``call`` made; None where there are several or none."""
        readers = [other for other in self.calls if call.output in other.inputs and other is not call]
        return readers[0] if len(readers) == 1 else None

    def source(self, tensor: int) -> _Call | None:
        """The call whose result has the codes of ``tensor``; None for the network's input and for what no module made.

        What passes codes on has those of its input.
        """
        maker = next((call for call in self.calls if call.output == tensor and call.inputs != (tensor,)), None)
        if maker is not None and isinstance(maker.module, (*_PASSED, *_ROUNDED)):
            return self.source(maker.inputs[0])
        return maker


def _groups(calls: _Calls) -> Iterator[list[str]]:
    """Names of modules that become one operation each: every one but the first is the only reader of the one before."""
    for call in calls.calls:
        row = [call]
        while len(row) < 3 and (following := calls.reader(row[-1])):
            row.append(following)
        for kinds in _FUSED:
            group = row[: len(kinds)]
            if [type(member.module) for member in group] == list(kinds):
                yield [member.name for member in group]
                break


def _calculate_with_codes(body: nn.Module, calls: _Calls) -> None:
    """Let sums, products and concatenations have codes of their own, and a sum do the ReLU that alone reads it."""
    for call in calls.calls:
        match call.module:
            case layers.Multiplication():
                _replace(body, call.name, Calculation("mul"))
            case layers.Concatenation():
                _replace(body, call.name, Calculation("cat"))
            case layers.Addition():
                relu = calls.reader(call)
                ends_in_relu = relu is not None and type(relu.module) is nn.ReLU
                _replace(body, call.name, Calculation("add_relu" if ends_in_relu else "add"))
                if ends_in_relu:
                    _replace(body, relu.name, nn.Identity())  # type: ignore[union-attr]


def _choose_codes(simulated: SimulatedNetwork, granularity: Granularity) -> None:
    """Say of every module which codes its weights and its result have; what passes codes on has none of its own."""
    simulated.qconfig = _codes(granularity)  # type: ignore[assignment]
    for module in simulated.modules():
        if isinstance(module, nn.Sigmoid):
            # Every result lies between 0 and 1, so the codes need nothing to be seen.
            module.qconfig = QConfig(default_fixed_qparams_range_0to1_fake_quant, None)  # type: ignore[assignment]
        elif _is_leaf(module) and isinstance(module, (*_PASSED, *_ROUNDED)):
            module.qconfig = None  # type: ignore[assignment]


def _codes(granularity: Granularity) -> QConfig:
    """PyTorch's own choice for qnnpack, which has one scale per tensor of weights; or one per output channel.

    Weights are not rounded by the fused kernel, as they are there: it takes other scales than the conversion does, and
    a zero point where all weights have one sign.
    """
    activation = ActivationRounding.with_args(
        observer=MovingAverageMinMaxObserver, quant_min=0, quant_max=CODES - 1, dtype=torch.quint8
    )
    per_channel = granularity == "channel"
    weight = FakeQuantize.with_args(
        observer=MovingAveragePerChannelMinMaxObserver if per_channel else MovingAverageMinMaxObserver,
        quant_min=-CODES // 2,
        quant_max=CODES // 2 - 1,
        dtype=torch.qint8,
        qscheme=torch.per_channel_symmetric if per_channel else torch.per_tensor_symmetric,
    )
    return QConfig(activation=activation, weight=weight)


def _round_like_integers(simulated: SimulatedNetwork, calls: _Calls, fused: Mapping[str, str]) -> None:
    """Round what lies between codes to those of the input, wherever it is known whose codes these are."""
    modules = dict(simulated.body.named_modules())
    images = calls.calls[0].inputs[0]
    for call in calls.calls:
        if not isinstance(call.module, _ROUNDED):
            continue
        source = calls.source(call.inputs[0])
        if source is not None:
            maker: Any = modules[fused.get(source.name, source.name)]
        elif call.inputs[0] == images:
            maker = simulated.quantize
        else:
            continue
        codes = getattr(maker, "arithmetic", maker).activation_post_process
        _replace(simulated.body, call.name, Rounded(modules[call.name], codes))


def _require_known(body: nn.Module, fused: set[str]) -> None:
    unknown = [
        f"{name} ({type(module).__name__})"
        for name, module in body.named_modules()
        if _is_leaf(module) and name not in fused and not isinstance(module, _KNOWN)
    ]
    if unknown:
        raise UnquantizableError(
            f"PyTorch's eager mode has no integer kernel for {', '.join(unknown)}; use another architecture or "
            "activation, or quantize an ONNX model (ptq-onnx)"
        )


def _require_same(simulated: SimulatedNetwork, images: torch.Tensor, expected: torch.Tensor) -> None:
    """Hold the fused copy against the network: a value that something else read as well may not be fused away."""
    with torch.no_grad():
        difference = (simulated(images) - expected).abs().max()
    if not difference <= SAME_WITHIN * (expected.max() - expected.min()):
        raise UnquantizableError(
            "fused for integers this network would answer otherwise: something between two of its modules reads the "
            "output of the first; make it a module (compresslab.models.torch.layers)"
        )


def _try(network: IntegerNetwork, images: torch.Tensor) -> None:
    """Run the integer network once; a kernel that is missing is told of with the module that wants it."""
    running: list[str] = []
    hooks = [
        module.register_forward_pre_hook(lambda _module, _inputs, name=name: running.append(name))
        for name, module in network.body.named_modules()
    ]
    try:
        with torch.no_grad():
            network(images)
    except (RuntimeError, NotImplementedError) as error:
        operator = re.search(r"'(aten|quantized)::([\w.]+)'", str(error))
        missing = f"operator {operator.group(2)}" if operator else str(error).splitlines()[0]
        raise UnquantizableError(
            f"PyTorch's eager mode has no integer kernel for {missing}, after module {running[-1]} was called; make it "
            "a module of compresslab.models.torch.layers, or use another architecture"
        ) from error
    finally:
        for hook in hooks:
            hook.remove()


def _numbered(network: IntegerNetwork) -> Iterator[tuple[str, nn.Module]]:
    """The modules that hold numbers: weights, or the codes of their output."""
    for name, module in network.named_modules():
        if isinstance(module, (*_WEIGHTED, quantized.Quantize, quantized.QFunctional)):
            yield name, module


def _codes_of(module: Any) -> tuple[float, int]:
    return float(module.scale), int(module.zero_point)


def _set_codes(module: Any, scale: float, zero_point: int) -> None:
    if isinstance(module, quantized.Quantize):
        module.scale.fill_(scale)
        module.zero_point.fill_(zero_point)
    else:
        module.scale, module.zero_point = scale, zero_point


def _weight_codes(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Scales and zero points of quantized weights, float32 and int32, of one or of every output channel."""
    if weight.qscheme() == torch.per_tensor_affine:
        return torch.tensor([weight.q_scale()]), torch.tensor([weight.q_zero_point()], dtype=torch.int32)
    return weight.q_per_channel_scales().float(), weight.q_per_channel_zero_points().int()


def _with_codes(values: torch.Tensor, scales: torch.Tensor, zero_points: torch.Tensor) -> torch.Tensor:
    if len(scales) == 1 < len(values):
        return torch._make_per_tensor_quantized_tensor(values, float(scales), int(zero_points))
    return torch._make_per_channel_quantized_tensor(values, scales.double(), zero_points.long(), axis=0)


def _is_leaf(module: nn.Module) -> bool:
    return next(module.children(), None) is None


def _replace(body: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, own = name.rpartition(".")
    setattr(body.get_submodule(parent), own, module)


def _use_engine() -> None:
    if ENGINE not in torch.backends.quantized.supported_engines:
        raise UnquantizableError(f"this build of PyTorch has no {ENGINE} kernels; it cannot compute in integers")
    torch.backends.quantized.engine = ENGINE


def _stays(where: str) -> ArtifactError:
    return ArtifactError(
        f"this network computes in PyTorch's integers, which run on the CPU only; it cannot be used {where}; use the "
        "float or the fake-quantized variant there"
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the announcements of the end of ``torch.ao.quantization`` out of the log."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
