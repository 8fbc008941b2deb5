"""A trained PyTorch network as one ``.safetensors`` file that says itself how to rebuild it.

The file's string metadata holds ``architecture`` (a module of ``compresslab.models.torch``), ``image_shape``,
``arguments`` (of the architecture's ``build``), ``preprocessing`` and ``classes``, all but the first as JSON.
"""

import importlib
import json
import pkgutil
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_safetensors
from torch import nn

import compresslab.models.torch as architectures
from compresslab.artifacts import canonical_json, written_whole
from compresslab.data.preprocessing import Preprocessing

_NO_ARCHITECTURES = {"artifact", "layers"}


class ArtifactError(ValueError):
    """A model file that cannot be used; says which one, what is wrong, and what to do."""


@dataclass(frozen=True)
class TorchModel:
    """A network and everything a user of it must know.

    ``image_shape`` is (H, W, C); ``arguments`` are the architecture's own, besides image shape and classes.
    """

    module: nn.Module
    architecture: str
    image_shape: tuple[int, int, int]
    preprocessing: Preprocessing
    classes: tuple[str, ...]
    arguments: Mapping[str, Any] = field(default_factory=dict)


def build(architecture: str, image_shape: Sequence[int], classes: int, **arguments: Any) -> nn.Module:
    """Build an architecture by its name; it takes float32 (N, C, H, W) and returns logits (N, classes).

    Raises ArtifactError, naming the architectures there are, when there is no such one.
    """
    known = _architectures()
    if architecture not in known:
        raise ArtifactError(f"there is no PyTorch architecture {architecture!r}; there are: {', '.join(known)}")
    module = importlib.import_module(f"{architectures.__name__}.{architecture}")
    network: nn.Module = module.build(tuple(image_shape), classes, **arguments)
    return network


def save(path: Path, model: TorchModel) -> None:
    """Write the network to ``path``; equal networks give equal bytes."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.module.state_dict().items()}
    metadata = {
        "architecture": model.architecture,
        "image_shape": canonical_json(list(model.image_shape)),
        "arguments": canonical_json(dict(model.arguments)),
        "preprocessing": canonical_json(model.preprocessing.to_json()),
        "classes": canonical_json(list(model.classes)),
    }
    with written_whole(path) as temporary:
        temporary.write_bytes(_with_sorted_header(to_safetensors(tensors, metadata)))


def load(path: Path) -> TorchModel:
    """Read what :func:`save` wrote, on the CPU and in evaluation mode.

    Raises ArtifactError for a truncated or foreign file, an unknown architecture, and tensors that do not fit the
    architecture, all of them by name; FileNotFoundError when there is no file.
    """
    path = Path(path)
    metadata, tensors = _read(path)
    try:
        architecture = metadata["architecture"]
        height, width, channels = json.loads(metadata["image_shape"])
        classes = tuple(json.loads(metadata["classes"]))
        arguments = json.loads(metadata["arguments"])
        preprocessing = Preprocessing.from_json(json.loads(metadata["preprocessing"]))
    except (KeyError, ValueError) as error:
        raise ArtifactError(
            f"{path}: its metadata does not describe a compresslab network ({error}); it comes from another program"
        ) from error
    try:
        module = build(architecture, (height, width, channels), len(classes), **arguments)
    except (ArtifactError, TypeError) as error:
        raise ArtifactError(f"{path}: {error}") from error
    if mismatches := _mismatches(module.state_dict(), tensors):
        raise ArtifactError(f"{path}: its tensors do not fit architecture {architecture}: {'; '.join(mismatches)}")
    module.load_state_dict(tensors)
    return TorchModel(module.eval(), architecture, (height, width, channels), preprocessing, classes, arguments)


def _read(path: Path) -> tuple[dict[str, str], dict[str, torch.Tensor]]:
    try:
        with safe_open(path, framework="pt") as file:
            return file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise
    except (SafetensorError, OSError) as error:
        raise ArtifactError(
            f"{path}: truncated, damaged or not a safetensors file ({error}); delete it and run again"
        ) from error


def _mismatches(expected: Mapping[str, torch.Tensor], found: Mapping[str, torch.Tensor]) -> list[str]:
    missing = [f"{name} is missing" for name in expected if name not in found]
    unknown = [f"{name} is unknown" for name in sorted(found) if name not in expected]
    different = [
        f"{name} is {_describe(found[name])}, not {_describe(tensor)}"
        for name, tensor in expected.items()
        if name in found and _describe(found[name]) != _describe(tensor)
    ]
    return missing + unknown + different


def _describe(tensor: torch.Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"


def _with_sorted_header(blob: bytes) -> bytes:
    """Sort the header of a safetensors file, whose metadata the library writes in a random order.

    The file is a little-endian uint64 length, a JSON header padded with spaces to 8 bytes, and the tensors, whose
    offsets count from the header's end (https://github.com/huggingface/safetensors#format).
    """
    (length,) = struct.unpack("<Q", blob[:8])
    header = canonical_json(json.loads(blob[8 : 8 + length])).encode()
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + blob[8 + length :]


def _architectures() -> list[str]:
    return sorted({module.name for module in pkgutil.iter_modules(architectures.__path__)} - _NO_ARCHITECTURES)
