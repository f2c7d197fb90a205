"""The optimizers are torch's, without what imports torch's compiler."""

import subprocess
import sys
from copy import deepcopy

import pytest
import torch
from torch.optim import SGD, Adam, AdamW, Optimizer

from ottt.config.groups import OptimConfig
from ottt.training.optim import build_optimizer

TRAIN = """
import sys
import ottt
from ottt.training.trainer import Trainer
trainer = Trainer(ottt.load_config("digits", ["T=1", "epochs=1", "batch_size=512", "model.width=0.1", "compile=false"]))
trainer.train_epoch()
print(trainer.done, "torch._dynamo" in sys.modules)
"""
SETTINGS = {"lr": 0.1, "momentum": 0.5, "weight_decay": 0.01}


def steps(optimizer: Optimizer, parameters: list[torch.nn.Parameter], count: int) -> None:
    for number in range(count):
        optimizer.zero_grad()
        sum((parameter * (number + parameter)).sum() for parameter in parameters).backward()  # type: ignore[union-attr]
        optimizer.step()


def parameters() -> list[torch.nn.Parameter]:
    draw = torch.Generator().manual_seed(0)
    return [torch.nn.Parameter(torch.randn(size, generator=draw)) for size in (3, 5)]


@pytest.mark.parametrize("kind", [SGD, Adam, AdamW])
def test_they_do_what_torch_s_do_and_their_states_fit(kind: type[Optimizer]) -> None:
    settings = SETTINGS if kind is SGD else {key: SETTINGS[key] for key in ("lr", "weight_decay")}
    mine, theirs = parameters(), parameters()
    ours = build_optimizer(mine, OptimConfig(name=kind.__name__.lower(), **SETTINGS))  # type: ignore[arg-type]
    torchs = kind(theirs, **settings, foreach=True)  # type: ignore[call-arg]
    for optimizer, values in ((ours, mine), (torchs, theirs)):
        steps(optimizer, values, 3)
    again = kind(theirs, **settings, foreach=True)  # type: ignore[call-arg]
    again.load_state_dict(deepcopy(ours.state_dict()))
    steps(again, theirs, 2)
    steps(ours, mine, 2)
    for one, other in zip(mine, theirs, strict=True):
        assert torch.equal(one, other)
        assert not torch.equal(one, parameters()[0][: len(one)])


def test_an_uncompiled_trial_does_not_import_the_compiler() -> None:
    done = subprocess.run([sys.executable, "-c", TRAIN], capture_output=True, text=True)
    assert done.stdout == "True False\n", done.stderr
