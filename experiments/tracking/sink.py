"""A sweep in MLflow: one parent run, one child run per trial. With `experiments.tracking.run` all that writes MLflow.

Writing is reconciling: what the trial's record holds less what its run already has. So it can be repeated at any
time, after a crash too, and never doubles a (metric, step). Not thread-safe: one thread opens, writes and closes.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from experiments.planning.plan import SweepPlan, Trial
from experiments.results.provenance import Provenance
from experiments.results.trial_records import Epoch, Record
from experiments.tracking import artifacts
from experiments.tracking.connection import connect, disconnect
from experiments.tracking.redact import redacted
from experiments.tracking.run import StoredRun
from ottt.errors import UserError
from ottt.evalreport import EvalReport
from ottt.schema import MLFLOW_STATUS, SCHEMA_VERSION, SETTLED, Status, Tag

PAGE = 1000  # runs per request

_PAGE_TAGS = {"mlflow.experimentKind": "custom_model_development"}  # the page shows runs, not conversations


class MlflowSink:
    """The runs of one sweep.

    Args:
        plan: of the sweep.
        spec: its text, kept with the parent run.
        provenance: of the process that ran the sweep.
        store: tracking URI.
        artifacts: folder of artifacts, for a store that is no server; None: the server decides.
        replay: whether another process ran the sweep, so that this one's environment is not the sweep's.
        states: whether the kept states of finished trials become artifacts.

    Attributes:
        plan: as above; see `extend`.
        files: further artifacts of the parent run, by their path.
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

    def connect(self) -> None:
        """Make sure that the store answers; a local one is made. Writes no run."""
        self._client = connect(self._store)
        self._client.get_experiment_by_name(self.plan.name)

    def open(self) -> None:
        """Find or make the experiment, the parent run and its children. Can be repeated after a failure."""
        self._experiment = self._find_experiment()
        parents = self._one_each(Tag.SWEEP, "sweep")
        self._parent = parents.get(self.plan.name) or self._create(self.plan.name, self._parent_tags(), None)
        self._parent.set_status(self._parent_tags(), "RUNNING", None)
        self._parent.add_files(artifacts.of_sweep(self.plan, self._spec))
        if not self._replay:
            self._parent.add_files({**artifacts.of_process(), **self.files})
        self._runs = self._one_each(Tag.TRIAL, "trial")

    def extend(self, plan: SweepPlan) -> None:
        """The sweep has more trials now."""
        self.plan = plan
        self._parent.add_files(artifacts.of_sweep(plan, self._spec))

    def reconcile(
        self,
        trial: Trial,
        record: Record,
        epochs: Sequence[Epoch],
        report: EvalReport | None = None,
        state: Path | None = None,
    ) -> None:
        """Write what the run of `trial` lacks of its record.

        Args:
            trial: of the plan.
            record, epochs: of the trial.
            report: its evaluation on test data at the end, if it came so far.
            state: file of its state at the end, if it was kept.
        """
        tags = self._tags(trial, record)
        ended = None if record.ended is None else _ms(record.ended)
        run = self._runs.get(trial.trial)
        if run is not None and ended is not None and run.has(tags, ended=ended):
            return
        if run is not None and run.contradicts(record, epochs):
            self._client.delete_run(run.id)
            run = None
        if run is None:
            run = self._create(self.plan.run_name(trial), tags, _ms(record.started))
            self._runs[trial.trial] = run
        run.rename(self.plan.run_name(trial))
        run.add_params(record.config)
        run.add_metrics(epochs)
        if record.data_digest is not None:
            run.add_data(str(record.config["data.name"]), record.data_digest)
        if record.settled:
            run.add_files(artifacts.of_trial(epochs, report))
        if self._states and record.status is Status.FINISHED and state is not None:
            run.add_file(state, artifacts.STATES)
        run.set_status(tags, MLFLOW_STATUS[record.status], ended)

    def close(self, status: Status) -> None:
        """End the parent run, and whatever child a crash left running."""
        for run in self._runs.values():
            if run.status == "RUNNING":
                tags = run.tags | {Tag.STATUS: Status.INTERRUPTED}
                run.set_status(tags, MLFLOW_STATUS[Status.INTERRUPTED], None)
        self._parent.set_status(self._parent_tags() | {Tag.STATUS: status}, MLFLOW_STATUS[status], None)
        disconnect(self._client)

    def _find_experiment(self) -> str:
        found = self._client.get_experiment_by_name(self.plan.name)
        if found is None:
            location = None if self._artifacts is None else (self._artifacts / self.plan.name).as_uri()
            return str(self._client.create_experiment(self.plan.name, location, _PAGE_TAGS))
        if found.lifecycle_stage != "active":
            raise UserError(f"the experiment {self.plan.name} was deleted: restore it, or rename the sweep")
        return str(found.experiment_id)

    def _one_each(self, tag: Tag, kind: str) -> dict[str, StoredRun]:
        """The experiment's runs of that kind by the value of a tag.

        A request that was answered too late and repeated has made a second run: one stays, the settled or latest.
        """
        kept: dict[str, StoredRun] = {}
        for run in sorted(self._search(kind), key=_precedence, reverse=True):
            if kept.setdefault(run.tags.get(tag, run.id), run) is not run:
                self._client.delete_run(run.id)
        return kept

    def _search(self, kind: str) -> list[StoredRun]:
        """All runs of the experiment of that kind."""
        query = f"tags.`{Tag.KIND}` = '{kind}'"
        found: list[StoredRun] = []
        token: str | None = None
        while True:
            page = self._client.search_runs([self._experiment], query, max_results=PAGE, page_token=token)
            found += (StoredRun.of(self._client, run) for run in page)
            token = page.token
            if not token:
                return found

    def _create(self, name: str, tags: Mapping[str, str], started: int | None) -> StoredRun:
        made = self._client.create_run(self._experiment, start_time=started, tags=dict(tags), run_name=name)
        return StoredRun(self._client, made.info.run_id, name, "RUNNING", made.info.start_time, None, dict(tags))

    def _parent_tags(self) -> dict[str, str]:
        return {
            Tag.SCHEMA: str(SCHEMA_VERSION),
            Tag.KIND: "sweep",
            Tag.SWEEP: self.plan.name,
            Tag.STATUS: Status.RUNNING,
            Tag.COMMIT: self._provenance.commit or "unknown",
            Tag.DIRTY: str(self._provenance.dirty).lower(),
            Tag.VERSIONS: self._provenance.versions,
        }

    def _tags(self, trial: Trial, record: Record) -> dict[str, str]:
        tags = {
            Tag.SCHEMA: str(record.schema),
            Tag.KIND: "trial",
            Tag.SWEEP: self.plan.name,
            Tag.PARENT: self._parent.id,
            Tag.TRIAL: trial.trial,
            Tag.VARIANT: trial.variant,
            Tag.LABEL: trial.label,
            Tag.SEED: str(trial.seed),
            Tag.STATUS: record.status,
            Tag.REASON: None if record.reason is None else redacted(record.reason),
            Tag.COMMIT: record.commit or "unknown",
            Tag.DIRTY: str(record.dirty).lower(),
            Tag.VERSIONS: record.versions,
            Tag.DEVICE: record.device,
            Tag.DATA: record.data_digest,
        }
        return {key: str(value) for key, value in tags.items() if value is not None}


def _precedence(run: StoredRun) -> tuple[bool, int, str]:
    return run.tags.get(Tag.STATUS) in SETTLED, run.started, run.id


def _ms(seconds: float) -> int:
    return int(seconds * 1000)
