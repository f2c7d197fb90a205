"""Trials that train as one network give the numbers that each gives alone, in float64 to 1e-9."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor

import ottt
from ottt.config.trial import TrialConfig
from ottt.errors import UserError
from ottt.models.base import Network
from ottt.models.fused import FusedNetwork
from ottt.modules import Context
from ottt.training.divergence import Diverged
from ottt.training.fused import FusedTrainer, Outcome
from ottt.training.optim import build_optimizer
from ottt.training.trainer import Trainer
from tests.ottt.test_other_device import RULES as ALL_RULES

TOLERANCE = 1e-9
BATCH, STEPS = 3, 3

RULES = ALL_RULES | {"tbptt": ["rule.name=tbptt", "rule.k=2"]}  # which here has more than two steps
NETWORKS = {
    "small": ["model.width=0.25"],
    "frames": ["data.name=digits_dvs", "model.width=0.25"],
    "vgg11_ws": ["model.name=vgg11_ws", "model.width=0.1"],
    "vgg11_bn": ["model.name=vgg11_bn", "model.width=0.1"],
    "vgg11f_ws": ["model.name=vgg11f_ws", "model.width=0.1"],
    "nfresnet18": ["model.name=nfresnet18", "model.width=0.1"],
    "r400": ["model.name=r400", "model.width=0.1"],
}
REFUSED = [("vgg11f_ws", "sltt_k"), ("r400", "sltt_k")]
OPTIONS = {
    "dropout of neurons": ["neuron.dropout=0.3"],
    "dropout": ["model.dropout=0.3"],
    "hidden classifier": ["model.classifier_hidden=8"],
    "hard reset": ["neuron.v_reset=0.0"],
    "no mse": ["loss.mse_weight=0"],
    "adam": ["optim.name=adam", "optim.lr=0.01"],
    "groups": ["model.name=nfresnext50_32x4d", "model.width=0.05"],
    "stochastic depth": ["model.name=nfresnet18", "model.width=0.1", "model.stochastic_depth=0.5"],
    "dropout of a residual network": ["model.name=nfresnet18", "model.width=0.1", "model.dropout=0.3"],
}
OTHER = [  # in what trials of one fused network can differ
    [],
    ["neuron.tau=3.0", "neuron.trace_decay=0.3", "neuron.v_threshold=0.8", "neuron.surrogate.alpha=2"],
    ["optim.lr=0.01", "optim.momentum=0.5", "optim.weight_decay=0.1", "loss.mse_weight=0.5"],
]


@pytest.fixture(autouse=True)
def float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def configs(*overrides: str, others: Sequence[list[str]] = OTHER) -> list[TrialConfig]:
    common = [f"T={STEPS}", f"batch_size={BATCH}", "optim.lr=0.05", "device=cpu", *overrides]
    return [ottt.load_config("digits", [*common, *other, f"seed={seed}"]) for seed, other in enumerate(others)]


def network(config: TrialConfig) -> Network:
    """With parameters that let every layer fire, which untrained ones need not do."""
    net = ottt.build_model(config)
    draws = torch.Generator().manual_seed(config.seed)
    with torch.no_grad():
        for p in net.parameters():
            p.add_((0.2 + 0.6 * torch.rand(p.shape, generator=draws)) * (1.0 if p.dim() < 2 else 0.1))
    return net.train()


def data(config: TrialConfig) -> tuple[Tensor, Tensor]:
    info, draws = config.data.samples, torch.Generator().manual_seed(100 + config.seed)
    frames = (STEPS,) if config.data.name == "digits_dvs" else ()
    inputs = torch.randn(BATCH, *frames, info.channels, info.height, info.width, generator=draws)
    return inputs, torch.randint(0, info.classes, (BATCH,), generator=draws)


def alone(config: TrialConfig) -> dict[str, Tensor]:
    """Logits, losses, parameters and buffers after two batches."""
    net = network(config)
    optimizer, rule = build_optimizer(net.parameters(), config.optim), ottt.build_rule(config)
    masks, (inputs, labels) = torch.Generator().manual_seed(config.seed), data(config)
    batches = [rule.train_batch(net, optimizer, inputs, labels, generator=masks) for _ in range(2)]
    outputs = {f"logits {i}": batch.logits for i, batch in enumerate(batches)}
    return outputs | {f"loss {i}": batch.losses for i, batch in enumerate(batches)} | net.state_dict()


class Optimizers:
    def __init__(self, members: list[torch.optim.Optimizer]) -> None:
        self.members, self.param_groups = members, [group for one in members for group in one.param_groups]

    def step(self) -> None:
        for one in self.members:
            one.step()


def together(trials: list[TrialConfig]) -> list[dict[str, Tensor]]:
    """The same of trials that are fused."""
    nets = [network(config) for config in trials]
    optimizer = Optimizers(
        [build_optimizer(net.parameters(), one.optim) for net, one in zip(nets, trials, strict=True)]
    )
    weights = torch.tensor([config.loss.mse_weight for config in trials])
    rule = ottt.build_rule(trials[0], mse_weight=weights if len(weights.unique()) > 1 else None)
    masks = tuple(torch.Generator().manual_seed(config.seed) for config in trials)
    inputs, labels = zip(*map(data, trials), strict=True)
    fused = FusedNetwork(nets)
    batches = [
        rule.train_batch(fused, optimizer, torch.cat(inputs, -3), torch.stack(labels), generator=masks)  # type: ignore[arg-type]
        for _ in range(2)
    ]
    found = []
    for i, net in enumerate(nets):
        outputs = {f"logits {j}": batch.logits[:, i] for j, batch in enumerate(batches)}
        found.append(outputs | {f"loss {j}": batch.losses[:, i] for j, batch in enumerate(batches)} | net.state_dict())
    return found


def distance(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    assert one.keys() == other.keys()
    return max(float((one[name] - other[name]).abs().max()) for name in one)


def check(trials: list[TrialConfig]) -> None:
    fused = together(trials)
    for config, found in zip(trials, fused, strict=True):
        assert distance(alone(config), found) < TOLERANCE
    assert len(trials) == 1 or distance(fused[0], fused[1]) > 1e-3  # they are not all the same


CASES = [(name, rule) for name in NETWORKS for rule in RULES if (name, rule) not in REFUSED]


@pytest.mark.parametrize(("name", "rule"), CASES)
def test_fused_trials_give_their_own_numbers(name: str, rule: str) -> None:
    check(configs(*NETWORKS[name], *RULES[rule]))


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("rule", ["ottt online", "bptt"])
def test_with_every_option(option: str, rule: str) -> None:
    check(configs("model.width=0.25", *OPTIONS[option], *RULES[rule], others=OTHER[:2]))


@pytest.mark.parametrize("surrogate", ["atan", "triangle", "rectangle", "gaussian", "fast_sigmoid", "quasi_clamp"])
def test_surrogates_of_other_widths(surrogate: str) -> None:
    trials = configs("model.width=0.25", f"neuron.surrogate.name={surrogate}", others=OTHER[:2])
    check(trials)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_any_number_of_trials(n: int) -> None:
    check(configs("model.width=0.25", "neuron.dropout=0.2", others=[[]] * n))


@pytest.mark.parametrize("name", NETWORKS)
def test_every_layer_of_the_networks_here_fires(name: str) -> None:
    for config in configs(*NETWORKS[name]):
        net, (inputs, _), state = network(config), data(config), None
        rates = torch.zeros(net.neuron_layers)
        for t in range(STEPS):
            with torch.no_grad():
                _, state = net(inputs if inputs.dim() == 4 else inputs[:, t], state, Context())
            rates += torch.stack([layer.s.mean() for layer in state]) / STEPS
        assert 0.001 < rates.min() <= rates.max() < 0.999, rates


def test_another_time_constant_is_noticed() -> None:
    trials = configs("model.width=0.25", others=[[], ["neuron.tau=2.5"]])
    wrong = configs("model.width=0.25", others=[[], ["neuron.tau=2.6"]])
    assert distance(alone(wrong[1]), together(trials)[1]) > 100 * TOLERANCE


# Whole trainings of the digits.
TRAINING = ["model.width=0.1", "T=2", "batch_size=400", "epochs=2", "device=cpu", "neuron.dropout=0.1"]
SPEED = ("time/", "perf/", "mem/")


def trainers(*others: list[str]) -> list[Trainer]:
    return [Trainer(ottt.load_config("digits", [*TRAINING, *one, f"seed={i}"])) for i, one in enumerate(others)]


def numbers(metrics: Outcome) -> dict[str, float]:
    assert isinstance(metrics, dict), metrics
    return {key: value for key, value in metrics.items() if not key.startswith(SPEED)}


def same(found: dict[str, float], expected: dict[str, float]) -> None:
    assert found.keys() == expected.keys()
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_a_trainer_of_three_has_the_metrics_and_checkpoints_of_each(tmp_path: Path) -> None:
    settings: list[list[str]] = [
        [],
        ["optim.lr=0.03", "neuron.tau=3"],
        ["data.augment.crop=1", "schedule.name=constant", "epochs=1"],
    ]
    fused = FusedTrainer(trainers(*settings))
    by_epoch = [{one.config.seed: outcome for one, outcome in fused.train_epoch()} for _ in range(1)]
    saved = fused.members[1].save(tmp_path / "checkpoint")
    by_epoch.append({one.config.seed: outcome for one, outcome in fused.train_epoch()})
    assert [sorted(found) for found in by_epoch] == [[0, 1, 2], [0, 1]]  # the last has trained its epoch
    assert fused.done
    for seed, one in enumerate(trainers(*settings)):
        for found in by_epoch[: one.config.epochs]:
            same(numbers(found[seed]), numbers(one.train_epoch()))
    [_, resumed, _] = trainers(*settings)
    resumed.load(saved)
    same(numbers(resumed.train_epoch()), numbers(by_epoch[1][1]))


def test_a_member_that_diverges_touches_no_neighbour() -> None:
    settings: list[list[str]] = [[], ["optim.lr=1e200"], []]
    fused = FusedTrainer(trainers(*settings))
    first = {one.config.seed: outcome for one, outcome in fused.train_epoch()}
    assert isinstance(first[1], Diverged)
    assert [one.config.seed for one in fused.members] == [0, 2]
    second = {one.config.seed: outcome for one, outcome in fused.train_epoch()}
    for seed in (0, 2):
        one = trainers(*settings)[seed]
        same(numbers(first[seed]), numbers(one.train_epoch()))
        same(numbers(second[seed]), numbers(one.train_epoch()))


def test_a_member_that_leaves_touches_no_neighbour() -> None:
    fused = FusedTrainer(trainers([], []))
    fused.train_epoch()
    fused.leave(fused.members[0])
    [(member, outcome)] = fused.train_epoch()
    [_, one] = trainers([], [])
    one.train_epoch()
    same(numbers(outcome), numbers(one.train_epoch()))
    assert member.config.seed == 1


def test_losses_are_scaled_trial_by_trial() -> None:
    torch.set_default_dtype(torch.float32)
    members = trainers(["precision=fp16"], ["precision=fp16", "optim.lr=0.02"])
    fused = FusedTrainer(members)
    found = {one.config.seed: numbers(outcome) for one, outcome in fused.train_epoch()}
    for one in trainers(["precision=fp16"], ["precision=fp16", "optim.lr=0.02"]):
        expected = numbers(one.train_epoch())
        assert found[one.config.seed]["train/loss"] == pytest.approx(expected["train/loss"], rel=1e-2)
        assert members[one.config.seed].scaler.state_dict() == one.scaler.state_dict()  # type: ignore[union-attr]


def test_what_cannot_be_fused_is_refused_by_name() -> None:
    with pytest.raises(UserError) as caught:
        FusedTrainer(trainers(["T=3"], ["rule.name=sltt"]))
    assert caught.value.problems == (
        "rule.name must be equal in trials that are fused, got 'ottt', 'sltt'",
        "T must be equal in trials that are fused, got 3, 2",
    )
    for name, rule in REFUSED:
        with pytest.raises(UserError, match="sltt_k cannot be fused with networks that feed back"):
            FusedTrainer(trainers([*NETWORKS[name], *RULES[rule]]))
    depth = ["model.name=nfresnet18", "model.width=0.05", "model.stochastic_depth=0.5", "model.depth_draws=batch"]
    with pytest.raises(UserError, match=r"model\.depth_draws=batch leaves out other blocks"):
        FusedNetwork([ottt.build_model(config) for config in configs(*depth, others=[[], []])])
