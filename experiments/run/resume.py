"""Decides which trials of a sweep still need to run, and which of them resume what an earlier attempt left."""

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from experiments.planning.plan import Trial
from experiments.results.provenance import Provenance
from experiments.results.trial_records import Record, TrialRecords
from experiments.run.state import SweepState
from ottt.schema import WITHOUT_RESULT, Status


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
        keeps_checkpoints: whether a finished trial's checkpoint stays.
        since: when this run began, seconds since 1970.
    """

    records: TrialRecords
    provenance: Provenance
    which: WhichTrials
    keeps_checkpoints: bool = False
    since: float = field(default_factory=time.time)

    def take_stock(self, state: SweepState, trials: Iterable[Trial]) -> None:
        """Note in `state` how `trials` stand, and which of them are to run."""
        for trial in trials:
            record = self._completed(trial)
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

    def done_elsewhere(self, trial: str, state: SweepState) -> Record | None:
        """The record of a trial that was to run here and that another sweep has completed meanwhile."""
        record = self.records.read(trial)
        if record is None or not state.plan.is_done(record):
            return None
        is_new = record.ended is not None and record.ended >= self.since
        return record if is_new or self.which is not WhichTrials.ALL else None

    def reuse_notes(self, state: SweepState) -> list[str]:
        """Sentences on results that the code of another commit made."""
        counts: Counter[str | None] = Counter()
        for one in state:
            record = self.records.read(one.trial.trial) if one.status in state.plan.done else None
            if record is not None and record.commit != self.provenance.commit:
                counts[record.commit] += 1
        here = _short(self.provenance.commit)
        return [
            f"{count} results were made at commit {_short(commit)}, the code is now at {here}:"
            " --rerun trains them again"
            for commit, count in counts.items()
        ]

    def _is_to_run(self, record: Record | None, state: SweepState) -> bool:
        match self.which:
            case WhichTrials.ALL:
                return True
            case WhichTrials.FAILED:
                return record is not None and record.status in WITHOUT_RESULT
            case WhichTrials.MISSING:
                return not state.plan.is_done(record)

    def _completed(self, trial: Trial) -> Record | None:
        """The record; with its end, if the driver was killed after the last write before it.

        See the order of writes in `experiments.run.effects`.
        """
        record = self.records.read(trial.trial)
        if record is None or record.status not in (Status.RUNNING, Status.INTERRUPTED):
            return record
        has_all = len(self.records.epochs(trial.trial)) >= trial.config.epochs
        if not (has_all and self.provenance.same_code(record) and self.records.has_evaluation(trial.trial)):
            return record
        self.records.end(trial.trial, Status.FINISHED)
        if not self.keeps_checkpoints:
            self.records.drop_checkpoint(trial.trial)
        return self.records.read(trial.trial)


def _short(commit: str | None) -> str:
    return "unknown" if commit is None else commit[:10]
