"""Images through a lossy codec and back: what a network sees when a camera or a page has compressed them before."""

import io
from dataclasses import dataclass

import numpy as np
from PIL import Image


@dataclass(frozen=True, eq=False)
class Reencoded:
    """Images uint8 (N, H, W, C) after a codec, the bytes that an image took, and how far its pixels moved.

    ``pixel_error_percent``: mean absolute difference of the pixel values, in percent of their range.
    """

    images: np.ndarray
    bytes_per_image: float
    pixel_error_percent: float


def original(images: np.ndarray) -> Reencoded:
    """Return the images as they are, uint8 (N, H, W, C); an image takes one byte per pixel and channel."""
    return Reencoded(images, float(images[0].nbytes), 0.0)


def through_jpeg(images: np.ndarray, quality: int) -> Reencoded:
    """Encode every image as JPEG and decode it: Pillow's tables, colours at half the resolution as it does unless told.

    ``images``: uint8 (N, H, W, C), of one or three channels, N of at least 1. Raises ValueError for other channels.
    """
    channels = images.shape[-1]
    if channels not in (1, 3):
        raise ValueError(f"JPEG holds images of 1 or 3 channels, not of {channels}")
    decoded, encoded_bytes = np.empty_like(images), 0
    for number, image in enumerate(images):
        buffer = io.BytesIO()
        Image.fromarray(image[..., 0] if channels == 1 else image).save(buffer, "JPEG", quality=quality)
        encoded_bytes += buffer.tell()
        decoded[number] = np.asarray(Image.open(buffer, formats=["JPEG"])).reshape(image.shape)
    error = np.abs(decoded.astype(np.int16) - images).mean()
    return Reencoded(decoded, encoded_bytes / len(images), 100 * float(error) / 255)
