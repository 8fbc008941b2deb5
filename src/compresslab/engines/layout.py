"""Between the layout of images (N, H, W, C) and the one that PyTorch and ONNX compute in (N, C, H, W)."""

import numpy as np

from compresslab.data.preprocessing import Preprocessing


def normalized_channels_first(preprocessing: Preprocessing, images: np.ndarray) -> np.ndarray:
    """Turn uint8 images (N, H, W, C) into normalized, contiguous float32 (N, C, H, W)."""
    normalized = preprocessing.normalize(images).transpose(0, 3, 1, 2)
    # A copy, since an array of one channel counts as contiguous with strides from which PyTorch concludes NHWC.
    return normalized.copy(order="C")


def layer_output(values: np.ndarray) -> np.ndarray:
    """Turn a layer's output into what engines compare: feature maps (N, H, W, C), all else (N, features).

    A map of one pixel, as a global average pooling leaves it, is a vector of features.
    """
    if values.ndim != 4:
        return values
    if values.shape[2:] == (1, 1):
        return values.reshape(values.shape[:2])
    return np.ascontiguousarray(values.transpose(0, 2, 3, 1))
