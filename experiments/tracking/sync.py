"""Writes the records of a sweep that ran earlier into a tracking store, its own or another."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from analysis.store.uri import explained, is_damaged, shown_uri
from experiments.planning.plan import SweepPlan, plan_in
from experiments.results.folder import Results
from experiments.results.provenance import Provenance
from experiments.results.trial_records import Record
from experiments.sweep_spec.read import read_spec
from experiments.sweep_spec.spec import SweepSpec
from experiments.tracking.redact import redacted
from experiments.tracking.sweep_runs import SweepRuns
from experiments.tracking.writer import StoreError
from ottt.errors import UserError
from ottt.schema import WITHOUT_RESULT, Status


@dataclass(frozen=True)
class Synced:
    """Result of `sync`: number of trials by status, and status of the sweep."""

    plan: SweepPlan
    statuses: Counter[Status]
    status: Status

    @property
    def text(self) -> str:
        """Summary in one line."""
        counts = ", ".join(f"{count} {status}" for status, count in sorted(self.statuses.items()))
        return (
            f"{self.plan.name}: {self.statuses.total()} of {len(self.plan.trials)} trials recorded ({counts or 'none'})"
        )


def sync(sweep: str, *, results: Results, store: str | None = None) -> Synced:
    """Write what `store` lacks of the records of `sweep`; what it has is kept.

    Args:
        sweep: name of a sweep that ran in `results`.
        results: folder of the records.
        store: tracking URI; None: that of `results`.

    Raises:
        UserError: no such sweep, or it is running.
        StoreError: the store does not answer.
    """
    spec = read_spec(results.spec_of(sweep))
    plan = plan_in(results, spec)
    with results.lock(sweep):
        found = {trial.trial: results.records.read(trial.trial) for trial in plan.trials}
        records = {trial: record for trial, record in found.items() if record is not None}
        status = _status(plan, records)
        _write(spec, plan, records, status, results=results, store=store or results.store)
    closed = {Status.RUNNING: Status.INTERRUPTED}  # as `SweepRuns.close` writes it
    return Synced(plan, Counter(closed.get(record.status, record.status) for record in records.values()), status)


def _write(
    spec: SweepSpec, plan: SweepPlan, records: Mapping[str, Record], status: Status, *, results: Results, store: str
) -> None:
    runs = SweepRuns(
        plan,
        spec.to_yaml(),
        _provenance(records),
        store=store,
        artifacts=results.artifacts_of(store),
        replay=True,
        states=spec.checkpoints.log,
    )
    try:
        runs.connect()
        try:
            _fill(runs, records, status, results)
        except Exception as error:
            if not is_damaged(error):
                raise
            runs.connect(is_damaged=True)
            _fill(runs, records, status, results)
    except UserError:
        raise
    except Exception as error:
        raise StoreError(f"store {shown_uri(store)}: {redacted(explained(error, store))}") from error


def _fill(runs: SweepRuns, records: Mapping[str, Record], status: Status, results: Results) -> None:
    runs.open()
    for trial in runs.plan.trials:
        if trial.trial in records:
            epochs, report = results.records.epochs(trial.trial), results.records.evaluation(trial.trial)
            checkpoint = results.records.final_checkpoint(trial.trial)
            runs.reconcile(trial, records[trial.trial], epochs, report, checkpoint)
    runs.summarize()
    runs.close(status)


def _status(plan: SweepPlan, records: Mapping[str, Record]) -> Status:
    """Status of the sweep: trials that have not ended were interrupted, since nothing runs now."""
    statuses = [records[trial.trial].status if trial.trial in records else None for trial in plan.trials]
    if statuses and all(status in plan.done for status in statuses):
        return Status.FINISHED
    has_failed = any(status in WITHOUT_RESULT for status in statuses)
    return Status.FAILED if has_failed else Status.INTERRUPTED


def _provenance(records: Mapping[str, Record]) -> Provenance:
    """Provenance of the latest trial; without one, of this process."""
    if not records:
        return Provenance.current()
    latest = max(records.values(), key=lambda record: record.started)
    return Provenance(latest.commit, latest.dirty, latest.versions, latest.host, latest.diff, latest.code)
