"""The process in which trials train: what it imports first, what it frees between trials, what their errors mean."""

import gc
import traceback
from dataclasses import dataclass

from experiments.garbage_collection import collection_paused
from experiments.sweep_spec.run_settings import Share
from experiments.worker.step_report import FailureKind, reason_of, storable
from experiments.worker.usage import give_back_memory
from ottt.files import is_disk_full
from ottt.schema import Status


@dataclass(frozen=True)
class Ending:
    """How a trial ended by an error.

    Attributes:
        status: DIVERGED, OUT_OF_MEMORY or FAILED.
        reason: why, in one line.
        failure: kind of failure; None for a result.
        traceback: traceback of an error that is none.
    """

    status: Status
    reason: str
    failure: FailureKind | None = None
    traceback: str | None = None


def ending_of(error: BaseException) -> Ending:
    """What an error means that is being handled, and that a trial raised."""
    import torch

    from ottt.training.divergence import Diverged

    trace = storable(traceback.format_exc())
    match error:
        case Diverged():
            return Ending(Status.DIVERGED, str(error))
        case torch.OutOfMemoryError():
            return Ending(Status.OUT_OF_MEMORY, reason_of(error), FailureKind.DEVICE_MEMORY, trace)
        case MemoryError():
            return Ending(Status.OUT_OF_MEMORY, reason_of(error), FailureKind.WORKER, trace)
        case _:
            failure = FailureKind.WORKER if is_disk_full(error) else FailureKind.ERROR
            return Ending(Status.FAILED, reason_of(error), failure, trace)


def import_trainer() -> None:
    """Import what trains, before the first trial waits for it."""
    with collection_paused():
        import ottt.training.trainer  # noqa: F401


def clean(share: Share) -> None:
    """Free what the last trials used, and limit the next ones to their share of the machine."""
    import torch

    gc.collect()  # a traceback can hold the last trial's tensors in a cycle
    give_back_memory()
    gc.freeze()  # what outlives a trial, mostly packages imported late, is not searched again
    torch.set_num_threads(share.threads)
    if share.gpu and torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        torch.cuda.set_per_process_memory_fraction(min(1.0, share.gpu))
