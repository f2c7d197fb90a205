from dataclasses import replace
from pathlib import Path

import pytest

from experiments.planning.plan import expand
from experiments.results.provenance import Provenance
from experiments.results.trial_records import TrialRecords
from experiments.run.resume import ResumePolicy, WhichTrials
from experiments.run.state import SweepState
from experiments.sweep_spec.spec import SweepSpec
from ottt.schema import Status
from tests.experiments.mlflow_sweeps import REPORT
from tests.experiments.specs import HERE, recorded, spec

AXES = {"axes": {"neuron.tau": [1.25, 2.0]}, "seeds": 2, "base": {"epochs": 2}}


@pytest.fixture
def records(tmp_path: Path) -> TrialRecords:
    return TrialRecords(tmp_path)


def stock(sweep: SweepSpec, records: TrialRecords, which: WhichTrials = WhichTrials.MISSING) -> SweepState:
    plan = expand(sweep)
    state = SweepState(plan)
    ResumePolicy(records, HERE, which).take_stock(state, plan.trials)
    return state


def to_run(sweep: SweepSpec, records: TrialRecords, which: WhichTrials = WhichTrials.MISSING) -> list[str]:
    return [f"{trial.settings['neuron.tau']} {trial.seed}" for trial in stock(sweep, records, which).pending()]


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
    assert to_run(spec(**AXES), records, WhichTrials.FAILED) == ["1.25 1"]
    assert len(to_run(spec(**AXES), records, WhichTrials.ALL)) == 4


def test_only_what_this_code_left_unfinished_is_resumed(records: TrialRecords) -> None:
    same, other, failed, missing = expand(spec(**AXES)).trials
    recorded(records, same, Status.INTERRUPTED, values=[0.5])
    recorded(records, other, Status.INTERRUPTED, values=[0.5], code="dead" * 4)
    recorded(records, failed, Status.FAILED, values=[0.5])
    resume = ResumePolicy(records, HERE, WhichTrials.MISSING)
    fresh = [resume.starts_fresh(trial.trial) for trial in (same, other, failed, missing)]
    assert fresh == [False, True, False, True]
    assert ResumePolicy(records, HERE, WhichTrials.ALL).starts_fresh(same.trial)


def test_a_trial_lacks_only_its_end_with_all_epochs_and_an_evaluation(records: TrialRecords) -> None:
    whole, unevaluated, part, other = expand(spec(**AXES)).trials
    for trial, values, code in (
        (whole, [0.5, 0.6], HERE.code),
        (unevaluated, [0.5, 0.6], HERE.code),
        (part, [0.5], HERE.code),
        (other, [0.5, 0.6], "dead" * 4),
    ):
        recorded(records, trial, Status.RUNNING, values=values, code=code)
    for trial in (whole, part, other):
        records.keep_evaluation(trial.trial, REPORT)
    resume = ResumePolicy(records, HERE, WhichTrials.MISSING)
    found = [resume.lacks_only_its_end(trial) for trial in (whole, unevaluated, part, other)]
    assert found == [True, False, False, False]
    assert not ResumePolicy(records, HERE, WhichTrials.ALL).lacks_only_its_end(whole)


def test_what_a_scheduler_stopped_is_done_for_its_own_sweep_alone(records: TrialRecords) -> None:
    trial = expand(spec(**AXES)).trials[0]
    recorded(records, trial, Status.STOPPED_EARLY, values=[0.1], sweep="s")
    stops = AXES | {"scheduler": {"name": "asha"}}
    assert "1.25 0" not in to_run(spec(**stops), records)
    assert "1.25 0" in to_run(spec(**stops | {"name": "other"}), records)
    assert "1.25 0" in to_run(spec(**AXES), records)


def test_results_of_other_code_are_named(records: TrialRecords) -> None:
    plan = expand(spec(**AXES))
    made = [(HERE.commit, HERE.code), ("abcdef" * 6, "dead" * 4), (HERE.commit, "dead" * 4), (None, "dead" * 4)]
    for trial, (commit, code) in zip(plan.trials, made, strict=True):
        recorded(records, trial, commit=commit, code=code)
    resume = ResumePolicy(records, HERE, WhichTrials.MISSING)
    now = "the code is now at commit c0ffeec0ff: --rerun trains them again"
    assert resume.notes(stock(spec(**AXES), records)) == [
        f"1 results were made at commit abcdefabcd, {now}",
        f"1 results were made at commit c0ffeec0ff, {now}",
        f"1 results were made at an unknown version, {now}",
    ]


def test_results_of_earlier_versions_go_by_their_commit(records: TrialRecords) -> None:
    plan = expand(spec(**AXES))
    for trial, commit in zip(plan.trials, [HERE.commit, "abcdef" * 6] * 2, strict=True):
        recorded(records, trial, commit=commit, code=None)
    (note,) = ResumePolicy(records, HERE, WhichTrials.MISSING).notes(stock(spec(**AXES), records))
    assert note.startswith("2 results were made at commit abcdefabcd, ")


def test_unfinished_trials_of_another_release_begin_anew_with_a_note(records: TrialRecords) -> None:
    first, second, *_ = expand(spec(**AXES)).trials
    recorded(records, first, Status.INTERRUPTED, values=[0.5], commit=None, code="dead" * 4)
    recorded(records, second, Status.INTERRUPTED, values=[0.5])
    here = Provenance(None, False, "ottt-lab 0.2.0, python 3", "host", code="beef" * 4)
    (note,) = ResumePolicy(records, replace(here, code="c0de" * 4), WhichTrials.MISSING).notes(
        stock(spec(**AXES), records)
    )
    assert note == (
        "1 unfinished trials were begun at an unknown version, the code is now at version 0.2.0: they begin anew"
    )


def test_what_another_sweep_completed_meanwhile_is_not_run_again(records: TrialRecords) -> None:
    sweep = spec(**AXES)
    left, done, failed, _ = (trial.trial for trial in expand(sweep).trials)
    state = stock(sweep, records)
    for trial, status in zip(expand(sweep).trials, (Status.INTERRUPTED, Status.FINISHED, Status.FAILED), strict=False):
        recorded(records, trial, status, values=[0.5, 0.6])
    resume = ResumePolicy(records, HERE, WhichTrials.MISSING)
    assert [resume.done_elsewhere(trial, state) is not None for trial in (left, done, failed)] == [False, True, False]
    again = ResumePolicy(records, HERE, WhichTrials.ALL, since=0.0)
    assert again.done_elsewhere(done, state) is not None
    assert ResumePolicy(records, HERE, WhichTrials.ALL, since=4e9).done_elsewhere(done, state) is None
