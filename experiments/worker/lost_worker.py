"""What the end of a worker means for the trials that it trained."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
from ray import cloudpickle

from experiments.worker.crash import Note, take_note
from experiments.worker.step_report import FailureKind, ResetFailed, StepReport, reason_of, storable
from ottt.schema import Status


def reports_of_end(ended: Any, trials: Sequence[str], folder: Path) -> Iterator[tuple[str, StepReport]]:
    """A report for each of the trials.

    Args:
        ended: Tune's trial, whose worker died or raised.
        trials: the trials that it trained, by hash; one of them has the worker's note.
        folder: folder of the trial records.
    """
    notes = [note for trial in trials if (note := take_note(folder / trial)) is not None]
    report = _report(_error(ended), notes[0] if notes else None)
    if report.status is Status.TIMED_OUT and len(trials) > 1:  # it was their time together
        report = replace(report, status=Status.FAILED, failure=FailureKind.FUSED)
        report = replace(
            report, reason=f"{len(trials)} trials train one by one and not as one network: {report.reason}"
        )
    for number, trial in enumerate(trials):
        says = number == 0 or report.failure is not FailureKind.FUSED
        yield trial, report if says else replace(report, reason=None)


def _error(ended: Any) -> BaseException:
    """What ended Tune's trial, from its folder on this machine."""
    if ended.pickled_error_file is not None:
        error: BaseException = cloudpickle.loads(Path(ended.pickled_error_file).read_bytes())
        return error
    text = Path(ended.error_file).read_text(encoding="utf-8") if ended.error_file else "no error was kept"
    return RuntimeError(text)


def _report(error: BaseException, note: Note | None) -> StepReport:
    """What the end of a worker means; `note`: what it left behind."""
    if note is not None:
        return _report_of_note(note)
    origin = getattr(error, "cause", None) or error
    status, failure, reason = Status.FAILED, FailureKind.WORKER, reason_of(origin)
    if isinstance(error, ray.exceptions.OutOfMemoryError):
        status = Status.OUT_OF_MEMORY
    elif isinstance(origin, ResetFailed):
        failure = FailureKind.RESET
    elif isinstance(error, ray.exceptions.RayActorError) and error.preempted:
        failure = FailureKind.PREEMPTED
    elif isinstance(origin, ray.exceptions.ActorDiedError):
        reason = _why_gone(origin)
    return StepReport(status, reason=reason, traceback=storable(str(error)), failure=failure)


def _report_of_note(note: Note) -> StepReport:
    if note.is_timeout:
        reason = f"longer than limits.hours: {note.reason}"
        return StepReport(Status.TIMED_OUT, reason=reason, traceback=note.trace, failure=FailureKind.ERROR)
    reason = f"the worker died: {note.reason}"
    return StepReport(Status.FAILED, reason=reason, traceback=note.trace, failure=FailureKind.WORKER)


def _why_gone(error: ray.exceptions.ActorDiedError) -> str:
    """Why a worker that left no note is gone, as far as Ray knows."""
    text = str(error)
    if "creation task" in text:  # an actor that could not be made: the cause is the last line of a long text
        return reason_of(error, line=-1)
    found = re.search(r"exit code \d+(\. The process receives a SIG\w+)?", text)
    if found is not None:
        return f"the worker ended with {found[0]}"
    if "connection error" in text:
        return "the worker was killed (SIGKILL), as by the system when memory is short, or ended without a trace"
    return reason_of(error)
