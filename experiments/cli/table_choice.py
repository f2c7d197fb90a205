"""The choice of a table by the options of `ottt compare`."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ottt.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

    from analysis.text.columns import Result


@dataclass(frozen=True)
class View:
    """One table of a sweep: the comparison of its variants, unless a field selects another.

    Attributes:
        by, baseline: settings to show in the comparison, settings of its baseline.
        rows, cols: settings of a two-way table.
        effects: whether to show the share of the variance by axis.
        importance: whether to rank a search's settings.
        pareto: metrics of a Pareto front.
        paper: whether to show published results beside measured ones.
        where: settings of the variants to show; None: all.

    Raises:
        UserError: more than one table, or half of a two-way table.
    """

    by: Sequence[str] | None = None
    baseline: Mapping[str, Any] | None = None
    rows: str | None = None
    cols: str | None = None
    effects: bool = False
    importance: bool = False
    pareto: Sequence[str] | None = None
    paper: bool = False
    where: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        selected = {
            "--by or --baseline": self.by is not None or self.baseline is not None,
            "--rows and --cols": self.rows is not None or self.cols is not None,
            "--effects": self.effects,
            "--importance": self.importance,
            "--pareto": self.pareto is not None,
            "--against": self.paper,
        }
        named = [option for option, is_set in selected.items() if is_set]
        if len(named) > 1:
            raise UserError(f"options must ask for one table, got {', '.join(named)}")
        if (self.rows is None) != (self.cols is None):
            raise UserError("--rows and --cols must be given together, got one")

    def of(self, runs: "pd.DataFrame", *, metric: str) -> "Result":
        """Make the table from `runs`."""
        if self.where:
            from analysis.tables.restricted import note, restricted

            whole = replace(self, where=None).of(restricted(runs, self.where), metric=metric)
            return replace(whole, notes=(*whole.notes, note(self.where)))  # type: ignore[type-var]  # see Result
        if self.rows is not None and self.cols is not None:
            from analysis.tables.two_way import cross

            return cross(runs, rows=self.rows, cols=self.cols, metric=metric)
        if self.effects:
            from analysis.tables.variance_explained import effects

            return effects(runs, metric=metric)
        if self.importance:
            from analysis.tables.importance import importance

            return importance(runs, metric=metric)
        if self.pareto is not None:
            from analysis.tables.pareto import front

            return front(runs, metrics=self.pareto)
        if self.paper:
            from analysis.tables.paper import against_paper

            return against_paper(runs, metric=metric)
        from analysis.tables.comparison import compare

        return compare(runs, metric=metric, by=self.by, baseline=self.baseline)


@dataclass(frozen=True)
class Floating:
    """Caption and label of a LaTeX table; without a caption it does not float."""

    caption: str | None = None
    label: str | None = None

    @classmethod
    def of(cls, caption: str | None, label: str | None, sweep: str, form: str) -> "Floating":
        """From the options; the label follows from the sweep's name.

        Raises:
            UserError: another format than LaTeX, a label without a caption, or one that LaTeX cannot read.
        """
        given = [option for option, text in (("--caption", caption), ("--label", label)) if text is not None]
        if given and form != "latex":
            raise UserError(f"{given[0]} needs --format latex, got {form}")
        if label is not None and (caption is None or not _LABEL.fullmatch(label)):
            rule = "needs --caption" if caption is None else "must be letters, digits and the signs . : / _ + -"
            raise UserError(f"--label {rule}, got {label!r}")
        return cls(caption, label or (f"tab:{sweep}" if caption is not None else None))


NOT_FLOATING = Floating()
_LABEL = re.compile(r"[\w.:/+-]+", re.ASCII)
