"""Multiplication by a real constant in integers: a mantissa and a right shift (Jacob et al. 2018, section 2.2)."""

import numpy as np

MANTISSA_BITS = 31
SMALLEST_SHIFT, LARGEST_SHIFT = 1, 62


def encode(factors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return ``(multiplier, shift)``, int32 and int8, with ``multiplier / 2**shift`` nearest to real ``factors`` >= 0.

    The multiplier is in [2**30, 2**31), which keeps 30 bits of a factor between 2**-32 and 2**30. Smaller factors keep
    fewer bits (the shift stays at 62, so that the rounding constant stays in int64); larger ones are a ValueError.
    """
    factors = np.asarray(factors, np.float64)
    if not np.all(np.isfinite(factors)) or np.any(factors < 0):
        raise ValueError(f"fixed-point factors must be finite and not negative, got {factors}")
    _, exponents = np.frexp(factors)
    shifts = np.minimum(MANTISSA_BITS - exponents, LARGEST_SHIFT)
    mantissas = np.rint(np.ldexp(factors, shifts))
    overflow = mantissas == 2.0**MANTISSA_BITS
    mantissas, shifts = np.where(overflow, mantissas / 2, mantissas), shifts - overflow
    if np.any(shifts < SMALLEST_SHIFT):
        raise ValueError(f"fixed-point factors must be below 2**{MANTISSA_BITS - SMALLEST_SHIFT}, got {factors.max()}")
    return mantissas.astype(np.int32), shifts.astype(np.int8)


def tie_free(factors: np.ndarray, larger: bool) -> np.ndarray:
    """Return the nearest factors, not smaller (or not ``larger``), of the form ``2**a / d`` with odd d: within 0.4 %.

    Then ``accumulator * factor`` is never halfway between two integers: ``n 2**a / d = k + 1/2`` would make the odd
    number ``(2 k + 1) d`` even. Every product keeps a distance of at least ``1/(2 d)`` from the nearest half, so
    rounding does not depend on how ties are broken, and single precision is enough to find the same integer. d is
    between 2**9 and 2**10; factors below 2**-9 keep the property with a larger d and move less.
    """
    factors = np.asarray(factors, np.float64)
    exponents = np.maximum(np.frexp(factors)[1] + 9, 0)
    units = np.ldexp(1.0, exponents)
    denominators = np.floor(units / factors) if larger else np.ceil(units / factors)
    even = denominators % 2 == 0
    return units / (denominators - even if larger else denominators + even)


def multiply(accumulators: np.ndarray, multiplier: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Return ``floor(accumulator * multiplier / 2**shift + 1/2)``: the exact int64 product, rounded half up, once.

    ``accumulators`` are int32, channels last; ``multiplier`` (int32) and ``shift`` (int8) broadcast to them. The
    product is below 2**62 and the rounding constant at most 2**61, so nothing overflows; ``>>`` of a negative int64
    is a floor.
    """
    wide = shift.astype(np.int64)
    half = np.left_shift(np.int64(1), wide - np.int64(1))
    return (accumulators.astype(np.int64) * multiplier.astype(np.int64) + half) >> wide


def requantize(
    accumulators: np.ndarray,
    multiplier: np.ndarray,
    shift: np.ndarray,
    zero_point: np.ndarray,
    lowest: np.ndarray,
) -> np.ndarray:
    """Turn int32 ``accumulators`` into int8 codes: :func:`multiply`, add ``zero_point``, saturate to [lowest, 127].

    ``lowest`` is -128, or the zero point itself when a ReLU is fused into the saturation.
    """
    codes = multiply(accumulators, multiplier, shift) + zero_point.astype(np.int64)
    return np.minimum(np.maximum(codes, lowest.astype(np.int64)), np.int64(127)).astype(np.int8)
