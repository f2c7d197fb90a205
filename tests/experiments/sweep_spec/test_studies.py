"""The studies of the package: each can be planned anywhere, has a question, and costs what it states."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from benchmarks.study_cost import cost_of, seconds
from experiments.cli import app
from experiments.costs import estimate
from experiments.planning.catalog import Study, studies
from experiments.planning.plan import expand
from experiments.sweep_spec.read import read_spec
from experiments.sweep_spec.studies import studies as study_files
from ottt.config.load import load_config
from ottt.data.files import SourceFile
from ottt.errors import command

FILES = study_files()
SETS = ("cifar10", "cifar100", "cifar10_dvs", "dvs128_gesture", "imagenet", "fashion_mnist")
LINES = (
    "time-steps",
    "tau",
    "model",
    "rule",
    "surrogate",
    "loss-weight",
    "batch-size",
    "inference-steps",
    "memory",
)


@pytest.fixture
def no_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without data sets, in an empty folder, on which nothing must be measured."""

    def refuse(jobs: object) -> None:
        raise AssertionError("a study was measured whose data are absent")

    monkeypatch.setattr(SourceFile, "find", lambda file, root: None)
    monkeypatch.setattr(estimate, "measure", refuse)
    monkeypatch.chdir(tmp_path)


def test_every_line_has_a_study_for_every_data_set() -> None:
    expected = {f"{data}-{line}" for data in SETS for line in LINES}
    expected |= {f"{data}-update-mode" for data in SETS if data != "fashion_mnist"}
    expected |= {
        "fashion_mnist-r400",
        "fashion_mnist-small",
        "digits_dvs-small",
        "digits_dvs-rule",
        "digits_dvs-rule-lr",
        "fashion_mnist-r400-settings",
        "fashion_mnist-rule-lr",
    }
    expected |= {"paper-main-table", "quickstart"}
    assert set(FILES) == expected


@pytest.mark.usefixtures("no_data")
@pytest.mark.parametrize("name", [name for name in FILES if not name.startswith(("digits", "quickstart"))])
def test_can_be_planned_without_its_data(name: str) -> None:
    done = CliRunner().invoke(app, ["sweep", "plan", name])
    assert done.exit_code == 0, done.output
    study = Study.of(FILES[name])
    assert done.stdout.startswith(study.question)
    assert f"all trials: {study.cost}\n" in done.stdout
    assert f"to run: {study.trials} trials, 0 kinds of trial measured now" in done.stdout
    assert f"is not there, see `{command('datasets')}`" in done.stdout


@pytest.mark.parametrize("name", FILES)
def test_has_a_question_and_a_cost(name: str) -> None:
    spec = read_spec(FILES[name])
    assert spec.name == name
    assert spec.question is not None
    assert spec.question.endswith("?")
    assert spec.cost is not None
    assert spec.cost.endswith("estimated")
    # A study without validation samples must not have a validation metric.
    assert (spec.metric == "train/loss") == (spec.base.data.val_fraction == 0)


@pytest.mark.parametrize("name", ["cifar10-tau", "dvs128_gesture-inference-steps", "fashion_mnist-r400", "quickstart"])
def test_the_stated_cost_is_the_estimate(name: str) -> None:
    spec = read_spec(FILES[name])
    assert cost_of(spec) == spec.cost


def test_cost_by_hand() -> None:
    connections = 784 * 400 + 400 * 10  # the recurrence is silent in the first time step, which is the one counted
    config = load_config("fashion_mnist", ["epochs=2"])
    expected = 2 * connections * 2 * (3 * 60_000 * 5 + 10_000 * 5) / 20e9
    assert seconds(config, "core") == pytest.approx(expected)


def test_the_papers_table_has_a_row_for_every_published_number() -> None:
    from analysis.tables.paper import MATCHED, published

    table = published()
    rows = table[table["metric"] == "test/top1"][list(MATCHED)]
    plan = expand(read_spec(FILES["paper-main-table"]))
    planned = {tuple(trial.config.flat()[key] for key in MATCHED.values()) for trial in plan.trials}
    assert planned == set(rows.itertuples(index=False, name=None))
    assert len(plan.trials) == 3 * len(rows)


OWN = ("model.name", "rule.name", "rule.update", "data.frames.values")  # cifar10_dvs: the published input


def test_the_papers_table_and_presets_agree() -> None:
    plan = expand(read_spec(FILES["paper-main-table"]))
    for trial in plan.trials:
        preset = load_config(trial.config.data.name, [f"seed={trial.seed}"])
        own = {key: trial.settings[key] for key in OWN}
        assert preset.replace(own).trial_hash == trial.trial


def test_surrogates_are_compared_at_equal_slope() -> None:
    import torch

    from ottt.functional.surrogate import SURROGATES

    (group,) = read_spec(FILES["cifar10-surrogate"]).zip
    names, steepness = group.values()
    slopes = [
        SURROGATES[name].derivative(torch.zeros(1), alpha).item() for name, alpha in zip(names, steepness, strict=True)
    ]
    assert set(names) == set(SURROGATES)
    assert slopes == pytest.approx([1.0] * len(names), abs=0.015)


def test_list_shows_them() -> None:
    done = CliRunner().invoke(app, ["sweep", "list", "--studies", "cifar10-t", "--json"])
    found = json.loads(done.stdout)["studies"]
    assert [study["name"] for study in found] == ["cifar10-tau", "cifar10-time-steps"]
    assert found[0]["trials"] == 3 * 4 * 6
    text = CliRunner().invoke(app, ["sweep", "list", "--studies", "cifar10-tau"]).stdout
    assert f"cifar10-tau  (72 trials, {studies('cifar10-tau')[0].cost})" in text
    assert studies("no such study") == []
