"""Training, evaluation and checkpoints on the digits, which need no download."""

import math
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import ottt
from ottt.schema import Status
from ottt.training.checkpoint import NEWEST, PREVIOUS, DamagedCheckpointWarning
from ottt.training.trainer import Trainer, fit

TINY = {"model.width": 0.25, "T": 2, "epochs": 3, "batch_size": 256, "neuron.dropout": 0.2, "device": "cpu"}
TIMES = {"time/epoch_s", "perf/images_per_s"}  # metrics that differ between equal runs


def untimed(metrics: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if name not in TIMES}


def weights(trainer: Trainer) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in trainer.net.parameters()])


def test_learns_the_digits() -> None:
    config = ottt.load_config("digits", ["epochs=6", "neuron.tau=4", "rule.update=online", "device=cpu"])
    result = ottt.train(config)
    assert result.status is Status.FINISHED
    assert result.metrics["test/top1"] > 0.93
    assert result.metrics["train/loss"] < result.history[0]["train/loss"] / 3
    assert 0.1 < result.metrics["rate/total"] < 0.5


@pytest.mark.parametrize("update", ["accumulate", "online"])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_resumed_training_is_bit_identical(update: str, precision: str, tmp_path: Path) -> None:
    config = ottt.load_config({**TINY, "rule.update": update, "precision": precision})
    whole = Trainer(config)
    expected = [untimed(whole.train_epoch()) for _ in range(3)]

    first = Trainer(config)
    got = [untimed(first.train_epoch())]
    first.save(tmp_path)
    first.train_epoch()  # lost when the process dies
    del first
    second = Trainer(config)
    second.load(tmp_path)
    assert second.epoch == 1
    got += [untimed(second.train_epoch()) for _ in range(2)]
    assert got == expected
    assert torch.equal(weights(whole), weights(second))
    assert torch.equal(whole.order.get_state(), second.order.get_state())


KILLED = """\
import os, sys, ottt, torch
from pathlib import Path

class Sink:
    def log(self, epoch, metrics):
        if epoch == 3:
            os.kill(os.getpid(), 9)

torch.set_num_threads(1)
ottt.train(ottt.load_config({settings!r}), sink=Sink(), checkpoints=Path(sys.argv[1]))
"""


def test_training_resumes_bit_identically_after_a_kill(tmp_path: Path) -> None:
    config = ottt.load_config({**TINY, "epochs": 8})
    code = KILLED.format(settings={**TINY, "epochs": 8})
    process = subprocess.run([sys.executable, "-c", code, str(tmp_path)])
    assert process.returncode == -signal.SIGKILL
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        resumed, whole = Trainer(config), Trainer(config)
        resumed.load(tmp_path)
        assert resumed.epoch == 3
        for trainer in (resumed, whole):
            while not trainer.done:
                trainer.train_epoch()
        assert torch.equal(weights(resumed), weights(whole))
    finally:
        torch.set_num_threads(threads)


def test_a_damaged_checkpoint_falls_back_to_the_previous_one(tmp_path: Path) -> None:
    trainer = Trainer(ottt.load_config(TINY))
    for _ in range(2):
        trainer.train_epoch()
        trainer.save(tmp_path)
    newest = tmp_path / NEWEST
    newest.write_bytes(newest.read_bytes()[:1000])
    with pytest.warns(DamagedCheckpointWarning, match=r"checkpoint\.pt: damaged"):
        trainer.load(tmp_path)
    assert trainer.epoch == 1
    (tmp_path / PREVIOUS).write_bytes(b"")
    with pytest.raises(ottt.UserError, match="damaged") as error:
        trainer.load(tmp_path)
    assert len(error.value.problems) == 2


def test_a_checkpoint_of_another_trial_is_refused(tmp_path: Path) -> None:
    Trainer(ottt.load_config(TINY)).save(tmp_path)
    with pytest.raises(ottt.UserError, match="must be of trial"):
        Trainer(ottt.load_config({**TINY, "neuron.tau": 3.0})).load(tmp_path)
    with pytest.raises(ottt.UserError, match="no such file or folder"):
        Trainer(ottt.load_config(TINY)).load(tmp_path / "nowhere")


