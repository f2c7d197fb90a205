"""Synthetic sweeps in real MLflow stores on SQLite, written row by row and not by this project's writer."""

import math
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from mlflow.tracking import MlflowClient

CONFIG = {
    "data.name": "cifar10",
    "model.name": "vgg11_ws",
    "neuron.kind": "lif",
    "rule.name": "ottt",
    "rule.update": "accumulate",
    "neuron.tau": 2.0,
    "T": 6,
    "optim.lr": 0.1,
    "batch_size": 128,
}
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass(frozen=True)
class SyntheticSweep:
    """The full grid of `axes` and `seeds`; each trial has learning curves of `epochs` epochs.

    `ends` gives, by (variant index, seed), the trials that did not finish: (status, reason, epochs trained).
    """

    name: str
    axes: Mapping[str, Sequence[Any]]
    seeds: int = 3
    epochs: int = 10
    layers: int = 4
    baseline: Mapping[str, Any] | None = None
    ends: Mapping[tuple[int, int], tuple[str, str | None, int]] = field(default_factory=dict)

    @property
    def cells(self) -> list[dict[str, Any]]:
        return [dict(zip(self.axes, values, strict=True)) for values in product(*self.axes.values())]

    def plan(self) -> dict[str, Any]:
        trials = [
            {"trial": f"t{cell:04d}-{seed}", "variant": f"v{cell:04d}", "label": _label(settings), "seed": seed}
            | {"settings": settings}
            for cell, settings in enumerate(self.cells)
            for seed in range(self.seeds)
        ]
        baseline = None if self.baseline is None else dict(self.baseline)
        plan = {"name": self.name, "metric": "val/top1", "axes": list(self.axes), "baseline": baseline}
        return plan | {"trials": trials}


def write(sweep: SyntheticSweep, folder: Path) -> str:
    """Write `sweep` into the store in `folder`, created if missing, and return the tracking URI."""
    path = folder / "mlflow.db"
    uri = f"sqlite:///{path}"
    client = MlflowClient(tracking_uri=uri)
    experiment = client.create_experiment(sweep.name, artifact_location=(folder / sweep.name).as_uri())
    tags = {"ottt.kind": "sweep", "ottt.sweep": sweep.name, "ottt.git_commit": COMMIT, "ottt.git_dirty": "false"}
    tags |= {"ottt.versions": "python 3.11.7, torch 2.11.0, ray 2.60.0"}
    parent = client.create_run(experiment, tags=tags).info.run_id
    client.log_dict(parent, sweep.plan(), "plan.json")
    client.log_text(parent, f"name: {sweep.name}\naxes: <as given>\n", "spec.yaml")
    connection = sqlite3.connect(path)
    with connection:
        rng = np.random.default_rng(0)
        for index, trial in enumerate(sweep.plan()["trials"]):
            end = sweep.ends.get((index // sweep.seeds, trial["seed"]), ("finished", None, sweep.epochs))
            if end[0] != "missing":
                _write_trial(connection, experiment, parent, sweep, index, trial, end, rng)
    connection.close()
    return uri


def curves(settings: Mapping[str, Any], epochs: int, total: int, layers: int, rng: np.random.Generator) -> dict:
    """By metric its learning curve [epochs]; the nearer tau is to 2, the better."""
    tau, update = float(settings.get("neuron.tau", 2)), settings.get("rule.update", "accumulate")
    ceiling = 0.94 - 0.02 * abs(math.log2(tau / 2)) - (0.01 if update == "online" else 0) + rng.normal(0, 0.003)
    step = np.arange(1, epochs + 1)
    top1 = ceiling - 0.6 * np.exp(-4 * step / total) + rng.normal(0, 0.004, epochs)
    rate = 0.12 + 0.03 * math.log2(tau + 1) + 0.02 * np.exp(-step / 20) + rng.normal(0, 0.001, epochs)
    found = {
        "train/loss": 2.3 * np.exp(-3 * step / total) + rng.normal(0, 0.01, epochs),
        "val/top1": top1 + rng.normal(0, 0.004, epochs),
        "test/top1": top1,
        "test/loss": 1.5 - top1,
        "rate/total": rate,
        "energy/synops": 4e7 * rate,
        "energy/nj": 4e4 * rate,
        "time/epoch_s": 3.1 + rng.normal(0, 0.05, epochs),
        "perf/images_per_s": 16000 + rng.normal(0, 100, epochs),
        "optim/lr": 0.05 * (1 + np.cos(math.pi * step / total)),
    }
    return found | {f"rate/layer_{layer:02d}": rate * (1.4 - 0.2 * layer) for layer in range(layers)}


def _write_trial(
    connection: sqlite3.Connection,
    experiment: str,
    parent: str,
    sweep: SyntheticSweep,
    index: int,
    trial: Mapping[str, Any],
    end: tuple[str, str | None, int],
    rng: np.random.Generator,
) -> None:
    status, reason, epochs = end
    run = f"{int(experiment):016x}{index:016x}"
    started = 1_700_000_000_000 + index * 1000
    ended = None if status == "running" else started + 3200 * max(epochs, 1)
    mlflow_status = {"running": "RUNNING", "failed": "FAILED", "interrupted": "KILLED"}.get(status, "FINISHED")
    connection.execute(
        "INSERT INTO runs (run_uuid, name, source_type, entry_point_name, user_id, status, start_time, end_time,"
        " lifecycle_stage, artifact_uri, experiment_id) VALUES (?, ?, 'UNKNOWN', '', '', ?, ?, ?, 'active', '', ?)",
        (run, trial["trial"], mlflow_status, started, ended, int(experiment)),
    )
    tags = {"ottt.kind": "trial", "mlflow.parentRunId": parent, "ottt.status": status, "ottt.sweep": sweep.name}
    tags |= {f"ottt.{key}": str(trial[key]) for key in ("trial", "variant", "label", "seed")}
    tags |= {"ottt.git_commit": COMMIT, "ottt.device": "cuda: Synthetic GPU"}
    tags |= {} if reason is None else {"ottt.reason": reason}
    connection.executemany("INSERT INTO tags VALUES (?, ?, ?)", [(key, value, run) for key, value in tags.items()])
    params = {**CONFIG, "epochs": sweep.epochs, **trial["settings"], "seed": trial["seed"]}
    rows = [(key, str(value), run) for key, value in params.items()]
    connection.executemany("INSERT INTO params (key, value, run_uuid) VALUES (?, ?, ?)", rows)
    metrics = curves(trial["settings"], epochs, sweep.epochs, sweep.layers, rng)
    points = [
        (name, float(value), started + epoch, run, epoch, 0)
        for name, values in metrics.items()
        for epoch, value in enumerate(values, start=1)
    ]
    places = "(key, value, timestamp, run_uuid, step, is_nan) VALUES (?, ?, ?, ?, ?, ?)"
    connection.executemany(f"INSERT INTO metrics {places}", points)
    connection.executemany(f"INSERT INTO latest_metrics {places}", [point for point in points if point[4] == epochs])


def _label(settings: Mapping[str, Any]) -> str:
    return " ".join(f"{key}={value}" for key, value in settings.items())
