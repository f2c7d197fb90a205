"""The worker without Ray, in the process of the tests."""

import errno
import time
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from experiments.results.provenance import code_hash
from experiments.results.stop_request import StopRequest
from experiments.results.trial_records import Record, TrialRecords
from experiments.sweep_spec.run_settings import Checkpoints, Limits, Share
from experiments.worker.member import Assignment
from experiments.worker.step_report import REPORTS, FailureKind, StepReport
from experiments.worker.trainable import TrialTrainable
from ottt.config.load import load_config
from ottt.config.trial import TrialConfig
from ottt.errors import UserError
from ottt.schema import Status
from ottt.training.checkpoint import NEWEST, PREVIOUS, read_checkpoint, write_checkpoint
from ottt.training.trainer import Trainer

SMALL = load_config({"T": 2, "epochs": 2, "batch_size": 512, "model.width": 0.25, "seed": 0, "device": "cpu"})
LONG = SMALL.replace({"epochs": 4})
UNLIMITED = Limits()


Worker = Callable[..., TrialTrainable]


@pytest.fixture
def records(tmp_path: Path) -> TrialRecords:
    return TrialRecords(tmp_path / "trials")


@pytest.fixture
def stop(tmp_path: Path) -> StopRequest:
    return StopRequest(tmp_path / "stop", "run")


@pytest.fixture
def worker(records: TrialRecords, stop: StopRequest) -> Worker:
    """Makes a worker with its first trial."""

    def make(
        config: TrialConfig, *, seconds: float = 0.0, keep: bool = False, limits: Limits = UNLIMITED
    ) -> TrialTrainable:
        made = TrialTrainable.__new__(TrialTrainable)
        checkpoints = Checkpoints(seconds=seconds, keep=keep)
        made.setup(task(config), records, checkpoints, metric="val/top1", request=stop, code=code_hash(), limits=limits)
        return made

    return make


def task(config: TrialConfig, *, until: int | None = None) -> dict[str, Any]:
    given = Assignment(config.trial_hash, config.model_dump_json(), until)
    return {"trials": [given], "share": Share(cpu=1, gpu=0)}


def step(made: TrialTrainable) -> tuple[StepReport, bool]:
    """A step of a worker with one trial: its report, and whether it is done."""
    result = made.step()
    [(_, report)] = result[REPORTS]
    return report, result["done"]


def trainer(made: TrialTrainable) -> Trainer:
    [member] = made._members
    assert member.trainer is not None
    return member.trainer


def run(made: TrialTrainable) -> list[StepReport]:
    """Run the current trial; returns the reports of all steps."""
    reports = []
    while True:
        report, done = step(made)
        reports.append(report)
        assert done is (report.status is not Status.RUNNING)
        if done:
            return reports


def numbers(reports: list[StepReport]) -> list[dict[str, float]]:
    """Metrics without those that depend on the machine."""
    epochs = [report.epoch for report in reports if report.epoch is not None]
    return [
        {key: value for key, value in epoch.metrics.items() if not key.startswith(("time/", "perf/", "mem/"))}
        for epoch in epochs
    ]


def test_a_step_is_an_epoch(worker: Worker) -> None:
    reports = run(worker(SMALL))
    assert [report.status for report in reports] == [Status.RUNNING, Status.FINISHED]
    assert [report.epoch.epoch for report in reports if report.epoch] == [1, 2]
    assert (reports[0].device or "").startswith("cpu: ")
    assert reports[0].data_digest


def test_a_reused_worker_gives_the_same_numbers_as_a_new_one(worker: Worker) -> None:
    other = SMALL.replace({"seed": 1, "rule.update": "online"})
    reused = worker(SMALL)
    run(reused)
    reused.reset_config(task(other))
    after = numbers(run(reused))
    assert after == numbers(run(worker(other)))
    assert after != numbers(run(worker(SMALL)))


