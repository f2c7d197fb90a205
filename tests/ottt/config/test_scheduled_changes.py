"""Settings that change during training: their text form, identity, effect on the schedule, and resuming."""

import math
from pathlib import Path
from typing import Any

import pytest

from ottt.config.load import load_config
from ottt.config.scheduled_changes import Change, parse_changes, written
from ottt.config.trial import TrialConfig
from ottt.errors import UserError
from ottt.training.trainer import Trainer

TEXT = "optim.lr=0.05 after 2, loss.mse_weight=0.5 after 3"


def config(changes: str, **settings: Any) -> TrialConfig:
    base = {"T": 2, "epochs": 5, "batch_size": 256, "model.width": 0.25, "seed": 3, "device": "cpu"}
    return load_config(base | {"schedule.changes": changes} | settings)


def test_changes_are_read_in_any_order_and_written_by_epoch() -> None:
    changes = parse_changes(" loss.mse_weight = 5e-1 after 3,optim.lr=0.05 after 2 ")
    assert changes == (Change(2, "optim.lr", 0.05), Change(3, "loss.mse_weight", 0.5))
    assert written(changes) == TEXT
    assert parse_changes(TEXT) == changes
    assert parse_changes("") == ()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("optim.lr=0.05", "must read SETTING=VALUE after EPOCHS, with commas between several, got 'optim.lr=0.05'"),
        ("neuron.tau=3 after 2", "must change one of optim.lr, optim.momentum, optim.weight_decay, loss.mse_weight"),
        ("optim.lr=fast after 2", "must set optim.lr to a number, got 'fast'"),
        ("optim.lr=0.1 after 0", "must come after >= 1 epochs, got 'optim.lr=0.1 after 0'"),
        ("optim.lr=0.1 after 2, optim.lr=0.2 after 2", "must change optim.lr once after 2"),
        ("optim.lr=-1 after 2", "schedule.changes: optim.lr must be > 0, got -1.0, after 2 epochs"),
        ("optim.lr=0.1 after 5", "schedule.changes must come before the last of 5 epochs, got optim.lr=0.1 after 5"),
    ],
)
def test_an_invalid_change_is_one_line(text: str, message: str) -> None:
    with pytest.raises(UserError) as raised:
        config(text)
    assert len(raised.value.problems) == 1
    assert message in raised.value.problems[0]


def test_a_change_without_effect_is_not_part_of_the_identity() -> None:
    plain = config("")
    assert "schedule.changes" not in plain.effective()
    assert config("optim.lr=0.1 after 2").trial_hash == plain.trial_hash  # the current value
    assert config("optim.momentum=0.5 after 2", **{"optim.name": "adam"}).trial_hash == (
        config("", **{"optim.name": "adam"}).trial_hash
    )
    changed = config(TEXT)
    assert changed.trial_hash != plain.trial_hash
    assert changed.until(2) == plain
    assert changed.until(3) == config("optim.lr=0.05 after 2")
    assert changed.until(4) == changed
    assert [(changed.at(n).optim.lr, changed.at(n).loss.mse_weight) for n in (1, 2, 3)] == [
        (0.1, 0.05),
        (0.05, 0.05),
        (0.05, 0.5),
    ]


@pytest.mark.parametrize("schedule", ["cosine", "step", "constant"])
def test_a_changed_rate_keeps_its_place_in_the_schedule(schedule: str) -> None:
    settings = {"schedule.name": schedule, "schedule.step_epochs": 2}
    trainer = Trainer(
        config("optim.lr=0.05 after 2, optim.momentum=0.5 after 3, optim.weight_decay=0.01 after 3", **settings)
    )
    rates = [trainer.train_epoch()["optim/lr"] for _ in range(5)]
    factors = {
        "cosine": [(1 + math.cos(math.pi * epoch / 5)) / 2 for epoch in range(5)],
        "step": [1, 1, 0.1, 0.1, 0.01],
        "constant": [1.0] * 5,
    }[schedule]
    assert rates == pytest.approx(
        [lr * factor for lr, factor in zip([0.1, 0.1, 0.05, 0.05, 0.05], factors, strict=True)]
    )
    group = trainer.optimizer.param_groups[0]
    assert (group["momentum"], group["weight_decay"]) == (0.5, 0.01)


def weights(trainer: Trainer) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in trainer.net.state_dict().items()}


def trained(trainer: Trainer, epochs: int) -> Trainer:
    while trainer.epoch < epochs:
        trainer.train_epoch()
    return trainer


def test_a_trial_resumes_bit_identically_from_one_with_the_same_settings_until_then(tmp_path: Path) -> None:
    plain = trained(Trainer(config("")), 2)
    plain.save(tmp_path / "two")
    trained(plain, 3).save(tmp_path / "three")
    whole = trained(Trainer(config(TEXT)), 5)
    branched = Trainer(config(TEXT))
    branched.load(tmp_path / "two")
    trained(branched, 4).save(tmp_path / "four")
    resumed = Trainer(config(TEXT))
    resumed.load(tmp_path / "four")
    assert weights(trained(resumed, 5)) == weights(trained(branched, 5)) == weights(whole)
    assert weights(trained(plain, 5)) != weights(whole)
    with pytest.raises(UserError, match="must be of trial"):
        Trainer(config(TEXT)).load(tmp_path / "three")  # the rate should have changed after epoch 2
    with pytest.raises(UserError, match="must be of trial"):
        Trainer(config("")).load(tmp_path / "four")
