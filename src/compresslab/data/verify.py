"""Is this the published file or archive? Judged by its decompressed content, since mirrors recompress."""

import gzip
import hashlib
import zlib
from pathlib import Path
from typing import BinaryIO, cast

from compresslab.data.archive import archive_problem
from compresslab.data.dataset import Remote, RemoteArchive, RemoteFile

_CHUNK = 1 << 20


def content_problem(path: Path, remote: Remote) -> str | None:
    """Say in words what is wrong with ``path`` as a copy of ``remote``, or return None.

    A copy of an archive may be packed or an unpacked folder. Decompression stops as soon as there is more content than
    was published, so that a decompression bomb costs neither memory nor time. Raises OSError when the copy cannot be
    read.
    """
    return archive_problem(path, remote) if isinstance(remote, RemoteArchive) else _file_problem(path, remote)


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
