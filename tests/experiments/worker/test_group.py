"""A worker with several trials, in the process of the tests: each stays a trial."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from experiments.results.provenance import code_hash
from experiments.results.stop_request import StopRequest
from experiments.results.trial_records import Record, TrialRecords
from experiments.sweep_spec.run_settings import Checkpoints, Limits, Share
from experiments.worker import group as group_module
from experiments.worker.member import Assignment
from experiments.worker.step_report import OPEN, REPORTS, SCORES, FailureKind, StepReport
from experiments.worker.trainable import TrialTrainable
from ottt.config.load import load_config
from ottt.config.trial import TrialConfig
from ottt.schema import Status
from ottt.training.checkpoint import NEWEST, PREVIOUS, read_checkpoint
from ottt.training.fused import FusedTrainer
from ottt.training.fused_speed import BatchTimes
from ottt.training.trainer import Trainer

SMALL = load_config({"T": 2, "epochs": 3, "batch_size": 256, "model.width": 0.25, "seed": 0, "device": "cpu"})
OTHERS: tuple[dict[str, Any], ...] = ({}, {"seed": 1, "optim.lr": 0.05}, {"seed": 2, "neuron.tau": 3.0})
THREE = [SMALL.replace(other) for other in OTHERS]
LOST = {"optim.lr": 1e30, "optim.weight_decay": 1e30}  # diverges in its first epoch

NEVER: Mapping[str, int] = {}

Story = dict[str, list[StepReport]]  # reports by trial


@pytest.fixture
def records(tmp_path: Path) -> TrialRecords:
    return TrialRecords(tmp_path / "trials")


Train = Callable[..., Story]


@pytest.fixture
def train(records: TrialRecords, tmp_path: Path) -> Train:
    """Trains trials in one worker and records what a driver would; returns the reports of each."""

    def run(
        configs: Sequence[TrialConfig],
        *,
        steps: int = 99,
        begin: Sequence[TrialConfig] | None = None,
        stop_after: Mapping[str, int] = NEVER,
        measures: bool = False,
    ) -> Story:
        made = TrialTrainable.__new__(TrialTrainable)
        given = [Assignment(config.trial_hash, config.model_dump_json()) for config in configs]
        made.setup(
            {"trials": given, "share": Share(cpu=1, gpu=0)},
            records,
            Checkpoints(seconds=0, keep=True),
            metric="val/top1",
            request=StopRequest(tmp_path / "stop", "run"),
            code=code_hash(),
            limits=Limits(),
            stops_early=bool(stop_after),
            measures=measures,
        )
        for config in configs if begin is None else begin:
            records.begin(Record(config.trial_hash, config.flat(), "s"))
        found: Story = {config.trial_hash: [] for config in configs}
        for _ in range(steps):
            result = made.step()
            for trial, report in result[REPORTS]:
                found[trial].append(report)
                if report.epoch is not None:
                    records.truncate_epochs(trial, report.epoch.epoch - 1)
                    records.append(trial, report.epoch)
                    if stop_after.get(trial) == report.epoch.epoch:
                        records.end(trial, Status.STOPPED_EARLY)
            scored = [(t, r.epoch.epoch, r.epoch.metrics["val/top1"]) for t, r in result[REPORTS] if r.epoch]
            assert result[SCORES] == scored
            assert result["done"] is (result[OPEN] == [])
            if result["done"]:
                break
        return found

    return run


def numbers(reports: Sequence[StepReport]) -> list[dict[str, float]]:
    """Metrics of each epoch, without those that depend on the machine."""
    epochs = [report.epoch for report in reports if report.epoch is not None]
    return [
        {key: value for key, value in epoch.metrics.items() if not key.startswith(("time/", "perf/", "mem/"))}
        for epoch in epochs
    ]


def alone(train: Train, config: TrialConfig) -> list[dict[str, float]]:
    return numbers(train([config])[config.trial_hash])


def close(found: list[dict[str, float]], expected: list[dict[str, float]]) -> None:
    """Equal within rounding of float32."""
    assert found == [pytest.approx(epoch, rel=1e-5, abs=1e-5) for epoch in expected]


def test_each_has_its_own_numbers_and_a_checkpoint_that_loads_alone(train: Train, records: TrialRecords) -> None:
    together = train(THREE)
    saved = [read_checkpoint(records.checkpoint(config.trial_hash)) for config in THREE]
    for config, state in zip(THREE, saved, strict=True):
        reports = together[config.trial_hash]
        assert [report.status for report in reports] == ["running", "running", "finished"]
        assert [report.fused for report in reports] == [3, 3, 3]
        assert reports[-1].evaluation is not None
        close(numbers(reports), alone(train, config))
        again = Trainer(config)
        again.load(records.checkpoint(config.trial_hash))  # of the same trial, trained alone
        for name, value in again.net.state_dict().items():
            torch.testing.assert_close(state["net"][name], value, rtol=1e-4, atol=1e-5)
    seconds = [one[0].epoch.metrics["time/epoch_s"] for one in together.values() if one[0].epoch]
    assert len(set(seconds)) == 1  # that of the network


def test_a_member_that_diverges_touches_no_neighbour(train: Train) -> None:
    lost = THREE[1].replace(LOST)
    together = train([THREE[0], lost, THREE[2]])
    [end] = together[lost.trial_hash]
    assert (end.status, end.failure, end.traceback, end.fused) == (Status.DIVERGED, None, None, 3)
    for config in (THREE[0], THREE[2]):
        assert [report.fused for report in together[config.trial_hash]] == [3, 2, 2]
        close(numbers(together[config.trial_hash]), alone(train, config))


def test_a_member_that_a_scheduler_stops_leaves_after_that_epoch(train: Train) -> None:
    stopped = THREE[0]
    together = train(THREE, stop_after={stopped.trial_hash: 1})
    assert len(together[stopped.trial_hash]) == 1
    for config in THREE[1:]:
        assert [report.fused for report in together[config.trial_hash]] == [3, 2, 2]
        close(numbers(together[config.trial_hash]), alone(train, config))


def test_shorter_members_finish_earlier(train: Train) -> None:
    short = THREE[0].replace({"epochs": 1, "schedule.name": "constant"})
    together = train([short, *THREE[1:]])
    assert [report.status for report in together[short.trial_hash]] == ["finished"]
    assert [report.fused for report in together[THREE[1].trial_hash]] == [3, 2, 2]
    close(numbers(together[short.trial_hash]), alone(train, short))


def test_a_member_that_is_ahead_waits_for_the_others(train: Train) -> None:
    first, *others = THREE
    train([first], steps=2)  # its checkpoint is of the first epoch
    together = train(THREE, begin=others)
    assert [(one.epoch.epoch, one.fused) for one in together[first.trial_hash] if one.epoch] == [(2, 3), (3, 3)]
    for config in others:
        assert [report.fused for report in together[config.trial_hash]] == [2, 3, 3]
        close(numbers(together[config.trial_hash]), alone(train, config))
    close(numbers(together[first.trial_hash]), alone(train, first)[1:])


def test_one_that_is_behind_catches_up_alone(train: Train) -> None:
    *others, last = THREE
    train(others, steps=2)
    together = train(THREE, begin=[last])
    assert [report.fused for report in together[last.trial_hash]] == [1, 3, 3]
    assert numbers(together[last.trial_hash])[:1] == alone(train, last)[:1]  # bit for bit


def test_killed_while_checkpoints_were_written_they_train_as_before(train: Train, records: TrialRecords) -> None:
    longer = [config.replace({"epochs": 4}) for config in THREE]
    whole = train(longer)
    train(longer, steps=3)  # written: the states after epochs 1 and 2
    for config in longer:
        records.truncate_epochs(config.trial_hash, 2)
    for config in longer[1:]:  # the kill came after the first one's second state
        folder = records.checkpoint(config.trial_hash)
        (folder / PREVIOUS).replace(folder / NEWEST)
    again = train(longer, begin=[])
    for config in longer:
        assert [report.fused for report in again[config.trial_hash]] == [3, 3, 3]
        assert numbers(again[config.trial_hash]) == numbers(whole[config.trial_hash])[1:]  # bit for bit


def test_a_stop_request_ends_all_with_their_checkpoints(
    train: Train, records: TrialRecords, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(THREE)
    train_epoch = FusedTrainer.train_epoch

    def stopping(self: FusedTrainer) -> object:
        StopRequest(tmp_path / "stop", "run").make()
        return train_epoch(self)

    with monkeypatch.context() as patch:
        patch.setattr(FusedTrainer, "train_epoch", stopping)
        stopped = train(THREE)
    assert [[report.status for report in one] for one in stopped.values()] == [["running", "interrupted"]] * 3
    assert [read_checkpoint(records.checkpoint(one.trial_hash))["epoch"] for one in THREE] == [1, 1, 1]
    (tmp_path / "stop").unlink()
    for trial, reports in train(THREE, begin=[]).items():
        assert numbers(reports) == numbers(whole[trial])[1:]  # bit for bit


def test_what_cannot_be_one_network_is_given_back_with_one_reason(train: Train) -> None:
    together = train([THREE[0], THREE[1].replace({"model.width": 0.5})])
    [first], [second] = together.values()
    assert [(one.status, one.failure, one.epoch) for one in (first, second)] == [
        (Status.FAILED, FailureKind.FUSED, None)
    ] * 2
    assert (first.reason or "").startswith(
        "2 trials train one by one and not as one network: UserError: model.width must be equal in trials that are"
        " fused, got 0.25, 0.5"
    )
    assert second.reason is None


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("tried 3 GiB"), MemoryError(), RuntimeError("of a kernel")])
def test_an_error_of_the_network_is_none_of_the_trials(
    train: Train, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    train_epoch, calls = FusedTrainer.train_epoch, iter(range(9))

    def failing(self: FusedTrainer) -> object:
        if next(calls) == 1:
            raise error
        return train_epoch(self)

    monkeypatch.setattr(FusedTrainer, "train_epoch", failing)
    for reports in train(THREE).values():
        assert [report.failure for report in reports] == [None, FailureKind.FUSED]


def test_an_error_of_one_trial_is_its_own(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Trainer.__init__

    def refusing(self: Trainer, config: TrialConfig) -> None:
        if config.seed == 1:
            raise ValueError("no such file")
        made(self, config)

    monkeypatch.setattr(Trainer, "__init__", refusing)
    together = train(THREE)
    [end] = together[THREE[1].trial_hash]
    assert (end.status, end.failure) == (Status.FAILED, FailureKind.ERROR)
    assert (end.reason or "").startswith("ValueError: no such file (test_group.py:")
    for config in (THREE[0], THREE[2]):
        assert [report.fused for report in together[config.trial_hash]] == [2, 2, 2]
        close(numbers(together[config.trial_hash]), alone(train, config))


@pytest.mark.parametrize(("fused", "fuses"), [(0.2, False), (0.1, True)])
def test_where_fusing_is_measured_it_must_be_faster(
    train: Train, monkeypatch: pytest.MonkeyPatch, fused: float, fuses: bool
) -> None:
    asked: list[int] = []

    def measure(members: Sequence[Trainer]) -> BatchTimes:
        asked.append(len(members))
        return BatchTimes(fused=fused, alone=0.2)

    monkeypatch.setattr("ottt.training.fused_speed.measure", measure)
    monkeypatch.setattr(group_module, "_measured", {})
    monkeypatch.setattr(group_module, "MEASURED_ON", {"cpu"})
    together = train(THREE, measures=True)
    assert all((reports[-1].status is Status.FINISHED) is fuses for reports in together.values())
    if not fuses:
        assert together[THREE[0].trial_hash][0].reason == (
            "3 trials train one by one and not as one network: a batch of each takes 0.2 s fused, 0.2 s one by one"
        )
    train(THREE, measures=True)
    assert asked == [3]  # once in a process
    train(THREE[:2], measures=True)
    assert asked == [3, 2]


def test_on_a_cpu_it_is_not_even_measured(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ottt.training.fused_speed.measure", None)
    reports = train(THREE, measures=True)
    assert reports[THREE[0].trial_hash][0].reason == (
        "3 trials train one by one and not as one network: the share has a GPU, but the trials train on the CPU"
    )
    assert all(one[0].failure is FailureKind.FUSED for one in reports.values())
