"""Why a file would be made again: the module that was edited, the setting that was changed, the input that is new."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from snakemake.api import SnakemakeApi
from snakemake.settings.types import (
    ConfigSettings,
    DAGSettings,
    OutputSettings,
    Quietness,
    ResourceSettings,
)

from compresslab.lineage.records import Provenance, provenance, recorded_params

ABSENT = "(absent)"
COMPARED_BY_CONTENT = 1_000_000_000
"""Bytes, as in the profiles: what a run compares by content must not be told as newer here."""


def explain(target: str, snakefile: Path, configfiles: Sequence[Path], config: Mapping[str, Any]) -> list[str]:
    """Lines that say which jobs `target` asks for and what set each of them off; one line when it is up to date."""
    quiet = OutputSettings(quiet={Quietness.ALL}, show_failed_logs=False)
    lines: list[str] = []
    with SnakemakeApi(quiet) as api:
        workflow = api.workflow(
            resource_settings=ResourceSettings(cores=1),
            config_settings=ConfigSettings(config=dict(config), configfiles=list(configfiles)),
            snakefile=snakefile,
        )
        workflow.dag(DAGSettings(targets={target}, max_checksum_file_size=COMPARED_BY_CONTENT)).execute_workflow(
            executor="dryrun"
        )
        graph = workflow._workflow.dag
        for level in graph.toposorted():
            for job in sorted(filter(graph.needrun, level), key=_name):
                lines += _told(job, graph.reason(job))
    return lines or [f"{target} is up to date"]


def _told(job: Any, reason: Any) -> list[str]:
    causes = list(_causes(job, reason))
    if not causes:
        return [f"{_name(job)}: follows from a job above it"]
    return [f"{_name(job)}:", *(f"    {cause}" for cause in causes)]


def _name(job: Any) -> str:
    return f"{job.rule.name} ({', '.join(job.wildcards)})" if list(job.wildcards) else str(job.rule.name)


def _causes(job: Any, reason: Any) -> Iterator[str]:
    missing = [str(path) for path in reason.missing_output or []]
    if missing:
        yield f"does not exist yet: {', '.join(missing)}"
    if reason.incomplete_output:
        yield "an earlier job was killed while it wrote this"
    if reason.params_changed:
        recorded = next((params for path in job.output if (params := recorded_params(str(path))) is not None), None)
        if recorded is not None:
            planned = [repr(value) for value in job.non_derived_params]
            yield from _differences(provenance(recorded), provenance(planned))
    if reason.code_changed:
        yield f"the command of rule {job.rule.name} was edited"
    if reason.software_stack_changed:
        yield "its software environment was edited"
    if reason.updated_input:
        yield f"newer input: {', '.join(sorted(map(str, reason.updated_input)))}"
    if reason.input_changed:
        yield "its list of inputs changed"
    if reason.forced:
        yield "it was asked for by force"


def _differences(before: Provenance, now: Provenance) -> Iterator[str]:
    for module in sorted({*before.modules, *now.modules}):
        if module not in now.modules:
            yield f"no longer imports {module}"
        elif module not in before.modules:
            yield f"imports {module} now"
        elif before.modules[module] != now.modules[module]:
            yield f"module {module} was edited"
    for path, old, new in _changed_values(before.settings, now.settings):
        yield f"setting {path}: {old} -> {new}"


def _changed_values(old: Any, new: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new}):
            yield from _changed_values(old.get(key, ABSENT), new.get(key, ABSENT), f"{path}.{key}" if path else key)
    elif old != new:
        yield path, old, new
