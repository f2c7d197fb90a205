"""The choice between training trials as one network and one after the other."""

import pytest
import torch

import ottt
from ottt.errors import UserError
from ottt.training import fused_speed
from ottt.training.fused_speed import BATCHES, WARM_UP, BatchTimes, measure
from ottt.training.trainer import Trainer

TRAINING = ["model.width=0.1", "T=2", "batch_size=200", "epochs=2", "device=cpu", "neuron.dropout=0.1"]


def trainers(*others: list[str]) -> list[Trainer]:
    return [Trainer(ottt.load_config("digits", [*TRAINING, *one, f"seed={i}"])) for i, one in enumerate(others)]


@pytest.mark.parametrize(
    ("fused", "alone", "faster"),
    [(0.010, 0.060, True), (0.010, 0.0106, True), (0.010, 0.0105, False), (0.010, 0.010, False), (0.03, 0.02, False)],
)
def test_fused_must_be_faster_by_more_than_noise(fused: float, alone: float, faster: bool) -> None:
    assert BatchTimes(fused, alone).is_fused_faster is faster


@pytest.mark.parametrize("graph", [[], ["cuda_graph=true"]], ids=["plain", "static"])
def test_measuring_leaves_the_trials_as_they_are(graph: list[str]) -> None:
    given = [graph, [*graph, "optim.lr=0.03"]]
    members, others = trainers(*given), trainers(*given)
    times = measure(members)
    assert times.fused > 0
    assert times.alone > 0
    for one, other in zip(members, others, strict=True):
        for (name, value), expected in zip(one.net.state_dict().items(), other.net.state_dict().values(), strict=True):
            assert torch.equal(value, expected), name
        for generator, like in ((one.order, other.order), (one.masks, other.masks)):
            assert torch.equal(generator.get_state(), like.get_state())
        assert not one.optimizer.state
        assert one.train_epoch()["train/loss"] == other.train_epoch()["train/loss"]


def test_the_first_batches_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    def clock(device: torch.device) -> float:
        ticks.append(ticks[-1] + (100.0 if len(ticks) <= WARM_UP else 3.0))
        return ticks[-1]

    ticks = [0.0]
    monkeypatch.setattr(fused_speed, "_now", clock)
    assert fused_speed._seconds((None for _ in range(99)), torch.device("cpu"), WARM_UP) == 3.0
    assert len(ticks) == 1 + 1 + WARM_UP + BATCHES


def test_few_batches_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    members = trainers(["batch_size=2000"], ["batch_size=2000"])  # one batch
    assert measure(members).alone > 0


def test_what_cannot_be_fused_is_not_measured() -> None:
    with pytest.raises(UserError, match=r"T must be equal in trials that are fused, got 3, 2"):
        measure(trainers(["T=3"], []))
