"""What a dataset module says about itself.

Every dataset is one module, found by its name (``compresslab.data.catalogue``), so that editing one reruns only its
own jobs. To add a dataset, add ``datasets/<name>.py`` with the names of ``Dataset``; nothing else is edited. A module
of the same name in ``embedded/`` generates a stand-in for machines without the real data.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from compresslab.data.card import DataFile
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
        place = PurePosixPath(self.name)
        if place.is_absolute() or ".." in place.parts or "\\" in self.name or not place.name:
            raise ValueError(f"{self.name!r} is not a path inside the dataset's folder")

    @property
    def gzipped(self) -> bool:
        """Whether the file is published compressed."""
        return self.name.endswith(".gz")


def published(files: Sequence[RemoteFile]) -> list[DataFile]:
    """Describe published files for the data card; the address is the first one, whichever of them answered."""
    return [DataFile(name=file.name, url=file.urls[0], sha256=file.sha256, bytes=file.bytes) for file in files]


class Dataset(Protocol):
    """A dataset module. Texts are in every language of the reports; ``FILES`` is empty for generated data.

    ``SUBSTITUTE`` says that the data stand in for those of the name, so that published figures do not apply.
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
    def FILES(self) -> Sequence[RemoteFile]: ...  # noqa: D102, N802

    def read(self, raw: Path | None) -> Splits:
        """Build the splits from the files in ``raw``; the same arrays every time."""
        ...
