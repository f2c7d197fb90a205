"""A tracking store as the readers see it: runs with their values, and the points of their metrics.

`analysis.store.sql` reads a database directly, `analysis.store.mlflow_client` goes through MLflow's client; both give
the same.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from analysis.store.points import Points
from ottt.schema import Status, Tag

Kind = Literal["sweep", "trial"]


@dataclass(frozen=True)
class StoredRun:
    """A run that is not deleted.

    Attributes:
        id: MLflow's.
        name: for people.
        started, ended: ms since 1970; `ended` is None where it has not.
        artifacts: address of its artifacts.
        tags: all of them.
        params: as text; empty where they were not asked for.
        metrics: the last value of each; empty where they were not asked for.
        steps: of those values.
    """

    id: str
    name: str
    started: int
    ended: int | None
    artifacts: str
    tags: Mapping[str, str]
    params: Mapping[str, str] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    steps: Mapping[str, int] = field(default_factory=dict)

    @property
    def last_step(self) -> int:
        """Of any metric; 0 where there is none."""
        return max(self.steps.values(), default=0)

    @property
    def status(self) -> Status:
        """How the trial or the sweep stands."""
        return Status(self.tags[Tag.STATUS])


class Store(Protocol):
    """A tracking store."""

    def runs(self, kind: Kind, *, sweep: str | None = None, values: bool = True) -> list[StoredRun]:
        """All runs of that kind, of one sweep or of all, the earliest first; params and metrics only with `values`."""

    def search(self, query: str) -> list[StoredRun]:
        """The runs that fit an MLflow filter string, the earliest first.

        Raises:
            UserError: MLflow does not understand it.
        """

    def points(self, runs: Sequence[StoredRun]) -> Points:
        """Every point of every metric of `runs`."""

    def marks(self, runs: Sequence[StoredRun]) -> dict[str, str]:
        """For runs, by id, a text that is another one once `points` of the run are others.

        A run is left out where the store cannot tell.
        """

    def text(self, run: StoredRun, artifact: str) -> str:
        """A text artifact of `run`."""


def mark(*facts: object) -> str:
    """A short text that is the same for the same facts only."""
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
