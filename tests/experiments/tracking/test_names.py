"""Short names of variants and trials on MLflow's page."""

from dataclasses import replace
from typing import Any

import pytest

from experiments.planning.plan import expand
from experiments.tracking.names import trial_name, variant_names
from experiments.tracking.shown_plan import shown_plan
from tests.experiments.specs import spec

SEARCH = {
    "name": "optuna",
    "trials": 3,
    "space": {"optim.lr": "loguniform(0.01, 1)", "neuron.tau": "uniform(1, 4)"},
}
AXES = {"rule.update": ["accumulate", "online"], "neuron.tau": [1.25, 2.0], "T": [2]}


def names(cells: list[dict[str, Any]] | None = None, **values: Any) -> list[str]:
    return list(variant_names(expand(spec(**values), cells)).values())


def test_what_differs_is_named_the_shortest_first() -> None:
    assert names(axes=AXES) == ["tau=1.25 accumulate", "tau=2 accumulate", "tau=1.25 online", "tau=2 online"]
    assert trial_name("tau=2 online", 1) == "tau=2 online s1"


@pytest.mark.parametrize("width", [12])  # characters that MLflow shows of a cut name
def test_names_that_are_cut_tell_variants_apart(width: int) -> None:
    found = names(axes=AXES)
    assert len({name[:width] for name in found}) == len(found)
    labels = [trial.label for trial in expand(spec(axes=AXES)).trials]
    assert len({label[:width] for label in labels}) < len(found)  # as the exact labels would not


def test_words_that_two_settings_share_keep_their_keys() -> None:
    plan = expand(spec(axes={"neuron.tau": [1.25, 2.0]}))
    settings = [{"a.name": "x", "b.name": "x", "c": "u"}, {"a.name": "y", "b.name": "x", "c": "v"}]
    trials = tuple(replace(trial, settings=one) for trial, one in zip(plan.trials, settings, strict=True))
    grown = spec(search=SEARCH)  # so that all settings are named
    shared = replace(plan, trials=trials, axes=("a.name", "b.name", "c"), spec=grown)
    assert list(variant_names(shared).values()) == ["a.name=x b.name=x u", "a.name=y b.name=x v"]


def test_a_plan_that_grows_keeps_its_names() -> None:
    first, second = {"optim.lr": 0.1, "neuron.tau": 2.0}, {"optim.lr": 0.125, "neuron.tau": 2.0}
    assert names([first], search=SEARCH) == ["lr=0.1 tau=2"]
    assert names([first, second], search=SEARCH) == ["lr=0.1 tau=2", "lr=0.125 tau=2"]
    assert names([], search=SEARCH) == []


def test_a_single_variant_has_a_name() -> None:
    assert names(axes={"neuron.tau": [2.0]}) == ["tau=2"]
    assert names() == ["base"]


def test_no_secret_is_in_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_TOKEN", "canary-17")
    plan = expand(spec(axes={"neuron.tau": [1.25, 2.0]}))
    trials = [replace(one, settings={"key": f"canary-17/{number}"}) for number, one in enumerate(plan.trials)]
    shown = shown_plan(replace(plan, trials=tuple(trials), axes=("key",)))
    assert list(variant_names(shown).values()) == ["***/0", "***/1"]


def test_keys_of_which_the_last_part_is_shared_stay_whole() -> None:
    axes = {"neuron.v_threshold": [1.0, 2.0], "neuron.tau": [1.25, 2.0]}
    plan = expand(spec(axes=axes))
    trials = tuple(replace(trial, settings={"a.n": 1, "b.n": number}) for number, trial in enumerate(plan.trials))
    assert list(variant_names(replace(plan, trials=trials, axes=("a.n", "b.n"))).values())[1] == "b.n=1"
