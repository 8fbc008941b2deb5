"""Is this the published file or archive? Judged by its decompressed content, since mirrors recompress."""

import gzip
import hashlib
import zlib
from pathlib import Path
from typing import BinaryIO, cast

from compresslab.data.archive import archive_content, archive_problem
from compresslab.data.card import DataFile
from compresslab.data.dataset import Remote, RemoteArchive, RemoteFile

_CHUNK = 1 << 20


def content_problem(path: Path, remote: Remote) -> str | None:
    """Say in words what is wrong with ``path`` as a copy of ``remote``, or return None.

    A copy of an archive may be packed or an unpacked folder. Decompression stops as soon as there is more content than
    was published, so that a decompression bomb costs neither memory nor time. Raises OSError when the copy cannot be
    read.
    """
    return archive_problem(path, remote) if isinstance(remote, RemoteArchive) else _file_problem(path, remote)


def found_content(path: Path, remote: Remote) -> DataFile:
    """Describe ``path``, a copy of ``remote`` without a problem, for the data card.

    What has a published checksum is what was published; else size and checksum are of what was found. The address is
    the first one, whichever of them answered.
    """
    if isinstance(remote, RemoteArchive) and remote.unhashed:
        size, sha256 = archive_content(path, remote)
    else:
        size, sha256 = remote.bytes, str(remote.sha256)
    return DataFile(name=remote.name, url=next(iter(remote.urls), None), sha256=sha256, bytes=size)


def _file_problem(path: Path, file: RemoteFile) -> str | None:
    digest = hashlib.sha256()
    size = 0
    try:
        with _open_content(path, file) as stream:
            while chunk := stream.read(_CHUNK):
                size += len(chunk)
                if size > file.bytes:
                    return f"holds more than the published {file.bytes:,} bytes"
                digest.update(chunk)
    except EOFError:
        return "is truncated"
    except (gzip.BadGzipFile, zlib.error):
        return "is corrupted or not a gzip file"
    if size < file.bytes:
        return f"is truncated ({size:,} of {file.bytes:,} bytes)"
    if digest.hexdigest() != file.sha256:
        return f"is not the published file (sha256 of its content {digest.hexdigest()[:12]}, not {file.sha256[:12]})"
    return None


def _open_content(path: Path, file: RemoteFile) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path)) if file.gzipped else path.open("rb")
