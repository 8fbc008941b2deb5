"""Arrays in files: complete or absent, the same bytes for the same values, and never able to execute code."""

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from compresslab.artifacts import written_whole


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray], compress: bool = False) -> None:
    """Write an ``.npz`` whose bytes depend on the arrays alone (NumPy stamps every member 1980-01-01)."""
    with written_whole(path) as temporary, temporary.open("wb") as stream:
        save = np.savez_compressed if compress else np.savez
        save(stream, allow_pickle=False, **arrays)


def read_arrays(path: Path) -> dict[str, np.ndarray]:
    """Read every array of an ``.npz``; a truncated or foreign file is a ValueError that names it."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, KeyError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise ValueError(f"{path} is not a readable array file ({error}); delete it and run again") from error
