"""What is known of a GPU while a cell is measured, from answers as `nvidia-smi` gives them."""

import math
from dataclasses import replace
from pathlib import Path

import pytest
from fake_gpus import FIRST, FakeSmi

from compresslab.measure import gpu_state
from compresslab.measure.gpu_state import NOTHING, UNTOLD, GpuState, Look, gpu_doubts, look_at, slowed_by

QUIET = GpuState(2040.0, 6251.0, 41.0, 28.61, 3.0, (), 0)


@pytest.fixture
def smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeSmi:
    gpu_state._known.cache_clear()
    driver = FakeSmi(tmp_path, monkeypatch)
    driver.list_processes(4711)
    return driver


@pytest.mark.usefixtures("smi")
def test_a_quiet_gpu_is_described_in_numbers() -> None:
    assert look_at(FIRST, {4711}) == QUIET


def test_what_the_driver_does_not_tell_is_no_number(smi: FakeSmi) -> None:
    smi.tell(power__draw="[N/A]", utilization__gpu="[Not Supported]", clocks_event_reasons__active="[N/A]")
    state = look_at(FIRST, {4711})
    assert (state.sm_clock_mhz, state.slowed_by) == (2040.0, (UNTOLD,))
    assert math.isnan(state.power_w)
    assert math.isnan(state.utilization_percent)


def test_an_old_driver_calls_the_reasons_otherwise(smi: FakeSmi) -> None:
    smi.tell(clocks_event_reasons__active=None, clocks_throttle_reasons__active="0x0000000000000004")
    assert look_at(FIRST, {4711}) == replace(QUIET, slowed_by=("power-cap",))


def test_without_a_driver_nothing_is_known_and_the_cell_is_doubtful(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gpu_state._known.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert look_at(FIRST, {4711}) is NOTHING
    assert gpu_doubts([Look(0, "single", NOTHING)]) == ["gpu-unwatched"]


@pytest.mark.parametrize(
    ("mask", "names"),
    [
        ("0x0000000000000000", ()),
        ("0x0000000000000103", ()),
        ("0x0000000000000024", ("power-cap", "software-heat")),
        ("0x00000000000000C8", ("hardware-slowdown", "hardware-heat", "power-brake")),
        ("[Not Supported]", (UNTOLD,)),
    ],
    ids=["none", "idle and set clocks", "software", "hardware", "untold"],
)
def test_idle_and_set_clocks_are_no_reason_to_doubt(mask: str, names: tuple[str, ...]) -> None:
    assert slowed_by(mask) == names


@pytest.mark.parametrize(
    ("listed", "own", "others"),
    [
        ((4711,), {4711}, 0),
        ((4711, 815), {4711}, 1),
        ((90210,), {12}, 0),
        ((90210, 90211), {12}, 1),
        ((), {12}, math.nan),
        (("[Insufficient Permissions]",), {12}, math.nan),
    ],
    ids=["alone", "shared", "alone in a container", "shared in a container", "not listed", "not allowed"],
)
def test_processes_of_others_are_counted(
    listed: tuple[object, ...], own: set[int], others: float, smi: FakeSmi
) -> None:
    smi.list_processes(*listed)
    assert look_at(FIRST, own).other_processes == pytest.approx(others, nan_ok=True)


@pytest.mark.parametrize(
    ("changes", "doubts"),
    [
        ([{}, {}], []),
        ([{}, {"sm_clock_mhz": 1900.0}], []),
        ([{}, {"sm_clock_mhz": 1500.0}], ["gpu-clocks"]),
        ([{"memory_clock_mhz": 405.0}, {}], ["gpu-clocks"]),
        ([{}, {"other_processes": 2}], ["gpu-shared"]),
        ([{"slowed_by": ("power-cap",)}, {}], ["gpu-slowed"]),
        ([{"slowed_by": (UNTOLD,), "other_processes": math.nan}], []),
    ],
)
def test_a_doubt_is_named(changes: list[dict[str, object]], doubts: list[str]) -> None:
    looks = [Look(index, "single", replace(QUIET, **change)) for index, change in enumerate(changes)]
    assert gpu_doubts(looks) == doubts


def test_clocks_may_differ_between_single_images_and_batches() -> None:
    slower = replace(QUIET, sm_clock_mhz=1000.0)
    looks = [Look(0, "single", QUIET), Look(0, "offline", slower), Look(1, "single", QUIET), Look(1, "offline", slower)]
    assert gpu_doubts(looks) == []