def test_divergence_names_epoch_and_last_good_checkpoint(tmp_path: Path) -> None:
    config = ottt.load_config({**TINY, "optim.lr": 1e30, "model.name": "vgg11", "model.width": 0.0625})
    result = ottt.train(config, checkpoints=tmp_path)
    assert result.status is Status.DIVERGED
    assert result.reason is not None
    epoch = len(result.history) + 1
    assert f"in epoch {epoch}" in result.reason
    assert "nan" in result.reason or "inf" in result.reason
    expected = str(tmp_path / NEWEST) if result.history else "none"
    assert result.reason.endswith(f"last good checkpoint: {expected}")


LOST = {**TINY, "epochs": 1, "batch_size": 2048, "optim.lr": 1e30}  # one update, after which nothing is trained


@pytest.mark.parametrize(
    ("settings", "shown"),
    [
        ({"data.val_fraction": 0.15}, "val loss became inf"),
        ({"data.val_fraction": 0.0}, "test loss became inf"),
        ({"optim.lr": 1e38, "optim.weight_decay": 1e10}, "stem.weight became -?inf"),
    ],
)
def test_divergence_in_the_last_update_is_no_result(settings: dict[str, Any], shown: str, tmp_path: Path) -> None:
    trainer = Trainer(ottt.load_config({**LOST, **settings}))
    result = fit(trainer, checkpoints=tmp_path)
    assert (result.status, result.history, trainer.epoch) == (Status.DIVERGED, (), 0)
    assert re.match(f"{shown} in epoch 1; last good checkpoint: none", result.reason or "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("lost", [math.nan, -math.inf])
def test_silent_neurons_do_not_hide_divergence(lost: float) -> None:
    """A potential that is NaN never reaches the threshold, so all losses stay finite."""
    trainer = Trainer(ottt.load_config({**TINY, "optim.lr": 1e-30}))
    with torch.no_grad():
        trainer.net.stem.bias[3] = lost
    assert math.isfinite(trainer.evaluate(trainer.eval_sets["test"]).loss)
    with pytest.raises(ottt.Diverged, match=r"stem\.(weight|bias) became (nan|-inf) in epoch 1") as error:
        trainer.train_epoch()
    assert error.value.epoch == 1


def test_sink_sees_every_epoch() -> None:
    class RecordingSink:
        def __init__(self) -> None:
            self.rows: list[tuple[int, Any]] = []

        def log(self, epoch: int, metrics: Any) -> None:
            self.rows.append((epoch, metrics["optim/lr"]))

    sink = RecordingSink()
    ottt.train(ottt.load_config({**TINY, "optim.lr": 0.1}), sink=sink)
    cosine = [0.05 * (1 + math.cos(math.pi * epoch / 3)) for epoch in range(3)]
    assert [epoch for epoch, _ in sink.rows] == [1, 2, 3]
    assert [lr for _, lr in sink.rows] == pytest.approx(cosine)


@pytest.mark.parametrize("schedule", [{"name": "step", "step_epochs": 2, "gamma": 0.5}, {"name": "constant"}])
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_schedules_and_optimizers(schedule: dict[str, Any], optimizer: str) -> None:
    config = ottt.load_config({**TINY, "schedule": schedule, "optim": {"name": optimizer, "lr": 0.01}})
    rates = [metrics["optim/lr"] for metrics in ottt.train(config).history]
    assert rates == pytest.approx([0.01, 0.01, 0.005 if schedule["name"] == "step" else 0.01])


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_low_precision_learns_like_fp32(precision: str) -> None:
    base = {**TINY, "epochs": 4, "neuron.dropout": 0.0, "model.width": 1.0, "batch_size": 64, "optim.lr": 0.2}
    full, low = (ottt.train(ottt.load_config({**base, "precision": p})).metrics for p in ("fp32", precision))
    assert full["test/top1"] > 0.8
    assert low["test/top1"] == pytest.approx(full["test/top1"], abs=0.1)
    assert low["train/loss"] != full["train/loss"]


def test_choosing_kernels_leaves_statistics_and_random_states_alone() -> None:
    settings = {"model.name": "vgg11_bn", "model.width": 0.1, "neuron.dropout": 0.5, "device": "cpu"}
    before = torch.get_rng_state()
    chosen = Trainer(ottt.load_config(settings | {"compile": "auto"}))
    assert torch.equal(torch.get_rng_state(), before)
    plain = Trainer(ottt.load_config(settings | {"compile": False}))
    assert chosen.net.training
    assert chosen.config.trial_hash == plain.config.trial_hash
    for (name, one), other in zip(chosen.net.state_dict().items(), plain.net.state_dict().values(), strict=True):
        assert torch.equal(one, other), name
