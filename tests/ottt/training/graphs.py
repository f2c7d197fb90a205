"""Trials of graphs of a training batch, and their comparison."""

from typing import Any

import torch
from torch import Tensor

import ottt
from ottt.rules import Batch, Rule
from ottt.training.fused import FusedTrainer, Outcome
from ottt.training.trainer import Trainer
from tests.ottt.test_other_device import RULES as ALL_RULES

TIMES = {"time/epoch_s", "perf/images_per_s"}  # metrics that differ between equal runs
BATCHES = 4  # full ones of an epoch; the last batch is smaller
SMALL = [
    "T=3",
    "epochs=2",
    "batch_size=256",
    "model.width=0.1",
    "neuron.dropout=0.2",
    "model.dropout=0.2",
]
RULES = {name: rule for name, rule in ALL_RULES.items() if name != "sltt_k"}
OPTIONS = {
    "adam": ["optim.name=adam", "optim.lr=0.01"],
    "adamw": ["optim.name=adamw", "optim.lr=0.01", "optim.weight_decay=0.1"],
    "no momentum": ["optim.momentum=0"],
    "steps of the schedule": ["schedule.name=step", "schedule.step_epochs=1"],
    "changes": ["epochs=3", "schedule.changes=optim.momentum=0.5 after 1, optim.weight_decay=0.1 after 2"],
    "momentum from then on": ["optim.momentum=0", "schedule.changes=optim.momentum=0.9 after 1"],
    "frames drawn": ["data.name=digits_dvs", "T=4", "data.frames.train_steps=3"],
    "augmentation": ["data.augment.crop=1", "data.augment.cutout=0.5"],
    "batch normalisation": ["model.name=vgg11_bn", "model.width=0.05"],
    "stochastic depth": ["model.name=nfresnet18", "model.width=0.05", "model.stochastic_depth=0.3"],
    "feedback online": ["model.name=r400", "rule.update=online"],  # which has no gradient in the first time step
    "bf16": ["precision=bf16"],
}
CASES = RULES | OPTIONS


def trainer(*overrides: str, graph: str = "true", device: str = "cpu") -> Trainer:
    return Trainer(ottt.load_config("digits", [*SMALL, *overrides, f"cuda_graph={graph}", f"device={device}"]))


def timeless(metrics: Outcome) -> dict[str, float]:
    assert isinstance(metrics, dict)
    return {name: value for name, value in metrics.items() if name not in TIMES}


def epoch(one: Trainer) -> dict[str, float]:
    return timeless(one.train_epoch())


def state(one: Trainer) -> dict[str, Tensor]:
    """All that training goes on from."""
    found = {f"net.{name}": value for name, value in one.net.state_dict().items()}
    for number, values in one.optimizer.state_dict()["state"].items():
        found |= {f"optimizer.{number}.{name}": value for name, value in values.items()}
    return found | {name: getattr(one, name).get_state() for name in ("order", "masks", "augmentation")}


def same(one: Trainer, other: Trainer) -> None:
    """Of optimizers, a state of zeros is none."""
    first, second = state(one), state(other)
    for name in first.keys() | second.keys():
        if name in first and name in second:
            assert torch.equal(first[name], second[name]), name
        else:
            assert "momentum" in name
            assert not (first | second)[name].any()


class Reading:
    """A rule as a plugin may have it: the host reads the loss, after all updates."""

    def __init__(self, rule: Rule) -> None:
        self.rule, self.losses = rule, list[float]()

    def train_batch(self, *args: Any, **options: Any) -> Batch:
        batch = self.rule.train_batch(*args, **options)
        self.losses.append(batch.losses.sum().item())
        return batch


def fused(device: str = "cpu") -> FusedTrainer:
    others = [
        ["optim.lr=0.05", "loss.mse_weight=0.2", "neuron.tau=3"],
        ["optim.momentum=0.5", "schedule.changes=optim.weight_decay=0.1 after 2"],
        ["epochs=1"],
    ]
    return FusedTrainer([trainer("epochs=3", *one, f"seed={seed}", device=device) for seed, one in enumerate(others)])
