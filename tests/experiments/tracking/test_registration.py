"""`ottt mlflow register`: the best variant by validation data, as a version that can be loaded."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from experiments.cli.mlflow import app
from experiments.planning.plan import SweepPlan, expand
from experiments.results.folder import Results
from experiments.results.trial_records import Epoch
from experiments.tracking.registration import best_trial
from experiments.tracking.sync import sync
from ottt.errors import UserError
from ottt.schema import Status
from ottt.training.trainer import Trainer
from tests.experiments.mlflow_sweeps import record
from tests.experiments.servers import serving
from tests.experiments.specs import spec

pytestmark = [
    pytest.mark.filterwarnings(
        "ignore:The ``noload`` loader strategy is deprecated:sqlalchemy.exc.SADeprecationWarning"
    ),
    pytest.mark.filterwarnings("ignore:.*Any type hint is inferred as AnyType:UserWarning"),  # at MLflow's import
]
BASE = {"T": 2, "epochs": 1, "batch_size": 256, "model.width": 0.25, "device": "cpu"}
VALUES = {(1.25, 0): 0.5, (1.25, 1): 0.9, (2.0, 0): 0.8, (2.0, 1): 0.7}  # of val/top1, by time constant and seed


@pytest.fixture
def planned() -> SweepPlan:
    return expand(spec(base=BASE, axes={"neuron.tau": [1.25, 2.0]}, seeds=2))


@pytest.fixture
def results(folder: Path, planned: SweepPlan, monkeypatch: pytest.MonkeyPatch) -> Results:
    """A sweep whose variant with the best mean has neither the best trial nor the best test accuracy."""
    monkeypatch.setenv("OTTT_RESULTS", str(folder))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    made = Results(folder)
    made.write_plan(planned, planned.spec.to_yaml())
    for trial in planned.trials:
        value = VALUES[trial.settings["neuron.tau"], trial.seed]
        made.records.begin(record(trial))
        made.records.append(trial.trial, Epoch(1, 10.0, {"val/top1": value, "test/top1": 1 - value}))
        made.records.end(trial.trial, Status.FINISHED)
    return made


@pytest.fixture
def trainer(results: Results, planned: SweepPlan) -> Trainer:
    """The network of the trial that should be chosen, with its checkpoint in the records."""
    chosen = next(one for one in planned.trials if (one.settings["neuron.tau"], one.seed) == (2.0, 0))
    made = Trainer(chosen.config)
    made.train_epoch()
    made.save(results.records.checkpoint(chosen.trial))
    return made


def register(*arguments: str) -> str:
    done = CliRunner().invoke(app, ["register", "s", *arguments], standalone_mode=False)
    if done.exception is not None:
        raise done.exception
    return done.stdout.strip()


def scores(address: str, store: str, inputs: torch.Tensor) -> np.ndarray:
    import mlflow

    mlflow.set_tracking_uri(store)
    return np.asarray(mlflow.pyfunc.load_model(address).predict(inputs.numpy()))


def check(trainer: Trainer, store: str) -> None:
    """The best mean is registered once per name, and its versions predict what its network does."""
    assert register() == "models:/s/1"
    assert register() == "models:/s/1"
    assert register("--name", "digits") == "models:/digits/1"
    samples = trainer.eval_sets["test"]
    inputs = torch.cat([batch for batch, _ in samples.batches(100)])
    predicted = scores("models:/s/1", store, inputs).argmax(1)
    confusion = np.zeros((10, 10), dtype=int)
    np.add.at(confusion, (samples.labels.numpy(), predicted), 1)
    assert tuple(map(tuple, confusion.tolist())) == trainer.evaluate(samples).confusion


def test_the_best_variant_by_validation_is_registered(results: Results, trainer: Trainer) -> None:
    sync("s", results=results)
    check(trainer, results.store)


def test_it_is_registered_on_a_server(results: Results, trainer: Trainer, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving(results.root) as server:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", server.uri)
        sync("s", results=results)
        check(trainer, server.uri)


def test_without_its_checkpoint_the_line_names_the_setting(results: Results, trainer: Trainer) -> None:
    sync("s", results=results)
    shutil.rmtree(results.records.checkpoint(trainer.config.trial_hash))
    with pytest.raises(UserError, match=r"got none of tau=2 s0: run its spec with checkpoints\.keep=true"):
        register()


@pytest.mark.parametrize("name", ["a/b", "a:1", "it's", ""])
def test_names_that_the_registry_does_not_take(results: Results, name: str) -> None:
    sync("s", results=results)
    with pytest.raises(UserError, match=r"--name must be letters, digits, spaces"):
        register("--name", name)


def table(**columns: list[object]) -> pd.DataFrame:
    """Two variants with two seeds each."""
    made = {"run_id": list("wxyz"), "variant": list("aabb"), "label": list("aabb"), "seed": [0, 1, 0, 1]}
    return pd.DataFrame(made | {"status": ["finished"] * 4} | columns)


def test_the_direction_of_the_metric_counts() -> None:
    found = table(**{"val/loss": [0.5, 0.1, 0.4, 0.4], "val/top1": [0.5, 0.1, 0.4, 0.4]})
    assert best_trial(found, "val/loss").run == "x"
    assert best_trial(found, "val/top1").run == "y"


def test_a_variant_that_lacks_a_seed_is_not_the_best() -> None:
    found = table(**{"val/top1": [0.9, 0.9, 0.1, 0.2]}, status=["finished", "diverged", "finished", "finished"])
    choice = best_trial(found, "val/top1")
    assert (choice.run, choice.mean, choice.value) == ("z", pytest.approx(0.15), 0.2)


def test_no_choice_is_made_on_test_data_or_on_nothing() -> None:
    with pytest.raises(UserError, match="by a metric of validation data, got test/top1"):
        best_trial(table(**{"test/top1": [0.9] * 4}), "test/top1")
    with pytest.raises(UserError, match="no variant has val/top1 of all its trials"):
        best_trial(table(), "val/top1")
