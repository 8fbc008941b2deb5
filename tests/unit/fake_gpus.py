"""GPUs for tests on machines without one: a driver that lists them, and an `nvidia-smi` that tells of one."""

import os
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from compresslab.train import gpus

FIRST, SECOND = "0a4e3bd1-7c2f-9b1e-5d60-1f2e3d4c5b6a", "1b5f4ce2-8d30-ac2f-6e71-203f4e5d6c7b"
NO_DEVICE = 100

# Fields as files, so that a test changes one by writing it. What has no file is no field of this driver.
SCRIPT = """\
#!/bin/sh
folder=${0%/*}
case $1 in --query-compute-apps=*) [ ! -f "$folder/processes" ] || cat "$folder/processes"; exit;; esac
fields=${1#*=}
answer=
IFS=,
for field in $fields; do
  [ -f "$folder/$field" ] || { echo "Field \\"$field\\" is not a valid field to query."; exit 2; }
  read -r value < "$folder/$field"
  case $2 in *nounits*) for unit in MHz MiB W %; do value=${value% $unit}; done;; esac
  answer="$answer${answer:+, }$value"
done
echo "$answer"
"""

IDLE_STATE = {
    "uuid": f"GPU-{FIRST}",
    "name": "NVIDIA L4",
    "driver_version": "580.65.06",
    "memory.total": "23034 MiB",
    "compute_cap": "8.9",
    "clocks.max.sm": "2040 MHz",
    "clocks.max.mem": "6251 MHz",
    "power.limit": "72.00 W",
    "persistence_mode": "Enabled",
    "mig.mode.current": "[N/A]",
    "ecc.mode.current": "Enabled",
    "clocks.sm": "2040 MHz",
    "clocks.mem": "6251 MHz",
    "temperature.gpu": "41",
    "power.draw": "28.61 W",
    "utilization.gpu": "3 %",
    "clocks_event_reasons.active": "0x0000000000000001",
}


def fake_driver(gpus: Sequence[tuple[str, str]], status: int = 0) -> Any:
    """The functions of libcuda that are used, over GPUs given by (UUID, UUID of the board)."""

    def put(place: Any, value: object) -> int:
        place._obj.value = value
        return 0

    def put_uuid(place: Any, uuid: str) -> int:
        place._obj[:] = UUID(uuid).bytes
        return 0

    return SimpleNamespace(
        cuInit=lambda _flags: status,
        cuDriverGetVersion=lambda version: put(version, 13000),
        cuDeviceGetCount=lambda count: put(count, len(gpus)),
        cuDeviceGet=put,
        cuDeviceGetUuid=lambda told, device: put_uuid(told, gpus[device.value][1]),
        cuDeviceGetUuid_v2=lambda told, device: put_uuid(told, gpus[device.value][0]),
        cuGetErrorName=lambda failed, name: put(name, {NO_DEVICE: b"CUDA_ERROR_NO_DEVICE"}.get(failed)),
    )


def see(monkeypatch: pytest.MonkeyPatch, *uuids: str, status: int = 0) -> None:
    """Let the driver of this process list GPUs with these UUIDs, or fail with a ``status``."""
    driver = fake_driver([(uuid, uuid) for uuid in uuids], status)
    monkeypatch.setattr(gpus, "CDLL", lambda _name: driver)


def see_no_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process be on a host without a driver."""

    def load(name: str) -> None:
        raise OSError(f"{name}: cannot open shared object file")

    monkeypatch.setattr(gpus, "CDLL", load)


class FakeSmi:
    """An ``nvidia-smi`` on the path whose answers are files."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder = folder / "driver"
        self._folder.mkdir()
        program = self._folder / "nvidia-smi"
        program.write_text(SCRIPT)
        program.chmod(0o755)
        for field, value in IDLE_STATE.items():
            (self._folder / field).write_text(value + "\n")
        monkeypatch.setenv("PATH", f"{self._folder}{os.pathsep}{os.environ['PATH']}")

    def tell(self, **fields: str | None) -> None:
        """Answer otherwise from now on: a dot of a field is two underscores here; None for one that is not known."""
        for name, value in fields.items():
            path = self._folder / name.replace("__", ".")
            path.unlink(missing_ok=True)
            if value is not None:
                path.write_text(value + "\n")

    def list_processes(self, *lines: object) -> None:
        """List what computes on the GPU."""
        (self._folder / "processes").write_text("".join(f"{line}\n" for line in lines))
