"""Where a sweep comes from: code, packages and spec, as its parent run tells."""

from dataclasses import dataclass
from typing import Self

from analysis.load import parent
from analysis.store.open import open_store
from ottt.schema import SPEC_ARTIFACT, Tag


@dataclass(frozen=True)
class Origin:
    """Provenance of a sweep.

    Attributes:
        commit: of the code that ran it last; "unknown" outside a work tree.
        dirty: whether the work tree differed from it.
        versions: "python 3.11.7, torch 2.11.0, ...".
        spec: text of its spec.
    """

    commit: str
    dirty: bool
    versions: str
    spec: str

    @classmethod
    def of(cls, sweep: str, *, store: str) -> Self:
        """As the latest parent run of `sweep` in `store` has it.

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
