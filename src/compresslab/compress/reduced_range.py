"""Weights of 7 bits or 8: what the CPU that quantizes says where the configuration leaves it to it.

x86 CPUs without VNNI add products of 8-bit numbers in 16 bits, which saturate (VPMADDUBSW), so their weights are given
7 bits (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html).
"""

import platform
from dataclasses import dataclass
from typing import Literal

import cpuinfo

_VNNI = {"avx512_vnni", "avx512vnni", "avx_vnni", "avxvnni", "amx_int8"}


@dataclass(frozen=True)
class Quantization:
    """What was decided on this host: weights of 7 bits or 8, and whether its CPU has VNNI."""

    reduce_range: bool
    vnni: bool


def decide(reduce_range: Literal["auto"] | bool) -> Quantization:
    """Settle ``reduce_range: auto``: true on an x86 CPU without VNNI, false elsewhere."""
    vnni = has_vnni()
    if reduce_range == "auto":
        return Quantization(reduce_range=_is_x86() and not vnni, vnni=vnni)
    return Quantization(reduce_range=reduce_range, vnni=vnni)


def has_vnni() -> bool:
    """Whether this CPU multiplies 8-bit numbers and adds in 32 bits (AVX-512 VNNI, AVX-VNNI or AMX)."""
    return not _VNNI.isdisjoint(cpuinfo.get_cpu_info().get("flags", []))


def _is_x86() -> bool:
    return platform.machine().lower() in {"x86_64", "amd64", "i386", "i686", "x86"}
