"""Files of PyTorch weights, read without running anything that they hold.

A ``.pth`` or ``.pt`` file is a pickle, which can call any function. PyTorch's own reader for weights takes tensors and
plain values from it and nothing else; here it is only helped to say so in a line. See
https://docs.pytorch.org/docs/stable/notes/serialization.html#weights-only.
"""

import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from compresslab.intake.names import unwrapped, without_leftovers
from compresslab.intake.terms import ImportRefusedError

WRAPPERS = ("state_dict", "model_state_dict", "model", "net")
"""Keys under which training programs keep the weights, beside epochs and optimizers."""

_ZIP = b"PK"
_ADVICE = "where it was made, save torch.save(model.state_dict(), ...) and import that"


@dataclass(frozen=True)
class Weights:
    """Values by name (tensors, where all is well), the key they lay under, and what was taken off their names."""

    values: dict[str, Any]
    key: str
    wrapping: str
    leftovers: int
    """Counters of profilers that were left out."""

    def integers(self) -> list[str]:
        """Names of the tensors by which one knows weights in integers; none of a network in float."""
        return [name for name, value in self.values.items() if isinstance(value, torch.Tensor) and _is_integer(value)]


def read(path: Path) -> Weights:
    """Read the weights of a ``.safetensors``, ``.pth`` or ``.pt`` file, on the CPU.

    Raises ImportRefusedError for a file that is damaged, that holds no state dict, or that would need code.
    """
    holds = _read_safetensors(path) if path.suffix.lower() == ".safetensors" else _read_torch(path)
    values, key = _state_dict(path, holds)
    tensors, wrapping = unwrapped(values)
    tensors, leftovers = without_leftovers(tensors)
    return Weights(tensors, key, wrapping, leftovers)


def _is_integer(tensor: torch.Tensor) -> bool:
    """Whether a tensor holds codes: of PyTorch's quantized types, or bytes that are more than a number."""
    return tensor.is_quantized or (tensor.dtype in (torch.int8, torch.uint8) and tensor.dim() > 0)


def _read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        with safe_open(path, framework="pt", device="cpu") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise ImportRefusedError(f"{path}: truncated, damaged or not a safetensors file ({error})") from error


def _read_torch(path: Path) -> Any:
    with path.open("rb") as stream:
        zipped = stream.read(len(_ZIP)) == _ZIP
    if zipped:
        _require_plain_archive(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Mapped, so that an optimizer's state beside the weights is never read.
            return torch.load(str(path), map_location="cpu", weights_only=True, mmap=zipped)
    except pickle.UnpicklingError as error:
        if needed := re.search(r"GLOBAL (\S+)", str(error)):
            raise ImportRefusedError(
                f"{path}: reading it would run code ({needed.group(1)}), which is not done; {_ADVICE}"
            ) from error
        raise ImportRefusedError(f"{path}: it holds more than weights, or is damaged; {_ADVICE}") from error
    # A damaged or hostile file can make the reader stumble over anything.
    except Exception as error:
        raise ImportRefusedError(f"{path}: truncated, damaged or not a file of PyTorch weights; {_ADVICE}") from error


def _require_plain_archive(path: Path) -> None:
    """Refuse an archive that would grow when it is read: PyTorch stores, and never compresses.

    Members that share their bytes are caught, too: their sizes add up to more than the file.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError) as error:
        raise ImportRefusedError(f"{path}: truncated, damaged or not a file of PyTorch weights; {_ADVICE}") from error
    if any(member.filename.endswith("/constants.pkl") for member in members):
        raise ImportRefusedError(f"{path}: this is a TorchScript program, not weights; {_ADVICE}")
    unpacked, size = sum(member.file_size for member in members), path.stat().st_size
    if unpacked > size:
        raise ImportRefusedError(
            f"{path}: {size} bytes that would unpack to {unpacked}; PyTorch does not write such a file; {_ADVICE}"
        )


def _state_dict(path: Path, holds: Any) -> tuple[dict[str, Any], str]:
    """The weights in what a file holds, and the key under which they lie (empty when they are all that it holds)."""
    keys: list[str] = []
    while isinstance(holds, Mapping) and not any(isinstance(value, torch.Tensor) for value in holds.values()):
        key = next((key for key in WRAPPERS if isinstance(holds.get(key), Mapping)), None)
        # A pickle can hold itself.
        if key is None or len(keys) == len(WRAPPERS):
            break
        keys.append(key)
        holds = holds[key]
    if not isinstance(holds, Mapping) or not any(isinstance(value, torch.Tensor) for value in holds.values()):
        inside = ", ".join(map(str, list(holds)[:10])) if isinstance(holds, Mapping) else type(holds).__name__
        raise ImportRefusedError(
            f"{path}: no weights found in it (it holds: {inside or 'nothing'}); they may lie at the top or under "
            f"{', '.join(WRAPPERS)}; {_ADVICE}"
        )
    return {str(name): value for name, value in holds.items()}, ".".join(keys)
