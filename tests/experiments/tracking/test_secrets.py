"""A setting that holds a secret: exact in the folder of results, replaced in MLflow, on terminals and in exports."""

import json
import sys
from io import StringIO
from pathlib import Path
from threading import Thread

import pytest
from rich.console import Console

from analysis.load import runs
from experiments.cli import main
from experiments.planning.plan import SweepPlan, expand
from experiments.results.folder import Results
from experiments.run.progress_bar import ProgressDisplay
from experiments.run.state import SweepState
from experiments.sweep_spec.spec import SweepSpec
from experiments.tracking.redact import Screen
from experiments.tracking.run import KEPT_BACK
from experiments.tracking.shown_plan import shown_plan
from experiments.tracking.sweep_runs import SweepRuns
from experiments.tracking.sync import sync
from ottt.schema import Status
from tests.experiments.mlflow_sweeps import HERE, rows
from tests.experiments.specs import recorded, spec

pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy is deprecated:sqlalchemy.exc.SADeprecationWarning"
)

FIRST, SECOND = "471111", "471112"
ROOT = "s3://lab:passw0rd@store/data"
SECRETS = (FIRST, SECOND, "passw0rd")


@pytest.fixture
def sweep(monkeypatch: pytest.MonkeyPatch) -> SweepSpec:
    """Two variants that differ in nothing but a secret, and one without any; all with a password in an address."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("LAB_TOKEN", FIRST)
    monkeypatch.setenv("OTHER_TOKEN", SECOND)
    axes = {"data.split_seed": [int(FIRST), int(SECOND), 0], "neuron.tau": [2.0]}
    return spec(base={"data.root": ROOT}, axes=axes, baseline={"data.split_seed": int(SECOND)})


@pytest.fixture
def written(sweep: SweepSpec, folder: Path) -> Results:
    """The sweep in the records and in MLflow, with a trial that failed."""
    results, plan = Results(folder), expand(sweep)
    results.write_plan(plan, sweep.to_yaml())
    for trial in plan.trials[:-1]:
        recorded(results.records, trial, values=[0.5])
    recorded(results.records, plan.trials[-1], Status.FAILED, values=[0.5])
    results.records.end(plan.trials[-1].trial, Status.FAILED, reason=f"denied: {FIRST}")
    sync("s", results=results)
    return results


def test_a_plan_keeps_its_hashes_and_its_variants_apart(sweep: SweepSpec) -> None:
    plan = expand(sweep)
    shown = shown_plan(plan)
    assert [trial.label for trial in shown.trials] == [
        "data.split_seed=*** neuron.tau=2.0",
        "data.split_seed=*** (2) neuron.tau=2.0",
        "data.split_seed=0 neuron.tau=2.0",
    ]
    assert shown.baseline == {"data.split_seed": "*** (2)", "neuron.tau": 2.0}
    assert [(one.trial, one.variant, one.seed) for one in shown.trials] == [
        (one.trial, one.variant, one.seed) for one in plan.trials
    ]


def test_a_plan_without_secrets_is_the_same() -> None:
    plan = expand(spec(axes={"neuron.tau": [1.25, 2.0]}))
    assert shown_plan(plan) == plan


def test_the_store_holds_no_secret(written: Results) -> None:
    files = [*written.root.glob("mlflow.db*"), *(written.root / "artifacts").rglob("*")]
    texts = {path.name: path.read_bytes() for path in files if path.is_file()}
    assert texts.keys() >= {"mlflow.db", "plan.json", "spec.yaml"}
    assert [(name, one) for name, text in texts.items() for one in SECRETS if one.encode() in text] == []
    assert rows(written.root, "SELECT value FROM tags WHERE key = 'ottt.reason'") == [("denied: ***",)]
    names = rows(written.root, "SELECT name FROM runs ORDER BY name")
    assert ("split_seed=*** (2) s0",) in names


def test_the_store_is_not_written_again_for_stars(written: Results) -> None:
    changed = "SELECT run_uuid, end_time, name FROM runs WHERE run_uuid IN (SELECT run_uuid FROM tags WHERE key = ?)"
    query = changed.replace("?", "'ottt.trial'")
    before = rows(written.root, query)
    sync("s", results=written)
    assert rows(written.root, query) == before


def test_tables_keep_variants_apart_that_only_a_secret_distinguishes(written: Results) -> None:
    table = runs("s", store=written.store)
    assert table["data.split_seed"].tolist() == ["***", "*** (2)", 0]
    assert table["label"].nunique() == 3
    assert set(table["data.root"]) == {"s3://***@store/data"}
    assert table.attrs["baseline"] == {"data.split_seed": "*** (2)", "neuron.tau": 2.0}


@pytest.mark.parametrize(
    "words", [("sweep", "status", "s"), ("sweep", "status", "s", "--json"), ("runs", "query", "--json")]
)
def test_commands_print_no_secret(
    words: tuple[str, ...], written: Results, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["ottt", *words, "--results", str(written.root)])
    assert main() == 0
    out, err = capsys.readouterr()
    assert "*** (2)" in out
    assert [one for one in SECRETS if one in out + err] == []


def test_an_export_holds_no_secret(written: Results, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "exported"
    monkeypatch.setattr(
        sys, "argv", ["ottt", "sweep", "export", "s", "--results", str(written.root), "--to", str(target)]
    )
    assert main() == 0
    texts = {path.name: path.read_text(encoding="utf-8") for path in target.iterdir()}
    assert [(name, one) for name, text in texts.items() for one in SECRETS if one in text] == []


def test_what_a_sweep_is_resumed_from_stays_exact(written: Results) -> None:
    plan = json.loads((written.root / "sweeps" / "s" / "plan.json").read_text(encoding="utf-8"))
    assert [str(trial["settings"]["data.split_seed"]) for trial in plan["trials"]][:2] == [FIRST, SECOND]
    record = written.records.read(plan["trials"][0]["trial"])
    assert record is not None
    assert record.config["data.root"] == ROOT


def _display(plan: SweepPlan, width: int) -> tuple[ProgressDisplay, StringIO]:
    shown = StringIO()
    return ProgressDisplay(SweepState(plan), Console(file=shown, width=width)), shown


def test_the_display_of_a_sweep_shows_no_secret(sweep: SweepSpec) -> None:
    plan = expand(sweep)
    display, shown = _display(plan, 200)
    for trial in plan.trials:
        display.print(f"failed: {trial.label}: with {FIRST}")
    assert shown.getvalue().splitlines()[:2] == [
        "failed: data.split_seed=*** neuron.tau=2.0: with ***",
        "failed: data.split_seed=*** (2) neuron.tau=2.0: with ***",
    ]


def test_a_secret_is_replaced_before_the_bar_cuts_it(sweep: SweepSpec) -> None:
    plan = expand(sweep)
    for width in range(40, 80):
        display, shown = _display(plan, width)
        display._best = lambda: f"best val/top1 0.5000: {plan.trials[0].label}"  # type: ignore[method-assign]
        display._console.print(display._render())
        assert FIRST[:4] not in shown.getvalue()


def test_a_checkpoint_with_a_secret_stays_with_the_records(sweep: SweepSpec, folder: Path) -> None:
    plan = expand(sweep)
    sweep_runs = SweepRuns(
        plan, "", HERE, store=f"sqlite:///{folder / 'mlflow.db'}", artifacts=folder / "artifacts", states=True
    )
    sweep_runs.connect()
    sweep_runs.open()
    records = Results(folder).records
    for trial, text in zip(plan.trials[::2], (FIRST, "plain"), strict=True):
        state = folder / f"{trial.trial}.pt"
        state.write_bytes(b"\0" * 9000 + text.encode() + b"\0")
        recorded(records, trial, values=[0.5])
        record = records.read(trial.trial)
        assert record is not None
        sweep_runs.reconcile(trial, record, records.epochs(trial.trial), None, state)
    kept = sorted(path.name for path in (folder / "artifacts").rglob("checkpoint/*"))
    assert kept == sorted([f"{plan.trials[2].trial}.pt", KEPT_BACK])


@pytest.mark.parametrize("secret", ['quote"d', "back\\slash", "it's-4711", "umläut", "line-one-of-the-key\nline-two"])
def test_secrets_are_found_as_they_are_quoted(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_SECRET", secret)
    inner = StringIO()
    print(json.dumps({"key": secret}), secret, file=Screen(inner))  # type: ignore[arg-type]
    assert inner.getvalue() == '{"key": "***"} ***\n'


def test_lines_of_threads_stay_whole() -> None:
    """`print` writes "opened" and the end of its line apart; a line of another thread between them spoils neither."""
    inner = StringIO()
    screen = Screen(inner)  # type: ignore[arg-type]

    def other() -> None:
        screen.write("note: a line\n")
        screen.write("an")
        screen.write("other")

    screen.write("opened")
    thread = Thread(target=other)
    thread.start()
    thread.join()
    assert inner.getvalue() == "note: a line\n"
    screen.write("\n")
    assert inner.getvalue() == "note: a line\nopened\n"
    screen.write("proceed? ")
    screen.flush()
    assert inner.getvalue() == "note: a line\nopened\nproceed? "
    screen.finish()
    assert inner.getvalue() == "note: a line\nopened\nproceed? another"


def test_secrets_are_found_that_a_line_is_written_in_parts_of(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LAB_SECRET", "key-of-the-lab")
    inner = StringIO()
    print("key-of", "the-lab", sep="-", file=Screen(inner))  # type: ignore[arg-type]
    assert inner.getvalue() == "***\n"


def test_a_long_line_is_not_kept_until_its_end() -> None:
    inner = StringIO()
    Screen(inner).write("x" * 10_000)  # type: ignore[arg-type]
    assert len(inner.getvalue()) == 10_000
