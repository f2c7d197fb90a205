from collections.abc import Mapping, Sequence
from functools import reduce
from itertools import product
from operator import or_
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from experiments.planning.plan import expand
from experiments.sweep_spec.read import parse_spec
from experiments.sweep_spec.spec import SweepSpec
from ottt.config.trial import TrialConfig
from ottt.config.yaml_reader import Document

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "rule.update": st.sampled_from(["accumulate", "online"]),
    "neuron.tau": st.sampled_from([1.0, 1.25, 2.0, 4.0]),
    "T": st.integers(1, 6),
    "model.width": st.sampled_from([0.5, 1.0, 2.0]),
}
ROWS = {"optim.lr": st.sampled_from([0.01, 0.1, 1.0]), "batch_size": st.integers(1, 64)}
MORE_ROWS = {"epochs": st.integers(1, 3), "loss.mse_weight": st.sampled_from([0.0, 0.5])}


@st.composite
def specs(draw: st.DrawFn) -> SweepSpec:
    keys = draw(st.lists(st.sampled_from(list(VALUES)), unique=True))
    axes = {key: draw(st.lists(VALUES[key], min_size=1, max_size=3, unique=True)) for key in keys}
    groups = []
    for values in draw(st.sampled_from([[], [ROWS], [ROWS, MORE_ROWS]])):
        rows = draw(st.lists(st.tuples(*values.values()), min_size=1, max_size=3, unique=True))
        groups.append({key: [row[i] for row in rows] for i, key in enumerate(values)})
    seeds = draw(st.lists(st.integers(0, 100), min_size=1, max_size=4, unique=True))
    return sweep(axes=axes, zip=groups, seeds=seeds)


def sweep(
    *,
    axes: Mapping[str, Sequence[Any]],
    seeds: Sequence[int] = (0, 1),
    zip: Sequence[Mapping[str, Any]] = (),
    exclude: Sequence[Mapping[str, Any]] = (),
    baseline: Mapping[str, Any] | None = None,
) -> SweepSpec:
    values = {"name": "s", "axes": axes, "zip": zip, "exclude": exclude, "seeds": list(seeds), "baseline": baseline}
    return parse_spec(Document("s.yaml", values), folder=Path())


def settings_of(spec: SweepSpec) -> list[dict[str, Any]]:
    """Every combination of a spec, written down without the code under test."""
    rows = [[{key: value} for value in values] for key, values in spec.axes.items()]
    rows += [[dict(zip(group, row, strict=True)) for row in zip(*group.values(), strict=True)] for group in spec.zip]
    return [reduce(or_, parts, {}) for parts in product(*rows)]


@given(specs())
def test_expansion_is_deterministic_and_complete(spec: SweepSpec) -> None:
    plan = expand(spec)
    assert plan == expand(spec)
    every = [(settings, seed) for settings in settings_of(spec) for seed in spec.seeds]
    assert [(dict(trial.settings), trial.seed) for trial in plan.trials] == every
    for trial, (settings, seed) in zip(plan.trials, every, strict=True):
        assert trial.config.flat() == TrialConfig().flat() | settings | {"seed": seed}
    assert len({trial.trial for trial in plan.trials}) == len(every)


@given(specs())
def test_every_variant_has_the_same_seeds(spec: SweepSpec) -> None:
    seeds: dict[str, list[int]] = {}
    for trial in expand(spec).trials:
        assert trial.config.seed == trial.seed
        seeds.setdefault(trial.variant, []).append(trial.seed)
    assert set(map(tuple, seeds.values())) == {spec.seeds}


@given(specs(), st.data())
def test_what_is_excluded_is_gone_and_nothing_else(spec: SweepSpec, data: st.DataObject) -> None:
    cells = settings_of(spec)
    parts = [data.draw(st.sampled_from(cells)) for _ in range(data.draw(st.integers(1, 2)))]
    rows = [
        {key: cell[key] for key in data.draw(st.sets(st.sampled_from(sorted(cell)), min_size=1))}
        for cell in parts
        if cell
    ]
    left = expand(spec.model_copy(update={"exclude": tuple(rows)})).trials
    out = [cell for cell in cells if any(row.items() <= cell.items() for row in rows)]
    assert (len(out) > 0) == (len(rows) > 0)
    assert list(left) == [trial for trial in expand(spec).trials if trial.settings not in out]


@given(specs())
def test_hashes_are_equal_iff_effective_settings_are(spec: SweepSpec) -> None:
    trials = expand(spec).trials
    effective = {repr(sorted(trial.config.effective().items())) for trial in trials}
    assert len(effective) == len({trial.trial for trial in trials})
    moved = spec.model_copy(update={"base": spec.base.replace({"data.root": "/elsewhere"})})
    assert [trial.trial for trial in expand(moved).trials] == [trial.trial for trial in trials]


def test_variants_that_are_equal_once_read_are_planned_once() -> None:
    plan = expand(sweep(axes={}, zip=[{"T_eval": ["1,2", [1, 2]]}]))
    assert len(plan.trials) == 2
    assert plan.notes == ("T_eval=[1, 2] gives the same trials as T_eval=[1, 2]: planned once",)


def test_settings_are_those_of_the_configuration() -> None:
    plan = expand(sweep(axes={"neuron.tau": [2]}, seeds=[7]))
    [trial] = plan.trials
    assert repr(trial.settings["neuron.tau"]) == "2.0"
    assert trial.label == "neuron.tau=2.0"
    assert trial.config == TrialConfig().replace({"neuron.tau": 2.0, "seed": 7})


def test_variants_that_must_be_equal_are_planned_once() -> None:
    # An integrate-and-fire neuron has no time constant.
    axes = {"neuron.kind": ["lif", "if"], "neuron.tau": [1.25, 2.0]}
    plan = expand(sweep(axes=axes, baseline={"neuron.kind": "if", "neuron.tau": 2.0}))
    assert len(plan.trials) == 3 * 2
    assert plan.notes == (
        "neuron.kind=if neuron.tau=2.0 gives the same trials as neuron.kind=if neuron.tau=1.25: planned once",
    )
    assert plan.baseline == {"neuron.kind": "if", "neuron.tau": 1.25}


def test_adding_values_and_seeds_keeps_the_trials_there_were() -> None:
    before = {trial.trial for trial in expand(sweep(axes={"T": [1, 2]}, seeds=[0])).trials}
    after = {trial.trial for trial in expand(sweep(axes={"T": [3, 2, 1]}, seeds=[1, 0])).trials}
    assert before < after
    assert len(after) == 6
