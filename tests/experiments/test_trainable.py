"""The worker's side, in this process: `setup` is what Ray calls in an actor."""

from pathlib import Path

import pytest

from experiments.report import Report
from experiments.trainable import REPORT, TrialTrainable
from ottt.config import TrialConfig, load_config
from ottt.schema import Status

SMALL = load_config({"T": 2, "epochs": 2, "batch_size": 512, "model.width": 0.25, "seed": 0, "device": "cpu"})


def worker(**configs: TrialConfig) -> TrialTrainable:
    made = TrialTrainable.__new__(TrialTrainable)
    made.setup({"trial": next(iter(configs))}, configs, threads=1)
    return made


def run(made: TrialTrainable) -> list[Report]:
    """The reports of all steps of the present trial."""
    reports = []
    while True:
        result = made.step()
        reports.append(result[REPORT])
        assert result["done"] is (reports[-1].status is not Status.RUNNING)
        if result["done"]:
            return reports


def numbers(reports: list[Report]) -> list[dict[str, float]]:
    """Metrics less those that time the machine."""
    epochs = [report.epoch for report in reports if report.epoch is not None]
    return [
        {key: value for key, value in epoch.metrics.items() if not key.startswith(("time/", "perf/", "mem/"))}
        for epoch in epochs
    ]


def test_a_step_is_an_epoch() -> None:
    reports = run(worker(a=SMALL))
    assert [report.status for report in reports] == [Status.RUNNING, Status.FINISHED]
    assert [report.epoch.epoch for report in reports if report.epoch] == [1, 2]
    assert (reports[0].device or "").startswith("cpu: ")
    assert reports[0].data_digest


def test_a_reused_worker_gives_the_same_numbers_as_a_new_one() -> None:
    configs = {"a": SMALL, "b": SMALL.replace({"seed": 1, "rule.update": "online"})}
    reused = worker(**configs)
    run(reused)
    reused.reset_config({"trial": "b"})
    after = numbers(run(reused))
    assert after == numbers(run(worker(b=configs["b"])))
    assert after != numbers(run(worker(a=configs["a"])))


def test_an_error_ends_the_trial_and_not_the_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    from ottt.trainer import Trainer

    made = worker(a=SMALL, b=SMALL)
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "train_epoch", lambda self: [][1])
        [report] = run(made)
    assert report.status is Status.FAILED
    assert (report.reason or "").startswith("IndexError: list index out of range (test_trainable.py:")
    assert (report.traceback or "").startswith("Traceback (most recent call last)")
    made.reset_config({"trial": "b"})
    assert run(made)[-1].status is Status.FINISHED


def test_out_of_memory_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from ottt.trainer import Trainer

    def train_epoch(self: Trainer) -> dict[str, float]:
        raise torch.OutOfMemoryError("tried to allocate 3 GiB")

    monkeypatch.setattr(Trainer, "train_epoch", train_epoch)
    [report] = run(worker(a=SMALL))
    assert report.status is Status.OUT_OF_MEMORY


def test_divergence_is_a_result() -> None:
    report = run(worker(a=SMALL.replace({"optim.lr": 1e30, "optim.weight_decay": 1e30})))[-1]
    assert report.status is Status.DIVERGED
    assert report.reason
    assert report.traceback is None


def test_a_checkpoint_goes_on_where_it_was_written(tmp_path: Path) -> None:
    whole = run(worker(a=SMALL))
    half = worker(a=SMALL)
    half.step()
    half.save_checkpoint(str(tmp_path))
    other = worker(a=SMALL)
    other.load_checkpoint(str(tmp_path))
    assert numbers(run(other)) == numbers(whole[1:])
