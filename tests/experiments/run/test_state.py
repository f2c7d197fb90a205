import io
from pathlib import Path

import pytest
from rich.console import Console

from experiments.planning.plan import SweepPlan, Trial, expand
from experiments.results.trial_records import Epoch, Record
from experiments.run import state as state_module
from experiments.run.progress_bar import ProgressDisplay
from experiments.run.state import Attempt, Change, End, Fork, SweepState
from experiments.sweep_spec.read import parse_spec
from ottt.config.yaml_reader import Document
from ottt.schema import Status


def plan(metric: str = "val/top1") -> SweepPlan:
    values = {
        "name": "s",
        "base": {"epochs": 4},
        "axes": {"neuron.tau": [1.25, 2.0]},
        "seeds": 2,
        "metric": metric,
    }
    return expand(parse_spec(Document("s.yaml", values), folder=Path()))


def start(trial: Trial) -> Change:
    return Change(trial.trial, attempt=Attempt(Record(trial.trial, {}, "s")))


def epoch(trial: Trial, number: int, **metrics: float) -> Change:
    return Change(trial.trial, epoch=Epoch(number, 0.0, metrics))


def end(trial: Trial, status: Status) -> Change:
    return Change(trial.trial, end=End(status))


@pytest.mark.parametrize(("metric", "best"), [("val/top1", 0.9), ("val/loss", 0.1)])
def test_best_follows_the_metric_s_direction_over_finished_trials(metric: str, best: float) -> None:
    state = SweepState(plan(metric))
    ends = [(0.5, Status.FINISHED), (0.9, Status.FINISHED), (0.1, Status.FINISHED), (99.0, Status.DIVERGED)]
    for trial, (value, status) in zip(state.plan.trials, ends, strict=True):
        for change in (start(trial), epoch(trial, 4, **{metric: value}), end(trial, status)):
            state.apply(change)
    assert state.best is not None
    assert state.best[0] == best
    assert (state.done, state.failed, state.begun) == (4, 0, 4)


def test_time_left_goes_by_epochs_since_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(state_module.time, "monotonic", lambda: clock[0])
    state = SweepState(plan())
    first, second, third, done = state.plan.trials
    for trial in (first, second, third):
        state.plan_to_run(trial.trial)
    state.adopt(done.trial, Status.FINISHED, [])
    for trial in (first, second):
        state.apply(start(trial))
    assert (state.share, state.seconds_left) == (0.0, None)
    clock[0] = 130.0  # workers have started
    state.apply(epoch(first, 1))
    assert state.seconds_left is None
    clock[0] = 136.0
    state.apply(epoch(first, 2))
    state.apply(epoch(second, 1))
    assert state.share == 3 / 12
    assert state.seconds_left == pytest.approx(6 / 2 * 9)
    state.apply(end(second, Status.FAILED))
    assert state.share == 6 / 12
    assert (state.done, state.failed, state.count(Status.RUNNING)) == (1, 1, 1)


def test_a_resumed_trial_has_its_epochs_and_a_fork_those_of_its_parent() -> None:
    state = SweepState(plan())
    first, second, *_ = state.plan.trials
    left = [Epoch(number, 0.0, {"val/top1": number / 10}) for number in (1, 2)]
    state.apply(Change(first.trial, attempt=Attempt(Record(first.trial, {}, "s"), left)))
    assert (state[first.trial].epochs, state[first.trial].metrics) == (2, {"val/top1": 0.2})
    state.apply(Change(second.trial, fork=Fork(Record(second.trial, {}, "s"), first.trial, 2)))
    assert (state[second.trial].status, state[second.trial].epochs) == (Status.INTERRUPTED, 2)
    assert state.running() == [first.trial]


def shown(*, terminal: bool) -> str:
    state = SweepState(plan())
    for trial in state.plan.trials:
        state.plan_to_run(trial.trial)
    output = io.StringIO()
    with ProgressDisplay(state, Console(file=output, force_terminal=terminal, width=200)) as display:
        first = state.plan.trials[0]
        state.apply(start(first))
        display.update()
        state.apply(epoch(first, 4, **{"val/top1": 0.75}))
        state.apply(end(first, Status.FINISHED))
        display.print("failed: ValueError: [bold]no[/bold]")
    return output.getvalue()


def test_plain_lines_without_a_terminal() -> None:
    assert shown(terminal=False).splitlines() == [
        "s: 4 trials, 0 done before, 4 to run",
        "failed: ValueError: [bold]no[/bold]",
        "s: 1/4 done, 0 running, 0 failed; best val/top1 0.7500: neuron.tau=1.25 seed=0",
    ]


def test_a_live_bar_on_a_terminal() -> None:
    output = shown(terminal=True)
    assert "\x1b[" in output
    assert "━" in output
    assert output.count("s: 1/4 done") == 1
