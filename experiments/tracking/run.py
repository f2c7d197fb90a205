"""Writes one run in MLflow: only what the run does not have yet, so that writing can be repeated.

All that a run holds passes here, and secrets in it are replaced: in its name, tags, params and text artifacts. Tags
that identify (`_EXACT`) and the plan, whose settings have been replaced one by one, stay as they are.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Self, TypeVar

from analysis.store.addresses import local_path
from analysis.store.points import restored
from experiments.results.trial_records import Epoch, Record
from experiments.tracking.redact import holds_secret, redacted, redactor
from ottt.schema import PLAN_ARTIFACT, Tag

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

MAX_METRICS = 900  # per request: MLflow allows 1000 entries ...
MAX_PARAMS = 100  # ... of them so many params
MAX_DIGEST = 36  # characters

TIMED = ("time/", "perf/", "mem/")  # metrics that differ when the same trial is run again

# Tags by which runs are found and judged: hashes, numbers and fixed words.
_EXACT = frozenset(Tag) - {Tag.LABEL, Tag.REASON, Tag.VERSIONS, Tag.DEVICE}
KEPT_BACK = "not-here.txt"  # in place of a file that holds a secret

_T = TypeVar("_T")
Point = tuple[str, int]  # metric, step


@dataclass
class RunWriter:
    """A run and its content in the store, updated by every write; `points` is None until it is needed."""

    client: "MlflowClient"
    id: str
    name: str
    status: str
    started: int  # ms since 1970
    ended: int | None
    artifacts: str  # URI of the run's artifacts
    tags: dict[str, str]
    params: set[str] = field(default_factory=set)
    metrics: set[str] = field(default_factory=set)
    has_data: bool = False
    points: dict[Point, float] | None = None

    @classmethod
    def of(cls, client: "MlflowClient", run: "Run") -> Self:
        """A writer for a run that a search returned."""
        info, data = run.info, run.data
        return cls(
            client,
            info.run_id,
            info.run_name,
            info.status,
            info.start_time,
            info.end_time,
            info.artifact_uri,
            dict(data.tags),
            set(data.params),
            set(data.metrics),
            bool(run.inputs and run.inputs.dataset_inputs),
        )

    @classmethod
    def create(
        cls, client: "MlflowClient", experiment: str, name: str, tags: Mapping[str, str], started: int | None
    ) -> Self:
        """Make a run in an experiment; `started`: ms since 1970, None: now."""
        name, tags = redacted(name), _without_secrets(tags)
        created = client.create_run(experiment, start_time=started, tags=tags, run_name=name)
        info = created.info
        return cls(client, info.run_id, name, "RUNNING", info.start_time, None, info.artifact_uri, tags)

    def has(self, tags: Mapping[str, str], *, ended: int) -> bool:
        """Whether the run ended at `ended` with these tags: they are written last, so that it is complete."""
        return self.ended == ended and _without_secrets(tags).items() <= self.tags.items()

    def contradicts(self, record: Record, epochs: Sequence[Epoch]) -> bool:
        """Whether the run holds numbers of another attempt that differ from the record."""
        stored = self._load_points()
        last = epochs[-1].epoch if epochs else 0
        if record.settled and any(step > last for _, step in stored):
            return True
        return any(
            not _same(stored[point], value)
            for point, value, _ in _points_of(epochs)
            if point in stored and not point[0].startswith(TIMED)
        )

    def rename(self, name: str) -> None:
        """Rename the run to `name`."""
        name = redacted(name)
        if self.name != name:
            self.client.update_run(self.id, name=name)
            self.name = name

    def add(self, config: Mapping[str, Any], epochs: Iterable[Epoch]) -> None:
        """Add the params and points that are missing, in as few requests as possible.

        MLflow cannot change a param that is there, and the trial's hash covers all that matters.
        """
        from mlflow.entities import Metric, Param

        redact, points = redactor(), self._load_points()
        params = [Param(key, redact(str(value))) for key, value in config.items() if key not in self.params]
        metrics = [entry for entry in _points_of(epochs) if entry[0] not in points]
        batches = zip_longest(_batches(params, MAX_PARAMS), _batches(metrics, MAX_METRICS), fillvalue=())
        for some_params, some_metrics in batches:
            values = [Metric(key, value, time, step) for (key, step), value, time in some_metrics]
            self.client.log_batch(self.id, params=some_params, metrics=values)
            self.params |= {param.key for param in some_params}
            points |= {point: value for point, value, _ in some_metrics}

    def add_data(self, name: str, digest: str) -> None:
        """Add the data set as an input of the run."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        if not self.has_data:
            name = redacted(name)
            data = Dataset(name, digest[:MAX_DIGEST], source_type="ottt", source=json.dumps({"name": name}))
            self.client.log_inputs(self.id, [DatasetInput(data, [InputTag("mlflow.data.context", "training")])])
            self.has_data = True

    def has_file(self, name: str) -> bool:
        """Whether there is an artifact of this name, in no folder."""
        if (here := local_path(self.artifacts)) is not None:
            return (here / name).exists()
        return name in {artifact.path for artifact in self.client.list_artifacts(self.id)}

    def add_files(self, files: Mapping[str, str | bytes]) -> None:
        """Add artifacts by their path; one of the same path is replaced."""
        if not files:
            return
        if (here := local_path(self.artifacts)) is not None:  # MLflow would look the run up, and copy
            _write(files, here)
            return
        with TemporaryDirectory() as folder:
            _write(files, Path(folder))
            self.client.log_artifacts(self.id, folder)

    def add_file(self, file: Path, folder: str) -> None:
        """Add a file as an artifact in `folder`, or a note in its place if it holds a secret: it must stay exact."""
        if holds_secret(file):
            self.add_files({f"{folder}/{KEPT_BACK}": f"{file.name} holds a secret: it is with the records only\n"})
        else:
            self.client.log_artifact(self.id, str(file), folder)

    def set_status(self, tags: Mapping[str, str], status: str, ended: int | None) -> None:
        """Write tags and status, after everything else; `ended`: end of a run that is not RUNNING, None: now."""
        from mlflow.entities import RunTag

        tags = _without_secrets(tags)
        changed = [RunTag(key, value) for key, value in tags.items() if self.tags.get(key) != value]
        if changed:
            self.client.log_batch(self.id, tags=changed)
        if Tag.REASON in self.tags and Tag.REASON not in tags:
            self.client.delete_tag(self.id, Tag.REASON)
        if status == "RUNNING" and self.status != status:
            self.client.update_run(self.id, status=status)
        elif status != "RUNNING":
            self.client.set_terminated(self.id, status, end_time=ended)
        self.tags, self.status, self.ended = tags, status, ended

    def _load_points(self) -> dict[Point, float]:
        if self.points is None:
            histories = (self.client.get_metric_history(self.id, key) for key in self.metrics)
            self.points = {(point.key, point.step): point.value for history in histories for point in history}
        return self.points


def _write(files: Mapping[str, str | bytes], folder: Path) -> None:
    redact = redactor()
    for name, content in files.items():
        if isinstance(content, str) and name != PLAN_ARTIFACT:
            content = redact(content)
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)


def _without_secrets(tags: Mapping[str, str]) -> dict[str, str]:
    redact = redactor()
    return {key: value if key in _EXACT else redact(value) for key, value in tags.items()}


def _points_of(epochs: Iterable[Epoch]) -> Iterator[tuple[Point, float, int]]:
    """(metric, step), value and time in ms of every metric of every epoch."""
    for epoch in epochs:
        for key, value in epoch.metrics.items():
            yield (key, epoch.epoch), value, int(epoch.time * 1000)


def _same(stored: float, value: float) -> bool:
    """Whether the store holds `value`; in place of infinity it holds the largest float."""
    return restored(stored) == restored(value) or (math.isnan(stored) and math.isnan(value))


def _batches(items: Sequence[_T], size: int) -> Iterator[Sequence[_T]]:
    return (items[start : start + size] for start in range(0, len(items), size))