def test_nothing_of_a_trial_reaches_the_next(worker: Worker) -> None:
    wide = SMALL.replace({"model.width": 1.0, "deterministic": True, "rule.update": "online", "T": 3})
    expected = numbers(run(worker(SMALL)))
    reused = worker(wide)
    step(reused)
    left = weakref.ref(trainer(reused).net)
    run(reused)
    torch.manual_seed(123456)
    np.random.seed(123456)
    reused.reset_config(task(SMALL))
    assert left() is None
    assert torch.get_num_threads() == 1
    assert numbers(run(reused)) == expected


def test_each_trial_of_a_worker_computes_in_its_own_precision(worker: Worker) -> None:
    """Flags of torch are those of the trial in progress, and afterwards what they were before."""
    matmul, seen = torch.backends.mkldnn.matmul, []
    made = worker(SMALL)
    for precision in ("fp32", "bf16"):
        made.reset_config(task(SMALL.replace({"precision": precision})))
        made.step()
        trainer(made).net.classifier.register_forward_hook(lambda *_: seen.append(matmul.fp32_precision))
        before, matmul.fp32_precision = matmul.fp32_precision, "bf16"  # as another library in this process can ask for
        try:
            made.step()
            assert matmul.fp32_precision == "bf16"
        finally:
            matmul.fp32_precision = before
    assert set(seen) == {"ieee"}
    made.reset_config(task(SMALL.replace({"precision": "tf32"})))
    [refused] = run(made)
    assert refused.status is Status.FAILED
    assert "must be fp32, bf16 or fp16 on cpu" in (refused.reason or "")


def test_a_failed_trial_is_released_too(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    made, seen = worker(SMALL), []

    def train_epoch(self: Trainer) -> dict[str, float]:
        seen.append(weakref.ref(self))
        return [self][1]  # type: ignore[return-value]

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "train_epoch", train_epoch)
        run(made)
    [left] = seen
    made.reset_config(task(SMALL))
    assert left() is None


def test_an_error_ends_the_trial_and_not_the_worker(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    made = worker(SMALL)
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "train_epoch", lambda self: [][1])
        [report] = run(made)
    assert report.status is Status.FAILED
    assert (report.reason or "").startswith("IndexError: list index out of range (test_trainable.py:")
    assert (report.traceback or "").startswith("Traceback (most recent call last)")
    made.reset_config(task(SMALL.replace({"seed": 1})))
    assert run(made)[-1].status is Status.FINISHED


def test_the_message_of_an_error_can_be_stored(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    def train_epoch(self: Trainer) -> dict[str, float]:
        raise ValueError("Kanäle\0\udce9")

    monkeypatch.setattr(Trainer, "train_epoch", train_epoch)
    [report] = run(worker(SMALL))
    assert (report.reason or "").startswith("ValueError: Kanäle?? (test_trainable.py:")
    assert (report.traceback or "").strip().encode().decode().endswith("ValueError: Kanäle??")


class Unspeakable(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (SystemExit(0), "SystemExit: 0 ("),
        (SystemExit(), "SystemExit ("),
        (KeyboardInterrupt(), "KeyboardInterrupt ("),
        (GeneratorExit(), "GeneratorExit ("),
        (Unspeakable(), "Unspeakable: its message cannot be shown: ValueError ("),
        (ValueError("\x1b[31mred\x1b[0m \x1b]0;title\x07\x9b2J\x1b[2Jgone\x07"), "ValueError: red ?2Jgone? ("),
    ],
)
def test_whatever_a_trial_raises_it_fails_at_once(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, error: BaseException, reason: str
) -> None:
    def train_epoch(self: Trainer) -> dict[str, float]:
        raise error

    monkeypatch.setattr(Trainer, "train_epoch", train_epoch)
    [report] = run(worker(SMALL))
    assert (report.status, report.failure) == (Status.FAILED, FailureKind.ERROR)
    assert (report.reason or "").startswith(reason)


