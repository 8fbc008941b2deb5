"""A page over a small made-up run, served by the real command, and a browser to look at it with."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

from made_up_run import make

PROJECT = Path(__file__).resolve().parents[2]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = (
    "--no-sandbox", "--disable-dev-shm-usage", "--disable-background-networking", "--disable-component-update",
    "--disable-domain-reliability", "--disable-sync", "--no-default-browser-check", "--no-first-run", "--no-pings",
)  # fmt: skip

# A busy machine is slow, and that is no failure.
expect.set_options(timeout=30_000)


@dataclass(frozen=True)
class Served:
    """A served page: its address, its process, the folder that holds ``results`` and ``data``, and its log."""

    url: str
    process: subprocess.Popen[bytes]
    folder: Path
    log: Path


def start(folder: Path, *options: str) -> Served:
    """Serve the run below ``folder`` with the command that people use, at a port of its own choosing."""
    log = folder / "served.log"
    command = [sys.executable, "-m", "compresslab.stages.serve", "--sources", str(PROJECT / "report"), *options]
    with log.open("wb") as said:
        process = subprocess.Popen(command, cwd=folder, stdout=said, stderr=said, env=os.environ | {"NO_COLOR": "1"})
    for _ in range(600):
        if found := re.search(r"shown at (http://\S+)", log.read_text()):
            return Served(found.group(1), process, folder, log)
        try:
            process.wait(0.1)
        except subprocess.TimeoutExpired:
            continue
        break
    process.kill()
    pytest.fail(f"the page did not come up:\n{log.read_text()}", pytrace=False)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``results/smoke`` and ``data/prepared``; tests only read it."""
    folder = tmp_path_factory.mktemp("made-up")
    make(folder)
    return folder


@pytest.fixture(scope="session")
def served(made: Path) -> Iterator[Served]:
    """The page, which ends as after Ctrl-C, at once and without a complaint."""
    page = start(made)
    yield page
    page.process.send_signal(signal.SIGINT)
    assert page.process.wait(20) == 0


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("needs Chromium: apt install chromium")
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
