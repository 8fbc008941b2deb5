"""The fingerprint: nothing empty, nothing that tells who or where the user is."""

import getpass
import json
import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_gpus import FIRST, FakeSmi, see

from compresslab.measure import host


@pytest.fixture(scope="module")
def taken() -> dict[str, Any]:
    return host.fingerprint("bench-1")


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from leaves(inner, f"{path}/{name}")
    elif isinstance(value, list) and value:
        for position, inner in enumerate(value):
            yield from leaves(inner, f"{path}/{position}")
    else:
        yield path, value


def test_no_field_is_empty(taken: dict[str, Any]) -> None:
    empty = [path for path, value in leaves(taken) if value is None or value in ("", [], {})]
    assert empty == []


def test_it_answers_what_a_reader_of_benchmarks_asks(taken: dict[str, Any]) -> None:
    assert taken["host"] == "bench-1"
    asked = {"cpu", "memory", "container", "gpu", "operating_system", "python", "libraries", "blas", "code"}
    assert asked | {"load_average", "temperature_celsius"} <= taken.keys()
    assert {"avx2", "avx512_vnni", "amx_int8", "neon"} <= set(host.FLAGS)
    assert taken["memory"]["total_bytes"] > 2**28
    assert taken["libraries"]["numpy"][0].isdigit()
    assert taken["blas"]["numpy"]["name"] != host.NOT_EXPOSED


def test_it_is_json(taken: dict[str, Any]) -> None:
    assert json.loads(json.dumps(taken, allow_nan=False)) == taken


def test_it_tells_no_names_of_users_machines_or_folders(taken: dict[str, Any]) -> None:
    texts = [str(value) for path, value in leaves(taken) if path != "/host"]
    secrets = {str(Path.home()), str(Path(__file__).resolve().parents[2])}
    for secret in secrets:
        assert not [text for text in texts if secret in text]
    assert not {platform.node(), getpass.getuser()} & set(texts)


def test_an_absent_library_is_named_as_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "LIBRARIES", ("numpy", "a-library-that-nobody-has"))
    assert host.fingerprint("local")["libraries"]["a-library-that-nobody-has"] == "not installed"


def test_no_gpu_and_no_git_are_said_in_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    taken = host.fingerprint("local")
    assert taken["gpu"].startswith("none found")
    assert taken["code"]["revision"] == "not a git checkout with a commit"


def test_a_gpu_is_described(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    see(monkeypatch, FIRST)
    smi = FakeSmi(tmp_path, monkeypatch)
    smi.tell(ecc__mode__current="[Not Supported]", compute_cap=None)
    (gpu,) = host.fingerprint("local")["gpu"]
    assert gpu == {
        "name": "NVIDIA L4",
        "driver": "580.65.06",
        "cuda": "13.0",
        "memory": "23034 MiB",
        "compute_capability": host.NOT_EXPOSED,
        "maximum_clock": "2040 MHz",
        "maximum_memory_clock": "6251 MHz",
        "power_limit": "72.00 W",
        "persistence": "Enabled",
        "mig": host.NOT_EXPOSED,
        "ecc": host.NOT_EXPOSED,
    }


@pytest.mark.parametrize(
    ("membership", "files", "cores", "memory"),
    [
        ("0::/box\n", {"box/cpu.max": "150000 100000", "memory.max": "2000000"}, 1.5, 2_000_000),
        ("0::/\n", {"cpu.max": "max 100000", "memory.max": "max"}, "unlimited", "unlimited"),
        (
            "4:memory:/box\n2:cpu,cpuacct:/\n",
            {
                "memory/box/memory.limit_in_bytes": "9223372036854771712",
                "memory/memory.limit_in_bytes": "3000000",
                "cpu/cpu.cfs_quota_us": "400000",
                "cpu/cpu.cfs_period_us": "100000",
            },
            4.0,
            3_000_000,
        ),
    ],
    ids=["version-2", "version-2-unlimited", "version-1"],
)
def test_container_limits_are_found(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, membership: str, files: dict[str, str], cores: Any, memory: Any
) -> None:
    (tmp_path / "membership").write_text(membership)
    for name, text in files.items():
        (tmp_path / "groups" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "groups" / name).write_text(text + "\n")
    monkeypatch.setattr(host, "CONTROL_GROUPS", tmp_path / "groups")
    monkeypatch.setattr(host, "CONTROL_GROUP_MEMBERSHIP", tmp_path / "membership")
    assert host.container_limits() == {"cpu_quota_cores": cores, "memory_limit_bytes": memory}


@pytest.mark.parametrize(("quota", "cores"), [(0.5, 1), (2.9, 2), (1e6, 8), ("unlimited", 8)])
def test_usable_cores_respect_the_container(monkeypatch: pytest.MonkeyPatch, quota: Any, cores: int) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)), raising=False)
    monkeypatch.setattr(host, "container_limits", lambda: {"cpu_quota_cores": quota})
    assert host.usable_cores() == cores
