"""The contract between the writer of results (`experiments`) and their reader (`analysis`).

Names, units and directions of metrics, names of tags, and values of a trial's status. Standard library only, so that
the analysis runs where neither torch nor Ray is installed.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

SCHEMA_VERSION = 2  # of records and runs; 1: records without CRC-32 and without the number of their epochs


class Status(StrEnum):
    """State of a trial: running, or how it ended."""

    RUNNING = "running"
    FINISHED = "finished"  # trained all its epochs
    STOPPED_EARLY = "stopped-early"  # ended by a scheduler: never averaged with finished trials
    DIVERGED = "diverged"  # a loss or a parameter became NaN or infinite: a result
    OUT_OF_MEMORY = "out-of-memory"
    TIMED_OUT = "timed-out"  # trained longer than the sweep lets a trial train
    FAILED = "failed"  # raised an error; the reason is in Tag.REASON
    INTERRUPTED = "interrupted"  # by the user or a crash of the driver: will be rerun


SETTLED = frozenset({Status.FINISHED, Status.STOPPED_EARLY, Status.DIVERGED})  # has its result: not rerun
WITHOUT_RESULT = frozenset(
    {Status.FAILED, Status.OUT_OF_MEMORY, Status.TIMED_OUT}
)  # ended without a result: rerun on request
ENDED = SETTLED | WITHOUT_RESULT

MLFLOW_STATUS: dict[Status, str] = {
    Status.RUNNING: "RUNNING",
    Status.FINISHED: "FINISHED",
    Status.STOPPED_EARLY: "FINISHED",
    Status.DIVERGED: "FINISHED",
    Status.OUT_OF_MEMORY: "FAILED",
    Status.TIMED_OUT: "FAILED",
    Status.FAILED: "FAILED",
    Status.INTERRUPTED: "KILLED",
}


class Tag(StrEnum):
    """Tags of an MLflow run. `KIND` distinguishes a sweep's parent run from a trial's child run."""

    SCHEMA = "ottt.schema"
    KIND = "ottt.kind"  # "sweep" | "trial"
    SWEEP = "ottt.sweep"  # the sweep's name
    TRIAL = "ottt.trial"  # hash of the trial's configuration
    VARIANT = "ottt.variant"  # the same hash without the seed: trials of one variant share it
    LABEL = "ottt.label"  # the variant in words, e.g. "rule.update=online neuron.tau=2.0"
    SEED = "ottt.seed"
    STATUS = "ottt.status"  # a value of Status
    REASON = "ottt.reason"  # one line: why the trial failed
    COMMIT = "ottt.git_commit"
    CODE = "ottt.code"  # hash of the sources of the packages that determine results
    DIRTY = "ottt.git_dirty"  # "true" when the work tree differed from the commit
    VERSIONS = "ottt.versions"  # "python 3.11.7, torch 2.15.0, ..."
    DEVICE = "ottt.device"  # "cpu: 2 x Intel ..." | "cuda: NVIDIA H200"
    DATA = "ottt.data_digest"  # hash of the data set and its split
    FUSED = "ottt.fused"  # most trials, itself included, that trained as one network with it; "1": it trained alone
    PARENT = "mlflow.parentRunId"


SPEC_ARTIFACT = "spec.yaml"  # artifact of the parent run: the sweep as the user gave it
PLAN_ARTIFACT = "plan.json"  # artifact of the parent run: see `experiments.planning.plan`, read by `analysis.load`


@dataclass(frozen=True)
class Metric:
    """One measured quantity of a trial.

    Attributes:
        name: name in MLflow.
        unit: unit of the value; "1" for fractions.
        better: which direction is better; None: neither.
    """

    name: str
    unit: str
    better: Literal["higher", "lower"] | None = None

    @property
    def is_test(self) -> bool:
        """Whether it is measured on test data, on which no choice may be based."""
        return self.name.startswith("test/")


METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        Metric("train/loss", "nat", "lower"),
        Metric("train/top1", "1", "higher"),
        Metric("val/loss", "nat", "lower"),
        Metric("val/top1", "1", "higher"),
        Metric("val/top5", "1", "higher"),
        Metric("test/loss", "nat", "lower"),
        Metric("test/top1", "1", "higher"),
        Metric("test/top5", "1", "higher"),
        Metric("rate/total", "spikes per neuron and step", "lower"),
        Metric("energy/synops", "synaptic operations per sample", "lower"),
        Metric("energy/nj", "nJ per sample", "lower"),
        # Of trials that train as one network, each has the time of the network's epoch, its own images over it, and the
        # processor time and memory of all of them.
        Metric("time/epoch_s", "s", "lower"),
        Metric("perf/images_per_s", "1/s", "higher"),
        Metric("perf/cpu_share", "1"),  # CPU time of the trial's process in the epoch, as a share of its cores' time
        Metric("mem/peak_mib", "MiB", "lower"),  # GPU memory of tensors, maximum since the start
        Metric("mem/gpu_reserved_mib", "MiB", "lower"),  # GPU memory reserved by the process, maximum since the start
        Metric("mem/rss_mib", "MiB", "lower"),  # main memory of the trial's process after the epoch
        Metric("mem/peak_rss_mib", "MiB", "lower"),  # its maximum in the epoch, with what the packages take
        Metric("optim/lr", "1"),
    )
}

_RATE_OF_LAYER = re.compile(r"rate/layer_\d\d+")
_TOP1_AT = re.compile(r"test/top1_at_\d\d+")


def rate_of_layer(index: int) -> str:
    """Name of the firing rate of neuron layer `index` (from 0), e.g. `rate/layer_03`."""
    return f"rate/layer_{index:02d}"


def top1_at(steps: int) -> str:
    """Name of the test accuracy of a network evaluated with `steps` time steps, e.g. `test/top1_at_06`."""
    return f"test/top1_at_{steps:02d}"


def is_metric(name: str) -> bool:
    """Whether there is a metric with this name."""
    return name in METRICS or bool(_RATE_OF_LAYER.fullmatch(name) or _TOP1_AT.fullmatch(name))


def metric(name: str) -> Metric:
    """The metric with this name.

    Raises:
        KeyError: no such metric.
    """
    if _RATE_OF_LAYER.fullmatch(name):
        return Metric(name, "spikes per neuron and step", "lower")
    if _TOP1_AT.fullmatch(name):
        return Metric(name, "1", "higher")
    return METRICS[name]
