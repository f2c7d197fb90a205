"""Writes a sweep to MLflow: one parent run, one child run per trial; `experiments.tracking.run` writes a single run.

Each write adds only what the run does not have yet, so it is safe to repeat, also after a crash, and no (metric, step)
is written twice. Not thread-safe: one thread opens, writes and closes.
"""

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from experiments.planning.plan import SweepPlan, Trial
from experiments.results.provenance import Provenance
from experiments.results.trial_records import Epoch, Record
from experiments.tracking import artifacts
from experiments.tracking.connection import connect, disconnect, identity
from experiments.tracking.names import NAME_TAG, trial_name, variant_names
from experiments.tracking.page import summary
from experiments.tracking.page.origin import commit_tag, process_tags
from experiments.tracking.page.saved_view import page_of, view_link, view_tags
from experiments.tracking.run import RunWriter
from experiments.tracking.server import Server
from experiments.tracking.shown_plan import shown_plan
from ottt.errors import UserError, command, first_line
from ottt.evalreport import EvalReport
from ottt.schema import MLFLOW_STATUS, SCHEMA_VERSION, SETTLED, Status, Tag

PAGE = 1000  # runs per request

_PAGE_TAGS = {"mlflow.experimentKind": "custom_model_development"}  # MLflow's page lists runs, not conversations


class NoSummaryWarning(UserWarning):
    """Report and comparison of a sweep are not in MLflow."""


