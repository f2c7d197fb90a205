"""The records of trials on disk, and the folder of results."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.store.plan import Plan
from experiments.results.folder import Results
from experiments.results.trial_records import Epoch, Record, TrialRecords
from ottt.errors import UserError
from ottt.schema import Status
from tests.experiments.mlflow_sweeps import REPORT

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


def finish(records: TrialRecords, trial: str = "abc") -> Path:
    """A finished trial of two epochs with an evaluation; its folder."""
    records.begin(Record(trial, {"epochs": 2, "optim.lr": 0.1}, "sweep"))
    records.append(trial, FIRST)
    records.append(trial, SECOND)
    records.keep_evaluation(trial, REPORT)
    records.end(trial, Status.FINISHED)
    return records.folder / trial


def later_version(text: bytes) -> bytes:
    values = json.loads(text)
    del values["crc32"]
    return json.dumps(values | {"schema": 99, "discovered": 1}).encode()


@pytest.mark.parametrize(
    ("name", "damage", "problem"),
    [
        ("record.json", lambda text: b"", "is empty"),
        ("record.json", lambda text: bytes(len(text)), "bytes without content"),
        ("record.json", lambda text: text[:-40], "is no complete JSON"),
        ("record.json", lambda text: text.replace(b"0.1", b"0.2"), "does not have the CRC-32 at its end"),
        ("record.json", lambda text: b'{"trial": "abc", "config": {}, "sweep": "s", "status": "odd"}', "status"),
        ("record.json", lambda text: b'{"trial": "abc", "status": "finished"}', "config"),
        ("record.json", lambda text: b'{"trial": "abc", "config": {}, "sweep": "s", "status": "failed", "x": 1}', "x"),
        ("record.json", lambda text: text.replace(b"abc", b"abd"), "CRC-32"),
        ("metrics.jsonl", lambda text: b"", "must have the 2 epochs of the trial, has 0"),
        ("metrics.jsonl", lambda text: text[: text.index(b"\n") + 1], "must have the 2 epochs of the trial, has 1"),
        ("metrics.jsonl", lambda text: text[text.index(b"\n") + 1 :], "line 1 must be of epoch 1, got 2"),
        ("metrics.jsonl", lambda text: text + bytes(512), "ends with 512 bytes that are no line"),
        ("metrics.jsonl", lambda text: text[:-3], "bytes that are no line"),
        ("metrics.jsonl", lambda text: text.replace(b"0.75", b"0.85"), "line 2 does not have the CRC-32 at its end"),
        ("metrics.jsonl", lambda text: text[:10] + text[40:], "line 1"),
        ("evaluation.json", lambda text: b"", "is empty"),
        ("evaluation.json", lambda text: b'{"samples": 3}', "is no evaluation"),
        ("evaluation.json", lambda text: text.replace(b"0", b"1", 1), "CRC-32"),
    ],
)
def test_a_damaged_file_is_named_and_its_trial_begins_anew(
    tmp_path: Path, name: str, damage: Callable[[bytes], bytes], problem: str
) -> None:
    records = TrialRecords(tmp_path)
    path = finish(records) / name
    other = finish(records, "def")
    assert records.damage("abc") is None
    path.write_bytes(damaged := damage(path.read_bytes()))
    found = records.damage("abc")
    assert found is not None
    assert found.startswith(f"{path} ")
    assert problem in found
    assert "\n" not in found
    assert (records.read("abc"), records.epochs("abc"), records.evaluation("abc")) == (None, [], None)
    assert records.epochs("def") == [FIRST, SECOND]

    finish(records)
    assert records.epochs("abc") == [FIRST, SECOND]
    assert records.evaluation("abc") == REPORT
    assert (tmp_path / "abc.damaged-1" / name).read_bytes() == damaged
    path.write_bytes(b"{")
    finish(records)
    assert (tmp_path / "abc.damaged-2" / name).read_bytes() == b"{"
    assert sorted(path.name for path in other.iterdir()) == ["evaluation.json", "metrics.jsonl", "record.json"]


def test_a_deleted_file_is_named_too(tmp_path: Path) -> None:
    for name in ("record.json", "metrics.jsonl", "evaluation.json"):
        records = TrialRecords(tmp_path / name)
        (finish(records) / name).unlink()
        assert name in (records.damage("abc") or "")


def test_what_a_later_version_wrote_is_neither_read_nor_replaced(tmp_path: Path) -> None:
    records = TrialRecords(tmp_path)
    path = finish(records) / "record.json"
    path.write_bytes(later := later_version(path.read_bytes()))
    for use in (records.read, records.epochs, records.damage, lambda trial: records.begin(Record(trial, {}, "s"))):
        with pytest.raises(UserError, match=r"record.json must be of version 2 at most, got 99: a later"):
            use("abc")
    assert path.read_bytes() == later


def test_records_of_earlier_versions_have_no_sums(tmp_path: Path) -> None:
    records = TrialRecords(tmp_path)
    folder = finish(records)
    for path in folder.iterdir():
        lines = [re.sub(r',\s+"crc32": "\w+"', "", line) for line in [path.read_text(encoding="utf-8")]]
        path.write_text("".join(lines), encoding="utf-8")
        assert "crc32" not in path.read_text(encoding="utf-8")
    record = json.loads((folder / "record.json").read_bytes())
    for key in ("schema", "epochs", "has_evaluation", "code", "diff"):
        del record[key]
    (folder / "record.json").write_text(json.dumps(record), encoding="utf-8")
    found = records.read("abc")
    assert found is not None
    assert (found.schema, found.status, found.epochs) == (1, Status.FINISHED, None)
    assert records.epochs("abc") == [FIRST, SECOND]
    assert records.evaluation("abc") == REPORT
    (folder / "metrics.jsonl").write_text("", encoding="utf-8")
    assert "must have the 2 epochs" in (records.damage("abc") or "")


def test_a_damaged_line_of_an_unfinished_trial_is_found_too(records: TrialRecords) -> None:
    records.append("abc", FIRST)
    records.append("abc", SECOND)
    path = records.folder / "abc" / "metrics.jsonl"
    path.write_bytes(path.read_bytes().replace(b"10.5", b"11.5"))
    assert "line 1 does not have the CRC-32" in (records.damage("abc") or "")


def test_a_plan_that_is_damaged_is_named(tmp_path: Path) -> None:
    results = Results(tmp_path)
    results.write_plan(Plan("mine", "val/top1", (), None, ()), "name: mine\n")
    path = tmp_path / "sweeps" / "mine" / "plan.json"
    whole = path.read_bytes()
    for damaged in (b"", whole[:-20], whole.replace(b"top1", b"top5"), b"[1]", b'{"name": "mine"}', b'"' * 9):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=r"plan\.json .*: to write it again, run the sweep with its spec"):
            results.read_plan("mine")
    path.write_bytes(whole)
    assert results.spec_of("mine").read_text(encoding="utf-8") == "name: mine\n"
    results.spec_of("mine").write_text("name: other\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"spec\.yaml: must be the spec that mine ran with, got another"):
        results.spec_of("mine")
