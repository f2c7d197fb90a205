"""The worked example, as a user runs it: in processes of their own, Ray's workers included."""

import json
import shutil

import pytest

from tests.experiments.commands import ROOT, Place

FILE = "examples/gratings.py"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """A folder in which the example's study ran."""
    folder = tmp_path_factory.mktemp("user")
    shutil.copytree(ROOT / "examples", folder / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    place = Place(folder, cores=1)
    done = place.ottt("sweep", "run", "examples/gratings.yaml", "epochs=2")
    assert done.returncode == 0, done.stderr
    return place


def test_its_study_ran_and_its_metric_was_recorded(place: Place) -> None:
    table = place.ottt("compare", "gratings", "--metric", "test/worst_class", "--plugin", FILE, "--format", "json")
    assert table.returncode == 0, table.stderr
    rows = json.loads(table.stdout)
    assert rows["metric"] == "test/worst_class"
    epochs = [epoch for path in place.records.folder.glob("*") for epoch in place.records.epochs(path.name)]
    assert len(epochs) == 2 * 2 * 2
    assert all(0 <= epoch.metrics["val/worst_class"] <= epoch.metrics["val/top1"] for epoch in epochs)


def test_the_two_rules_differ(place: Place) -> None:
    final = {}
    for path in place.records.folder.glob("*"):
        record = place.records.read(path.name)
        assert record is not None
        losses = final.setdefault(record.config["rule.name"], {})
        losses[record.config["seed"]] = place.records.epochs(path.name)[-1].metrics["train/loss"]
    assert set(final) == {"ottt", "late"}
    assert all(final["ottt"][seed] != final["late"][seed] for seed in (0, 1))


def test_without_the_plugin_its_names_are_unknown(place: Place) -> None:
    trained = place.ottt("train", "data.name=gratings")
    assert trained.returncode == 2
    assert "data.name must be one of cifar10, " in trained.stderr
    compared = place.ottt("compare", "gratings", "--metric", "test/worst_class")
    assert compared.returncode == 2
    assert "metric must be one of " in compared.stderr


def test_a_changed_plugin_makes_new_trials(place: Place) -> None:
    plan = ["sweep", "plan", "examples/gratings.yaml", "epochs=2", "--no-estimate", "--json"]
    assert json.loads(place.ottt(*plan).stdout)["done"] == 4
    with (place.folder / FILE).open("a", encoding="utf-8") as file:
        file.write("\nCLASSES_ARE = CLASSES\n")
    assert json.loads(place.ottt(*plan).stdout)["done"] == 0


def test_models_lists_it(place: Place) -> None:
    listed = place.ottt("models", "--plugin", FILE, "--json")
    assert json.loads(listed.stdout)["two_layers"]["summary"] == "two fully connected layers of 64 neurons"
