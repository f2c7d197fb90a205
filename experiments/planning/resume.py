"""How a sweep stands before it runs: which of its trials have their result, and whose code made it."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from experiments.planning.plan import Trial
from experiments.results.provenance import Provenance
from experiments.results.trial_records import Record, TrialRecords
from experiments.run.progress import Progress
from ottt.schema import WITHOUT_RESULT, Status


class Choice(StrEnum):
    """Which trials of a sweep to run."""

    MISSING = "missing"  # that have no result, failed ones too
    FAILED = "failed"  # that failed, and no others
    ALL = "all"  # from the beginning, whatever there is


@dataclass(frozen=True)
class Standing:
    """Looks trials up in the records.

    Attributes:
        records: of all trials.
        provenance: of the code as it is now.
        choice: which trials to run.
    """

    records: TrialRecords
    provenance: Provenance
    choice: Choice

    def take_in(self, progress: Progress, trials: Iterable[Trial]) -> list[Trial]:
        """Tell `progress` how `trials` stand; returns those to run."""
        to_run = []
        for trial in trials:
            record = self._read(trial, progress)
            if self._is_to_run(record, progress):
                to_run.append(trial)
            elif record is not None:
                epochs = self.records.epochs(trial.trial)
                status = Status.INTERRUPTED if record.status is Status.RUNNING else record.status
                progress.end(trial, status, epochs[-1].metrics if epochs else {})
        progress.fresh |= {trial.trial for trial in to_run}
        return to_run

    def begins_anew(self, trial: str) -> bool:
        """Whether a trial to be run starts from nothing: else it goes on from what this very code left of it."""
        record = self.records.read(trial)
        return record is None or self.choice is Choice.ALL or record.settled or not self.provenance.made(record)

    def reused(self, progress: Progress) -> list[str]:
        """Sentences on results that the code of another commit made."""
        counts: Counter[str | None] = Counter()
        for trial, status in progress.statuses.items():
            record = self.records.read(trial)
            if record is not None and status in progress.plan.done and record.commit != self.provenance.commit:
                counts[record.commit] += 1
        here = _short(self.provenance.commit)
        return [
            f"{count} results were made at commit {_short(commit)}, the code is now at {here}:"
            " --rerun trains them again"
            for commit, count in counts.items()
        ]

    def _is_to_run(self, record: Record | None, progress: Progress) -> bool:
        match self.choice:
            case Choice.ALL:
                return True
            case Choice.FAILED:
                return record is not None and record.status in WITHOUT_RESULT
            case Choice.MISSING:
                return not progress.plan.is_done(record)

    def _read(self, trial: Trial, progress: Progress) -> Record | None:
        """The record; finished, where the driver was killed after the last epoch and before it could say so."""
        record = self.records.read(trial.trial)
        if record is None or record.status not in (Status.RUNNING, Status.INTERRUPTED):
            return record
        if not self.provenance.made(record) or len(self.records.epochs(trial.trial)) < trial.config.epochs:
            return record
        self.records.end(trial.trial, Status.FINISHED)
        return self.records.read(trial.trial)


def _short(commit: str | None) -> str:
    return "unknown" if commit is None else commit[:10]
