import io
from pathlib import Path

import pytest
from rich.console import Console

from experiments.planning.plan import SweepPlan, expand
from experiments.run import progress as progress_module
from experiments.run.display import Display
from experiments.run.progress import Progress
from experiments.spec.read import parse_spec
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


@pytest.mark.parametrize(("metric", "best"), [("val/top1", 0.9), ("val/loss", 0.1)])
def test_best_follows_the_metric_s_direction_over_finished_trials(metric: str, best: float) -> None:
    planned = plan(metric)
    progress = Progress(planned)
    ends = [(0.5, Status.FINISHED), (0.9, Status.FINISHED), (0.1, Status.FINISHED), (99.0, Status.DIVERGED)]
    for trial, (value, status) in zip(planned.trials, ends, strict=True):
        progress.end(trial, status, {metric: value})
    assert progress.best is not None
    assert progress.best[0] == best
    assert (progress.done, progress.failed) == (4, 0)


def test_time_left_goes_by_epochs_since_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [100.0]
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: clock[0])
    planned = plan()
    first, second, third, done = planned.trials
    progress = Progress(planned, fresh=frozenset(trial.trial for trial in (first, second, third)))
    progress.end(done, Status.FINISHED, {})
    for trial in (first, second):
        progress.begin(trial)
    assert (progress.share, progress.seconds_left) == (0.0, None)
    clock[0] = 130.0  # workers have started
    progress.advance(first, 1)
    assert progress.seconds_left is None
    clock[0] = 136.0
    progress.advance(first, 2)
    progress.advance(second, 1)
    assert progress.share == 3 / 12
    assert progress.seconds_left == pytest.approx(6 / 2 * 9)
    progress.end(second, Status.FAILED, {})
    assert progress.share == 6 / 12
    assert (progress.done, progress.failed, progress.count(Status.RUNNING)) == (1, 1, 1)


def shown(*, terminal: bool) -> str:
    planned = plan()
    progress = Progress(planned, fresh=frozenset(trial.trial for trial in planned.trials))
    output = io.StringIO()
    with Display(progress, Console(file=output, force_terminal=terminal, width=200)) as display:
        progress.begin(planned.trials[0])
        display.update()
        progress.end(planned.trials[0], Status.FINISHED, {"val/top1": 0.75})
        display.failed(planned.trials[1], "ValueError: [bold]no[/bold]")
    return output.getvalue()


def test_plain_lines_without_a_terminal() -> None:
    assert shown(terminal=False).splitlines() == [
        "s: 4 trials, 0 done before, 4 to run",
        "failed: neuron.tau=1.25 seed=1: ValueError: [bold]no[/bold]",
        "s: 1/4 done, 0 running, 0 failed; best val/top1 0.7500: neuron.tau=1.25 seed=0",
    ]


def test_a_live_bar_on_a_terminal() -> None:
    output = shown(terminal=True)
    assert "\x1b[" in output
    assert "━" in output
    assert output.count("s: 1/4 done") == 1
