"""Two configurations are one trial if and only if they must give the same result."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ottt.config.trial import TrialConfig
from ottt.config.yaml_reader import flatten, merge, nest
from ottt.training.trainer import Trainer

VALUES: dict[str, tuple[Any, Any, Any]] = {  # valid values of each setting
    "data.name": ("digits", "digits_dvs", "cifar10"),
    "data.root": ("data", "/elsewhere", "d"),
    "data.val_fraction": (0.0, 0.1, 0.2),
    "data.split_seed": (0, 1, 2),
    "data.augment.crop": (0, 1, 2),
    "data.augment.flip": (0.0, 0.3, 0.5),
    "data.augment.cutout": (0.0, 0.3, 0.5),
    "data.frames.by": ("count", "time", "count"),
    "data.frames.size": (None, 16, 32),
    "data.frames.values": ("count", "original", "count"),
    "data.frames.train_steps": (2, 3, 4),
    "data.workers": (0, 1, 2),
    "model.name": ("small", "vgg11_ws", "r400"),
    "model.width": (0.5, 1.0, 2.0),
    "model.classifier_hidden": (0, 10, 20),
    "model.dropout": (0.0, 0.1, 0.2),
    "model.stochastic_depth": (0.0, 0.1, 0.2),
    "model.depth_draws": ("sample", "batch", "sample"),
    "neuron.kind": ("lif", "if", "lif"),
    "neuron.tau": (1.25, 2.0, 4.0),
    "neuron.trace_decay": (0.3, 0.6, 0.9),
    "neuron.v_threshold": (0.5, 1.0, 2.0),
    "neuron.v_reset": (None, 0.0, -0.5),
    "neuron.surrogate.name": ("sigmoid", "atan", "triangle"),
    "neuron.surrogate.alpha": (1.0, 2.0, 4.0),
    "neuron.dropout": (0.0, 0.1, 0.2),
    "rule.name": ("ottt", "sltt", "sltt_k"),
    "rule.update": ("accumulate", "online", "accumulate"),
    "rule.k": (1, 2, 3),
    "T": (4, 5, 6),
    "T_eval": ([], [1], [1, 2]),
    "loss.mse_weight": (0.0, 0.05, 1.0),
    "optim.name": ("sgd", "adam", "adamw"),
    "optim.lr": (0.01, 0.1, 1.0),
    "optim.momentum": (0.0, 0.5, 0.9),
    "optim.weight_decay": (0.0, 1e-4, 1e-2),
    "schedule.name": ("cosine", "step", "constant"),
    "schedule.step_epochs": (1, 2, 30),
    "schedule.gamma": (0.1, 0.5, 1.0),
    "schedule.changes": ("", "optim.lr=0.3 after 1", "optim.lr=0.4 after 1"),
    "epochs": (2, 3, 4),
    "batch_size": (32, 64, 128),
    "seed": (0, 1, 2),
    "precision": ("fp32", "bf16", "tf32"),
    "compile": (False, True, "auto"),
    "cuda_graph": (False, True, "auto"),
    "deterministic": (False, True, False),
    "device": ("cpu", "cuda", "auto"),
}


def is_read(key: str, config: TrialConfig) -> bool:
    """Whether the setting can change the trial's result."""
    events = config.data.name == "digits_dvs"
    if key.startswith("data.frames."):
        return events
    match key:
        case "data.root" | "data.workers" | "compile" | "cuda_graph" | "device":
            return False
        case "data.augment.cutout":
            return not events
        case "model.depth_draws":
            return config.model.stochastic_depth > 0
        case "data.split_seed":
            return config.data.val_fraction > 0
        case "neuron.tau":
            return config.neuron.kind == "lif"
        case "neuron.trace_decay":
            return config.rule.name == "ottt"
        case "rule.k":
            return config.rule.name == "sltt_k"
        case "optim.momentum":
            return config.optim.name == "sgd"
        case "schedule.step_epochs" | "schedule.gamma":
            return config.schedule.name == "step"
    return True


def test_every_setting_has_values_here() -> None:
    assert VALUES.keys() == TrialConfig().flat().keys() - {"plugins"}


def valid(base: TrialConfig, changed: Mapping[str, Any]) -> TrialConfig | None:
    try:
        return base.replace(changed)
    except ValidationError:
        return None


