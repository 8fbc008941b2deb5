"""What PyTorch really runs in integers: the operators that an integer network calls, and the types of their tensors."""

from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from compresslab.measure.audit_row import AuditError, Row
from compresslab.models.torch.eager_artifact import load_integer

_COMPUTE = ("conv", "linear", "matmul", "addmm", "baddbmm", "mm", "bmm", "einsum")
"""How the names of operators begin that compute convolutions and matrix products."""

_CONVERSIONS = {"quantize_per_tensor", "dequantize", "local_scalar_dense", "zeros", "to_copy", "empty"}
_LAYOUT = {
    *("transpose", "permute", "view", "reshape", "unsafe_view", "squeeze", "unsqueeze", "expand", "slice", "clone"),
    *("contiguous", "detach", "alias", "flatten", "as_strided"),
}


def audit(model: Path, allow_float: list[str]) -> list[Row]:
    """Return a row for every operator that PyTorch runs for ``model``; ``allow_float`` holds names or patterns.

    A row's node is the module that calls the operator. Conversions between integer and float, and changes of layout
    alone, are left out. Raises AuditError when a convolution or matrix product runs in float unexpectedly, and when a
    name or pattern of ``allow_float`` fits no module.
    """
    opened = load_integer(model)
    height, width, channels = opened.image_shape
    rows = operators(opened.module, torch.zeros(1, channels, height, width), allow_float)
    names = {name.removeprefix("body.") for name, _ in opened.module.named_modules()}
    if unknown := [pattern for pattern in allow_float if not any(fnmatchcase(name, pattern) for name in names)]:
        raise AuditError(f"{model}: allow_float names {', '.join(unknown)}, which the model does not have")
    if surprises := [f"{row.node} ({row.operator}, {row.runs_as})" for row in rows if not row.expected]:
        raise AuditError(f"{model}: PyTorch computes in float: {', '.join(surprises)}; make these modules integer")
    return rows


@torch.no_grad()
def operators(network: nn.Module, images: torch.Tensor, allow_float: list[str]) -> list[Row]:
    """Run ``network`` on normalized images (N, C, H, W) and return a row for every operator that computes."""
    rows: list[Row] = []

    def called(module: str, operator: str, integer: bool) -> None:
        if operator in _CONVERSIONS | _LAYOUT:
            return
        allowed = any(fnmatchcase(module, pattern) for pattern in allow_float)
        expected = integer or allowed or not operator.startswith(_COMPUTE)
        rows.append(Row(module, operator, "integer" if integer else "float", expected))

    with _named_calls(network) as calling, _Watching(called, calling):
        network(images)
    return rows


class _Watching(TorchDispatchMode):
    """Tells of every operator that is called, and whether all of its tensors but biases and scales are quantized."""

    def __init__(self, called: Any, calling: list[str]) -> None:
        super().__init__()
        self._called, self._calling = called, calling

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operator as it would be run."""
        del types
        result = func(*args, **(kwargs or {}))
        tensors = [each for each in tree_leaves((args, result)) if isinstance(each, torch.Tensor)]
        name = func.overloadpacket.__name__.removeprefix("quantized_").lstrip("_")
        self._called(self._calling[-1], name, bool(tensors) and all(tensor.is_quantized for tensor in tensors))
        return result


@contextmanager
def _named_calls(network: nn.Module) -> Iterator[list[str]]:
    """Keep the names of the modules that are being called, the innermost last."""
    calling = [""]

    def enter(name: str) -> Any:
        return lambda _module, _inputs: calling.append(name)

    hooks = []
    for name, module in network.named_modules():
        hooks.append(module.register_forward_pre_hook(enter(name.removeprefix("body."))))
        hooks.append(module.register_forward_hook(lambda _module, _inputs, _output: calling.pop() and None))
    try:
        yield calling
    finally:
        for hook in hooks:
            hook.remove()
