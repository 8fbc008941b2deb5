"""A run on a cluster does not wait for ever: not for jobs of an array, and not while the controller is away."""

import pytest
import snakemake_executor_plugin_slurm as plugin

from compresslab.console.slurm import array_mistake, keep_to_squeue


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


class TestArrays:
    def test_fewer_jobs_at_once_than_an_array_may_have_are_refused_with_the_number_that_is_needed(self) -> None:
        mistake = array_mistake("predict, cost", {"predict": 6, "train_torch": 2}, at_once=7)
        assert "job arrays (predict) need --jobs 8" in mistake
        assert "--jobs 8" in array_mistake("all", {"predict": 8}, at_once=7)

    def test_enough_jobs_at_once_or_no_arrays_are_fine(self) -> None:
        assert array_mistake("all", {"predict": 6, "train_torch": 2}, at_once=8) == ""
        assert array_mistake("", {"predict": 6}, at_once=1) == ""
