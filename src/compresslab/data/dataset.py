"""What a dataset module says about itself.

Every dataset is one module, found by its name (``compresslab.data.catalogue``), so that editing one reruns only its
own jobs. To add a dataset, add ``datasets/<name>.py`` with the names of ``Dataset``; nothing else is edited. A module
of the same name in ``embedded/`` generates a stand-in for machines without the real data.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Protocol

from compresslab.data.prepared import Splits


@dataclass(frozen=True)
class RemoteFile:
    """A published file: its place below the dataset's folder, its addresses in the order to try, its content.

    ``sha256`` and ``bytes`` are of the decompressed content when ``name`` ends in ``.gz``, since mirrors recompress.
    """

    name: str
    urls: tuple[str, ...]
    sha256: str
    bytes: int

    def __post_init__(self) -> None:
        if not stays_inside(self.name):
            raise ValueError(f"{self.name!r} is not a path inside the dataset's folder")

    @property
    def gzipped(self) -> bool:
        """Whether the file is published compressed."""
        return self.name.endswith(".gz")

    @property
    def download_name(self) -> str:
        """Name under which the answer of an address is kept."""
        return self.name

    @property
    def download_bytes(self) -> int:
        """Longest answer that can be this file: compression adds less than 0.1 % to what cannot be compressed."""
        return self.bytes + self.bytes // 1000 + 4096


@dataclass(frozen=True)
class RemoteArchive:
    """A published archive, ``.zip`` or ``.tar`` however compressed, of which one folder is kept, unpacked.

    ``name``: the folder's place below the dataset's folder. ``file``: the archive's own name. ``root``: the folder's
    place in the archive; ``*`` stands for a part of a name, since some hosts put a revision into the first folder.
    ``wanted``: patterns of the files to keep, relative to the folder, of which ``*`` does not match a slash.

    ``sha256`` (``compresslab.data.archive.tree_sha256``), ``bytes`` and ``files`` are of the files that are kept, since
    hosts pack the same files into other archives from time to time. ``most_bytes``: an archive that is longer, packed
    or unpacked, is not read on. ``lookalikes``: of other files that go by the same names and sizes, the same hash, and
    what they are, in words that follow "is".

    ``unhashed``: patterns of kept files whose checksum nobody has published; they are counted among ``files``, but
    ``sha256`` leaves them out, and is None when there are no others. ``bytes`` is then the most that all kept files may
    hold, and whoever reads them has to notice a damaged one.
    """

    name: str
    file: str
    urls: tuple[str, ...]
    root: str
    wanted: tuple[str, ...]
    sha256: str | None
    bytes: int
    files: int
    most_bytes: int
    lookalikes: Mapping[str, str] = field(default_factory=dict)
    unhashed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in (self.name, self.file):
            if not stays_inside(name):
                raise ValueError(f"{name!r} is not a path inside the dataset's folder")
        if self.sha256 is None and self.unhashed != self.wanted:
            raise ValueError(f"{self.name}: without a hash, every wanted file is an unhashed one")

    @property
    def download_name(self) -> str:
        """Name under which the answer of an address is kept until it is unpacked."""
        return self.file

    @property
    def download_bytes(self) -> int:
        """Longest answer that can be this archive."""
        return self.most_bytes


Remote = RemoteFile | RemoteArchive


def stays_inside(name: str) -> bool:
    """Say whether a relative name with forward slashes stays inside the folder that it is relative to."""
    place = PurePosixPath(name)
    return not (place.is_absolute() or ".." in place.parts or "\\" in name or "\0" in name or not place.name)


class Dataset(Protocol):
    """A dataset module. Texts are in every language of the reports; ``FILES`` is empty for generated data.

    A module that reads the files of another dataset says so with ``RAW = "<that dataset>"``, and its ``FILES`` are that
    one's: they are fetched once for both. One that lies in a mirror under other names than its own lists these folders
    as ``MIRROR_FOLDERS``, in the order to try. Files without ``urls`` come from a mirror only.
    ``SUBSTITUTE`` says that the data stand in for those of the name, so that published figures do not apply.
    ``TASK`` is ``classification`` unless a module says ``segmentation``; one that puts published labels together has a
    ``LABEL_MAP``, published label to class or ``void``. Where archives have files without a published checksum, a
    module may define ``found_caveats(raw)``, which returns what is to be said of the files that were found.
    """

    @property
    def TITLE(self) -> Mapping[str, str]: ...  # noqa: D102, N802
    @property
    def DESCRIPTION(self) -> Mapping[str, str]: ...  # noqa: D102, N802
    @property
    def PROTOCOL(self) -> Mapping[str, str]: ...  # noqa: D102, N802
    @property
    def CAVEATS(self) -> Sequence[Mapping[str, str]]: ...  # noqa: D102, N802
    @property
    def CLASSES(self) -> Sequence[str]: ...  # noqa: D102, N802
    @property
    def LICENCE(self) -> str: ...  # noqa: D102, N802
    @property
    def CITATION(self) -> str: ...  # noqa: D102, N802
    @property
    def SUBSTITUTE(self) -> bool: ...  # noqa: D102, N802
    @property
    def FILES(self) -> Sequence[Remote]: ...  # noqa: D102, N802

    def read(self, raw: Path | None) -> Splits:
        """Build the splits from the files in ``raw``; the same arrays every time."""
        ...
