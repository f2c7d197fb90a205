"""What a worker tells the driver after every step of a trial."""

from dataclasses import dataclass

from experiments.records import Epoch
from ottt.schema import Status


@dataclass(frozen=True)
class Report:
    """One step of a trial: an epoch, or how it ended without one.

    Attributes:
        status: RUNNING while there are epochs left.
        epoch: that was trained; None where the step raised.
        device, data_digest: of the trial; None where it did not get so far.
        reason: one line, why it did not finish.
        traceback: of an unexpected error.
    """

    status: Status
    epoch: Epoch | None = None
    device: str | None = None
    data_digest: str | None = None
    reason: str | None = None
    traceback: str | None = None
