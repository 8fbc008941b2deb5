"""A strict reader of the IDX format in which MNIST is published.

Layout, big-endian (http://yann.lecun.com/exdb/mnist/): two zero bytes, one byte for the element type, one for the
number of dimensions, a 32-bit size per dimension, then the elements, the last dimension fastest. Only unsigned bytes
(type 0x08) occur in MNIST, and only they are read.
"""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from compresslab.data.errors import DataError

_UNSIGNED_BYTE = 0x08


def read_idx(path: Path, dimensions: int) -> np.ndarray:
    """Read a gzipped IDX file of unsigned bytes with the given number of dimensions, as uint8.

    Raises DataError, naming the file, when it cannot be unpacked, when its header says something else, or when its
    length is not the one that the header announces.
    """
    try:
        with gzip.open(path) as stream:
            return parse_idx(stream.read(), dimensions)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{path}: truncated or not a gzip file ({error}); fetch it again") from error
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file; fetch the dataset first") from error
    except DataError as error:
        raise DataError(f"{path}: {error}; fetch it again") from error


def parse_idx(content: bytes, dimensions: int) -> np.ndarray:
    """Parse IDX bytes into uint8 of the announced shape; raises DataError for anything but exactly that."""
    header_bytes = 4 + 4 * dimensions
    if len(content) < header_bytes:
        raise DataError(f"{len(content)} bytes are too few for an IDX header of {dimensions} dimensions")
    if content[:2] != b"\0\0":
        raise DataError(f"not an IDX file: it begins with {content[:4].hex()}")
    if content[2] != _UNSIGNED_BYTE:
        raise DataError(f"IDX elements of type 0x{content[2]:02x} where unsigned bytes (0x08) are expected")
    if content[3] != dimensions:
        raise DataError(f"IDX data of {content[3]} dimensions where {dimensions} are expected")
    shape = struct.unpack(f">{dimensions}I", content[4:header_bytes])
    if len(content) - header_bytes != math.prod(shape):
        raise DataError(f"IDX shape {shape} needs {math.prod(shape)} bytes, there are {len(content) - header_bytes}")
    return np.frombuffer(content, np.uint8, offset=header_bytes).reshape(shape)
