"""`ottt mlflow log-model`: the loaded model predicts what was evaluated."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from experiments.cli.mlflow import app
from experiments.planning.plan import expand
from experiments.results.trial_records import TrialRecords
from experiments.tracking.sweep_runs import SweepRuns
from ottt.errors import UserError
from ottt.evalreport import EvalReport
from ottt.schema import Status
from ottt.training.trainer import Trainer
from tests.experiments.mlflow_sweeps import HERE, record, rows
from tests.experiments.specs import spec

pytestmark = [
    pytest.mark.filterwarnings(
        "ignore:The ``noload`` loader strategy is deprecated:sqlalchemy.exc.SADeprecationWarning"
    ),
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),  # at MLflow's import
]


@pytest.fixture(scope="module")
def trainer() -> Trainer:
    """A network after one epoch."""
    plan = expand(spec(base={"T": 2, "epochs": 1, "batch_size": 256, "model.width": 0.25, "device": "cpu"}))
    made = Trainer(plan.trials[0].config)
    made.train_epoch()
    return made


@pytest.fixture
def run(trainer: Trainer, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Id of the trial's run; its last checkpoint is in the folder of results and in its artifacts."""
    monkeypatch.setenv("OTTT_RESULTS", str(folder))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{folder / 'mlflow.db'}")
    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    plan = expand(spec(base=trainer.config.model_dump(exclude={"seed"})))
    trial = plan.trials[0]
    records = TrialRecords(folder / "trials")
    trainer.save(records.checkpoint(trial.trial))
    store = f"sqlite:///{folder / 'mlflow.db'}"
    sweep_runs = SweepRuns(plan, "", HERE, store=store, artifacts=folder / "artifacts", states=True)
    sweep_runs.connect()
    sweep_runs.open()
    sweep_runs.reconcile(trial, record(trial, Status.FINISHED), [], state=records.final_checkpoint(trial.trial))
    return str(rows(folder, "SELECT run_uuid FROM tags WHERE key = 'ottt.trial'")[0][0])


def log_model(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["log-model", *arguments], standalone_mode=False)
    if done.exception is not None:
        raise done.exception
    return done.stdout.strip()


def confusion(trainer: Trainer, scores: np.ndarray) -> tuple[tuple[int, ...], ...]:
    labels = trainer.eval_sets["test"].labels.numpy()
    counts = np.zeros((scores.shape[1],) * 2, dtype=int)
    np.add.at(counts, (labels, scores.argmax(1)), 1)
    return tuple(map(tuple, counts.tolist()))


def test_the_loaded_model_predicts_what_was_evaluated(trainer: Trainer, run: str, folder: Path) -> None:
    before = rows(folder, "SELECT status, start_time, end_time FROM runs ORDER BY name")
    address = log_model(run[:8])
    assert address == f"runs:/{run}/model"
    import mlflow.pyfunc
    import mlflow.pytorch

    samples = trainer.eval_sets["test"]
    report: EvalReport = trainer.evaluate(samples)
    inputs = torch.cat([batch for batch, _ in samples.batches(100)])
    scores = mlflow.pytorch.load_model(address)(inputs)
    assert confusion(trainer, scores.numpy()) == report.confusion
    by_pyfunc = mlflow.pyfunc.load_model(address, model_config={"device": "cpu"})
    np.testing.assert_array_equal(by_pyfunc.predict(inputs.numpy()), scores.numpy())
    assert by_pyfunc.metadata.metadata["trial"] == trainer.config.trial_hash
    assert rows(folder, "SELECT status, start_time, end_time FROM runs ORDER BY name") == before


def test_the_state_is_taken_from_the_run_or_from_elsewhere(
    trainer: Trainer, run: str, folder: Path, tmp_path: Path
) -> None:
    [file] = (folder / "trials").rglob("checkpoint.pt")
    shutil.rmtree(file.parent)
    log_model(run)
    [model] = (folder / "artifacts").rglob("model.pt2")
    model.unlink()
    shutil.rmtree(next((folder / "artifacts").rglob("checkpoint")))
    with pytest.raises(UserError, match=r"must have kept its last checkpoint, got none: give --checkpoint"):
        log_model(run)
    trainer.save(tmp_path / "elsewhere")
    log_model(run, "--checkpoint", str(tmp_path / "elsewhere"))
    assert model.is_file()


def test_a_state_of_another_trial_is_refused(trainer: Trainer, run: str, tmp_path: Path) -> None:
    Trainer(trainer.config.replace({"seed": 5})).save(tmp_path / "other")
    with pytest.raises(UserError, match=rf"must be a checkpoint of trial {trainer.config.trial_hash}, got one of"):
        log_model(run, "--checkpoint", str(tmp_path / "other"))


def test_the_model_of_a_moved_folder_goes_where_the_folder_is(
    run: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved = folder / "moved"
    moved.mkdir()
    for name in ("trials", "artifacts"):
        (folder / name).rename(moved / name)
    with (
        closing(sqlite3.connect(folder / "mlflow.db")) as source,
        closing(sqlite3.connect(moved / "mlflow.db")) as copy,
    ):
        source.backup(copy)
    monkeypatch.setenv("OTTT_RESULTS", str(moved))
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    log_model(run)
    assert [path.name for path in moved.rglob("MLmodel")] == ["MLmodel"]
    assert not (folder / "artifacts").exists()
