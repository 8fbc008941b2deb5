"""One small run of everything, shared by the tests that look at what it left behind."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from running import ONE_LAB, SMALLER, Run, watched_run

SHARING_THE_TINY_RUN = ("test_end_to_end.py", "test_interruption.py", "test_faults.py")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Side by side, tests of one file stay together, and so do the files that look at the tiny run: it runs once."""
    from xdist.scheduler import LoadScopeScheduling

    class BySharedRun(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.partition("::")[0]
            return "tiny_run" if file.endswith(SHARING_THE_TINY_RUN) else file

    return BySharedRun(config, log)


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory: pytest.TempPathFactory, copy_project: Callable[[Path], Path]) -> Run:
    """Everything that the workflow makes, from embedded data to reports; tests only read it."""
    return watched_run(copy_project(tmp_path_factory.mktemp("tiny") / "compresslab"), ONE_LAB, *SMALLER)


@pytest.fixture
def run_to_spoil(tiny_run: Run, tmp_path: Path) -> Path:
    """A copy of the project with its finished run, to be damaged."""
    copy = tmp_path / "compresslab"
    shutil.copytree(tiny_run.project, copy, symlinks=True)
    return copy
