"""The records of trials on disk, and the folder of results."""

import subprocess
import sys
from pathlib import Path

import pytest

from analysis.store.plan import Plan
from experiments.results.folder import Results
from experiments.results.trial_records import Epoch, Record, TrialRecords
from ottt.errors import UserError
from ottt.schema import Status

FIRST = Epoch(1, 10.5, {"val/top1": 0.5, "train/loss": 0.1 + 0.2})
SECOND = Epoch(2, 11.5, {"val/top1": 0.75})


@pytest.fixture
def records(tmp_path: Path) -> TrialRecords:
    records = TrialRecords(tmp_path / "trials")
    records.begin(Record("abc", {"T": 2, "neuron.v_reset": None}, "sweep", started=1.5))
    return records


def test_reads_back_what_was_written(records: TrialRecords) -> None:
    records.append("abc", FIRST)
    records.describe("abc", device="cpu: x", data_digest="d")
    records.append("abc", SECOND)
    records.end("abc", Status.FINISHED)
    assert records.epochs("abc") == [FIRST, SECOND]
    record = records.read("abc")
    assert record is not None
    assert record.settled
    assert (record.config, record.started, record.device) == ({"T": 2, "neuron.v_reset": None}, 1.5, "cpu: x")
    assert record.ended is not None


def test_a_line_cut_short_by_a_crash_is_dropped(records: TrialRecords) -> None:
    records.append("abc", FIRST)
    path = records.folder / "abc" / "metrics.jsonl"
    whole = path.read_text(encoding="utf-8")
    for length in range(1, len(whole)):
        path.write_text(whole + whole[:length], encoding="utf-8")
        assert records.epochs("abc") == [FIRST]


def test_a_damaged_line_in_the_middle_is_an_error(records: TrialRecords) -> None:
    path = records.folder / "abc" / "metrics.jsonl"
    path.write_text("{torn\n", encoding="utf-8")
    records.append("abc", FIRST)
    with pytest.raises(ValueError, match="Expecting property name"):
        records.epochs("abc")


def test_beginning_again_forgets_the_first_attempt(records: TrialRecords) -> None:
    records.append("abc", FIRST)
    records.end("abc", Status.FAILED, reason="ValueError: no", traceback="Traceback ...")
    error = records.folder / "abc" / "error.txt"
    assert error.read_text(encoding="utf-8") == "Traceback ..."
    records.begin(Record("abc", {}, "other"))
    record = records.read("abc")
    assert record is not None
    assert (record.status, record.reason, record.sweep) == (Status.RUNNING, None, "other")
    assert records.epochs("abc") == []
    assert not error.exists()


@pytest.mark.parametrize(("status", "settled"), [(Status.DIVERGED, True), (Status.FAILED, False)])
def test_diverged_is_a_result_and_failed_is_not(records: TrialRecords, status: Status, settled: bool) -> None:
    records.end("abc", status, reason="why")
    record = records.read("abc")
    assert record is not None
    assert record.settled is settled


def test_an_unknown_trial_has_no_record(records: TrialRecords) -> None:
    assert records.read("def") is None
    assert records.epochs("def") == []


def test_reading_needs_no_heavy_package() -> None:
    heavy = {"torch", "ray", "mlflow", "pydantic"}
    code = f"import sys, experiments.results.trial_records; print(sorted({heavy} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_sweep_is_held_by_one_process(tmp_path: Path) -> None:
    results = Results(tmp_path)
    with results.lock("s"):
        assert results.is_locked("s")
        assert not results.is_locked("other")
        with pytest.raises(UserError, match="running in another process"), results.lock("s"):
            pass
    assert not results.is_locked("s")


def test_an_unknown_sweep_names_the_known_ones(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.write_plan(Plan("mine", "val/top1", (), None, ()), "name: mine\n")
    with pytest.raises(UserError, match="must be one of mine, got 'yours'"):
        results.read_plan("yours")
