"""How a sweep stands: its plan against the trial records. Loads nothing heavy."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from analysis.store.plan import Plan
from analysis.text import html
from analysis.text.numbers import is_number
from analysis.text.terminal import aligned
from experiments.planning.plan import done_statuses, is_own
from experiments.results.folder import Results
from ottt.schema import WITHOUT_RESULT, Status


@dataclass(frozen=True)
class SweepStatus:
    """A sweep's trials and how each of them stands.

    Attributes:
        plan: plan of the sweep.
        statuses: by trial; trials without a record are absent.
        running: whether a process runs the sweep now.
        damaged: a line for every trial with a damaged file; such a trial counts as one without a record.
    """

    plan: Plan
    statuses: Mapping[str, Status]
    running: bool
    damaged: tuple[str, ...] = ()

    @classmethod
    def of(cls, plan: Plan, results: Results) -> Self:
        """The sweep of `plan` as recorded in `results`; no trial runs unless the sweep does."""
        running = results.is_locked(plan.name)
        begun, records, statuses = results.records.trials(), results.records, {}
        for trial in plan.trials:
            record = records.read(trial.trial) if trial.trial in begun else None
            if record is not None and is_own(record, plan.name):
                was_left = record.status is Status.RUNNING and not running
                statuses[trial.trial] = Status.INTERRUPTED if was_left else record.status
        unread = (trial.trial for trial in plan.trials if trial.trial in begun and trial.trial not in statuses)
        damaged = [found for trial in unread if (found := records.damage(trial)) is not None]
        return cls(plan, statuses, running, tuple(damaged))

    @property
    def notes(self) -> list[str]:
        """Sentences on what cannot be read."""
        return [f"{found}: the next run trains the trial again" for found in self.damaged]

    @property
    def done(self) -> int:
        """Number of trials that have their result."""
        return sum(status in self._done for status in self.statuses.values())

    @property
    def failed(self) -> int:
        """Number of trials that ended without a result."""
        return sum(status in WITHOUT_RESULT for status in self.statuses.values())

    @property
    def _done(self) -> frozenset[Status]:
        return done_statuses(stops_early=self.plan.stops_early)

    def to_json(self) -> dict[str, Any]:
        """The plan with the status of every trial ("missing" where it has no record)."""
        stored = self.plan.to_json()
        trials = [trial | {"status": self.statuses.get(trial["trial"], "missing")} for trial in stored["trials"]]
        return {**stored, "trials": trials, "done": self.done}

    @property
    def summary(self) -> str:
        """The whole sweep in a few words."""
        return f"{self.plan.name}: {self.done} of {len(self.plan.trials)} trials done"

    def text(self) -> str:
        """One line per variant, and one for the whole sweep."""
        return f"{aligned(self.rows())}\n\n{self.summary}"

    def rows(self) -> list[list[str]]:
        """Headings, then by variant its settings and how many of its trials stand how."""
        axes = self.plan.axes
        variants: dict[str, list[str]] = {}
        for trial in self.plan.trials:
            variants.setdefault(trial.variant, []).append(trial.trial)
        settings = {trial.variant: trial.settings for trial in self.plan.trials}
        rows = [[*axes, "done", "running", "failed", "diverged", "stopped", "to run"]]
        for variant, trials in variants.items():
            rows.append([*(str(settings[variant][key]) for key in axes), *self._counts(trials)])
        return rows

    def _repr_html_(self) -> str:
        """What `text` shows, for notebooks."""
        headings, *rows = self.rows()
        numeric = [all(is_number(trial.settings[axis]) for trial in self.plan.trials) for axis in self.plan.axes]
        counts = [True] * (len(headings) - len(numeric))
        cells = [[(cell, False) for cell in row] for row in rows]
        return html.table(headings, cells, numeric=[*numeric, *counts], notes=[self.summary, *self.notes])

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:
        """What IPython shows as text."""
        printer.text(self.text())

    def _counts(self, trials: Sequence[str]) -> list[str]:
        count = Counter(self.statuses.get(trial) for trial in trials)
        done = sum(count[status] for status in self._done)
        failed = sum(count[status] for status in WITHOUT_RESULT)
        running = count[Status.RUNNING]
        left = len(trials) - done - running
        columns = (running, failed, count[Status.DIVERGED], count[Status.STOPPED_EARLY], left)
        return [f"{done}/{len(trials)}", *map(str, columns)]
