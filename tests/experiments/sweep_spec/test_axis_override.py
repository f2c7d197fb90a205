"""Overrides of an axis and of seeds, with and without brackets."""

from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.sweep_spec.read import read_spec

SPEC = "name: a\nbase: digits\nseeds: 3\naxes: {neuron.tau: [1.5, 2.0, 4.0]}\n"
CHANGE = "optim.lr=0.05 after 2, optim.lr=0.01 after 4"


@pytest.mark.parametrize(
    ("override", "key", "values"),
    [
        ("axes.neuron.tau=2.0,4.0", "neuron.tau", (2.0, 4.0)),
        ("axes.neuron.tau=[2.0, 4.0]", "neuron.tau", (2.0, 4.0)),
        ("axes.neuron.tau=8", "neuron.tau", (8,)),
        ("axes.rule.update=accumulate, online", "rule.update", ("accumulate", "online")),
        ("axes.neuron.trace_decay=null,0.5", "neuron.trace_decay", (None, 0.5)),
        ("axes.optim.lr=1e-1,1e-2", "optim.lr", (0.1, 0.01)),
        (f"axes.schedule.changes=['{CHANGE}', '']", "schedule.changes", (CHANGE, "")),
        ("axes.schedule.changes=optim.lr=0.05 after 2", "schedule.changes", ("optim.lr=0.05 after 2",)),
    ],
)
def test_an_axis_takes_values_with_and_without_brackets(
    write_spec: Callable[[str], Path], override: str, key: str, values: tuple[object, ...]
) -> None:
    assert read_spec(write_spec(SPEC), [override]).axes[key] == values


@pytest.mark.parametrize(("override", "seeds"), [("seeds=3,4", (3, 4)), ("seeds=2", (0, 1)), ("seeds=[7]", (7,))])
def test_seeds_are_a_number_or_a_list(write_spec: Callable[[str], Path], override: str, seeds: tuple[int, ...]) -> None:
    assert read_spec(write_spec(SPEC), [override]).seeds == seeds


def test_commas_elsewhere_are_text(write_spec: Callable[[str], Path]) -> None:
    """Only an axis must be a list; other texts may hold commas."""
    spec = read_spec(write_spec(SPEC), [f"schedule.changes={CHANGE}", "question=fast, or good?"])
    assert spec.base.schedule.changes == CHANGE
    assert spec.question == "fast, or good?"


@pytest.mark.parametrize(
    ("override", "line"),
    [
        (
            f"axes.schedule.changes={CHANGE}",
            'override: axes.schedule.changes must be a list: give axes.schedule.changes=["...", "..."], got '
            f"'{CHANGE}'",
        ),
        ("axes.neuron.tau=2.0,fast", "override: neuron.tau must be a number, got 'fast'"),
        ("axes.neuron.tau=", "override: axes.neuron.tau must have at least one value, got []"),
        ("seeds=1,b", "override: seeds.1 must be a whole number, got 'b'"),
    ],
)
def test_mistakes_are_named(problems: Callable[..., list[str]], override: str, line: str) -> None:
    assert problems(SPEC, override) == [line]
