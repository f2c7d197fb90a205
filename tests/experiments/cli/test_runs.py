"""`ottt runs`, in the process of the tests."""

import csv
import io
import json
from datetime import datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from analysis.search import search
from experiments.cli.runs import app
from ottt.errors import UserError
from tests.analysis.synthetic import SyntheticSweep, write

pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy is deprecated:sqlalchemy.exc.SADeprecationWarning"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("results")
    write(SyntheticSweep("tau", {"neuron.tau": [4.0, 1.25, 10.0]}, seeds=2, epochs=3), made)
    return made


@pytest.fixture(autouse=True)
def own_store(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("OTTT_RESULTS", str(folder))


def ottt_runs(*arguments: str) -> str:
    done = CliRunner().invoke(app, list(arguments), standalone_mode=False)
    if done.exception is not None:
        raise done.exception
    return done.stdout


def test_without_a_filter_all_runs_are_listed_latest_first() -> None:
    lines = [line.split() for line in ottt_runs().splitlines()]
    assert lines[0] == ["run_id", "sweep", "name", "status", "val/top1", "test/top1"]
    assert [line[2] for line in lines[1:]] == ["t0002-1", "t0002-0", "t0001-1", "t0001-0", "t0000-1", "t0000-0"]


def test_sorting_is_by_number_and_columns_can_be_added() -> None:
    found = json.loads(ottt_runs("--sort", "-neuron.tau", "--columns", "+neuron.tau,T", "--json"))
    assert [run["neuron.tau"] for run in found] == [10.0, 10.0, 4.0, 4.0, 1.25, 1.25]
    assert list(found[0]) == ["run_id", "sweep", "name", "status", "val/top1", "test/top1", "neuron.tau", "T"]


def test_a_condition_and_a_limit() -> None:
    condition = 'params."neuron.tau" = "4.0" and metrics."test/top1" > 0'
    rows = list(csv.reader(io.StringIO(ottt_runs(condition, "--csv", "--columns", "name,seed", "--limit", "1"))))
    assert rows == [["name", "seed"], ["t0000-1", "1"]]
    assert ottt_runs('metrics."test/top1" > 2', "--sort", "test/top1") == "no run matches\n"
    assert json.loads(ottt_runs("--sweep", "other", "--json")) == []


def test_omitted_rows_are_counted() -> None:
    done = CliRunner().invoke(app, ["--limit", "2"], standalone_mode=False)
    assert len(done.stdout.splitlines()) == 3
    assert done.stderr == "2 of 6 runs; more: --limit N\n"


def test_for_an_unknown_column_similar_ones_are_suggested() -> None:
    with pytest.raises(UserError, match=r"--sort must name columns of these runs, such as .*test/top1.*got 'test/top'"):
        ottt_runs("--sort", "test/top")


@pytest.mark.parametrize(
    ("asked", "column"),
    [
        ("reason", "reason"),
        ("ottt.reason", "reason"),
        ("tags.ottt.reason", "reason"),
        ('tags."ottt.reason"', "reason"),
        ("tags.`ottt.git_commit`", "commit"),
        ("ottt.git_commit", "commit"),
        ("attributes.status", "status"),
        ("attributes.start_time", "started"),
        ("params.neuron.tau", "neuron.tau"),
        ("params.'neuron.tau'", "neuron.tau"),
        ('metrics."val/top1"', "val/top1"),
    ],
)
def test_a_column_may_be_written_as_in_a_filter_or_as_its_tag(asked: str, column: str) -> None:
    [run] = json.loads(ottt_runs("--json", "--limit", "1", "--sort", f"-{asked}", "--columns", f"name,{asked}"))
    assert list(run) == ["name", column]


def test_a_tag_without_a_column_is_refused() -> None:
    with pytest.raises(UserError, match=r"--columns must name columns of these runs, .*got 'ottt.reasons'"):
        ottt_runs("--columns", "+ottt.reasons")


@pytest.mark.parametrize("columns", [",", "+", ""])
def test_columns_that_name_none_are_refused(columns: str) -> None:
    with pytest.raises(UserError, match="--columns must name columns of these runs"):
        ottt_runs("--columns", columns)


def test_json_holds_numbers_exactly_and_times_as_text(folder: Path) -> None:
    [told] = json.loads(ottt_runs("--json", "--limit", "1", "--columns", "trial,started,reason,val/top1"))
    [run] = search(f"tags.`ottt.trial` = '{told['trial']}'", store=f"sqlite:///{folder / 'mlflow.db'}").to_dict(
        "records"
    )
    assert told["val/top1"] == run["val/top1"]
    assert datetime.fromisoformat(told["started"]) == run["started"]
    assert told["reason"] is None


def test_a_run_and_what_differs_from_another() -> None:
    shown = [line.split() for line in ottt_runs("show", "t0001-0").splitlines()]
    assert ["neuron.tau", "1.25"] in shown
    assert ["metrics", "of", "epoch", "3"] in shown
    assert json.loads(ottt_runs("show", "t0001-0", "--json"))["params"]["T"] == "6"
    table = [line.split() for line in ottt_runs("diff", "t0001-0", "t0002-0").splitlines()]
    assert ["setting", "neuron.tau", "1.25", "10.0"] in table
    assert not any(line[:2] == ["setting", "T"] for line in table)
    assert json.loads(ottt_runs("diff", "t0001-0", "t0001-0", "--json")) == []
