"""What a worker tells the driver after every step of a trial."""

from dataclasses import dataclass

from experiments.causes import Cause
from experiments.records import Epoch
from ottt.evalreport import EvalReport
from ottt.schema import Status


@dataclass(frozen=True)
class Report:
    """One step of a trial: an epoch, or how it ended without one.

    Attributes:
        status: RUNNING while there are epochs left; INTERRUPTED where it is left before them.
        epoch: that was trained; None where the step raised, or a continued trial had no epoch left.
        device, data_digest: of the trial; None where it did not get so far.
        reason: one line, why it did not finish.
        traceback: of an unexpected error.
        cause: of a trial that ended without a result.
        warning: one line, what went wrong without ending it.
        evaluation: on test data, of a trial whose last epoch this was.
    """

    status: Status
    epoch: Epoch | None = None
    device: str | None = None
    data_digest: str | None = None
    reason: str | None = None
    traceback: str | None = None
    cause: Cause | None = None
    warning: str | None = None
    evaluation: EvalReport | None = None
