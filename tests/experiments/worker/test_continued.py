"""Trials that go on from others' states, and the public trainable without Ray."""

import copy
import math
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from ray import tune

from experiments.worker.continued import continued
from experiments.worker.own_tuner import Trainable, TrialEnded
from ottt.config.load import load_config
from ottt.config.trial import TrialConfig
from ottt.errors import UserError
from ottt.training.checkpoint import read_checkpoint, write_checkpoint
from ottt.training.trainer import Trainer

SMALL: dict[str, Any] = {"T": 1, "epochs": 3, "batch_size": 512, "model.width": 0.25, "device": "cpu"}


def config(**settings: Any) -> TrialConfig:
    return load_config(SMALL | {key.replace("__", "."): value for key, value in settings.items()})


def test_a_copy_is_the_other_trial_with_a_change() -> None:
    saved = config(optim__lr=0.2, optim__momentum=0.8)
    now = config(optim__lr=0.1, optim__momentum=0.8)
    assert continued(now, saved, 2) == saved.replace({"schedule.changes": "optim.lr=0.1 after 2"})
    assert continued(saved, saved, 2) == saved
    assert continued(now, saved, 2).until(2).trial_hash == saved.trial_hash


def test_a_copy_of_a_copy_keeps_both_changes() -> None:
    first = continued(config(optim__lr=0.1), config(optim__lr=0.2), 1)
    second = continued(config(optim__lr=0.05), first, 2)
    assert second.schedule.changes == "optim.lr=0.1 after 1, optim.lr=0.05 after 2"
    assert continued(config(optim__lr=0.1), first, 2) == first  # the copy itself, paused and resumed
    assert continued(config(optim__lr=0.3), first, 1).schedule.changes == "optim.lr=0.3 after 1"


def test_changes_that_are_planned_stay() -> None:
    planned = {"schedule__changes": "loss.mse_weight=0.1 after 2"}
    saved, now = config(optim__lr=0.2, **planned), config(optim__lr=0.1, **planned)
    assert continued(now, saved, 1).schedule.changes == "optim.lr=0.1 after 1, loss.mse_weight=0.1 after 2"
    with pytest.raises(UserError, match=r"^schedule\.changes must stay the same after epoch 1, got ''$"):
        continued(config(optim__lr=0.1), saved, 1)
    twice = {"schedule__changes": "optim.lr=0.3 after 1"}
    with pytest.raises(UserError, match=r"^schedule\.changes must not change optim\.lr if a scheduler does, got "):
        continued(config(optim__lr=0.1, **twice), config(optim__lr=0.2, **twice), 2)


def test_of_a_trial_that_is_complete_nothing_changes() -> None:
    saved = config(optim__lr=0.2)
    assert continued(config(optim__lr=0.1), saved, 3) == saved


def test_what_cannot_change_is_named() -> None:
    with pytest.raises(UserError) as caught:
        continued(config(neuron__tau=3.0, seed=7, optim__lr=0.1), config(), 2)
    rule = "while a trial trains, only optim.lr, optim.momentum, optim.weight_decay, loss.mse_weight can change"
    assert caught.value.problems == (
        f"neuron.tau must stay 2.0 {rule}, got 3.0 after epoch 2",
        f"seed must stay 2022 {rule}, got 7 after epoch 2",
    )


Make = Callable[..., Trainable]


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Make:
    monkeypatch.setenv("TUNE_ORIG_WORKING_DIR", str(Path.cwd()))

    def made(resources: tune.PlacementGroupFactory | None = None, **settings: Any) -> Trainable:
        trainable = Trainable.__new__(Trainable)
        trainable._trial_info = SimpleNamespace(trial_resources=resources)
        trainable.setup(SMALL | {key.replace("__", "."): value for key, value in settings.items()})
        return trainable

    return made


def numbers(result: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in result.items() if not key.startswith(("time/", "perf/", "mem/"))}


def test_a_state_written_and_read_gives_the_same_numbers(make: Make, tmp_path: Path) -> None:
    whole = make()
    expected = [numbers(whole.step()) for _ in range(3)]
    assert [(result["epoch"], result["done"]) for result in expected] == [(1, False), (2, False), (3, True)]
    first = make()
    first.step()
    first.save_checkpoint(str(tmp_path))
    second = make()
    second.load_checkpoint(str(tmp_path))
    assert [numbers(second.step()) for _ in range(2)] == expected[1:]
    second.save_checkpoint(str(tmp_path))
    third = make()
    third.load_checkpoint(str(tmp_path))
    assert numbers(third.step()) == expected[2]  # complete: the last metrics again


def test_a_state_from_before_the_first_epoch_binds_nobody(make: Make, tmp_path: Path) -> None:
    make(optim__lr=0.1).save_checkpoint(str(tmp_path))
    other = make(optim__lr=0.2)
    other.load_checkpoint(str(tmp_path))
    assert numbers(other.step()) == numbers(make(optim__lr=0.2).step())


