"""The trained network as a plain module: against the evaluation, step by step, and through a checkpoint."""

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor

import ottt
from ottt.config.load import load_config
from ottt.errors import UserError
from ottt.evaluation.evaluator import evaluate
from ottt.export import TrainedModule, as_module
from ottt.models.registry import build_model
from ottt.modules import Context
from ottt.training.trainer import Trainer, fit

STILL = {"data.name": "digits", "T": 4, "model.width": 0.25, "seed": 0}
EVENTS = {"data.name": "digits_dvs", "T": 4, "model.width": 0.25, "seed": 0}


def frames(*leading: int, channels: int = 1, size: int = 8) -> Tensor:
    return 3 * torch.randn(*leading, channels, size, size, generator=torch.Generator().manual_seed(0))


def logits_by_hand(net, inputs: Tensor, steps: int) -> Tensor:
    """Of the network's own interface, with the state outside: still images [B,...] or recordings [B,T,...]."""
    context, state, outs = Context(), None, []
    for t in range(steps):
        out, state = net.step(net.encode(inputs if inputs.dim() == 4 else inputs[:, t], context), state, context)
        outs.append(out)
    return torch.stack(outs)


@pytest.mark.parametrize("settings", [STILL, EVENTS, STILL | {"model.name": "r400"}])
@torch.no_grad()
def test_every_logit_is_that_of_the_network(settings) -> None:
    config = load_config(settings)
    net = build_model(config).eval()
    inputs = frames(5, 4, channels=2, size=24) if config.data.samples.events else frames(5)
    expected = logits_by_hand(net, inputs, 4)
    given = inputs.transpose(0, 1) if config.data.samples.events else inputs
    found = as_module(net, config=config)(given)
    assert found.shape == (4, 5, 10)
    assert torch.equal(found, expected)
    assert len(found.unique()) > 40
    assert not torch.equal(found[1], found[0])  # a module without its state would repeat itself


def test_a_checkpoint_gives_the_trainers_evaluation(tmp_path: Path) -> None:
    trainer = Trainer(load_config(STILL | {"epochs": 2, "batch_size": 32}))
    fit(trainer, checkpoints=tmp_path)
    module = as_module(tmp_path)
    assert not module.training
    labelled = list(trainer.eval_sets["test"].batches(512))
    report = evaluate(trainer.net, labelled, trainer.config)
    with torch.no_grad():
        summed = [module(inputs).double().sum(0) for inputs, _ in labelled]
    right = sum(int((scores.argmax(1) == labels).sum()) for scores, (_, labels) in zip(summed, labelled, strict=True))
    assert right / report.samples == report.top1 > 0.3
    trainer.net.eval()
    with torch.no_grad():
        assert torch.equal(module(labelled[0][0]), logits_by_hand(trainer.net, labelled[0][0], 4))
    longer = as_module(tmp_path, time_steps=7)
    assert longer(labelled[0][0]).shape[0] == 7


@torch.no_grad()
def test_a_kept_state_continues_the_sequence_until_reset() -> None:
    net = build_model(load_config(STILL)).eval()
    inputs = frames(6, 5)
    whole = as_module(net, time_steps=1)(inputs)
    module = as_module(net, time_steps=1, keeps_state=True)
    pieces = torch.cat([module(inputs[:2]), *(module(one) for one in inputs[2:])])
    assert torch.equal(pieces, whole)
    assert not torch.equal(module(inputs), whole)  # it went on
    module.reset()
    assert torch.equal(module(inputs), whole)
    forgetful = as_module(net, time_steps=1)
    assert torch.equal(forgetful(inputs), forgetful(inputs))


@torch.no_grad()
def test_the_precision_is_that_of_the_configuration() -> None:
    net = build_model(load_config(STILL)).eval()
    low = as_module(net, config=load_config(STILL | {"precision": "bf16"}))(frames(5))
    context = Context(dtype=torch.bfloat16)
    expected, _ = net.step(net.encode(frames(5), context), None, context)
    assert torch.equal(low[0], expected)
    assert not torch.equal(low, as_module(net, config=STILL)(frames(5)))


def test_gradients_reach_every_parameter_and_a_copy_is_independent() -> None:
    module = as_module(build_model(load_config(STILL)), config=STILL, keeps_state=True)
    other = copy.deepcopy(module)
    for _ in range(2):  # the second call must not reach into the graph of the first
        module(frames(5)).square().mean().backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in module.net.classifier.parameters())
    assert all(weight.grad is not None for weight in module.parameters())
    assert all(weight.grad is None for weight in other.parameters())
    assert module.state_dict().keys() == {f"net.{name}" for name in module.net.state_dict()}


def test_what_it_cannot_do_it_says(tmp_path: Path) -> None:
    net = build_model(load_config(STILL))
    with pytest.raises(UserError, match="time_steps must be given for a network without its configuration"):
        as_module(net)
    with pytest.raises(UserError, match="time_steps must be >= 1, got 0"):
        as_module(net, time_steps=0)
    with pytest.raises(ValueError, match=r"got shape \[5, 64\]"):
        TrainedModule(net, time_steps=2)(torch.zeros(5, 64))
    theirs = tmp_path / "theirs.pth"
    torch.save({"net": ottt.reference_state_dict(net)}, theirs)
    with pytest.raises(UserError, match="a checkpoint of the original code needs its configuration"):
        as_module(theirs)
    with torch.no_grad():
        assert torch.equal(as_module(theirs, config=STILL)(frames(5)), as_module(net.eval(), config=STILL)(frames(5)))
