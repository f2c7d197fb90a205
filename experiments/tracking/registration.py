"""Registers the model of a sweep's best variant in MLflow's model registry."""

import re
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from analysis import load
from analysis.search import find
from experiments.results.trial_records import TrialRecords
from experiments.tracking.connection import connect
from experiments.tracking.model import MODEL, kept_checkpoint, log_model
from ottt.errors import UserError
from ottt.schema import Status, Tag, metric

if TYPE_CHECKING:
    import pandas as pd

    from analysis.store.base import StoredRun


_NAME = re.compile(r"[\w. -]+")  # MLflow takes no slash and no colon; quotes end its filters


@dataclass(frozen=True)
class Choice:
    """The trial whose model stands for a sweep.

    Attributes:
        run: id of its run.
        label: its variant in words.
        seed: its seed.
        metric: what the sweep optimises, a metric of validation data.
        mean: of the variant over its seeds, at the last epoch.
        value: of the trial.
    """

    run: str
    label: str
    seed: int
    metric: str
    mean: float
    value: float

    @property
    def text(self) -> str:
        """In one line."""
        return f"{self.label}, mean {self.metric} {self.mean:.4g}; its seed {self.seed}: {self.value:.4g}"


def best_trial(runs: "pd.DataFrame", sweep_metric: str) -> Choice:
    """The best trial of the variant with the best mean over seeds, both by the sweep's metric.

    Only variants with a value for every planned seed take part: a mean of fewer is no match for the others.

    Args:
        runs: see `analysis.load.runs`.
        sweep_metric: what the sweep optimises.

    Raises:
        UserError: the metric is of test data, on which no choice may be based, or no variant has all its values.
    """
    known = metric(sweep_metric)
    if known.is_test:
        raise UserError(f"a model must be chosen by a metric of validation data, got {sweep_metric}")
    is_measured = (runs["status"] == Status.FINISHED) & runs.get(sweep_metric, runs["seed"] * float("nan")).notna()
    is_whole = is_measured.groupby(runs["variant"]).transform("all")
    if not is_whole.any():
        raise UserError(f"no variant has {sweep_metric} of all its trials: run or retry those that lack it")
    whole = runs[is_whole].sort_values(sweep_metric, ascending=known.better == "lower", kind="stable")
    means = whole.groupby("variant")[sweep_metric].mean()
    winner = str(means.idxmin() if known.better == "lower" else means.idxmax())
    best = whole[whole["variant"] == winner].iloc[0]
    mean, value = float(means.loc[winner]), float(best[sweep_metric])
    return Choice(str(best["run_id"]), str(best["label"]), int(best["seed"]), sweep_metric, mean, value)


def register(
    sweep: str, *, store: str, records: TrialRecords, name: str | None = None, device: str = "cpu"
) -> tuple[str, Choice]:
    """Log the model of the sweep's best variant with its run, and register it.

    Args:
        sweep: name of the sweep.
        store: tracking URI, also of the registry.
        records: trial records, which can hold checkpoints.
        name: name in the registry; None: the sweep's.
        device: device that the model will run on.

    Returns:
        URI of the registered version, `models:/NAME/VERSION`, and the trial that it is of. A run that is registered
        under the name already keeps its version, with the model made anew.

    Raises:
        UserError: there is no such choice, see `best_trial`, its checkpoint was not kept, or the registry takes no
            such name.
    """
    name = sweep if name is None else name
    if not _NAME.fullmatch(name):
        raise UserError(f"--name must be letters, digits, spaces and any of . _ -, got {name!r}")
    choice = best_trial(load.runs(sweep, store=store), load.plan(sweep, store=store).metric)
    run = find(choice.run, store=store)
    with TemporaryDirectory() as folder:
        if kept_checkpoint(run, store=store, records=records, folder=Path(folder)) is None:
            raise UserError(
                f"sweep {sweep} must have kept its checkpoints, got none of {run.name}: run its spec with"
                " checkpoints.keep=true --rerun"
            )
    log_model(run, store=store, records=records, device=device)
    return f"models:/{name}/{_version(run, choice, name, store)}", choice


def _version(run: "StoredRun", choice: Choice, name: str, store: str) -> str:
    """The version of the run's model under a name of the registry, which are made if need be."""
    client = connect(store)
    if not client.search_registered_models(f"name = '{name}'"):
        client.create_registered_model(name)
    for version in client.search_model_versions(f"name = '{name}'"):
        if version.run_id == run.id:
            return str(version.version)
    tags = {tag.value: run.tags[tag] for tag in (Tag.SWEEP, Tag.VARIANT, Tag.TRIAL)}
    source = f"{client.get_run(run.id).info.artifact_uri}/{MODEL}"
    made = client.create_model_version(name, source, run.id, tags=tags, description=choice.text)
    return str(made.version)
