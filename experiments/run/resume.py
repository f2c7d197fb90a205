"""Decides which trials of a sweep still need to run, and which of them resume what an earlier attempt left."""

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from experiments.planning.plan import Trial
from experiments.results.provenance import DISTRIBUTION, Provenance
from experiments.results.trial_records import Record, TrialRecords
from experiments.run.state import SweepState
from ottt.schema import WITHOUT_RESULT, Status

OPEN = frozenset({Status.RUNNING, Status.INTERRUPTED})  # a trial that is to be resumed


class WhichTrials(StrEnum):
    """Which trials of a sweep to run."""

    MISSING = "missing"  # those without a result, failed ones too
    FAILED = "failed"  # those that failed, and no others
    ALL = "all"  # all, from the beginning, whatever there is


@dataclass(frozen=True)
class ResumePolicy:
    """Looks trials up in the records.

    Attributes:
        records: records of all trials.
        provenance: the code as it is now.
        which: which trials to run.
        since: when this run began, seconds since 1970.
    """

    records: TrialRecords
    provenance: Provenance
    which: WhichTrials
    since: float = field(default_factory=time.time)

    def take_stock(self, state: SweepState, trials: Iterable[Trial]) -> None:
        """Note in `state` how `trials` stand, and which of them are to run."""
        for trial in trials:
            record = self.records.read(trial.trial)
            if self._is_to_run(record, state):
                state.plan_to_run(trial.trial)
            elif record is not None:
                status = Status.INTERRUPTED if record.status is Status.RUNNING else record.status
                state.adopt(trial.trial, status, self.records.epochs(trial.trial))

    def starts_fresh(self, trial: str) -> bool:
        """Whether a trial starts from nothing; otherwise it resumes what this very code left."""
        record = self.records.read(trial)
        is_left = record is not None and not record.settled and self.provenance.same_code(record)
        return not is_left or self.which is WhichTrials.ALL

    def group_left(self, trial: str) -> str | None:
        """The group in which the trial was under way, "" if it was alone; None if it starts from nothing."""
        record = self.records.read(trial)
        return None if record is None or self.starts_fresh(trial) else record.group or ""

    def done_elsewhere(self, trial: str, state: SweepState) -> Record | None:
        """The record of a trial that was to run here and that another sweep has completed meanwhile."""
        record = self.records.read(trial)
        if record is None or not state.plan.is_done(record):
            return None
        is_new = record.ended is not None and record.ended >= self.since
        return record if is_new or self.which is not WhichTrials.ALL else None

    def lacks_only_its_end(self, trial: Trial) -> bool:
        """Whether all of a trial is recorded, by this very code, except that it has ended."""
        record = self.records.read(trial.trial)
        if record is None or record.status not in OPEN or self.starts_fresh(trial.trial):
            return False
        has_epochs = len(self.records.epochs(trial.trial)) >= trial.config.epochs
        return has_epochs and self.records.has_evaluation(trial.trial)

    def notes(self, state: SweepState) -> list[str]:
        """Sentences on trials whose files are damaged, and on those that other code finished or began."""
        damaged = [found for one in state if (found := self.records.damage(one.trial.trial)) is not None]
        finished: Counter[str] = Counter()
        begun: Counter[str] = Counter()
        for one in state:
            record = self.records.read(one.trial.trial)
            if record is None or self._is_own(record):
                continue
            if one.status in state.plan.done:
                finished[_place(record)] += 1
            elif one.is_pending and record.status in OPEN and self.which is WhichTrials.MISSING:
                begun[_place(record)] += 1
        now = f"the code is now at {_place(self.provenance)}"
        return [
            *(f"{found}: the trial is trained again, its damaged files are kept beside it" for found in damaged),
            *(f"{n} results were made at {place}, {now}: --rerun trains them again" for place, n in finished.items()),
            *(f"{n} unfinished trials were begun at {place}, {now}: they begin anew" for place, n in begun.items()),
        ]

    def _is_own(self, record: Record) -> bool:
        """Whether this code wrote the record; earlier versions recorded their commit alone."""
        if record.code is None or self.provenance.code is None:
            return record.commit == self.provenance.commit
        return record.code == self.provenance.code

    def _is_to_run(self, record: Record | None, state: SweepState) -> bool:
        match self.which:
            case WhichTrials.ALL:
                return True
            case WhichTrials.FAILED:
                return record is not None and record.status in WITHOUT_RESULT
            case WhichTrials.MISSING:
                return not state.plan.is_done(record)


def _place(made: Record | Provenance) -> str:
    """The code that made something, in words: its commit, else its version."""
    if made.commit is not None:
        return f"commit {made.commit[:10]}{' with changes' if made.dirty else ''}"
    name, _, number = made.versions.partition(",")[0].partition(" ")
    return f"version {number}" if name == DISTRIBUTION else "an unknown version"
