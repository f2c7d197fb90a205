from pathlib import Path

import pytest

from experiments.planning.plan import expand
from experiments.planning.resume import Choice, Standing
from experiments.results.trial_records import TrialRecords
from experiments.run.progress import Progress
from experiments.spec.spec import SweepSpec
from ottt.schema import Status
from tests.experiments.specs import HERE, recorded, spec

AXES = {"axes": {"neuron.tau": [1.25, 2.0]}, "seeds": 2, "base": {"epochs": 2}}


@pytest.fixture
def records(tmp_path: Path) -> TrialRecords:
    return TrialRecords(tmp_path)


def to_run(sweep: SweepSpec, records: TrialRecords, choice: Choice = Choice.MISSING) -> list[str]:
    plan = expand(sweep)
    progress = Progress(plan)
    found = Standing(records, HERE, choice).take_in(progress, plan.trials)
    assert progress.fresh == {trial.trial for trial in found}
    return [f"{trial.settings['neuron.tau']} {trial.seed}" for trial in found]


def finish(sweep: SweepSpec, records: TrialRecords) -> None:
    for trial in expand(sweep).trials:
        recorded(records, trial, values=[0.5, 0.6])


def test_an_extended_sweep_runs_exactly_the_new_trials(records: TrialRecords) -> None:
    finish(spec(**AXES), records)
    assert to_run(spec(**AXES), records) == []
    extended = spec(**AXES | {"axes": {"neuron.tau": [1.25, 4.0, 2.0]}, "seeds": 4})
    assert to_run(extended, records) == ["1.25 2", "1.25 3", "4.0 0", "4.0 1", "4.0 2", "4.0 3", "2.0 2", "2.0 3"]
    assert to_run(spec(**AXES | {"axes": {"neuron.tau": [2.0]}}), records) == []


def test_failed_and_missing_trials_are_told_apart(records: TrialRecords) -> None:
    first, second, third, _ = expand(spec(**AXES)).trials
    recorded(records, first)
    recorded(records, second, Status.FAILED)
    recorded(records, third, Status.INTERRUPTED)
    assert to_run(spec(**AXES), records) == ["1.25 1", "2.0 0", "2.0 1"]
    assert to_run(spec(**AXES), records, Choice.FAILED) == ["1.25 1"]
    assert len(to_run(spec(**AXES), records, Choice.ALL)) == 4


def test_only_what_this_code_left_unfinished_goes_on(records: TrialRecords) -> None:
    same, other, failed, missing = expand(spec(**AXES)).trials
    recorded(records, same, Status.INTERRUPTED, values=[0.5])
    recorded(records, other, Status.INTERRUPTED, values=[0.5], commit="dead" * 10)
    recorded(records, failed, Status.FAILED, values=[0.5])
    standing = Standing(records, HERE, Choice.MISSING)
    anew = [standing.begins_anew(trial.trial) for trial in (same, other, failed, missing)]
    assert anew == [False, True, False, True]
    assert Standing(records, HERE, Choice.ALL).begins_anew(same.trial)


def test_a_trial_with_all_its_epochs_is_finished_though_nobody_said_so(records: TrialRecords) -> None:
    whole, part, _, _ = expand(spec(**AXES)).trials
    recorded(records, whole, Status.RUNNING, values=[0.5, 0.6])
    recorded(records, part, Status.RUNNING, values=[0.5])
    assert to_run(spec(**AXES), records) == ["1.25 1", "2.0 0", "2.0 1"]
    record = records.read(whole.trial)
    assert record is not None
    assert record.status is Status.FINISHED


def test_what_a_scheduler_stopped_is_done_for_its_own_sweep_alone(records: TrialRecords) -> None:
    trial = expand(spec(**AXES)).trials[0]
    recorded(records, trial, Status.STOPPED_EARLY, values=[0.1], sweep="s")
    stops = AXES | {"scheduler": {"name": "asha"}}
    assert "1.25 0" not in to_run(spec(**stops), records)
    assert "1.25 0" in to_run(spec(**stops | {"name": "other"}), records)
    assert "1.25 0" in to_run(spec(**AXES), records)


def test_results_of_another_commit_are_named(records: TrialRecords) -> None:
    plan = expand(spec(**AXES))
    for trial, commit in zip(plan.trials, [HERE.commit, "abcdef" * 6, "abcdef" * 6, None], strict=True):
        recorded(records, trial, commit=commit)
    progress = Progress(plan)
    standing = Standing(records, HERE, Choice.MISSING)
    standing.take_in(progress, plan.trials)
    assert standing.reused(progress) == [
        "2 results were made at commit abcdefabcd, the code is now at c0ffeec0ff: --rerun trains them again",
        "1 results were made at commit unknown, the code is now at c0ffeec0ff: --rerun trains them again",
    ]
