"""What keeps a run on a cluster with Slurm from waiting for ever."""

import snakemake_executor_plugin_slurm as plugin


def keep_to_squeue() -> None:
    """Let the plugin know how long squeue remembers jobs also while the controller is away: as it said at the start.

    The plugin (2.8) asks before every look at its jobs. Without an answer it turns to sacct, which knows nothing where
    no accounting runs, however often it is asked; after that the jobs are forgotten.
    """
    seconds = plugin.get_min_job_age()
    if seconds is not None:
        plugin.get_min_job_age = lambda: seconds
