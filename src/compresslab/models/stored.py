"""A trained network as one ``.safetensors`` file that says itself how to rebuild it, whatever its framework.

The file's string metadata holds ``architecture`` (a module of the framework's own package of architectures),
``image_shape``, ``arguments`` (of the architecture's ``build``), ``preprocessing`` and ``classes``, all but the first
as JSON, ``framework`` where that is not PyTorch in float, and ``quantization`` where it is quantized.
"""

import importlib
import json
import pkgutil
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save as to_safetensors

from compresslab.artifacts import canonical_json, written_whole
from compresslab.data.preprocessing import Preprocessing
from compresslab.models.errors import ArtifactError

Tensors = Mapping[str, np.ndarray]

TORCH = "torch"
"""The framework of a file that names none."""


@dataclass(frozen=True)
class Description:
    """What rebuilds a network, and what a user of it must know; ``image_shape`` is (H, W, C)."""

    architecture: str
    image_shape: tuple[int, int, int]
    preprocessing: Preprocessing
    classes: tuple[str, ...]
    arguments: Mapping[str, Any]
    quantization: Mapping[str, Any] = field(default_factory=dict)
    """How the architecture was quantized; empty for a network in float."""


@dataclass(frozen=True)
class Architectures:
    """The architectures of one framework: a package, and which of its modules are none."""

    framework: str
    package: ModuleType
    others: frozenset[str]

    def build(self, architecture: str, image_shape: Sequence[int], classes: int, **arguments: Any) -> Any:
        """Build an architecture by its name.

        Raises ArtifactError, naming the architectures there are, when there is no such one.
        """
        modules = {module.name for module in pkgutil.iter_modules(self.package.__path__)} - self.others
        names = sorted(name.replace("_", "-") for name in modules)
        if architecture not in names:
            known = ", ".join(names)
            raise ArtifactError(f"there is no {self.framework} architecture {architecture!r}; there are: {known}")
        module = importlib.import_module(f"{self.package.__name__}.{architecture.replace('-', '_')}")
        return module.build(tuple(image_shape), classes, **arguments)


def write(path: Path, tensors: Tensors, description: Description, framework: str = TORCH) -> None:
    """Write a network of ``framework`` to ``path``; equal networks give equal bytes."""
    metadata = {
        "architecture": description.architecture,
        "image_shape": canonical_json(list(description.image_shape)),
        "arguments": canonical_json(dict(description.arguments)),
        "preprocessing": canonical_json(description.preprocessing.to_json()),
        "classes": canonical_json(list(description.classes)),
    }
    if framework != TORCH:
        metadata["framework"] = framework
    if description.quantization:
        metadata["quantization"] = canonical_json(dict(description.quantization))
    # The library writes memory as it lies, whatever the strides say.
    plain = {name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}
    with written_whole(path) as temporary:
        temporary.write_bytes(_with_sorted_header(to_safetensors(plain, metadata)))


def read(path: Path, framework: str = TORCH) -> tuple[Description, dict[str, np.ndarray]]:
    """Read what :func:`write` wrote: the description, and the tensors by their names.

    Raises ArtifactError for a truncated or foreign file and for one of another framework; FileNotFoundError when there
    is no file.
    """
    metadata, tensors = _open(path)
    try:
        height, width, channels = json.loads(metadata["image_shape"])
        description = Description(
            architecture=metadata["architecture"],
            image_shape=(height, width, channels),
            preprocessing=Preprocessing.from_json(json.loads(metadata["preprocessing"])),
            classes=tuple(json.loads(metadata["classes"])),
            arguments=json.loads(metadata["arguments"]),
            quantization=json.loads(metadata.get("quantization", "{}")),
        )
    except (KeyError, ValueError) as error:
        raise ArtifactError(
            f"{path}: its metadata does not describe a compresslab network ({error}); it comes from another program"
        ) from error
    if (found := metadata.get("framework", TORCH)) != framework:
        raise ArtifactError(f"{path}: this is a network of {found}, not of {framework}; use an engine of {found}")
    return description, tensors


def framework_of(path: Path) -> str:
    """Return what a file of :func:`write` holds a network of; raises as :func:`read` does for a damaged file."""
    return _open(path)[0].get("framework", TORCH)


def require_fit(path: Path, architecture: str, expected: Tensors, found: Tensors) -> None:
    """Raise ArtifactError, naming every tensor that is missing, unknown or of another kind."""
    missing = [f"{name} is missing" for name in expected if name not in found]
    unknown = [f"{name} is unknown" for name in sorted(found) if name not in expected]
    different = [
        f"{name} is {_describe(found[name])}, not {_describe(tensor)}"
        for name, tensor in expected.items()
        if name in found and _describe(found[name]) != _describe(tensor)
    ]
    if mismatches := missing + unknown + different:
        raise ArtifactError(f"{path}: its tensors do not fit architecture {architecture}: {'; '.join(mismatches)}")


def _with_sorted_header(blob: bytes) -> bytes:
    """Sort the header of a safetensors file, whose metadata the library writes in a random order.

    The file is a little-endian uint64 length, a JSON header padded with spaces to 8 bytes, and the tensors, whose
    offsets count from the header's end (https://github.com/huggingface/safetensors#format).
    """
    (length,) = struct.unpack("<Q", blob[:8])
    header = canonical_json(json.loads(blob[8 : 8 + length])).encode()
    header += b" " * (-len(header) % 8)
    return struct.pack("<Q", len(header)) + header + blob[8 + length :]


def _open(path: Path) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    try:
        with safe_open(path, framework="np") as file:
            return file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError:
        raise
    except (SafetensorError, OSError) as error:
        raise ArtifactError(
            f"{path}: truncated, damaged or not a safetensors file ({error}); delete it and run again"
        ) from error


def _describe(tensor: np.ndarray) -> str:
    return f"{tensor.dtype} {list(tensor.shape)}"
