"""Estimates the cost of the studies from the operation counts of their networks.

    python -m benchmarks.study_cost                     # all studies
    python -m benchmarks.study_cost cifar10-model

Per time step and sample, training takes three times the forward operations of the weighted layers (value, input
gradient, weight gradient), evaluation once. Hours assume a sustained rate, RATES, which was not measured. Small batches
are bound by kernel launches instead: every update takes at least UPDATE_S per time step. `cost` in each study's file is
copied from the output.
"""

from functools import cache
from typing import Annotated

import torch
import typer

from experiments.planning.plan import expand
from experiments.sweep_spec.read import read_spec
from experiments.sweep_spec.spec import SweepSpec
from experiments.sweep_spec.studies import find_spec, studies
from ottt.config.trial import TrialConfig
from ottt.data.info import DATASETS
from ottt.models.registry import build_model
from ottt.modules import Context, Synapse

RATES = {"GPU": 20e12, "core": 20e9}  # operations per second, sustained
UPDATE_S = {"GPU": 5e-3, "core": 5e-4}  # seconds per time step of an update, however small the batch


def main(names: Annotated[list[str] | None, typer.Argument(help="Studies (default: all).")] = None) -> None:
    """Print the cost of each study."""
    for name in names or studies():
        print(f"{name}: {cost_of(read_spec(find_spec(name)))}")


def cost_of(spec: SweepSpec) -> str:
    """Cost of all trials of the sweep, e.g. "270 GPU-hours at 20 TFLOP/s, estimated"."""
    on = "core" if spec.resources.gpu == 0 else "GPU"
    hours = sum(seconds(trial.config, on) for trial in expand(spec).trials) / 3600
    rate = "20 TFLOP/s" if on == "GPU" else "20 GFLOP/s"
    return f"{float(f'{hours:.2g}'):g} {on}-hours at {rate}, estimated"


def seconds(config: TrialConfig, on: str) -> float:
    """Seconds that one trial takes on one whole GPU or core."""
    info = DATASETS[config.data.name]
    train = info.train * (1 - config.data.val_fraction)
    evaluated = info.test + info.train - train
    per_step = _operations(config.replace({"seed": 0, "epochs": 1}))
    longest = max(config.T, *config.T_eval, 0)
    work = per_step * (3 * train * config.train_steps + evaluated * longest) * config.epochs
    updates = train / config.batch_size * config.train_steps * config.epochs
    return max(work / RATES[on], updates * UPDATE_S[on])


@cache
def _operations(config: TrialConfig) -> float:
    """Forward operations of the weighted layers for one sample in one time step."""
    info = config.data.samples
    counted = 0

    def count(layer: Synapse, inputs: object, output: torch.Tensor) -> None:
        nonlocal counted
        counted += 2 * output.numel() * layer.weight[0].numel()

    with torch.device("meta"), torch.no_grad():
        net = build_model(config).eval()
        for layer in net.modules():
            if isinstance(layer, Synapse):
                layer.register_forward_hook(count)
        net(torch.empty(1, info.channels, info.height, info.width), None, Context())
    return float(counted)


if __name__ == "__main__":
    typer.run(main)
