"""Event files: what TensorBoard reads in them, and what is there after a trial was opened again."""

import subprocess
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from ottt.schema import Status
from ottt.sinks.sink import SinkTrial
from ottt.sinks.tensorboard import TensorBoardSink
from tests.ottt.sinks.event_files import points, scalars, sessions

STARTED = 1_700_000_000.0
EPOCHS = ({"val/top1": 0.25, "time/epoch_s": 4.0}, {"val/top1": 0.5, "time/epoch_s": 2.0}, {"val/top1": 0.75})


def trial(folder: Path, *, name: str = "tau=2 online s1", tau: float = 2.0, seed: int = 1) -> SinkTrial:
    settings = {"neuron.tau": tau, "rule.update": "online", "deterministic": True, "data.frames.size": None}
    return SinkTrial("s", f"c0ffee{tau}{seed}", name, "v", seed, settings, {}, "val/loss", STARTED, folder)


def logged(one: SinkTrial, epochs: Iterable[dict[str, float]], status: Status = Status.INTERRUPTED) -> None:
    """An interrupted sink leaves what a killed one leaves: every epoch is in the file when `log` returns."""
    sink = TensorBoardSink(one)
    for number, metrics in enumerate(epochs, start=1):
        sink.log(number, metrics)
    sink.close(status)


def test_a_point_has_its_step_and_the_time_that_the_epochs_took(tmp_path: Path) -> None:
    logged(trial(tmp_path), EPOCHS, Status.FINISHED)
    assert scalars(tmp_path, "tau=2 online s1", "val/top1") == [
        (1, 0.25, STARTED + 4),
        (2, 0.5, STARTED + 6),
        (3, 0.75, STARTED + 6),
    ]


def test_an_epoch_can_be_read_at_once(tmp_path: Path) -> None:
    sink = TensorBoardSink(trial(tmp_path))
    sink.log(1, EPOCHS[0])
    assert scalars(tmp_path, "tau=2 online s1", "val/top1") == [(1, 0.25, STARTED + 4)]
    sink.close(Status.INTERRUPTED)


def test_trials_are_compared_by_their_last_metrics(tmp_path: Path) -> None:
    logged(trial(tmp_path), EPOCHS, Status.FINISHED)
    logged(trial(tmp_path, name="tau=4 online s2", tau=4.0, seed=2), EPOCHS[:1], Status.FAILED)
    logged(trial(tmp_path, name="tau=8 online s1", tau=8.0), EPOCHS[:2])
    shared = {"data.frames.size": "None", "deterministic": True, "rule.update": "online"}
    assert sorted(sessions(tmp_path), key=lambda session: str(session[0])) == [
        (shared | {"neuron.tau": 2.0, "seed": 1.0}, {"val/top1": 0.75}, "success"),
        (shared | {"neuron.tau": 4.0, "seed": 2.0}, {"val/top1": 0.25}, "failure"),
        (shared | {"neuron.tau": 8.0, "seed": 1.0}, {"val/top1": 0.5}, "unknown"),
    ]


@pytest.mark.parametrize("left", [0, 1, 2, 3])
def test_epochs_that_are_logged_again_are_not_doubled(tmp_path: Path, left: int) -> None:
    """A process was killed after so many epochs, in the middle of the next record."""
    logged(trial(tmp_path / "whole"), EPOCHS, Status.FINISHED)
    logged(trial(tmp_path / "killed"), EPOCHS[:left])
    [whole], [killed] = (list((tmp_path / name).rglob("*tfevents*")) for name in ("whole", "killed"))
    with killed.open("ab") as file:
        file.write(whole.read_bytes()[killed.stat().st_size :][:9])
    logged(trial(tmp_path / "killed"), EPOCHS, Status.FINISHED)
    assert killed.read_bytes() == whole.read_bytes()


def test_a_page_that_is_open_can_go_on_reading_the_file(tmp_path: Path) -> None:
    logged(trial(tmp_path), EPOCHS[:1])
    [file] = tmp_path.rglob("*tfevents*")
    with file.open("rb") as page:
        begun = page.read()
        logged(trial(tmp_path), EPOCHS, Status.FINISHED)
        assert begun + page.read() == file.read_bytes()
    assert points(tmp_path)["tau=2 online s1"][-1] == ("val/top1", 3, 0.75)


def test_other_numbers_replace_those_that_were_there(tmp_path: Path) -> None:
    logged(trial(tmp_path), EPOCHS, Status.FINISHED)
    logged(trial(tmp_path), [EPOCHS[0], {"val/top1": 0.625}], Status.DIVERGED)
    assert points(tmp_path)["tau=2 online s1"] == [
        ("val/top1", 1, 0.25),
        ("time/epoch_s", 1, 4.0),
        ("val/top1", 2, 0.625),
    ]


def test_a_trial_that_is_trained_again_or_has_a_new_name_is_there_once(tmp_path: Path) -> None:
    logged(trial(tmp_path), EPOCHS, Status.FINISHED)
    logged(trial(tmp_path, name="tau=2 s1"), EPOCHS, Status.FINISHED)
    assert points(tmp_path).keys() == {"tau=2 s1"}
    logged(replace(trial(tmp_path, name="tau=2 s1"), started=STARTED + 100), EPOCHS[:1], Status.FINISHED)
    assert points(tmp_path) == {"tau=2 s1": [("val/top1", 1, 0.25), ("time/epoch_s", 1, 4.0)]}
    assert [path.name for path in tmp_path.iterdir()] == ["tau=2 s1"]


def test_trials_that_have_one_name_are_two_runs(tmp_path: Path) -> None:
    """Names tell the trials of a plan apart; one of an earlier plan can have had the same."""
    for _ in range(2):
        logged(trial(tmp_path, name="tau=2 s1"), EPOCHS[:1], Status.FINISHED)
        logged(trial(tmp_path, name="tau=2 s1", tau=4.0), EPOCHS[1:2], Status.FINISHED)
        assert points(tmp_path) == {
            "tau=2 s1": [("val/top1", 1, 0.25), ("time/epoch_s", 1, 4.0)],
            "tau=2 s1 c0ffee4.": [("val/top1", 1, 0.5), ("time/epoch_s", 1, 2.0)],
        }


@pytest.mark.parametrize("name", ["root=/data/a s0", "..", "x" * 300])
def test_a_name_that_is_none_of_a_folder_becomes_one(tmp_path: Path, name: str) -> None:
    logged(trial(tmp_path, name=name), EPOCHS, Status.FINISHED)
    [run] = points(tmp_path)
    assert "/" not in run
    assert run.endswith(" c0ffee2.")
    assert len(run) < 150


def test_the_driver_needs_no_torch_for_it() -> None:
    code = "import sys, ottt.sinks.tensorboard; print({'torch', 'tensorflow', 'pandas'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=900)
    assert done.stdout == "set()\n", done.stderr