@settings(deadline=None, max_examples=25)
@given(st.fixed_dictionaries({key: st.sampled_from(values) for key, values in VALUES.items()}))
def test_hashes_are_equal_iff_the_settings_read_are_equal(drawn: Mapping[str, Any]) -> None:
    one = valid(TrialConfig(), drawn)
    assume(one is not None)
    assert one is not None
    for key, values in VALUES.items():
        for other in filter(None, (valid(one, {key: value}) for value in values)):
            same = one.flat()[key] == other.flat()[key] or not is_read(key, one)
            assert (one.trial_hash == other.trial_hash) == same, key
            assert (one.variant_hash == other.variant_hash) == (same or key == "seed"), key


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Run these small trials on one thread, which is faster."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


DECAYING = {"optim.weight_decay": 0.1, "neuron.v_threshold": 0.2}  # moves every parameter that has a gradient
SMALL = {"T": 3, "epochs": 2, "batch_size": 256, "model.width": 0.25, "seed": 0, "device": "cpu", "optim.lr": 0.05}


@cache
def trained(config: tuple[tuple[str, Any], ...]) -> tuple[dict[str, float], bytes]:
    """Metrics without measurements of the machine, and all parameters, of a small trial on the digits."""
    trainer = Trainer(TrialConfig().replace(dict(config)))
    metrics: dict[str, float] = {}
    while not trainer.done:
        metrics = trainer.train_epoch()
    numbers = {key: value for key, value in metrics.items() if not key.startswith(("time/", "perf/", "mem/"))}
    return numbers, b"".join(value.numpy().tobytes() for value in trainer.net.state_dict().values())


def pair(common: Mapping[str, Any], change: Mapping[str, Any]) -> tuple[bool, bool]:
    """Whether a trial with and without `change` has the same hash, and whether it gives the same numbers."""
    one, other = SMALL | common, SMALL | common | change
    hashes = {TrialConfig().replace(changed).trial_hash for changed in (one, other)}
    return len(hashes) == 1, trained(tuple(one.items())) == trained(tuple(other.items()))


@pytest.mark.parametrize(
    ("common", "change"),
    [
        ({}, {"neuron.trace_decay": 0.5}),  # the decay of tau = 2
        ({"neuron.kind": "if"}, {"neuron.tau": 5.0}),
        ({"neuron.kind": "if"}, {"neuron.trace_decay": 1.0}),
        ({"rule.name": "sltt"}, {"neuron.trace_decay": 0.9}),
        ({"rule.name": "bptt"}, {"neuron.trace_decay": 0.9}),
        ({}, {"rule.k": 2}),
        ({"model.name": "nfresnet18", "model.width": 0.05, "epochs": 1}, {"model.depth_draws": "batch"}),
        ({"optim.name": "adam"}, {"optim.momentum": 0.1}),
        ({}, {"schedule.gamma": 0.5, "schedule.step_epochs": 1}),
        ({"data.val_fraction": 0.0}, {"data.split_seed": 1}),
        ({}, {"data.frames.by": "time", "data.frames.size": 4, "data.frames.train_steps": 1, "data.workers": 1}),
    ],
    ids=str,
)
def test_settings_outside_the_hash_change_no_number(common: Mapping[str, Any], change: Mapping[str, Any]) -> None:
    assert pair(common, change) == (True, True)


@pytest.mark.parametrize(
    ("common", "change"),
    [
        ({}, {"data.val_fraction": 0.2}),
        ({}, {"data.split_seed": 1}),
        ({}, {"data.augment.crop": 1}),
        ({}, {"data.augment.flip": 0.5}),
        ({}, {"data.augment.cutout": 0.5}),
        ({}, {"model.width": 0.3}),
        ({}, {"model.dropout": 0.2}),
        (
            {"model.name": "nfresnet18", "model.width": 0.05, "epochs": 1, "model.stochastic_depth": 0.3, **DECAYING},
            {"model.depth_draws": "batch"},
        ),
        ({}, {"neuron.kind": "if"}),
        ({}, {"neuron.tau": 3.0}),
        ({}, {"neuron.trace_decay": 0.3}),
        ({}, {"neuron.v_threshold": 0.5}),
        ({}, {"neuron.v_reset": 0.0}),
        ({}, {"neuron.surrogate.name": "atan"}),
        ({}, {"neuron.surrogate.alpha": 2.0}),
        ({}, {"neuron.dropout": 0.2}),
        ({}, {"rule.name": "sltt"}),
        ({}, {"rule.update": "online"}),
        ({"rule.name": "tbptt", "rule.k": 1}, {"rule.k": 2}),
        ({}, {"T": 2}),
        ({}, {"T_eval": (2,)}),
        ({}, {"loss.mse_weight": 0.5}),
        ({}, {"optim.name": "adam"}),
        ({}, {"optim.lr": 0.06}),
        ({}, {"optim.momentum": 0.5}),
        ({}, {"optim.weight_decay": 0.1}),
        ({}, {"schedule.name": "constant"}),
        ({"schedule.name": "step", "schedule.step_epochs": 1}, {"schedule.gamma": 0.5}),
        ({"schedule.name": "step", "schedule.step_epochs": 1}, {"schedule.step_epochs": 2}),
        ({}, {"schedule.changes": "optim.lr=0.01 after 1"}),
        ({}, {"epochs": 1}),
        ({}, {"batch_size": 128}),
        ({}, {"seed": 1}),
        ({}, {"precision": "bf16"}),
    ],
    ids=str,
)
def test_settings_that_change_a_number_change_the_hash(common: Mapping[str, Any], change: Mapping[str, Any]) -> None:
    assert pair(common, change) == (False, False)


