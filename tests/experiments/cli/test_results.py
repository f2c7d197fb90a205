"""`ottt compare` and `ottt report`, on a synthetic sweep."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.cli import main
from experiments.cli.table_choice import View
from ottt.errors import UserError
from tests.analysis.synthetic import SyntheticSweep, write

pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy is deprecated:sqlalchemy.exc.SADeprecationWarning"
)

ROOT = Path(__file__).parents[3]
UPDATES = ["accumulate", "online"]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    axes = {"rule.update": UPDATES, "neuron.tau": [1.25, 2.0, 4.0]}
    write(SyntheticSweep("demo", axes, seeds=3, epochs=4), folder)
    return folder


@pytest.fixture
def ottt(results, monkeypatch, capsys):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setenv("OTTT_RESULTS", str(results))

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["ottt", *arguments])
        status = main()
        return status, *capsys.readouterr()

    return run


def test_the_baseline_can_be_chosen(ottt):
    options = ("--baseline", "rule.update=online", "--baseline", "neuron.tau=4", "--format", "json")
    status, out, _ = ottt("compare", "demo", *options)
    assert status == 0
    assert json.loads(out)["baseline"] == "rule.update=online neuron.tau=4.0"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--rows", "neuron.tau", "--cols", "rule.update"), "neuron.tau \\ rule.update"),
        (("--effects",), "rule.update x neuron.tau"),
        (("--importance",), "importance ± sd"),
        (("--pareto", "test/top1,energy/synops"), "energy/synops ± sd"),
        (("--against", "paper"), "published ± sd"),
        (("--rule", "best-val"), "at the epoch of the best val/top1"),
        (("--rule", "paper"), "OPTIMISTIC"),
        (("--format", "latex"), "\\toprule"),
        (("--format", "html"), "<thead style="),
        (("--format", "md"), "| :--- |"),
        (("--format", "csv"), "seed_2"),
        (("--format", "latex", "--caption", "100 %"), "\\caption{100 \\%}\n\\label{tab:demo}\n\\begin{tabular}"),
        (("--format", "latex", "--caption", "x", "--label", "tab:own"), "\\label{tab:own}\n"),
        (("--columns", "+95% interval"), "p (Holm)      95% interval\n"),
        (("--columns", "label,mean", "--format", "csv"), "label,mean\nrule.update=accumulate neuron.tau=1.25,0.9"),
        (("--effects", "--columns", "source,share", "--format", "md"), "| source | share |\n"),
    ],
)
def test_every_view_and_format(ottt, options, words):
    status, out, _ = ottt("compare", "demo", *options)
    assert status == 0
    assert words in out


def test_the_paper_rule_gives_the_best_epoch(ottt):
    def means(rule):
        rows = json.loads(ottt("compare", "demo", "--rule", rule, "--format", "json")[1])["rows"]
        return [row["mean"] for row in rows]

    assert all(best >= last for best, last in zip(means("paper"), means("last"), strict=True))


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--effects", "--importance"), "error: options must ask for one table, got --effects, --importance\n"),
        (("--rows", "neuron.tau"), "error: --rows and --cols must be given together, got one\n"),
        (("--caption", "x"), "error: --caption needs --format latex, got text\n"),
        (("--format", "latex", "--label", "x"), "error: --label needs --caption, got 'x'\n"),
        (
            ("--format", "latex", "--caption", "x", "--label", "a}b"),
            "error: --label must be letters, digits and the signs . : / _ + -, got 'a}b'\n",
        ),
        (
            ("--effects", "--columns", "axis"),
            "error: columns must be among source, df, share, 95% interval, F, p; got 'axis'\n",
        ),
        (("--baseline", "neuron.tau"), "error: override must read key.path=value, got 'neuron.tau'\n"),
    ],
)
def test_mistakes_are_one_line(ottt, options, line):
    assert ottt("compare", "demo", *options) == (2, "", line)


def test_chosen_columns_are_the_whole_table(ottt):
    status, out, _ = ottt("compare", "demo", "--columns", "tau,test/top1,p")
    assert status == 0
    assert out.splitlines()[0].split() == ["tau", "test/top1", "±", "sd", "p", "(Holm)"]
    rows = json.loads(ottt("compare", "demo", "--columns", "label,mean", "--format", "json")[1])["rows"]
    assert [list(row) for row in rows] == [["label", "mean"]] * 6


def test_a_view_refuses_a_baseline_that_it_would_ignore():
    with pytest.raises(UserError, match=r"--by or --baseline, --pareto"):
        View(baseline={"neuron.tau": 2.0}, pareto=["test/top1", "rate/total"])


def test_report_writes_the_page_and_the_figures(ottt, tmp_path):
    page, folder = tmp_path / "new" / "demo.html", tmp_path / "figures"
    status, out, _ = ottt("report", "demo", "-o", str(page), "--figures", str(folder))
    assert status == 0
    assert out.splitlines()[0] == f"report: {page}"
    assert page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    names = {path.name for path in folder.iterdir()}
    assert {"learning-curves.pdf", "learning-curves.png", "map-rule.update-neuron.tau.pdf", "pareto.png"} <= names
    assert "no figure accuracy-by-steps: no finished trial has measured test/top1_at_NN" in out


def test_a_text_table_imports_no_plotting_and_no_training(results):
    code = (
        "import sys\n"
        "from experiments.cli.results import comparison\n"
        f"comparison('demo', store='sqlite:///{results / 'mlflow.db'}')\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & {'matplotlib', 'torch', 'ray', 'optuna'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "[]", done.stderr


def test_where_restricts_every_table(ottt):
    status, out, _ = ottt("compare", "demo", "--where", "neuron.tau=2.0", "--format", "json")
    assert status == 0
    part = json.loads(out)
    assert [row["label"] for row in part["rows"]] == [f"rule.update={one} neuron.tau=2.0" for one in UPDATES]
    assert part["notes"][-1] == "Only variants with neuron.tau=2.0."
    status, out, _ = ottt("compare", "demo", "--where", "neuron.tau=2.0", "--effects")
    assert status == 0
    assert "rule.update" in out
    assert "neuron.tau:" not in out
    status, _, err = ottt("compare", "demo", "--where", "neuron.tau=3")
    assert (status, err) == (2, "error: neuron.tau must be one of 1.25, 2.0, 4.0 for some variant, got 3\n")
