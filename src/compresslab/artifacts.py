"""Files that are either complete or absent.

Every artifact is written under a temporary name in its own folder and renamed, so that a killed job
never leaves half a file behind and a reader never sees one. Arrays are in `compresslab.arrays`.
"""

import errno
import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import Any

_OF_A_WRITE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}


@contextmanager
def written_whole(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` when the block ends without an error.

    What writers that were killed have left of the same file is removed. A full disk, or one that cannot be written, is
    an OSError that names ``path``; a file that was there stays as it was.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_abandoned(path)
    with _errors_name(path):
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=_temporary_prefix(path), suffix=path.suffix)
        temporary = Path(name)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield temporary
            with temporary.open("rb") as stream:
                os.fsync(stream.fileno())
            temporary.chmod(0o666 & ~_umask())
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
            os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text with Unix line ends."""
    with written_whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    """Write JSON for people: indented, keys in the order given, NaN refused."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON; a truncated or foreign file is a ValueError that names it."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} is not valid JSON ({error}); delete it and run again") from error


def canonical_json(value: Any) -> str:
    """JSON for machines: sorted keys, no spaces, so that equal values are equal strings."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def text_sha256(text: str) -> str:
    """SHA-256 of a text's UTF-8 bytes, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def _temporary_prefix(path: Path) -> str:
    return f".{path.stem}-"


@contextmanager
def _errors_name(path: Path) -> Iterator[None]:
    """Have an OSError name ``path``: one of a write names no file, and a temporary name tells nobody anything."""
    try:
        yield
    except OSError as error:
        of_a_write = error.filename is None and error.errno in _OF_A_WRITE
        if of_a_write or str(error.filename).startswith(str(path.parent / _temporary_prefix(path))):
            raise OSError(error.errno, error.strerror, str(path)) from error
        raise


def _remove_abandoned(path: Path) -> None:
    """Remove temporary files of ``path`` whose writer is gone: the system gave up its lock when the process ended."""
    for temporary in path.parent.glob(f"{escape(_temporary_prefix(path))}*{escape(path.suffix)}"):
        # Another process may remove or rename it in this very moment.
        with suppress(OSError), temporary.open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            temporary.unlink()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
