"""How a slice of the configuration travels on a command line.

A shell takes a command as one string, and Linux allows 128 KiB for it. The slice of a whole lab of a few hundred
variants is longer than that, and repeats itself: compressed it takes a twentieth.

What is compressed depends on the library that compresses, so a rule gives it to its command by a param that takes
``output``, which Snakemake does not record: the slice itself decides what is made anew.
"""

import base64
import json
import zlib
from typing import Any

LONGEST = 16_000
"""Characters that a slice may have and still be passed on as plain JSON, which a person can read in the log."""
COMPRESSED = "zlib:"


def told(spec: str) -> str:
    """A slice, JSON, as a job is told of it: as it is, or compressed where it is long."""
    if len(spec) <= LONGEST:
        return spec
    return COMPRESSED + base64.b64encode(zlib.compress(spec.encode(), level=9)).decode()


def heard(text: str) -> dict[str, Any]:
    """The slice that a job was told. Raises ValueError for what :func:`told` does not say."""
    if text.startswith(COMPRESSED):
        try:
            text = zlib.decompress(base64.b64decode(text.removeprefix(COMPRESSED))).decode()
        except zlib.error as error:
            raise ValueError(f"a compressed slice that is none ({error})") from error
    spec: dict[str, Any] = json.loads(text)
    return spec
