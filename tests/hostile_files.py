"""Files that somebody may give to the page instead of a picture, and the name of the sentence that answers each."""

import io
import struct
import zlib
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from compresslab.demo.picture import MOST_BYTES

SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><image href="file:///etc/passwd"/></svg>'
HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)


def encoded(array: np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    """An array as the bytes of a picture file."""
    stream = io.BytesIO()
    Image.fromarray(array).save(stream, kind, **options)
    return stream.getvalue()


def png(width: int, height: int, data: bytes, before: bytes = b"") -> bytes:
    """A PNG in grey that declares any size, with any image data, and further chunks before it."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + before + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def chunk(name: bytes, content: bytes) -> bytes:
    """One chunk of a PNG."""
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


@cache
def refused() -> dict[str, tuple[bytes, str]]:
    """By file name: the bytes, and the message ``demo.<name>`` that answers them."""
    picture = encoded(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    photograph = encoded(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8), "JPEG")
    text_bomb = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(80_000_000), 1))
    return {
        "empty.png": (b"", "refused_empty"),
        "words.png": (b"This is not a picture, whatever its name says.", "refused_kind"),
        "page.svg": (SVG, "refused_kind"),
        "photo.heic": (HEIC, "refused_kind"),
        "paper.pdf": (b"%PDF-1.7\n1 0 obj\n<<>>\nendobj\n", "refused_kind"),
        "script.eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n", "refused_kind"),
        "archive.zip": (b"PK\3\4" + bytes(200), "refused_kind"),
        "half.png": (picture[: len(picture) // 2], "refused_damaged"),
        "half.jpg": (photograph[: len(photograph) // 2], "refused_damaged"),
        "garbled.png": (png(8, 8, b"no deflate stream"), "refused_damaged"),
        "huge.png": (png(50_000, 50_000, zlib.compress(b"\0")), "refused_pixels"),
        "bomb.png": (png(20_000, 5_000, zlib.compress(bytes(100_000_000), 1)), "refused_pixels"),
        "text-bomb.png": (png(8, 8, zlib.compress(bytes(72)), text_bomb), "refused_damaged"),
        "long.jpg": (bytes(MOST_BYTES + 1), "refused_bytes"),
        "deep.tiff": (encoded(np.zeros((8, 8), np.float32), "TIFF"), "refused_deep"),
    }


def write(folder: Path) -> dict[Path, str]:
    """Write all of them below ``folder``; by path, the name of the answer."""
    answers = {}
    for name, (content, answer) in refused().items():
        (folder / name).write_bytes(content)
        answers[folder / name] = answer
    return answers
