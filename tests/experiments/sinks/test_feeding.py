"""Sinks are fed from the records: in order, once, whatever the trial or the sink does."""

import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

import ottt
from experiments.planning.plan import SweepPlan, expand
from experiments.results.folder import Results
from experiments.sinks import feeder, sweep_sinks
from experiments.sinks.sweep_sinks import SweepSinks
from experiments.sweep_spec.read import parse_spec
from ottt.config.yaml_reader import Document
from ottt.schema import Status
from ottt.sinks.registry import SINKS
from ottt.sinks.sink import SinkTrial
from tests.experiments.specs import recorded

Event = tuple[object, ...]


@dataclass
class Notes:
    """A sink that notes what it is told, and can raise there."""

    told: list[Event] = field(default_factory=list)
    trials: list[SinkTrial] = field(default_factory=list)
    raises: dict[Event, BaseException] = field(default_factory=dict)
    seen: dict[Event, threading.Event] = field(default_factory=dict)

    def open(self, trial: SinkTrial) -> "OfTrial":
        self.trials.append(trial)
        self.note("open", trial.trial)
        return OfTrial(self, trial.trial)

    def note(self, *event: object) -> None:
        self.told.append(event)
        if event in self.seen:
            self.seen[event].set()
        if event in self.raises:
            raise self.raises[event]

    def expect(self, *event: object) -> threading.Event:
        """An object that is set once the sink is told this."""
        return self.seen.setdefault(event, threading.Event())


@dataclass
class OfTrial:
    notes: Notes
    trial: str

    def log(self, epoch: int, metrics: Mapping[str, float]) -> None:
        self.notes.note(self.trial, epoch, metrics["val/top1"])

    def close(self, status: Status) -> None:
        self.notes.note(self.trial, status)


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> Notes:
    made = Notes()
    monkeypatch.setattr("ottt.sinks.registry.SINKS", dict(SINKS))
    monkeypatch.setattr(feeder, "PERIOD_S", 0.01)
    ottt.register_sink("notes", made.open, end=lambda: made.note("end"))
    return made


@pytest.fixture
def results(tmp_path: Path) -> Results:
    return Results(tmp_path)


def planned(**values: object) -> SweepPlan:
    whole = {"name": "s", "axes": {"neuron.tau": [1.5, 2.0]}, "seeds": 1, "sinks": ["notes"]} | values
    return expand(parse_spec(Document("s.yaml", whole), folder=Path()))


@dataclass
class Fed:
    """Sinks that were begun, and what was said."""

    sinks: SweepSinks
    said: list[str]

    def end(self) -> bool:
        self.sinks.end()
        return self.sinks.wait()


def begun(plan: SweepPlan, results: Results, *, anew: bool = False) -> Fed:
    said: list[str] = []
    sinks = SweepSinks(plan, results, say=said.append, anew=anew)
    sinks.begin()
    return Fed(sinks, said)


def fed(plan: SweepPlan, results: Results, *, anew: bool = False) -> list[str]:
    """What is said while all trials are fed, by a new process."""
    one = begun(plan, results, anew=anew)
    for trial in plan.trials:
        one.sinks.update(trial.trial)
    assert one.end()
    return one.said


def test_every_epoch_once_and_in_order(results: Results, notes: Notes) -> None:
    plan = planned()
    first, second = (trial.trial for trial in plan.trials)
    recorded(results.records, plan.trials[0], values=[0.25, 0.5], sweep="another")  # shared: its epochs appear, too
    recorded(results.records, plan.trials[1], Status.DIVERGED, values=[0.125])
    assert fed(plan, results) == []
    assert notes.told == [
        ("open", first),
        (first, 1, 0.25),
        (first, 2, 0.5),
        (first, Status.FINISHED),
        ("open", second),
        (second, 1, 0.125),
        (second, Status.DIVERGED),
        ("end",),
    ]
    told = notes.trials[0]
    assert (told.name, told.variant, told.seed, told.sweep) == ("tau=1.5 s0", "tau=1.5", 0, "s")
    assert (told.settings, told.config["T"], told.metric) == ({"neuron.tau": 1.5}, 6, "val/top1")
    assert told.folder == results.root / "notes" / "s"


