"""The interface of a tracking store for readers: runs with their last values, and the points of their metrics.

Implemented by `analysis.store.sql`, which reads a database directly, and by `analysis.store.mlflow_client`, which uses
MLflow's client; both give the same results.
"""

import hashlib
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from analysis.store.points import Points
from ottt.errors import command
from ottt.schema import SCHEMA_VERSION, Status, Tag

Kind = Literal["sweep", "trial"]

MISSING = "missing"  # status of a planned trial that has no run yet


@dataclass(frozen=True)
class StoredRun:
    """A run that is not deleted.

    Attributes:
        id: MLflow's run id.
        name: readable name.
        started, ended: ms since 1970; `ended` is None for a run that has not ended.
        artifacts: URI of its artifacts, as `analysis.store.addresses.located` finds them.
        tags: all tags.
        params: params as text; empty unless asked for.
        metrics: last value of each metric; empty unless asked for.
        steps: step of each of these values.
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
        """Highest step of any last value; 0 without metrics."""
        return max(self.steps.values(), default=0)

    @property
    def status(self) -> Status:
        """Status of the trial or the sweep."""
        return Status(self.tags[Tag.STATUS])


def sound(runs: Sequence[StoredRun], *tags: Tag) -> list[StoredRun]:
    """The runs that have these tags, each with a value that it can have; a warning names every other run.

    Tags can be deleted and edited on the MLflow page.
    """
    kept = []
    for run in runs:
        problem = next(filter(None, (_problem(tag, run.tags.get(tag)) for tag in tags)), None)
        if _is_later(run.tags.get(Tag.SCHEMA, "")):
            advice = f"a later OTTT Lab wrote it ({Tag.SCHEMA} {run.tags[Tag.SCHEMA]}), use that one"
        elif problem is not None:
            advice = f"{problem}; to mend it: {command('sweep', 'sync', run.tags.get(Tag.SWEEP, 'SWEEP'))}"
        else:
            kept.append(run)
            continue
        warnings.warn(f"run {run.id} ({run.name}) is left out: {advice}", stacklevel=3)
    return kept


def _is_later(schema: str) -> bool:
    """Whether a later version wrote a run with this tag."""
    return schema.isascii() and schema.isdigit() and int(schema[:9]) > SCHEMA_VERSION


def _problem(tag: Tag, value: str | None) -> str | None:
    """What is wrong with the value of a tag; None if nothing is."""
    if not value:
        return f"its tag {tag} was deleted"
    if tag is Tag.STATUS and value not in set(Status):
        return f"its tag {tag} must be one of {', '.join(Status)}, got {value!r}"
    if tag is Tag.SEED and not (value.isascii() and value.isdigit()):
        return f"its tag {tag} must be a whole number, got {value!r}"
    return None


class Store(Protocol):
    """A tracking store."""

    def runs(self, kind: Kind, *, sweep: str | None = None, values: bool = True) -> list[StoredRun]:
        """Runs of a kind, of one sweep or of all, the earliest first; params and metrics only with `values`."""

    def search(self, query: str) -> list[StoredRun]:
        """Runs that match an MLflow filter string, the earliest first.

        Raises:
            UserError: MLflow cannot parse it.
        """

    def points(self, runs: Sequence[StoredRun]) -> Points:
        """Every point of every metric of `runs`."""

    def fingerprints(self, runs: Sequence[StoredRun]) -> dict[str, str]:
        """By run id a short text that changes whenever `points` of the run change.

        Runs of which the store cannot tell are left out.
        """

    def text(self, run: StoredRun, artifact: str) -> str:
        """The content of a text artifact of `run`."""


def fingerprint(*facts: object) -> str:
    """A short digest of `facts`."""
    return hashlib.sha256(repr(facts).encode()).hexdigest()[:16]
