"""The report of a worker to the driver after every step of a trial, with the kind of failure if it failed."""

import re
import traceback
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from experiments.results.trial_records import Epoch
from ottt.errors import message_of
from ottt.evalreport import EvalReport
from ottt.schema import Status

# Keys of the result of a step, which Tune passes on.
REPORTS = "reports"  # pairs of a trial and its StepReport
SCORES = "scores"  # trial, completed epochs and the sweep's metric, of each epoch that was trained
OPEN = "open"  # the trials that go on, as far as the worker knows

# Keys by which Tune's schedulers and searchers are told of a trial.
EPOCH = "epoch"
SCORE = "score"

MAX_REASON = 500  # characters

# What a terminal would obey: ECMA-48's control sequences and strings, and all other control characters but line ends.
_SEQUENCE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b[]PX^_].*?(?:\x07|\x1b\\)|\x1b.", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


class ResetFailed(Exception):
    """A worker cannot take its next trial; a new worker can."""


class FailureKind(StrEnum):
    """Why an attempt ended without a result; decides whether to retry."""

    ERROR = "error"  # the trial raised, and would raise again
    WORKER = "worker"  # its process or machine is gone, or the machine's memory was full
    PREEMPTED = "preempted"  # its machine was drained or preempted
    DEVICE_MEMORY = "device-memory"  # it did not fit into its share of a GPU
    RESET = "reset"  # a reused worker could not take it; a new worker can
    FUSED = "fused"  # it cannot train as one network with others, or not in the time that it has; alone it can


@dataclass(frozen=True)
class StepReport:
    """Report of one step of a trial: an epoch, or how the trial ended without one.

    Attributes:
        status: RUNNING while epochs are left; INTERRUPTED if the trial ended before them.
        epoch: epoch that was trained; None if the step raised, or if a resumed trial had no epoch left.
        device, data_digest: device and data of the trial; None if it did not get that far.
        reason: why the trial did not finish, in one line.
        traceback: traceback of an unexpected error.
        failure: kind of failure of a trial that ended without a result.
        warning: problem that did not end the trial, in one line.
        evaluation: evaluation on test data; only after the last epoch.
        fused: number of trials that trained the epoch as one network.
    """

    status: Status
    epoch: Epoch | None = None
    device: str | None = None
    data_digest: str | None = None
    reason: str | None = None
    traceback: str | None = None
    failure: FailureKind | None = None
    warning: str | None = None
    evaluation: EvalReport | None = None
    fused: int = 1


def reason_of(error: BaseException, *, line: int = 0) -> str:
    """`ValueError: message (file.py:12)`, in one line: that `line` of the message."""
    lines = storable(message_of(error)).strip().splitlines()
    text = f"{type(error).__name__}: {lines[line].strip()}" if lines else type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return text[:MAX_REASON] + where


def storable(text: str) -> str:
    """The text without terminal sequences, with `?` for other control characters and lone surrogates.

    Terminals would obey them, files and databases refuse NUL and surrogates.
    """
    return _CONTROL.sub("?", _SEQUENCE.sub("", text)).encode(errors="replace").decode()
