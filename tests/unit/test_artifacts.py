"""Files are complete or absent, also where there is no room for them, and an error names the file."""

import errno
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from compresslab.arrays import write_arrays
from compresslab.artifacts import write_text, written_whole
from compresslab.data.preprocessing import Preprocessing
from compresslab.models import stored
from compresslab.train import checkpoint

LARGE = np.random.default_rng(0).integers(0, 256, 100_000, dtype=np.uint8)


@contextmanager
def room(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond ``size`` bytes: what a full disk is to one that is written."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def write_stored(path: Path, array: np.ndarray) -> None:
    description = stored.Description("any", (8, 8, 1), Preprocessing((0.5,), (0.5,)), ("a", "b"), {})
    stored.write(path, {"array": array}, description)


WRITERS: dict[str, Callable[[Path, np.ndarray], None]] = {
    "text.csv": lambda path, array: write_text(path, array.tobytes().hex()),
    "arrays.npz": lambda path, array: write_arrays(path, {"array": array}),
    "compressed.npz": lambda path, array: write_arrays(path, {"array": array}, compress=True),
    "model.safetensors": write_stored,
    "checkpoint": lambda path, array: checkpoint.save(path.parent, "same", checkpoint.Checkpoint([], array.tobytes())),
}


@pytest.mark.parametrize("name", WRITERS)
def test_what_does_not_fit_leaves_the_file_before_it_and_names_it(name: str, tmp_path: Path) -> None:
    path, write = tmp_path / name, WRITERS[name]
    write(path, LARGE[:1000])
    before = path.read_bytes()
    with pytest.raises(OSError, match="File too large") as caught, room(20_000):
        write(path, LARGE)
    assert caught.value.filename == str(path)
    assert [found.name for found in tmp_path.iterdir()] == [name]
    assert path.read_bytes() == before
    write(path, LARGE)
    assert len(path.read_bytes()) > len(LARGE)


def test_a_folder_that_nobody_may_write_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(dir: Path, prefix: str, suffix: str) -> None:
        raise OSError(errno.EROFS, "Read-only file system", f"{dir}/{prefix}x7{suffix}")

    monkeypatch.setattr("tempfile.mkstemp", refused)
    with pytest.raises(OSError, match="Read-only file system") as caught:
        write_text(tmp_path / "scores.csv", "")
    assert caught.value.filename == str(tmp_path / "scores.csv")


@pytest.mark.parametrize(
    "error", [FileNotFoundError(errno.ENOENT, "No such file", "other"), ConnectionError(104, "Reset")]
)
def test_an_error_of_something_else_is_left_alone(error: OSError, tmp_path: Path) -> None:
    with pytest.raises(type(error)) as caught, written_whole(tmp_path / "file"):
        raise error
    assert caught.value is error
    assert list(tmp_path.iterdir()) == []