@pytest.mark.parametrize(
    ("settings", "earlier", "is_the_same"),
    [
        ({}, "7487d09f0774a577", True),
        ({"precision": "bf16"}, "e4cb577097cde087", False),  # the sum of its gradients over time is more exact now
        ({"precision": "bf16", "rule.name": "sltt_k", "rule.k": 2}, "5b88e523bd8cb7e0", False),
        ({"precision": "fp16", "rule.name": "bptt"}, "6427f185772118b1", False),
        ({"precision": "bf16", "rule.update": "online"}, "67a4a836a1c759b7", True),  # an update per step: no sum
        ({"precision": "bf16", "rule.name": "sltt_k", "rule.k": 1}, "3faa9890e3aa636a", True),
        ({"precision": "bf16", "T": 1}, "ed109ac66fefc035", True),
        ({"neuron.surrogate.name": "quasi_clamp"}, "8f40568bca4a2275", False),  # another function now
        ({"neuron.surrogate.name": "rectangle"}, "6871f3d5d5ace598", True),
        ({"model.name": "nfresnet18", "model.stochastic_depth": 0.2}, "1e1e87f6db44165a", True),
    ],
    ids=str,
)
def test_identities_of_earlier_versions_hold_where_the_result_does(
    settings: Mapping[str, Any], earlier: str, is_the_same: bool
) -> None:
    assert (TrialConfig().replace(settings).trial_hash == earlier) is is_the_same


CHOSEN = st.fixed_dictionaries({}, optional={key: st.sampled_from(values) for key, values in VALUES.items()})


def replaced_at_once(base: TrialConfig, chosen: Mapping[str, Any]) -> TrialConfig | None:
    """All settings checked anew, without anything that trials share; None: not a valid trial."""
    try:
        return TrialConfig.model_validate(merge(base.model_dump(), nest(chosen)))
    except ValidationError:
        return None


@settings(max_examples=200, derandomize=True, database=None, deadline=None)
@given(CHOSEN, CHOSEN, st.lists(st.integers(0, 2**63 - 1), min_size=1, max_size=3))
def test_what_trials_share_changes_none_of_them(
    first: Mapping[str, Any], second: Mapping[str, Any], seeds: list[int]
) -> None:
    base = replaced_at_once(TrialConfig(), first)
    assume(base is not None)
    assert base is not None
    expected = replaced_at_once(base, second)
    if expected is None:
        with pytest.raises(ValidationError):
            base.replace(second)
        return
    config = base.replace(second)
    assert config == expected
    assert config.flat() == flatten(expected.model_dump(mode="json"))
    variant, trials = config.hashes(seeds)
    assert (config.trial_hash, config.variant_hash) == (digest(expected.effective()), variant)
    for seed, trial in zip(seeds, trials, strict=True):
        anew = replaced_at_once(expected, {"seed": seed})
        assert anew is not None
        assert config.with_seed(seed) == anew
        assert (config.with_seed(seed).trial_hash, config.with_seed(seed).variant_hash) == (trial, variant)
        assert trial == digest(anew.effective())
        assert variant == digest({key: value for key, value in anew.effective().items() if key != "seed"})


def digest(effective: Mapping[str, Any]) -> str:
    text = json.dumps(effective, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def test_equal_settings_that_are_not_the_same_are_not_shared() -> None:
    base = TrialConfig()
    zeros = [base.replace({"neuron.v_reset": value}).replace({"neuron.tau": 3.0}) for value in (0.0, -0.0, 0.0)]
    assert [str(config.flat()["neuron.v_reset"]) for config in zeros] == ["0.0", "-0.0", "0.0"]
    for value in (True, "3", 1.5):  # each after a valid value that is equal, or reads the same
        base.replace({"data.augment.crop": 1, "optim.lr": 3.0})
        with pytest.raises(ValidationError):
            base.replace({"data.augment.crop": value})
