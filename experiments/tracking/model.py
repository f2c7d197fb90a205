"""Logs a trained network with its run as an MLflow model, which is loaded without this code and without time steps.

The file is the exported graph of `ottt.evaluation.classifier.Classifier`, not a pickle: loading it runs no code of its
author.
"""

import warnings
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from analysis.store.base import StoredRun
from experiments.results.trial_records import STATE, TrialRecords
from experiments.tracking.artifacts import STATES
from experiments.tracking.connection import connect
from ottt.config.load import load_config
from ottt.config.trial import TrialConfig
from ottt.errors import UserError
from ottt.evaluation.classifier import Classifier
from ottt.models.registry import build_model
from ottt.schema import Tag
from ottt.training.checkpoint import NEWEST, UnusableState, load_weights, read_checkpoint

MODEL = "model"  # folder of the artifacts
EXAMPLE = 2  # samples; the export takes a batch of one for a fixed size


def log_model(
    run: StoredRun, *, store: str, records: TrialRecords, checkpoint: Path | None = None, device: str = "cpu"
) -> str:
    """Add the trained network to the artifacts of its run, or replace the one that is there.

    Args:
        run: run of the trial.
        store: tracking URI.
        records: trial records, which can hold the trial's last checkpoint.
        checkpoint: checkpoint folder or file; None: the one kept with the records, else with the run.
        device: device that the model will run on; it cannot be changed later.

    Returns:
        URI of the model for `mlflow.pyfunc.load_model` and `mlflow.pytorch.load_model`.

    Raises:
        UserError: no checkpoint was kept, or `checkpoint` is not one of this trial.
    """
    trial = run.tags.get(Tag.TRIAL)
    if trial is None:
        raise UserError(f"run must be a trial's, got {run.name} ({run.id})")
    with TemporaryDirectory() as name:
        folder = Path(name)
        source = checkpoint or kept_checkpoint(run, store=store, records=records, folder=folder)
        if source is None:
            raise UserError(
                f"run {run.name} ({run.id}) must have kept its last checkpoint, got none: give --checkpoint,"
                " or train with checkpoints.keep=true"
            )
        if source.is_dir():
            source /= NEWEST  # the previous one is not the network whose results the run has
        state = read_checkpoint(source)
        if state.get("trial") != trial:
            raise UserError(f"{source}: must be a checkpoint of trial {trial}, got one of {state.get('trial')}")
        try:
            save(state, folder / MODEL, device=device)
        except UnusableState as error:
            raise UserError(f"{source}: {error}") from error
        connect(store).log_artifacts(run.id, str(folder / MODEL), MODEL)
    return f"runs:/{run.id}/{MODEL}"


def save(state: dict[str, Any], folder: Path, *, device: str) -> None:
    """Write the network of a checkpoint as an MLflow model into `folder`, which must not exist.

    Raises:
        UnusableState: the weights are not those of its configuration.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*Any type hint is inferred as AnyType")  # about MLflow's own code
        import mlflow.pytorch
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    config = load_config(state["config"])
    net = build_model(config)
    load_weights(net, state["net"])
    model = Classifier(net, config).to(device).eval().requires_grad_(False)
    example = _example(config)
    classes = config.data.samples.classes
    signature = ModelSignature(
        Schema([TensorSpec(np.dtype("float32"), (-1, *example.shape[1:]))]),
        Schema([TensorSpec(np.dtype("float64"), (-1, classes))]),
    )
    with torch.no_grad():  # the exported graph cannot turn gradients off
        mlflow.pytorch.save_model(
            model,
            folder,
            signature=signature,
            input_example=example,
            serialization_format="pt2",
            pip_requirements=[f"torch=={version('torch').partition('+')[0]}"],
            metadata={
                "trial": state["trial"],
                "epoch": state["epoch"],
                "data": config.data.name,
                "time_steps": config.T,
                "output": "summed logits of all time steps, float64 [batch, classes]",
            },
        )


def _example(config: TrialConfig) -> np.ndarray:
    """Example inputs, float32: still images [B,C,H,W] or frames [B,T,C,H,W]."""
    info = config.data.samples
    image = (info.channels, info.height, info.width)
    shape = (EXAMPLE, config.T, *image) if info.events else (EXAMPLE, *image)
    return np.zeros(shape, dtype=np.float32)


def kept_checkpoint(run: StoredRun, *, store: str, records: TrialRecords, folder: Path) -> Path | None:
    """The last checkpoint of a trial: the one kept with the records, else the run's, downloaded into `folder`."""
    if (kept := records.final_checkpoint(run.tags[Tag.TRIAL])) is not None:
        return kept
    client = connect(store)
    path = f"{STATES}/{STATE}"
    if path not in {artifact.path for artifact in client.list_artifacts(run.id, STATES)}:
        return None
    return Path(client.download_artifacts(run.id, path, str(folder)))