def test_what_fails_for_want_of_room_is_tried_again(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    def train_epoch(self: Trainer) -> dict[str, float]:
        raise UserError("cache must be a folder that can be written") from OSError(errno.ENOSPC, "No space left")

    monkeypatch.setattr(Trainer, "train_epoch", train_epoch)
    [report] = run(worker(SMALL))
    assert (report.status, report.failure) == (Status.FAILED, FailureKind.WORKER)


def test_the_time_of_an_attempt_is_limited_and_not_that_of_an_epoch(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    made = worker(SMALL, limits=Limits(hours=0.5))
    monkeypatch.setattr(made, "_taken", now[0])
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    assert made._seconds_left() == 1800
    now[0] += 1000
    assert made._seconds_left() == 800
    assert worker(SMALL)._seconds_left() is None


@pytest.mark.parametrize(
    ("error", "kind"),
    [(torch.OutOfMemoryError("tried 3 GiB"), FailureKind.DEVICE_MEMORY), (MemoryError(), FailureKind.WORKER)],
)
def test_out_of_memory_is_told_apart(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, error: Exception, kind: FailureKind
) -> None:
    def train_epoch(self: Trainer) -> dict[str, float]:
        raise error

    monkeypatch.setattr(Trainer, "train_epoch", train_epoch)
    [report] = run(worker(SMALL))
    assert (report.status, report.failure) == (Status.OUT_OF_MEMORY, kind)


def test_divergence_is_a_result(worker: Worker) -> None:
    report = run(worker(SMALL.replace({"optim.lr": 1e30, "optim.weight_decay": 1e30})))[-1]
    assert report.status is Status.DIVERGED
    assert report.reason
    assert (report.traceback, report.failure) == (None, None)


def test_divergence_in_the_last_update_is_diverged_too(worker: Worker) -> None:
    lost = {"epochs": 1, "batch_size": 2048, "optim.lr": 1e30}  # one update, after which nothing is trained
    [report] = run(worker(SMALL.replace(lost), keep=True))
    assert (report.status, report.epoch, report.evaluation) == (Status.DIVERGED, None, None)
    assert report.reason == "val loss became inf in epoch 1"


def begin(records: TrialRecords, config: TrialConfig) -> None:
    """Write what the driver writes before the first step."""
    records.begin(Record(config.trial_hash, config.flat(), "s"))


def append(records: TrialRecords, config: TrialConfig, reports: list[StepReport]) -> None:
    """Write what the driver writes after steps."""
    for report in reports:
        assert report.epoch is not None
        records.append(config.trial_hash, report.epoch)


def steps(made: TrialTrainable, count: int) -> list[StepReport]:
    return [step(made)[0] for _ in range(count)]


def test_a_new_worker_resumes_from_the_last_checkpoint(worker: Worker, records: TrialRecords) -> None:
    whole = run(worker(LONG, seconds=1e9))
    begin(records, LONG)
    append(records, LONG, steps(worker(LONG), 3))  # written: the states after epochs 1 and 2
    assert numbers(run(worker(LONG))) == numbers(whole[2:])


def test_a_state_that_is_ahead_of_the_records_is_not_used(worker: Worker, records: TrialRecords) -> None:
    whole = run(worker(LONG, seconds=1e9))
    begin(records, LONG)
    append(records, LONG, steps(worker(LONG), 3)[:1])
    assert numbers(run(worker(LONG))) == numbers(whole[1:])  # from the predecessor
    begin(records, LONG)
    steps(worker(LONG), 3)
    assert numbers(run(worker(LONG))) == numbers(whole)


def test_with_damaged_checkpoints_a_trial_starts_from_nothing(worker: Worker, records: TrialRecords) -> None:
    whole = run(worker(LONG, seconds=1e9))
    begin(records, LONG)
    append(records, LONG, steps(worker(LONG), 3))
    for file in records.checkpoint(LONG.trial_hash).iterdir():
        file.write_bytes(file.read_bytes()[:1000])
    assert numbers(run(worker(LONG))) == numbers(whole)


def test_a_checkpoint_with_a_flipped_bit_is_named_and_the_older_one_is_used(
    worker: Worker, records: TrialRecords
) -> None:
    whole = run(worker(LONG, seconds=1e9))
    begin(records, LONG)
    append(records, LONG, steps(worker(LONG), 3))
    file = records.checkpoint(LONG.trial_hash) / NEWEST
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 16
    file.write_bytes(content)
    reports = run(worker(LONG))
    assert numbers(reports) == numbers(whole[1:])  # from the state after epoch 1
    assert reports[0].warning == (
        f"{file}: damaged: its content does not have the SHA-256 at its end; continues after epoch 1"
    )
    assert [report.warning for report in reports[1:]] == [None] * 2


@pytest.mark.parametrize("change", [{"epoch": -5}, {"epoch": 99}, {"epoch": "x"}, {"net": {}}, {"trial": "0" * 16}])
def test_a_state_that_does_not_fit_does_not_end_the_trial(
    worker: Worker, records: TrialRecords, change: dict[str, Any]
) -> None:
    whole = run(worker(LONG, seconds=1e9))
    begin(records, LONG)
    append(records, LONG, steps(worker(LONG), 3))
    folder = records.checkpoint(LONG.trial_hash)
    write_checkpoint(folder, read_checkpoint(folder) | change)
    (folder / PREVIOUS).unlink()
    reports = run(worker(LONG))
    assert numbers(reports) == numbers(whole)
    assert (reports[0].warning or "").endswith("; continues after epoch 0")


def test_a_short_trial_writes_no_checkpoint_unless_it_is_kept(worker: Worker, records: TrialRecords) -> None:
    run(worker(SMALL, seconds=60))
    assert not records.checkpoint(SMALL.trial_hash).exists()
    run(worker(SMALL, seconds=60, keep=True))
    assert read_checkpoint(records.checkpoint(SMALL.trial_hash))["epoch"] == 2


def test_a_trial_with_nothing_left_to_train_is_finished(worker: Worker, records: TrialRecords) -> None:
    begin(records, SMALL)
    append(records, SMALL, run(worker(SMALL, keep=True)))
    [report] = run(worker(SMALL, keep=True))
    assert (report.status, report.epoch) == (Status.FINISHED, None)


def test_a_stop_request_ends_the_trial_with_a_checkpoint(
    worker: Worker, records: TrialRecords, stop: StopRequest
) -> None:
    whole = run(worker(LONG, seconds=1e9))
    begin(records, LONG)
    made = worker(LONG, seconds=1e9)
    append(records, LONG, steps(made, 2))
    stop.make()
    [report] = run(made)
    assert (report.status, report.epoch, report.warning) == (Status.INTERRUPTED, None, None)
    made.reset_config(task(SMALL))
    assert run(made)[0].status is Status.INTERRUPTED
    assert not records.checkpoint(SMALL.trial_hash).exists()
    stop.path.unlink()
    assert numbers(run(worker(LONG))) == numbers(whole[2:])


def test_a_trial_pauses_at_an_epoch_and_resumes_there(worker: Worker, records: TrialRecords) -> None:
    whole = run(worker(LONG, seconds=1e9))
    begin(records, LONG)
    made = worker(SMALL)
    made.reset_config(task(LONG, until=2))
    first = run(made)
    assert [report.status for report in first] == [Status.RUNNING, Status.RUNNING, Status.INTERRUPTED]
    append(records, LONG, first[:2])
    made.reset_config(task(LONG, until=4))
    assert numbers(run(made)) == numbers(whole[2:])


def test_a_checkpoint_that_cannot_be_written_does_not_end_the_trial(
    worker: Worker, records: TrialRecords, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = worker(LONG)
    records.folder.mkdir()
    records.checkpoint(LONG.trial_hash).parent.write_text("in the way", encoding="utf-8")
    reports = run(made)
    assert reports[-1].status is Status.FINISHED
    assert reports[0].warning is None
    assert (reports[1].warning or "").startswith("no checkpoint after epoch 1: ")
