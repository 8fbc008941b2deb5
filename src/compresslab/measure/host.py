"""The fingerprint of the machine that numbers were measured on.

Every field has a value: what a machine does not tell is said in words, so that an empty field cannot pass for
"nothing special". Names of users, machines and folders are not part of it.
"""

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import cpuinfo
import numpy as np
import psutil
import threadpoolctl

from compresslab.measure.gpu_state import UnansweredError, ask
from compresslab.measure.noise import load_average, logical_cores
from compresslab.train.gpus import NoGpuError, cuda_version

NOT_EXPOSED = "not exposed by this machine"
NOT_INSTALLED = "not installed"
UNLIMITED = "unlimited"

FLAGS = (
    *("sse4_2", "avx", "avx2", "fma", "f16c", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16"),
    *("avx_vnni", "avx_vnni_int8", "amx_tile", "amx_int8", "amx_bf16"),
    *("neon", "asimddp", "asimdhp", "i8mm", "bf16", "sve", "sve2"),
)
"""Instruction sets that decide which kernels a runtime can choose, by their names in Linux."""

LIBRARIES = (
    *("compresslab", "numpy", "scipy", "pandas", "scikit-learn", "torch", "torchvision", "torchao"),
    *("onnx", "onnxruntime", "onnxscript", "tensorflow", "tf-keras", "ai-edge-litert", "snakemake"),
)

GPU_FIELDS = {
    "name": "name",
    "driver": "driver_version",
    "memory": "memory.total",
    "compute_capability": "compute_cap",
    "maximum_clock": "clocks.max.sm",
    "maximum_memory_clock": "clocks.max.mem",
    "power_limit": "power.limit",
    "persistence": "persistence_mode",
    "mig": "mig.mode.current",
    "ecc": "ecc.mode.current",
}
"""What is told of a GPU, and what ``nvidia-smi`` calls it; the last three are ``Enabled`` or ``Disabled``."""

CONTROL_GROUPS = Path("/sys/fs/cgroup")
CONTROL_GROUP_MEMBERSHIP = Path("/proc/self/cgroup")
_UNLIMITED_MEMORY_BYTES = 1 << 60


def fingerprint(host: str) -> dict[str, Any]:
    """Describe this machine under the name ``host`` that the user gave it; ready for JSON, no field empty."""
    return {
        "host": host,
        "taken_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cpu": _cpu(),
        "memory": _memory(),
        "container": container_limits(),
        "gpu": _gpus(),
        "operating_system": {
            "name": platform.system() or NOT_EXPOSED,
            "distribution": _distribution(),
            "kernel": platform.release() or NOT_EXPOSED,
            "libc": " ".join(platform.libc_ver()).strip() or NOT_EXPOSED,
        },
        "python": {"implementation": platform.python_implementation(), "version": platform.python_version()},
        "libraries": {name: _version(name) for name in LIBRARIES},
        "blas": _blas(),
        "code": _code(),
        "load_average": load_average(),
        "temperature_celsius": _temperature(),
    }


def usable_cores() -> int:
    """Return how many cores this process may use: affinity and container quota counted, at least 1."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else logical_cores()
    quota = container_limits()["cpu_quota_cores"]
    return max(1, min(allowed, int(quota))) if isinstance(quota, float) else allowed


def container_limits() -> dict[str, Any]:
    """Return ``cpu_quota_cores`` and ``memory_limit_bytes``: numbers, or why there is none."""
    return {"cpu_quota_cores": _cpu_quota(), "memory_limit_bytes": _memory_limit()}


def _cpu() -> dict[str, Any]:
    told = _processor()
    present = set(told.get("flags", []))
    if "asimd" in present:
        present.add("neon")
    return {
        "model": told.get("brand_raw") or NOT_EXPOSED,
        "vendor": told.get("vendor_id_raw") or NOT_EXPOSED,
        "architecture": platform.machine() or NOT_EXPOSED,
        "flags": {flag: flag in present for flag in FLAGS} if present else NOT_EXPOSED,
        "physical_cores": psutil.cpu_count(logical=False) or NOT_EXPOSED,
        "logical_cores": logical_cores(),
        "usable_cores": usable_cores(),
        "caches": _caches(),
        "governor": _governor(),
        "frequency_mhz": _frequency(),
        "virtual_machine": ("hypervisor" in present) if present else NOT_EXPOSED,
    }


def _frequency() -> dict[str, Any] | str:
    frequency = psutil.cpu_freq() if hasattr(psutil, "cpu_freq") else None
    if frequency is None:
        return NOT_EXPOSED
    return {name: getattr(frequency, name) or NOT_EXPOSED for name in ("current", "min", "max")}


@cache
def _processor() -> dict[str, Any]:
    told: dict[str, Any] = cpuinfo.get_cpu_info()
    return told


def _caches() -> dict[str, str] | str:
    """Return the size of every cache of the first core as the kernel writes it, such as ``{"L1 Data": "32K"}``."""
    folders = sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index[0-9]*"))
    sizes = {f"L{_text(folder / 'level')} {_text(folder / 'type')}": _text(folder / "size") for folder in folders}
    return {cache: size for cache, size in sizes.items() if size} or NOT_EXPOSED


def _governor() -> str:
    found = sorted(
        {_text(path) for path in Path("/sys/devices/system/cpu").glob("cpu[0-9]*/cpufreq/scaling_governor")} - {""}
    )
    return ", ".join(found) or NOT_EXPOSED


def _memory() -> dict[str, Any]:
    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    return {"total_bytes": memory.total, "available_bytes": memory.available, "swap_bytes": swap.total}


def _cpu_quota() -> float | str:
    """Return the cores that the control group grants (version 2, then 1), or why there is no number."""
    for folder in _control_groups(""):
        quota, _, period = _text(folder / "cpu.max").partition(" ")
        if quota and quota != "max":
            return int(quota) / int(period)
    for folder in _control_groups("cpu"):
        quota, period = _text(folder / "cpu.cfs_quota_us"), _text(folder / "cpu.cfs_period_us")
        if quota and period and int(quota) > 0:
            return int(quota) / int(period)
    return UNLIMITED if CONTROL_GROUPS.exists() else NOT_EXPOSED


def _memory_limit() -> int | str:
    """Return the control group's memory limit in bytes (version 2, then 1), or why there is no number."""
    for folder in _control_groups(""):
        limit = _text(folder / "memory.max")
        if limit and limit != "max":
            return int(limit)
    for folder in _control_groups("memory"):
        limit = _text(folder / "memory.limit_in_bytes")
        if limit and int(limit) < _UNLIMITED_MEMORY_BYTES:
            return int(limit)
    return UNLIMITED if CONTROL_GROUPS.exists() else NOT_EXPOSED


def _control_groups(controller: str) -> list[Path]:
    """List the folders of this process's control group and its ancestors, the nearest first; "" is version 2."""
    for line in _text(CONTROL_GROUP_MEMBERSHIP).splitlines():
        _, controllers, group = line.split(":", 2)
        if controller in controllers.split(","):
            root = CONTROL_GROUPS / controller
            inside = root / group.lstrip("/")
            return [inside, *(parent for parent in inside.parents if parent.is_relative_to(root))]
    return []


def _gpus() -> list[dict[str, str]] | str:
    """Describe every GPU of the machine in the driver's words and units; without one, say that. UUIDs are left out."""
    try:
        count = len(ask("--query-gpu", ("uuid",)))
    except UnansweredError:
        return "none found (no NVIDIA driver answers)"
    told = {"cuda": [_cuda()] * count, **{name: _of_gpus(field, count) for name, field in GPU_FIELDS.items()}}
    gpus = [{name: values[position] for name, values in told.items()} for position in range(count)]
    return gpus or "none found (the NVIDIA driver lists no GPU)"


def _of_gpus(field: str, count: int) -> list[str]:
    """Return what the driver tells of ``count`` GPUs in one field: field by field, since it may not know one."""
    try:
        told = [line[field] for line in ask("--query-gpu", (field,), units=True)]
    except UnansweredError:
        told = [""] * count
    return [value if value and not value.startswith("[") else NOT_EXPOSED for value in told]


def _cuda() -> str:
    """Return the newest CUDA that the driver speaks."""
    try:
        return cuda_version()
    except NoGpuError:
        return NOT_EXPOSED


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"] or NOT_EXPOSED
    except (OSError, KeyError):
        return platform.mac_ver()[0] or platform.win32_ver()[1] or NOT_EXPOSED


def _version(library: str) -> str:
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return NOT_INSTALLED


def _blas() -> dict[str, Any]:
    return {"numpy": _numpy_blas(), "loaded": _loaded_blas()}


def _numpy_blas() -> dict[str, str]:
    # NumPy 2 prints no *_opt_info lines any more, which is why the dictionaries are read instead.
    built: Any = np.show_config(mode="dicts")
    blas = built.get("Build Dependencies", {}).get("blas", {})
    return {
        "name": blas.get("name") or NOT_EXPOSED,
        "version": blas.get("version") or NOT_EXPOSED,
        "configuration": blas.get("openblas configuration") or NOT_EXPOSED,
    }


def _loaded_blas() -> list[dict[str, Any]] | str:
    # The path of a library is left out: it tells where the user's files are.
    names = ("internal_api", "version", "architecture", "threading_layer", "num_threads")
    pools = [
        {name: pool.get(name) or NOT_EXPOSED for name in names}
        for pool in threadpoolctl.threadpool_info()
        if pool.get("user_api") == "blas"
    ]
    return pools or "no BLAS library that threadpoolctl knows is loaded"


def _code() -> dict[str, Any]:
    here = Path(__file__)

    def git(*arguments: str) -> str:
        # An installed package can lie inside somebody else's repository, whose revision says nothing about it.
        inside = ("git", "-C", str(here.parent))
        _run(*inside, "ls-files", "--error-unmatch", here.name)
        return _run(*inside, *arguments)

    return {
        "version": _version("compresslab"),
        "revision": _told(lambda: git("rev-parse", "HEAD"), "not a git checkout with a commit"),
        "uncommitted_changes": _told(lambda: bool(git("status", "--porcelain")), "not a git checkout with a commit"),
    }


def _told(ask: Callable[[], Any], otherwise: str) -> Any:
    try:
        return ask()
    except (OSError, subprocess.SubprocessError):
        return otherwise


def _temperature() -> float | str:
    sensors = psutil.sensors_temperatures() if hasattr(psutil, "sensors_temperatures") else {}
    readings = [sensor.current for group in sensors.values() for sensor in group if sensor.current]
    return max(readings) if readings else NOT_EXPOSED


def _run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return ""
