"""Published archives: read the files that are kept, check them, unpack them whole or not at all.

An archive, and the folder that was unpacked from it, are both read as a sequence of named streams, so that one loop
checks, copies and unpacks. Nothing but regular files at wanted names is ever written. Reading stops as soon as there is
more than was published, so that a decompression bomb costs neither disk nor memory.
"""

import fcntl
import gzip
import hashlib
import lzma
import os
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import IO, BinaryIO, NoReturn, cast

from tqdm import tqdm

from compresslab.data.dataset import RemoteArchive, stays_inside
from compresslab.data.errors import DataError
from compresslab.data.progress import progress_bar

_CHUNK = 1 << 18

# Members of an archive, wanted or not, for each file that is kept; beyond that, somebody wants us to count forever.
_MOST_MEMBERS = 100

_UNREADABLE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    gzip.BadGzipFile,
    EOFError,
    NotImplementedError,  # a compression that zipfile does not know
    RuntimeError,  # an encrypted member
    ValueError,  # a number that is none, in the header of a tar member
)


class ArchiveError(DataError):
    """Says in words what is wrong with an archive or folder; the sentence's subject, its path, is left out."""


def archive_problem(path: Path, archive: RemoteArchive) -> str | None:
    """Say what is wrong with ``path``, an archive or a folder unpacked from one, or return None.

    Raises OSError when it cannot be read.
    """
    try:
        _take(path, archive, None)
    except ArchiveError as problem:
        return str(problem)
    return None


def archive_content(path: Path, archive: RemoteArchive) -> tuple[int, str]:
    """Return bytes and ``tree_sha256`` of all kept files of ``path``, an archive or a folder unpacked from one.

    Raises ArchiveError when they are not the published ones and OSError when they cannot be read.
    """
    taken = _take(path, archive, None)
    return sum(size for size, _ in taken.values()), tree_sha256(taken)


def unpack(path: Path, archive: RemoteArchive, folder: Path) -> None:
    """Put the wanted files of ``path``, an archive or an unpacked folder, into ``folder``: all of them, or no folder.

    Raises ArchiveError when they are not the published ones and OSError when they cannot be read or written.
    """
    with _folder_written_whole(folder) as temporary:
        _take(path, archive, temporary)


def tree_sha256(files: Mapping[str, tuple[int, str]]) -> str:
    """SHA-256 over the lines ``name size sha256`` of all files, sorted by name; ``files`` maps a name to the rest."""
    lines = (f"{name} {size} {sha256}\n" for name, (size, sha256) in sorted(files.items()))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _take(path: Path, archive: RemoteArchive, folder: Path | None) -> dict[str, tuple[int, str]]:
    """Read every wanted file, write it below ``folder`` if there is one, and compare all with what was published.

    Returns size and SHA-256 of every file by its name.
    """
    taken: dict[str, tuple[int, str]] = {}
    room = archive.bytes
    try:
        total = None if archive.unhashed else archive.bytes
        with progress_bar(f"unpacking {archive.name}", total, "B", shown=folder is not None) as bar:
            for name, stream in _members(path, archive):
                if name in taken:
                    raise ArchiveError(f"holds {name} twice")
                if len(taken) == archive.files:
                    raise ArchiveError(f"holds more than the published {archive.files:,} files")
                size, sha256 = _take_file(stream, folder / name if folder else None, room, archive, bar)
                taken[name] = size, sha256
                room -= size
    except ArchiveError:
        raise
    except _UNREADABLE as error:
        raise ArchiveError("is truncated, corrupted or not an archive") from error
    _compare(taken, archive)
    return taken


def _take_file(
    stream: IO[bytes], target: Path | None, room: int, archive: RemoteArchive, bar: "tqdm[NoReturn]"
) -> tuple[int, str]:
    """Return size and SHA-256 of a stream of at most ``room`` bytes, and copy it to ``target`` if there is one."""
    if target:
        target.parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    with Path(target or os.devnull).open("wb") as copy:
        while chunk := stream.read(_CHUNK):
            size += len(chunk)
            if size > room:
                most = "" if archive.unhashed else "published "
                raise ArchiveError(f"holds more than the {most}{archive.bytes:,} bytes")
            digest.update(chunk)
            copy.write(chunk)
            bar.update(len(chunk))
    return size, digest.hexdigest()


def _compare(taken: Mapping[str, tuple[int, str]], archive: RemoteArchive) -> None:
    if not taken:
        raise ArchiveError(f"holds none of the published files of {archive.root}")
    if len(taken) < archive.files:
        raise ArchiveError(f"is incomplete ({len(taken):,} of {archive.files:,} files)")
    hashed = {name: content for name, content in taken.items() if not _fits(name, archive.unhashed)}
    sha256 = tree_sha256(hashed)
    if sha256 in archive.lookalikes:
        raise ArchiveError(f"is {archive.lookalikes[sha256]}")
    if archive.sha256 is not None and sha256 != archive.sha256:
        size = sum(size for size, _ in hashed.values())
        sizes = f"{size:,} bytes" if archive.unhashed else f"{size:,} of {archive.bytes:,} bytes"
        raise ArchiveError(
            f"does not hold the published files ({sizes}, sha256 of their list {sha256[:12]}, not "
            f"{archive.sha256[:12]})"
        )


