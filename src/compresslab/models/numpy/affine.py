"""The affine map between real numbers and int8 codes, ``r = S (q - Z)`` (Jacob et al. 2018, equation 1)."""

from dataclasses import dataclass

import numpy as np

QMIN, QMAX = -128, 127
"""The codes of an int8 tensor."""


@dataclass(frozen=True)
class Affine:
    """Scale S (float32, shape ()) and zero point Z (int8, shape () or one per channel) of an int8 tensor."""

    scale: np.ndarray
    zero_point: np.ndarray

    def quantize(self, values: np.ndarray) -> np.ndarray:
        """Return the int8 codes of real ``values``: round half to even of ``r/S + Z``, saturated."""
        codes = np.rint(np.asarray(values, np.float64) / float(self.scale)) + self.zero_point.astype(np.float64)
        return np.clip(codes, QMIN, QMAX).astype(np.int8)

    def dequantize(self, codes: np.ndarray) -> np.ndarray:
        """Return float32 ``S (q - Z)`` of int8 ``codes`` (channels last where Z has one entry per channel)."""
        return (codes.astype(np.float32) - self.zero_point.astype(np.float32)) * np.float32(self.scale)

    @property
    def largest_offset(self) -> np.ndarray:
        """The largest ``|q - Z|`` that a code can reach, int64, in the shape of Z."""
        zero_point = self.zero_point.astype(np.int64)
        return np.maximum(QMAX - zero_point, zero_point - QMIN)
