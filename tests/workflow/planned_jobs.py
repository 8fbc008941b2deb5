"""Ask Snakemake which jobs it would run after an edit. Runs in a copy of the project, so that it imports the copy.

    python planned_jobs.py QUESTIONS ANSWERS

QUESTIONS (JSON) maps a name to `{"edits": {path: new text}, "config": {...}}`. ANSWERS (JSON) gets `jobs`, the whole
graph of the configuration as it is, and `wanted`, the names of the jobs to run for every question. One process answers
all: starting Snakemake takes longer than building its graph.
"""

import json
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from snakemake.api import SnakemakeApi
from snakemake.settings.types import ConfigSettings, DAGSettings, OutputSettings, Quietness, ResourceSettings

from compresslab.console.why import COMPARED_BY_CONTENT
from compresslab.lineage import code
from compresslab.lineage.syntax import module_hash


def main(questions: Path, answers: Path) -> None:
    """Answer every question, each from the same state of the project."""
    asked = json.loads(questions.read_text())
    answer: dict[str, Any] = {"jobs": described(graph({})), "wanted": {}}
    for name, question in asked.items():
        with edited(question.get("edits", {})):
            needed = graph(question.get("config", {})).needrun_jobs()
            answer["wanted"][name] = sorted(job_name(job) for job in needed if job.output)
    answers.write_text(json.dumps(answer))


def graph(config: Mapping[str, Any]) -> Any:
    """Snakemake's graph of jobs for the default target, built anew from the files as they are now."""
    code._imports.cache_clear()
    code._hash.cache_clear()
    # With these two, Snakemake stops when the graph is built, before it pretends to run it.
    with SnakemakeApi(OutputSettings(quiet={Quietness.RULES, Quietness.PROGRESS})) as api:
        workflow = api.workflow(
            resource_settings=ResourceSettings(cores=1),
            config_settings=ConfigSettings(config=dict(config)),
            snakefile=Path("workflow/Snakefile"),
        )
        workflow.dag(DAGSettings(max_checksum_file_size=COMPARED_BY_CONTENT)).execute_workflow(executor="dryrun")
        return workflow._workflow.dag


@cache
def hash_of_content(path: Path, content: bytes) -> str:
    """The package's own hash; of the files that an edit leaves alone it is taken once."""
    assert path.read_bytes() == content
    return module_hash(path)


code.module_hash = lambda path: hash_of_content(path, path.read_bytes())  # type: ignore[attr-defined]


def described(dag: Any) -> dict[str, dict[str, Any]]:
    """Every job that makes files, by name."""
    return {
        job_name(job): {
            "rule": job.rule.name,
            "wildcards": dict(job.wildcards_dict),
            "stamp": job.params.get("stamp", ""),
            "inputs": sorted(map(str, job.input)),
            "outputs": sorted(map(str, job.output)),
            "needs": sorted(job_name(needed) for needed in dag.dependencies[job]),
        }
        for job in dag.jobs
        if job.output
    }


def job_name(job: Any) -> str:
    """`rule` or `rule wildcard ...`: one line of a failure's message."""
    return " ".join([job.rule.name, *map(str, job.wildcards)])


@contextmanager
def edited(edits: Mapping[str, str]) -> Iterator[None]:
    """Files with other content for a moment; their old time comes back with their content."""
    before = {Path(path): (Path(path).read_bytes(), Path(path).stat()) for path in edits}
    try:
        for name, text in edits.items():
            Path(name).write_text(text, encoding="utf-8")
        yield
    finally:
        for path, (content, status) in before.items():
            path.write_bytes(content)
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