def _members(path: Path, archive: RemoteArchive) -> Iterator[tuple[str, IO[bytes]]]:
    """Yield name, relative to the kept folder, and content of every wanted file."""
    if path.is_dir():
        yield from _folder_members(path, archive)
        return
    with path.open("rb") as stream:
        if _start(stream).startswith(b"PK"):
            yield from _zip_members(stream, archive)
        else:
            yield from _tar_members(stream, archive)


def _folder_members(folder: Path, archive: RemoteArchive) -> Iterator[tuple[str, IO[bytes]]]:
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if _fits(name, archive.wanted) and path.is_file():
            with path.open("rb") as stream:
                yield name, stream


def _zip_members(stream: BinaryIO, archive: RemoteArchive) -> Iterator[tuple[str, IO[bytes]]]:
    with zipfile.ZipFile(stream) as opened:
        for member in opened.infolist():
            # Directories and the files of systems without modes say 0.
            kind = stat.S_IFMT(member.external_attr >> 16)
            name = _kept_name(member.filename, member.is_dir(), kind in (0, stat.S_IFREG), archive)
            if name:
                with opened.open(member) as content:
                    yield name, content


def _tar_members(stream: BinaryIO, archive: RemoteArchive) -> Iterator[tuple[str, IO[bytes]]]:
    unpacked = cast(IO[bytes], _Bounded(_decompressed(stream), archive.most_bytes))
    with tarfile.open(fileobj=unpacked, mode="r|") as opened:
        for number, member in enumerate(opened):
            if number > _MOST_MEMBERS * archive.files:
                raise ArchiveError(f"holds more than {_MOST_MEMBERS * archive.files:,} members")
            name = _kept_name(member.name, member.isdir(), member.isreg(), archive)
            content = opened.extractfile(member) if name else None
            if name and content:
                yield name, content


def _kept_name(member: str, is_folder: bool, is_file: bool, archive: RemoteArchive) -> str | None:
    """Return a member's name relative to the kept folder, or None when it is not wanted; refuse what is dangerous."""
    if not stays_inside(member):
        raise ArchiveError(f"is refused: its member {member[:80]!r} would leave the folder")
    root = PurePosixPath(archive.root).parts
    parts = PurePosixPath(member).parts
    if is_folder or len(parts) <= len(root) or not all(map(fnmatchcase, parts, root)):
        return None
    name = "/".join(parts[len(root) :])
    if not _fits(name, archive.wanted):
        return None
    if not is_file:
        raise ArchiveError(f"is refused: its member {member[:80]!r} is a link or a device, not a file")
    return name


def _fits(name: str, patterns: Sequence[str]) -> bool:
    """Say whether a name fits one of the patterns, of which ``*`` does not match a slash."""
    parts = name.split("/")
    split = (pattern.split("/") for pattern in patterns)
    return any(len(pattern) == len(parts) and all(map(fnmatchcase, parts, pattern)) for pattern in split)


def _decompressed(stream: BinaryIO) -> IO[bytes]:
    start = _start(stream)
    if start.startswith(b"\x1f\x8b"):
        return cast(IO[bytes], gzip.open(stream))
    if start.startswith(b"\xfd7zXZ\0"):
        return lzma.open(stream)
    return stream


def _start(stream: BinaryIO) -> bytes:
    start = stream.read(6)
    stream.seek(0)
    return start


class _Bounded:
    """A stream that refuses to give more than a number of bytes: what is skipped has to be decompressed, too."""

    def __init__(self, stream: IO[bytes], most_bytes: int) -> None:
        self.stream = stream
        self.most_bytes = most_bytes
        self.given = 0

    def read(self, size: int) -> bytes:
        """Read up to ``size`` bytes."""
        content = self.stream.read(size)
        self.given += len(content)
        if self.given > self.most_bytes:
            raise ArchiveError(f"holds more than {self.most_bytes:,} bytes")
        return content


@contextmanager
def _folder_written_whole(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder beside ``folder``; rename it to ``folder`` when the block ends without an error.

    What unpackers that were killed have left is removed, but not what another one is writing now: it holds a lock.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    for abandoned in folder.parent.glob(f".{folder.name}-*"):
        with suppress(OSError), _locked(abandoned):
            shutil.rmtree(abandoned)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        with _locked(temporary):
            yield temporary
            mask = os.umask(0)
            os.umask(mask)
            temporary.chmod(0o777 & ~mask)
            temporary.replace(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
