"""What keeps a run on a cluster with Slurm from waiting for ever."""

from collections.abc import Mapping


def array_mistake(arrays: str, jobs: Mapping[str, int], at_once: int) -> str:
    """Say why a run with job arrays would hang; empty for one that would not.

    The Slurm plugin (2.8) sends the jobs of a rule as an array when Snakemake hands it all that are ready. Handed
    fewer, because ``--jobs`` allows no more, it leaves them aside, and Snakemake counts them as running for ever.
    ``arrays`` is the value of ``--slurm-array-jobs``, ``jobs`` counts the planned jobs of each rule.
    """
    if not arrays or (needed := sum(jobs.values())) <= at_once:
        return ""
    chosen = {rule.strip() for rule in arrays.replace(";", ",").split(",")}
    rules = ", ".join(sorted(chosen & set(jobs))) or arrays
    return (
        f"job arrays ({rules}) need --jobs {needed}, as many as this run has jobs, and not {at_once}: with fewer, the "
        "plugin of Slurm forgets jobs and Snakemake waits for ever; give more, or leave out --slurm-array-jobs"
    )


def keep_to_squeue() -> None:
    """Let the plugin know how long squeue remembers jobs also while the controller is away: as it said at the start.

    The plugin (2.8) asks before every look at its jobs. Without an answer it turns to sacct, which knows nothing where
    no accounting runs, however often it is asked; after that the jobs are forgotten.
    """
    # Only a run on a cluster needs the plugin.
    import snakemake_executor_plugin_slurm as plugin

    seconds = plugin.get_min_job_age()
    if seconds is not None:
        plugin.get_min_job_age = lambda: seconds
