"""Job arrays of Slurm, and when Snakemake would wait for ever for a job of one."""

from collections.abc import Mapping


def array_mistake(arrays: str, jobs: Mapping[str, int], at_once: int) -> str:
    """Say why a run with job arrays would hang; empty for one that would not.

    The Slurm plugin (2.8) sends the jobs of a rule as an array when Snakemake hands it all that are ready. Handed
    fewer, because ``--jobs`` allows no more, it leaves them aside, and Snakemake counts them as running for ever.
    ``arrays`` is the value of ``--slurm-array-jobs``, ``jobs`` counts the planned jobs of each rule.
    """
    chosen = {rule.strip() for rule in arrays.replace(";", ",").split(",")}
    if not arrays or (needed := sum(jobs.values())) <= at_once:
        return ""
    rules = ", ".join(sorted(chosen & set(jobs))) or arrays
    return (
        f"job arrays ({rules}) need --jobs {needed}, as many as this run has jobs, and not {at_once}: with fewer, the "
        "plugin of Slurm forgets jobs and Snakemake waits for ever; give more, or leave out --slurm-array-jobs"
    )