def test_epochs_come_while_the_trial_runs(results: Results, notes: Notes) -> None:
    plan = planned()
    trial = plan.trials[0]
    one = begun(plan, results)
    for number in (1, 2):
        come = notes.expect(trial.trial, number, number / 4)
        recorded(results.records, trial, Status.RUNNING, values=[count / 4 for count in range(1, number + 1)])
        one.sinks.update(trial.trial)
        assert come.wait(60)
    assert one.end()
    assert notes.told[-2:] == [(trial.trial, Status.INTERRUPTED), ("end",)]
    assert [event for event in notes.told if event[0] == "open"] == [("open", trial.trial)]


def test_a_trial_that_goes_back_is_told_again_only_if_its_epochs_are_others(results: Results, notes: Notes) -> None:
    plan = planned()
    trial, records = plan.trials[0], results.records
    hash_ = trial.trial
    one = begun(plan, results)

    def changed(come: threading.Event) -> None:
        one.sinks.update(hash_)
        assert come.wait(60)

    recorded(records, trial, Status.RUNNING, values=[0.25, 0.5])
    changed(notes.expect(hash_, 2, 0.5))
    lost = records.epochs(hash_)[1]
    records.truncate_epochs(hash_, 1)  # the worker went back to the checkpoint after the first epoch
    one.sinks.update(hash_)
    again = replace(lost, time=lost.time + 1, metrics={"val/top1": 0.625})
    records.append(hash_, again)
    changed(notes.expect(hash_, 2, 0.625))
    records.end(hash_, Status.FINISHED)
    one.sinks.update(hash_)
    assert one.end()
    assert notes.told == [
        *[("open", hash_), (hash_, 1, 0.25), (hash_, 2, 0.5), (hash_, Status.INTERRUPTED)],
        *[("open", hash_), (hash_, 1, 0.25), (hash_, 2, 0.625), (hash_, Status.FINISHED)],
        ("end",),
    ]


