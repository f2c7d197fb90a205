"""Where the trials of a sweep come from: a fixed plan, here, or a search or a population, which decide by results."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from experiments.planning.plan import SweepPlan, Trial
from experiments.run.state import SweepState


@dataclass(frozen=True)
class Grow:
    """The sweep has a larger plan."""

    plan: SweepPlan


@dataclass(frozen=True)
class ForkTrial:
    """`trial` takes over the first `epochs` epochs of `parent`, and waits."""

    trial: str
    parent: str
    epochs: int


@dataclass(frozen=True)
class Retire:
    """`trial`, which is paused, ends."""

    trial: str
    reason: str


@dataclass(frozen=True)
class Train:
    """`trial` is to train, to its end or until it has completed so many epochs."""

    trial: Trial
    until: int | None = None


Step = Grow | ForkTrial | Retire | Train


class VariantSource(Protocol):
    """Decides what trains next."""

    def supply(self) -> Iterator[Step]:
        """What to do, when no trial is waiting; nothing: there is no further trial at present.

        Each step is carried out, and the state of the sweep up to date, before the next is asked for.
        """


class FixedPlan:
    """Every pending trial of the plan, once.

    Args:
        state: state of the sweep.
        seeds: the spec's seeds, in order.
    """

    def __init__(self, state: SweepState, seeds: Sequence[int]) -> None:
        self._state = state
        self._seeds = seeds
        self._is_supplied = False

    def supply(self) -> Iterator[Step]:
        """See `VariantSource`."""
        if not self._is_supplied:
            self._is_supplied = True
            yield from in_order(self._state.pending(), self._seeds)


def in_order(trials: Iterable[Trial], seeds: Sequence[int]) -> list[Train]:
    """The trials seed by seed, so that an interrupted sweep can compare all its variants."""
    return [Train(trial) for trial in sorted(trials, key=lambda trial: seeds.index(trial.seed))]