class SweepRuns:
    """The runs of one sweep.

    Args:
        plan: plan of the sweep.
        spec: text of the spec, stored with the parent run.
        provenance: provenance of the process that ran the sweep.
        store: tracking URI.
        artifacts: folder of artifacts, for a store that is not a server; None: the server chooses.
        replay: whether another process ran the sweep, so that this one's environment is not stored.
        states: whether the kept checkpoints of finished trials become artifacts.

    Attributes:
        plan: plan of the sweep; see `extend`.
        files: additional artifacts of the parent run, by their path.
        link: link to the sweep's view on MLflow's page; None before `open`, or where the page cannot be known.
    """

    def __init__(
        self,
        plan: SweepPlan,
        spec: str,
        provenance: Provenance,
        *,
        store: str,
        artifacts: Path | None,
        replay: bool = False,
        states: bool = False,
    ) -> None:
        self.plan = plan
        self._spec = spec
        self._provenance = provenance
        self._store = store
        self._artifacts = artifacts
        self._replay = replay
        self._states = states
        self.files: Mapping[str, str] = {}
        self.link: str | None = None
        self._process_tags = process_tags()
        self._is_summarized = False
        self._file: tuple[int, int] | None = None

    @property
    def store(self) -> str:
        """Tracking URI."""
        return self._store

    def connect(self, *, is_damaged: bool = False) -> None:
        """Check that the store answers; a local one is made, also in place of one that is damaged. Writes no run."""
        self._client = connect(self._store, is_damaged=is_damaged)
        self._file = identity(self._store)
        self._client.get_experiment_by_name(self.plan.name)

    @property
    def is_lost(self) -> bool:
        """Whether the SQLite file that it writes is gone, or another has taken its place."""
        return identity(self._store) != self._file

    def open(self) -> None:
        """Find or create the experiment and the parent run, find the child runs; can be repeated after a failure."""
        self._show(self.plan)
        self._experiment = self._find_experiment()
        page = page_of(self._store, served=f"http://{Server.host}:{Server.port}")
        self.link = None if page is None else view_link(page, self._experiment)
        found = self._search()
        parents = self._one_run_each((self.plan.name, run) for run in found if _kind(run) == "sweep")
        known = parents.get(self.plan.name)
        self._sweep_origin = self._origin(known if self._replay else None)
        self._parent = known or self._create(self.plan.name, self._parent_tags(), None)
        self._is_summarized = not self._replay and self._parent.has_file(summary.REPORT)
        self._parent.set_status(self._parent_tags(), "RUNNING", None)
        self._parent.add_files(artifacts.of_sweep(self.plan, self._spec))
        if not self._replay:
            self._parent.add_files({**artifacts.of_process(), **self.files})
        trial_of = _identifier(self.plan)
        self._runs = self._one_run_each((trial_of(run), run) for run in found if _kind(run) == "trial")

    def extend(self, plan: SweepPlan) -> None:
        """Replace the plan by one with more trials."""
        self.plan = plan
        self._show(plan)
        self._parent.add_files(artifacts.of_sweep(plan, self._spec))

    def reconcile(
        self,
        trial: Trial,
        record: Record,
        epochs: Sequence[Epoch],
        report: EvalReport | None = None,
        state: Path | None = None,
    ) -> None:
        """Write what the run of `trial` lacks.

        Args:
            trial: trial of the plan.
            record, epochs: record and epochs of the trial.
            report: evaluation on test data at the end, if the trial got that far.
            state: file of the last checkpoint, if it was kept.
        """
        name = trial_name(self._names[trial.variant], trial.seed)
        ended = None if record.ended is None else _ms(record.ended)
        run = self._runs.get(trial.trial)
        tags = self._tags(trial, record, self._origin(run))
        if run is not None and ended is not None and run.has(tags, ended=ended):
            return
        self._is_summarized = False
        if run is not None and run.contradicts(record, epochs):
            self._client.delete_run(run.id)
            run = None
        if run is None:
            run = self._create(name, tags, _ms(record.started))
            self._runs[trial.trial] = run
        run.rename(name)
        run.add(record.config, epochs)
        if record.data_digest is not None:
            run.add_data(str(record.config["data.name"]), record.data_digest)
        if record.settled:
            run.add_files(artifacts.of_trial(epochs, report))
        if self._states and record.status is Status.FINISHED and state is not None:
            run.add_file(state, artifacts.STATES)
        run.set_status(tags, MLFLOW_STATUS[record.status], ended)

    def summarize(self) -> None:
        """Write report and comparison to the parent run, if a trial has changed since; a failure is a warning."""
        if self._is_summarized or not self._runs:
            return
        self._is_summarized = True
        try:
            self._parent.add_files(summary.files(self.plan.name, store=self._store))
        except Exception as error:  # the trials are there, and whatever is wrong with their summary stops no sweep
            again = command("sweep", "sync", self.plan.name)
            text = f"MLflow lacks the report of {self.plan.name}: {first_line(error)}; to write it: {again}"
            warnings.warn(text, NoSummaryWarning, stacklevel=2)

    def close(self, status: Status) -> None:
        """End the parent run, and child runs that a crash left running."""
        for run in self._runs.values():
            if run.status == "RUNNING":
                tags = run.tags | {Tag.STATUS: Status.INTERRUPTED}
                run.set_status(tags, MLFLOW_STATUS[Status.INTERRUPTED], None)
        self._parent.set_status(self._parent_tags() | {Tag.STATUS: status}, MLFLOW_STATUS[status], None)
        disconnect(self._client)

    def _show(self, plan: SweepPlan) -> None:
        """Note how variants are named, without secrets."""
        shown = shown_plan(plan)
        self._names = variant_names(shown)
        self._labels = {trial.variant: trial.label for trial in shown.trials}

    def _find_experiment(self) -> str:
        found = self._client.get_experiment_by_name(self.plan.name)
        views = view_tags(self.plan.metric)
        if found is None:
            location = None if self._artifacts is None else (self._artifacts / self.plan.name).as_uri()
            return str(self._client.create_experiment(self.plan.name, location, _PAGE_TAGS | views))
        if found.lifecycle_stage != "active":
            raise UserError(f"the experiment {self.plan.name} was deleted: restore it, or rename the sweep")
        for key, value in views.items():
            if found.tags.get(key) != value:
                self._client.set_experiment_tag(found.experiment_id, key, value)
        return str(found.experiment_id)

    def _one_run_each(self, named: Iterable[tuple[str, RunWriter]]) -> dict[str, RunWriter]:
        """One run for each name.

        A request that timed out and was repeated has created a second run: the settled or latest one is kept.
        """
        kept: dict[str, RunWriter] = {}
        for name, run in sorted(named, key=lambda one: _precedence(one[1]), reverse=True):
            if kept.setdefault(name, run) is not run:
                self._client.delete_run(run.id)
        return kept

    def _search(self) -> list[RunWriter]:
        """All runs of the experiment, also those whose tags a user has changed."""
        found: list[RunWriter] = []
        token: str | None = None
        while True:
            page = self._client.search_runs([self._experiment], max_results=PAGE, page_token=token)
            found += (RunWriter.of(self._client, run) for run in page)
            token = page.token
            if not token:
                return found

    def _create(self, name: str, tags: Mapping[str, str], started: int | None) -> RunWriter:
        return RunWriter.create(self._client, self._experiment, name, tags, started)

    def _parent_tags(self) -> dict[str, str]:
        return {
            Tag.SCHEMA: str(SCHEMA_VERSION),
            Tag.KIND: "sweep",
            Tag.SWEEP: self.plan.name,
            Tag.STATUS: Status.RUNNING,
            Tag.COMMIT: self._provenance.commit or "unknown",
            Tag.CODE: self._provenance.code or "unknown",
            Tag.DIRTY: str(self._provenance.dirty).lower(),
            Tag.VERSIONS: self._provenance.versions,
            **commit_tag(self._provenance.commit),
            **self._sweep_origin,
        }

    def _origin(self, run: RunWriter | None) -> dict[str, str]:
        """Who made a run, with which command: this process, unless the run is there already."""
        tags = {} if run is None else run.tags
        return {key: tags.get(key, value) for key, value in self._process_tags.items()}

    def _tags(self, trial: Trial, record: Record, origin: Mapping[str, str]) -> dict[str, str]:
        tags = {
            Tag.SCHEMA: str(record.schema),
            Tag.KIND: "trial",
            Tag.SWEEP: self.plan.name,
            Tag.PARENT: self._parent.id,
            Tag.TRIAL: trial.trial,
            Tag.VARIANT: trial.variant,
            Tag.LABEL: self._labels[trial.variant],
            NAME_TAG: self._names[trial.variant],
            Tag.SEED: str(trial.seed),
            Tag.STATUS: record.status,
            Tag.REASON: record.reason,
            Tag.COMMIT: record.commit or "unknown",
            Tag.CODE: record.code,
            Tag.DIRTY: str(record.dirty).lower(),
            Tag.VERSIONS: record.versions,
            Tag.DEVICE: record.device,
            Tag.DATA: record.data_digest,
            Tag.FUSED: str(record.fused),
            **commit_tag(record.commit),
            **origin,
        }
        return {key: str(value) for key, value in tags.items() if value is not None}


def _kind(run: RunWriter) -> str | None:
    """What a run is of: "sweep", "trial", None for another program's; its other tags tell if `Tag.KIND` does not."""
    kind = run.tags.get(Tag.KIND)
    if kind in ("sweep", "trial"):
        return kind
    if run.tags.keys() & {Tag.TRIAL, Tag.VARIANT}:
        return "trial"
    return "sweep" if Tag.SWEEP in run.tags else None


def _identifier(plan: SweepPlan) -> Callable[[RunWriter], str]:
    """A function that gives the trial of a run: by its tag, else the planned one with the run's variant and seed."""
    planned = {trial.trial for trial in plan.trials}
    by_variant = {(trial.variant, str(trial.seed)): trial.trial for trial in plan.trials}

    def trial_of(run: RunWriter) -> str:
        tagged = run.tags.get(Tag.TRIAL, run.id)
        same = by_variant.get((run.tags.get(Tag.VARIANT, ""), run.tags.get(Tag.SEED, "")))
        return tagged if tagged in planned or same is None else same

    return trial_of


def _precedence(run: RunWriter) -> tuple[bool, int, str]:
    return run.tags.get(Tag.STATUS) in SETTLED, run.started, run.id


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
