"""Provenance of a sweep: its code, packages and spec, from its parent run."""

from dataclasses import dataclass
from typing import Self

from analysis.load import parent
from analysis.store.open import open_store
from ottt.schema import SPEC_ARTIFACT, Tag


@dataclass(frozen=True)
class Origin:
    """Provenance of a sweep.

    Attributes:
        commit: commit of the code that last ran the sweep; "unknown" outside a work tree.
        dirty: whether the work tree had uncommitted changes.
        versions: versions of Python and packages: "python 3.11.7, torch 2.11.0, ...".
        spec: text of the spec.
    """

    commit: str
    dirty: bool
    versions: str
    spec: str

    @classmethod
    def of(cls, sweep: str, *, store: str) -> Self:
        """The provenance in the latest parent run of `sweep` in `store`.

        Raises:
            UserError: no such store, or no such sweep in it.
        """
        source = open_store(store)
        run = parent(source, sweep, store)
        return cls(
            commit=run.tags.get(Tag.COMMIT, "unknown"),
            dirty=run.tags.get(Tag.DIRTY) == "true",
            versions=run.tags.get(Tag.VERSIONS, "unknown"),
            spec=source.text(run, SPEC_ARTIFACT),
        )