def test_what_a_sink_has_to_its_end_is_not_given_again(results: Results, notes: Notes) -> None:
    plan = planned()
    done, cut = (trial.trial for trial in plan.trials)
    recorded(results.records, plan.trials[0], values=[0.25])
    recorded(results.records, plan.trials[1], Status.INTERRUPTED, values=[0.5])
    fed(plan, results)
    with (results.sink_folder("notes", "s") / "given.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"trial": "')  # a crash cut the line short
    notes.told.clear()
    fed(plan, results)
    whole = [("open", cut), (cut, 1, 0.5), (cut, Status.INTERRUPTED), ("end",)]
    assert notes.told == whole
    notes.told.clear()
    recorded(results.records, plan.trials[0], values=[0.75])  # trained again, by --rerun
    fed(plan, results)
    assert notes.told == [("open", done), (done, 1, 0.75), (done, Status.FINISHED), *whole]
    notes.told.clear()
    fed(plan, results, anew=True)
    assert len(notes.told) == 7


@pytest.mark.parametrize("error", [RuntimeError("no\nroom"), SystemExit(3), KeyboardInterrupt()])
@pytest.mark.parametrize("where", ["open", "log", "close"])
def test_what_a_sink_raises_costs_it_the_trial_and_one_line(
    results: Results, notes: Notes, error: BaseException, where: str
) -> None:
    plan = planned(axes={"neuron.tau": [1.5, 2.0, 4.0]})
    bad, worse, good = (trial.trial for trial in plan.trials)
    for trial in plan.trials:
        recorded(results.records, trial, values=[0.25])
    for trial in (bad, worse):
        event: dict[str, Event] = {"open": ("open", trial), "log": (trial, 1, 0.25), "close": (trial, Status.FINISHED)}
        notes.raises[event[where]] = error
    [said] = fed(plan, results)
    what = {
        RuntimeError: "RuntimeError: no",
        SystemExit: "must not end the process, but called sys.exit(3)",
        KeyboardInterrupt: "KeyboardInterrupt",
    }[type(error)]
    assert said.startswith(f"note: sink notes: trial {bad[:8]}: {what}; the records have everything, to fill the sink")
    assert said.endswith("sweep sync s")
    assert notes.told[-4:] == [("open", good), (good, 1, 0.25), (good, Status.FINISHED), ("end",)]
    notes.raises.clear()
    notes.told.clear()
    assert fed(plan, results) == []  # the next run gives what is missing
    assert [event for event in notes.told if event[0] == "open"] == [("open", bad), ("open", worse)]


def test_a_sink_that_hangs_is_left_and_the_others_have_everything(
    results: Results, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    hung, released = threading.Event(), threading.Event()

    def hang(trial: SinkTrial) -> OfTrial:
        hung.set()
        released.wait()
        return OfTrial(Notes(), trial.trial)

    ottt.register_sink("hangs", hang)
    monkeypatch.setattr(sweep_sinks, "PATIENCE_S", 0.0)
    plan = planned(sinks=["hangs", "notes"])
    for trial in plan.trials:
        recorded(results.records, trial, values=[0.25])
    one = begun(plan, results)
    for trial in plan.trials:
        one.sinks.update(trial.trial)
    assert hung.wait(60)
    end = notes.expect("end")
    one.sinks.end()
    assert end.wait(60)
    assert not one.sinks.wait(seconds=0.1)
    assert one.said[0] == "waiting up to 0 s for sinks: hangs; Ctrl-C ends the wait"
    assert one.said[1].startswith("note: sink hangs: is not done after 0 s; the records have everything")
    assert len(one.said) == 2
    assert len(notes.told) == 2 * 3 + 1
    released.set()
    assert one.sinks.wait()


def test_a_sink_whose_folder_cannot_be_read_is_named(results: Results, notes: Notes) -> None:
    plan = planned()
    folder = results.sink_folder("notes", "s")
    folder.parent.mkdir()
    folder.write_text("a file in place of the folder", encoding="utf-8")
    recorded(results.records, plan.trials[0], values=[0.25])
    [said] = fed(plan, results)
    assert "sink notes: " in said
    assert "Error" in said
    notes.raises["end",] = RuntimeError("not uploaded")
    folder.unlink()
    [said] = fed(plan, results)
    assert said.startswith("note: sink notes: RuntimeError: not uploaded; ")


def test_a_plan_that_grows(results: Results, notes: Notes) -> None:
    space = {"neuron.tau": [1.5, 2.0]}
    plan = planned(axes={}, search={"name": "optuna", "trials": 2, "space": space})
    larger = expand(plan.spec, [{"neuron.tau": 2.0}])
    one = begun(plan, results)
    one.sinks.extend(larger)
    recorded(results.records, larger.trials[0], values=[0.25])
    one.sinks.update(larger.trials[0].trial)
    assert one.end()
    assert [trial.name for trial in notes.trials] == ["tau=2 s0"]


def test_no_secret_reaches_a_sink(results: Results, notes: Notes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_PASSWORD", "hunter22")
    plan = planned(axes={"data.root": ["/data/hunter22/a"]})
    recorded(results.records, plan.trials[0], values=[0.25])
    notes.raises[plan.trials[0].trial, 1, 0.25] = RuntimeError("cannot log in with hunter22")
    [said] = fed(plan, results)
    assert "hunter22" not in said
    assert "cannot log in with ***" in said
    [told] = notes.trials
    assert told.settings == {"data.root": "/data/***/a"}
    assert told.config["data.root"] == "/data/***/a"
    assert "hunter22" not in json.dumps([told.name, told.variant, dict(told.config), str(told.folder)])


def test_without_sinks_nothing_is_written(results: Results) -> None:
    plan = planned(sinks=[])
    recorded(results.records, plan.trials[0], values=[0.25])
    assert fed(plan, results) == []
    assert {path.name for path in results.root.iterdir()} == {"trials"}
