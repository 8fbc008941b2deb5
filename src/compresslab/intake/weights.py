"""A user's PyTorch weights in an architecture of this house: every tensor fits, or every one that does not is told."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from compresslab.intake import checkpoint, names
from compresslab.intake.terms import ImportRefusedError, Say, Terms

MOST_NAMED = 6
"""Tensors of one kind that an error names; the log names all."""

# PyTorch counts batches for averages that no network here uses; older files lack the count.
_MAY_BE_MISSING = "num_batches_tracked"


@dataclass(frozen=True)
class Imported:
    """What was done to a file's weights: the key above them, the start of names taken off, counters of profilers left
    out, types converted.
    """

    key: str
    wrapping: str
    leftovers: int
    converted_to_float32: dict[str, int]


def bring(path: Path, module: nn.Module, terms: Terms, rename: Mapping[str, str], say: Say) -> Imported:
    """Load the weights at ``path`` into ``module``, in float32, with its outputs in the dataset's order.

    Raises ImportRefusedError for a file that cannot be read safely, weights in INT8, tensors that do not fit (all of
    them), values that are not finite, and another order of classes where the network does not end in a linear layer.
    """
    weights = checkpoint.read(path)
    if weights.leftovers:
        say(f"{weights.leftovers} counters of a profiler ({', '.join(names.LEFTOVERS)}) are left out")
    if integers := weights.integers():
        raise ImportRefusedError(
            f"{path}: these are weights in INT8 ({integers[0]} and {len(integers) - 1} more), without their batch "
            "normalizations; import the FP32 weights that they were made of, and quantize those here "
            "(qat-eager and convert-eager)"
        )
    for part in names.useless(weights.values, rename):
        say(f"rename: no tensor has '{part}' in its name")
    found = names.renamed(weights.values, rename)
    expected = module.state_dict()
    if problems := list(_problems(found, expected)):
        proposal = names.proposal(_shapes(weights.values), _shapes(expected), rename)
        advice = f"; try rename: {_as_yaml(proposal)}" if proposal != rename else ""
        raise ImportRefusedError(f"{path}: its tensors do not fit: {_told(problems, say)}{advice}")
    converted = Counter(_type(found[name]) for name in expected if name in found and _is_converted(found[name]))
    for kind, count in sorted(converted.items()):
        say(f"{count} tensors of {kind} become float32")
    fitted = {name: _as_expected(found.get(name, tensor), tensor) for name, tensor in expected.items()}
    if broken := [name for name, tensor in fitted.items() if not torch.isfinite(tensor).all()]:
        raise ImportRefusedError(f"{path}: not finite in float32: {', '.join(broken)}; such a model answers nothing")
    if terms.permuted:
        fitted |= _in_order(module, fitted, terms.outputs)
    module.load_state_dict(fitted)
    module.eval()
    return Imported(weights.key, weights.wrapping, weights.leftovers, dict(sorted(converted.items())))


@dataclass(frozen=True)
class _Problem:
    kind: str
    text: str


def _problems(found: Mapping[str, Any], expected: Mapping[str, torch.Tensor]) -> Iterator[_Problem]:
    """Every tensor that is missing, unknown, or of another shape or kind."""
    missing = [name for name in expected if name not in found and not name.endswith(_MAY_BE_MISSING)]
    yield from (_Problem("missing", name) for name in missing)
    for name in found:
        if name not in expected:
            near = names.nearest(name, missing)
            yield _Problem("unknown", f"{name} (like {near})" if near else name)
    for name, tensor in expected.items():
        if name in found and (message := _misfit(found[name], tensor)):
            yield _Problem("different", f"{name} {message}")


def _misfit(found: Any, expected: torch.Tensor) -> str | None:
    if not isinstance(found, torch.Tensor):
        return f"is no tensor ({type(found).__name__})"
    if found.layout != torch.strided or found.device.type != "cpu":
        return f"has no plain values ({found.layout}, {found.device.type})"
    if found.shape != expected.shape:
        return f"is {list(found.shape)}, not {list(expected.shape)}"
    if found.is_floating_point() != expected.is_floating_point() or found.is_complex() or found.is_quantized:
        return f"is {_type(found)}, not {_type(expected)}"
    return None


def _told(problems: list[_Problem], say: Say) -> str:
    """All problems to the log; a line that names the first ones of each kind."""
    kinds: dict[str, list[str]] = {}
    for problem in problems:
        say(f"{problem.kind}: {problem.text}")
        kinds.setdefault(problem.kind, []).append(problem.text)
    return "; ".join(f"{len(texts)} {kind}: {_few(texts)}" for kind, texts in kinds.items())


def _few(texts: list[str]) -> str:
    more = len(texts) - MOST_NAMED
    return ", ".join(texts[:MOST_NAMED]) + (f" and {more} more in the log" if more > 0 else "")


def _as_yaml(parts: Mapping[str, str]) -> str:
    return "{" + ", ".join(f'"{old}": "{new}"' for old, new in parts.items()) + "}"


def _as_expected(found: torch.Tensor, expected: torch.Tensor) -> torch.Tensor:
    return found.detach().to(expected.dtype, copy=True).contiguous()


def _is_converted(tensor: torch.Tensor) -> bool:
    return tensor.is_floating_point() and tensor.dtype != torch.float32


def _in_order(
    module: nn.Module, tensors: Mapping[str, torch.Tensor], outputs: tuple[int, ...]
) -> dict[str, torch.Tensor]:
    """The last layer's weights and biases with its outputs in another order."""
    with_weights = [
        (name, child) for name, child in module.named_modules() if next(child.parameters(False), None) is not None
    ]
    name, last = with_weights[-1]
    if not isinstance(last, nn.Linear) or last.out_features != len(outputs):
        raise ImportRefusedError(
            f"the network ends in {name} ({type(last).__name__}), whose outputs cannot be reordered; "
            "import a model whose classes are in the dataset's order"
        )
    rows = torch.tensor(outputs)
    return {key: tensors[key][rows] for key in (f"{name}.weight", f"{name}.bias") if key in tensors}


def _shapes(values: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in values.items() if isinstance(value, torch.Tensor)}


def _type(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")
