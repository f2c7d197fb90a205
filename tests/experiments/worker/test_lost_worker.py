"""What the end of a worker means for its trials: one, or several that trained as one network."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from experiments.worker.crash import NOTE
from experiments.worker.lost_worker import reports_of_end
from experiments.worker.step_report import FailureKind
from ottt.schema import Status

TIMEOUT = 'Timeout (1:00:00)!\nThread 0x1 (most recent call first):\n  File "/lab/dying.py", line 6 in train\n'
SIGNAL = 'Fatal Python error: Segmentation fault\n\nCurrent thread 0x1:\n  File "/lab/dying.py", line 6 in train\n'


@dataclass(frozen=True)
class Ended:
    """Tune's trial, with what it keeps of an error."""

    error_file: str | None
    pickled_error_file: str | None = None


@pytest.fixture
def ended(tmp_path: Path) -> Ended:
    (tmp_path / "error.txt").write_text("the actor is gone", encoding="utf-8")
    return Ended(str(tmp_path / "error.txt"))


def note(folder: Path, trial: str, text: str) -> None:
    (folder / trial).mkdir()
    (folder / trial / NOTE).write_text(text, encoding="utf-8")


def test_a_trial_that_took_too_long_is_timed_out(tmp_path: Path, ended: Ended) -> None:
    note(tmp_path, "a", TIMEOUT)
    [(trial, report)] = reports_of_end(ended, ["a"], tmp_path)
    assert (trial, report.status, report.failure) == ("a", Status.TIMED_OUT, FailureKind.ERROR)
    assert report.reason == "longer than limits.hours: Timeout (1:00:00) (dying.py:6)"


def test_time_that_several_took_together_is_no_trial_s(tmp_path: Path, ended: Ended) -> None:
    note(tmp_path, "b", TIMEOUT)  # of the first that was left in the worker
    (_, first), (_, second) = reports_of_end(ended, ["a", "b"], tmp_path)
    assert (first.status, first.failure, second.failure) == (Status.FAILED, FailureKind.FUSED, FailureKind.FUSED)
    assert first.reason == (
        "2 trials train one by one and not as one network: longer than limits.hours: Timeout (1:00:00) (dying.py:6)"
    )
    assert second.reason is None


def test_the_death_of_a_worker_is_that_of_all_its_trials(tmp_path: Path, ended: Ended) -> None:
    note(tmp_path, "a", SIGNAL)
    reports = [report for _, report in reports_of_end(ended, ["a", "b"], tmp_path)]
    assert [(one.status, one.failure) for one in reports] == [(Status.FAILED, FailureKind.WORKER)] * 2
    assert {one.reason for one in reports} == {"the worker died: Fatal Python error: Segmentation fault (dying.py:6)"}
    assert not (tmp_path / "a" / NOTE).exists()  # it is read once


def test_without_a_note_the_error_says_why(tmp_path: Path, ended: Ended) -> None:
    [(_, report)] = reports_of_end(ended, ["a"], tmp_path)
    assert (report.failure, report.reason) == (FailureKind.WORKER, "RuntimeError: the actor is gone")
