"""The plugin of Slurm keeps the answer that the controller gave when the run began."""

import pytest
import snakemake_executor_plugin_slurm as plugin

from compresslab.console.queue import keep_to_squeue


def test_what_squeue_remembers_is_known_also_while_the_controller_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([600, None])
    monkeypatch.setattr(plugin, "get_min_job_age", lambda: next(answers))
    keep_to_squeue()
    assert plugin.get_min_job_age() == plugin.get_min_job_age() == 600


def test_without_an_answer_the_plugin_goes_on_asking(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([None, 300])
    monkeypatch.setattr(plugin, "get_min_job_age", lambda: next(answers))
    keep_to_squeue()
    assert plugin.get_min_job_age() == 300
