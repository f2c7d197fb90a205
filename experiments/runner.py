"""Running a sweep: what is missing is trained, everything is recorded, and MLflow is brought up to date.

Ray is loaded only when there is something to train.
"""

import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from rich.console import Console

from experiments.display import Display
from experiments.folder import Results
from experiments.interrupt import EXIT_INTERRUPTED, interruptible
from experiments.mlflow_sink import MlflowSink
from experiments.plan import Plan, PlannedTrial, expand
from experiments.progress import Progress
from experiments.provenance import Provenance
from experiments.records import Record, TrialRecords
from experiments.report import Report
from experiments.spec import SweepSpec
from experiments.writer import BackgroundWriter
from ottt.schema import SETTLED, Status


@dataclass(frozen=True)
class SweepOutcome:
    """How a run of a sweep ended.

    Attributes:
        plan: of the sweep.
        ran: trials that were started now.
        finished: trials of the plan that have their result, whenever it was made.
        failed: trials of the plan that ended without one.
        interrupted: whether the user stopped it.
        store_problem: in one line, what the tracking store lacks.
    """

    plan: Plan
    ran: int
    finished: int
    failed: int
    interrupted: bool
    store_problem: str | None

    @property
    def exit_status(self) -> int:
        """Of the command: 0 only when every trial has its result and the store holds it."""
        if self.interrupted:
            return EXIT_INTERRUPTED
        return int(self.failed > 0 or self.store_problem is not None)


def run_sweep(spec: SweepSpec, *, results: Results, console: Console) -> SweepOutcome:
    """Train the trials of `spec` that have no result yet, whichever sweep made the others.

    SIGINT and SIGTERM end it early, with everything recorded.

    Args:
        spec: checked.
        results: where records and the default store lie.
        console: for the progress.

    Raises:
        UserError: the sweep is running elsewhere, or asks for more than this machine has.
        experiments.writer.StoreError: the tracking store cannot be opened; nothing was started.
    """
    plan = expand(spec)
    with results.lock(spec.name), interruptible() as stop:
        provenance = Provenance.current()
        sink = MlflowSink(plan, spec.to_yaml(), provenance, store=results.store, artifacts=results.artifacts)
        writer = BackgroundWriter(sink, results.records)
        writer.start()
        progress = _progress(plan, results.records)
        with Display(progress, console) as display:
            follower = _Follower(progress, results.records, provenance, writer, display)
            return _Run(spec, results, progress, follower, writer).run(stop)


@dataclass
class _Run:
    """The parts of a sweep that is being run."""

    spec: SweepSpec
    results: Results
    progress: Progress
    follower: "_Follower"
    writer: BackgroundWriter

    def run(self, stop: threading.Event) -> SweepOutcome:
        missing = [trial for trial in self.progress.plan.trials if trial.trial in self.progress.fresh]
        status, problem = Status.INTERRUPTED, None
        try:
            if missing:
                self._train(missing, stop)
            else:
                self._open()
            ended = self.progress.settled + self.progress.failed == len(self.progress.plan.trials)
            if ended or not stop.is_set():
                status = Status.FAILED if self.progress.failed else Status.FINISHED
        finally:
            self.follower.leave()
            problem = self.writer.close(status)
        return SweepOutcome(
            plan=self.progress.plan,
            ran=len(self.progress.epochs),
            finished=self.progress.settled,
            failed=self.progress.failed,
            interrupted=status is Status.INTERRUPTED,
            store_problem=problem,
        )

    def _train(self, missing: Sequence[PlannedTrial], stop: threading.Event) -> None:
        from experiments import tuning

        # Seed by seed, so that an interrupted sweep compares all variants on the same few seeds.
        ordered = sorted(missing, key=lambda trial: self.spec.seeds.index(trial.seed))
        with tuning.local_ray():
            tuning.check_resources(self.spec.resources)
            self._open()
            with suppress(tuning.Interrupted):
                tuning.run_trials(
                    {trial.trial: trial.config for trial in ordered},
                    resources=self.spec.resources,
                    folder=self.results.root / "ray" / self.spec.name,
                    events=self.follower,
                    stop=stop,
                )

    def _open(self) -> None:
        """From here on things are written."""
        self.writer.begin()
        self.results.write_plan(self.spec.name, self.progress.plan.to_json())
        for trial in self.progress.plan.trials:
            if trial.trial not in self.progress.fresh:
                self.writer.update(trial.trial)


class _Follower:
    """Keeps records, progress, display and tracking store up with the trials."""

    def __init__(
        self,
        progress: Progress,
        records: TrialRecords,
        provenance: Provenance,
        writer: BackgroundWriter,
        display: Display,
    ) -> None:
        self._trials = {trial.trial: trial for trial in progress.plan.trials}
        self._progress = progress
        self._records = records
        self._provenance = provenance
        self._writer = writer
        self._display = display

    def started(self, trial: str) -> None:
        planned = self._trials[trial]
        self._records.begin(
            Record(
                trial,
                planned.config.flat(),
                self._progress.plan.name,
                commit=self._provenance.commit,
                dirty=self._provenance.dirty,
                versions=self._provenance.versions,
                host=self._provenance.host,
            )
        )
        self._progress.begin(planned)
        self._changed(trial)

    def reported(self, trial: str, report: Report) -> None:
        if report.epoch is not None:
            self._records.append(trial, report.epoch)
            self._progress.advance(self._trials[trial], report.epoch.epoch)
        if report.status is not Status.RUNNING or (report.epoch is not None and report.epoch.epoch == 1):
            self._records.describe(trial, device=report.device, data_digest=report.data_digest)
        if report.status is not Status.RUNNING:
            self._end(trial, report.status, report.reason, report.traceback)
        self._changed(trial)

    def crashed(self, trial: str, status: Status, reason: str, text: str) -> None:
        if self._progress.statuses.get(trial) is None:
            self.started(trial)
        self._end(trial, status, reason, text)
        self._changed(trial)

    def leave(self) -> None:
        """Note the trials under way as interrupted."""
        for trial, status in list(self._progress.statuses.items()):
            if status is Status.RUNNING:
                self._end(trial, Status.INTERRUPTED, None, None)
                self._changed(trial)

    def _end(self, trial: str, status: Status, reason: str | None, traceback: str | None) -> None:
        self._records.end(trial, status, reason=reason, traceback=traceback)
        epochs = self._records.epochs(trial)
        self._progress.end(self._trials[trial], status, epochs[-1].metrics if epochs else {})
        if status not in SETTLED and status is not Status.INTERRUPTED:
            self._display.failed(self._trials[trial], reason or status)

    def _changed(self, trial: str) -> None:
        self._writer.update(trial)
        self._display.update()


def _progress(plan: Plan, records: TrialRecords) -> Progress:
    """The sweep as the records have it: what is settled is done, the rest is to run."""
    progress = Progress(plan)
    fresh = set()
    for trial in plan.trials:
        record = records.read(trial.trial)
        if record is not None and record.settled:
            epochs = records.epochs(trial.trial)
            progress.end(trial, record.status, epochs[-1].metrics if epochs else {})
        else:
            fresh.add(trial.trial)
    progress.fresh = frozenset(fresh)
    return progress
