"""Searching a store with two sweeps: by filter string, by the beginning of an id, and differences of two runs."""

from pathlib import Path

import pytest

from analysis.search import differences, find, search
from ottt.errors import UserError
from tests.analysis.synthetic import SyntheticSweep, write

pytestmark = pytest.mark.filterwarnings(
    "ignore:The ``noload`` loader strategy is deprecated:sqlalchemy.exc.SADeprecationWarning"
)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder: Path = tmp_path_factory.mktemp("store")
    ends = {(1, 0): ("failed", "ValueError: no", 1)}
    write(SyntheticSweep("tau", {"neuron.tau": [1.25, 2.0]}, seeds=2, epochs=3, ends=ends), folder)
    return write(SyntheticSweep("T", {"T": [4]}, seeds=2, epochs=3), folder)


def test_without_a_condition_every_trial_is_a_row(store: str) -> None:
    found = search(store=store)
    assert found["sweep"].tolist() == ["tau", "T", "tau", "T", "tau", "tau"]
    assert found["seed"].tolist() == [0, 0, 1, 1, 0, 1]
    assert found["neuron.tau"].tolist() == [1.25, 2.0, 1.25, 2.0, 2.0, 2.0]
    assert found["status"].tolist().count("failed") == 1


def test_a_condition_is_mlflow_s(store: str) -> None:
    found = search(
        'params."neuron.tau" = "2.0" and metrics."test/top1" > 0 and tags.`ottt.status` != "failed"', store=store
    )
    assert sorted(found["name"]) == ["t0000-0", "t0000-1", "t0001-1"]
    assert found["epochs_done"].tolist() == [3, 3, 3]
    assert search('metrics."test/top1" > 2', store=store).empty


def test_what_mlflow_does_not_understand_is_one_line(store: str) -> None:
    with pytest.raises(UserError, match="Invalid clause") as caught:
        search("no condition", store=store)
    assert len(caught.value.problems) == 1
    assert "\n" not in caught.value.problems[0]


def test_a_run_is_found_by_the_beginning_of_its_id_or_its_trial_s(store: str) -> None:
    by_trial = find("t0001-1", store=store)
    assert by_trial.params["neuron.tau"] == "2.0"
    assert find(by_trial.id, store=store) == by_trial
    with pytest.raises(UserError, match=r"must match one run, got 't0000-1', which matches 2: .*\(tau: t0000-1\)"):
        find("t0000-1", store=store)
    with pytest.raises(UserError, match="must be the beginning of an id in the store, got 'ffff'"):
        find("ffff", store=store)
    for wildcards in ("____", "t0001_1"):
        with pytest.raises(UserError, match=f"must be the beginning of an id in the store, got '{wildcards}'"):
            find(wildcards, store=store)
    with pytest.raises(UserError, match="at least 4 characters"):
        find("x' OR", store=store)


def test_only_what_differs_is_a_difference(store: str) -> None:
    first = find("00000000000000010000000000000000", store=store)
    second = find("00000000000000010000000000000003", store=store)
    assert differences(first, first) == []
    found = {(one.kind, one.name): (one.first, one.second) for one in differences(first, second)}
    assert found["setting", "neuron.tau"] == ("1.25", "2.0")
    assert found["setting", "seed"] == ("0", "1")
    assert ("setting", "T") not in found
    assert found["tag", "ottt.trial"] == ("t0000-0", "t0001-1")