def test_a_state_of_another_network_or_a_damaged_one_is_refused(make: Make, tmp_path: Path) -> None:
    made = make()
    made.step()
    made.save_checkpoint(str(tmp_path))
    with pytest.raises(UserError, match=r"^model\.width must stay 0\.25 while a trial trains, only .*, got 0\.5 after"):
        make(model__width=0.5).load_checkpoint(str(tmp_path))
    [file] = tmp_path.glob("*.pt")
    state = read_checkpoint(tmp_path)
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(UserError, match=r"damaged"):
        make().load_checkpoint(str(tmp_path))
    write_checkpoint(tmp_path / "original", {"net": state["net"]})
    with pytest.raises(UserError, match=r"must hold 'trial', found none"):
        make().load_checkpoint(str(tmp_path / "original"))


def test_a_reused_process_gives_the_numbers_of_a_new_one(make: Make) -> None:
    expected = numbers(make(seed=1).step())
    reused = make(rule__update="online")
    reused.step()
    assert reused.reset_config(SMALL | {"seed": 1})
    assert numbers(reused.step()) == expected
    assert numbers(make(seed=2).step()) != expected


def test_threads_are_the_trial_s_cores(make: Make) -> None:
    before = torch.get_num_threads()
    try:
        for bundles, threads in (([{"CPU": 2, "GPU": 0.5}, {"CPU": 1}], 2), ([{"CPU": 0.5}], 1), ([{}, {"CPU": 3}], 1)):
            made = make(tune.PlacementGroupFactory(bundles))
            assert (torch.get_num_threads(), made._share.gpu) == (threads, bundles[0].get("GPU", 0.0))
    finally:
        torch.set_num_threads(before)


def test_problems_are_said_by_the_step(make: Make, tmp_path: Path) -> None:
    made = make(neuron__tau=0.5, base="no-such-preset")
    for attempt in (made.step, lambda: made.save_checkpoint(str(tmp_path)), lambda: made.load_checkpoint("nowhere")):
        with pytest.raises(UserError, match=r"^no-such-preset: must be a YAML file or one of the presets cifar10, "):
            attempt()
    with pytest.raises(UserError, match=r"^param_space: base must be a preset, a YAML file or settings, got 3$"):
        make(base=3).step()
    with pytest.raises(UserError, match=r"^param_space: neuron\.tau must be >= 1 time steps, got 0\.5$"):
        make(neuron={"tau": 0.5}).step()


def test_a_base_is_a_preset_a_file_or_settings(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.yaml").write_text("preset: digits\nneuron: {tau: 3.0}\nrule.name: sltt_k\n", encoding="utf-8")
    monkeypatch.setenv("TUNE_ORIG_WORKING_DIR", str(tmp_path))
    before = Path.cwd()
    try:
        made = make(base="mine.yaml", rule__k=1)  # which only the two together make complete
        assert Path.cwd() == tmp_path
    finally:
        os.chdir(before)
    wanted = {"preset": "digits", "neuron.tau": 3.0, "rule.name": "sltt_k", "rule.k": 1}
    assert made._config == load_config(wanted | SMALL)
    made = make(base={"preset": "digits", "neuron": {"tau": 3.0}}, rule={"name": "sltt_k", "k": 1})
    assert made._config == load_config(wanted | SMALL)


def test_numpy_s_numbers_are_numbers(make: Make) -> None:
    np = pytest.importorskip("numpy")
    assert make(neuron__tau=np.float64(3.0), seed=np.int64(5))._config == config(neuron__tau=3.0, seed=5)


def test_running_out_of_memory_is_said_in_a_line(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def train_epoch(self: Trainer) -> dict[str, float]:
        raise torch.OutOfMemoryError("tried 3 GiB")

    monkeypatch.setattr(Trainer, "train_epoch", train_epoch)
    with pytest.raises(TrialEnded, match=r"^out-of-memory: OutOfMemoryError: tried 3 GiB \(test_continued\.py:\d+\)$"):
        make().step()


def test_divergence_is_said_in_a_line(make: Make) -> None:
    made = make(optim__lr=1e30, optim__weight_decay=1e30)
    with pytest.raises(TrialEnded, match=r"^diverged: .* became (nan|inf|-inf) in epoch 1$"):
        made.step()
    assert made.reset_config(dict(SMALL))
    assert math.isfinite(made.step()["val/loss"])


def test_an_error_that_tune_copies_and_sends_keeps_its_lines() -> None:
    error = UserError("first", "second")
    for other in (copy.copy(error), pickle.loads(pickle.dumps(error))):
        assert (other.problems, str(other)) == (("first", "second"), "first\nsecond")
