"""Style, types and architecture: every tool of `make lint` finds nothing. A failure shows what the tool says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
PROGRAMS = Path(sys.executable).parent

TOOLS = [
    ["ruff", "check"],
    ["ruff", "format", "--check"],
    ["mypy"],
    ["lint-imports", "--no-logo"],
    ["snakefmt", "--check", "workflow"],
    ["snakemake", "--lint"],
]


@pytest.mark.parametrize("tool", TOOLS, ids=" ".join)
def test_finds_nothing(tool: list[str]) -> None:
    program, *arguments = tool
    report = subprocess.run(
        [PROGRAMS / program, *arguments],
        cwd=PROJECT,
        env=os.environ | {"NO_COLOR": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if report.returncode:
        pytest.fail(f"{' '.join(tool)}\n\n{report.stdout}", pytrace=False)
