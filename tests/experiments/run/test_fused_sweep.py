"""Sweeps whose trials train as one network have the results of those whose trials train alone."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from analysis import load
from experiments.planning.plan import SweepPlan, expand
from experiments.sweep_spec.read import read_spec
from ottt.schema import Status
from ottt.training.checkpoint import read_checkpoint
from ottt.training.trainer import Trainer, train
from tests.experiments import faults
from tests.experiments.commands import Place

SEEDS, LOST = 6, 1e30
SPEC = f"""\
name: seeds
base: {{T: 2, epochs: 3, model.width: 0.25, device: cpu}}
zip:
  - {{optim.lr: [0.03, 0.06, {LOST}], optim.weight_decay: [0.0, 0.0, {LOST}]}}
seeds: {SEEDS}
baseline: {{optim.lr: 0.06}}
checkpoints: {{seconds: 0, keep: true}}
resources: {{fuse: 6}}
"""
TIMED = ("time/", "perf/", "mem/")
EXACT = 1e-5  # relative and absolute, of metrics in float32


def plan(here: Place) -> SweepPlan:
    return expand(read_spec(here.folder / "spec.yaml", []))


def numbers(here: Place) -> dict[str, list[dict[str, float]]]:
    """By trial: the metrics of each epoch that the machine's speed does not change."""
    return {
        trial: [
            {key: value for key, value in epoch.metrics.items() if not key.startswith(TIMED)}
            for epoch in here.records.epochs(trial)
        ]
        for trial in here.statuses()
    }


def run(folder: Path, empty_store: Path, *overrides: str) -> tuple[Place, str]:
    """A sweep of one worker, and the table that it printed."""
    here = Place(folder, cores=1).take_store(empty_store)
    (folder / "spec.yaml").write_text(SPEC, encoding="utf-8")
    done = here.ottt("sweep", "run", "spec.yaml", *overrides)
    assert done.returncode == 0, done.stderr
    return here, done.stdout.partition("\ntrials run:")[0]


@pytest.fixture(scope="module")
def fused(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> tuple[Place, str]:
    return run(tmp_path_factory.mktemp("fused"), empty_store)


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> tuple[Place, str]:
    return run(tmp_path_factory.mktemp("apart"), empty_store, "resources.fuse=1")


def test_the_table_is_that_of_the_sweep_whose_trials_train_alone(
    fused: tuple[Place, str], apart: tuple[Place, str]
) -> None:
    assert fused[1] == apart[1]
    assert f"{SEEDS}/{SEEDS}" in fused[1]


def test_every_trial_has_its_own_epochs_and_its_own_end(fused: tuple[Place, str], apart: tuple[Place, str]) -> None:
    found, expected = numbers(fused[0]), numbers(apart[0])
    assert fused[0].statuses() == apart[0].statuses()
    assert sorted(fused[0].statuses().values()) == ["diverged"] * SEEDS + ["finished"] * 2 * SEEDS
    assert found.keys() == expected.keys()
    for trial, epochs in expected.items():
        assert found[trial] == [pytest.approx(epoch, rel=EXACT, abs=EXACT) for epoch in epochs]
    reasons = {trial: (fused[0].records.read(trial), apart[0].records.read(trial)) for trial in expected}
    assert all(one is not None and other is not None and one.reason == other.reason for one, other in reasons.values())


def test_records_and_runs_say_how_many_trained_as_one(fused: tuple[Place, str], apart: tuple[Place, str]) -> None:
    for here, count in ((fused[0], 6), (apart[0], 1)):
        records = [here.records.read(trial) for trial in here.statuses()]
        assert [record.fused for record in records if record is not None] == [count] * 3 * SEEDS
        runs = load.runs("seeds", store=f"sqlite:///{here.folder / 'results' / 'mlflow.db'}")
        assert runs["fused"].tolist() == [count] * 3 * SEEDS
        shown = here.ottt("runs", "show", runs["run_id"][0])
        assert ["ottt.fused", str(count)] in [line.split() for line in shown.stdout.splitlines()]


def test_a_checkpoint_is_that_of_a_trial_alone(fused: tuple[Place, str]) -> None:
    here = fused[0]
    trial = next(one for one in plan(here).trials if here.statuses()[one.trial] is Status.FINISHED)
    again = Trainer(trial.config)
    again.load(here.records.checkpoint(trial.trial))
    assert again.epoch == 3
    done = here.ottt("evaluate", str(here.records.checkpoint(trial.trial)), "--json")
    assert done.returncode == 0, done.stderr
    evaluation = here.records.evaluation(trial.trial)
    assert evaluation is not None
    assert json.loads(done.stdout)["report"]["top1"] == pytest.approx(evaluation.top1, abs=1e-9)


def test_a_killed_sweep_goes_on_with_the_same_groups_bit_for_bit(
    tmp_path: Path, empty_store: Path, fused: tuple[Place, str]
) -> None:
    here = faults.place(tmp_path, SPEC)
    here = Place(here.folder, modules=here.modules, cores=1).take_store(empty_store)
    killed = faults.killed_at(here, f"{faults.RECORDS}.append:7").ottt("sweep", "run", "spec.yaml")
    assert killed.returncode == faults.KILLED
    assert here.epochs() == 6  # two members of the group have diverged, two have trained a second epoch, two have not
    done = here.ottt("sweep", "run", "spec.yaml")
    assert done.returncode == 0, done.stderr
    assert numbers(here) == numbers(fused[0])
    for trial, state in states(here).items():
        assert state == states(fused[0])[trial]


def test_a_scheduler_takes_trials_out_of_their_group(
    tmp_path: Path, empty_store: Path, apart: tuple[Place, str]
) -> None:
    here, _ = run(tmp_path, empty_store, "scheduler={name: asha, grace_epochs: 1, reduction: 2}")
    found, expected, statuses = numbers(here), numbers(apart[0]), here.statuses()
    counts = Counter(statuses.values())
    assert counts[Status.DIVERGED] == SEEDS
    assert counts[Status.STOPPED_EARLY] >= 2
    assert counts[Status.FINISHED] == 2 * SEEDS - counts[Status.STOPPED_EARLY]
    for trial, status in statuses.items():
        epochs = found[trial]
        assert epochs == [pytest.approx(one, rel=EXACT, abs=EXACT) for one in expected[trial][: len(epochs)]]
        assert (len(epochs) < 3) is (status is not Status.FINISHED)


# Of two groups, the worker of one is killed in its second epoch, once; the other has no room on its device.
DEATHS = """\
name: deaths
base: {epochs: 3, batch_size: 256, model.width: 0.25, device: cpu}
axes: {T: [2, 1]}
seeds: 3
checkpoints: {seconds: 0}
resources: {fuse: 3}
"""
FAULT = faults.after_import(
    '"ottt.training.fused"',
    """\
train_epoch, once = module.FusedTrainer.train_epoch, Path(__file__).with_name("once")
def faulty(self):
    if self.members[0].config.T == 1:
        import torch
        raise torch.OutOfMemoryError("tried to allocate 3 GiB")
    if self.members[0].epoch == 1 and not once.exists():
        once.touch()
        os.kill(os.getpid(), 9)
    return train_epoch(self)
module.FusedTrainer.train_epoch = faulty
""",
)


def test_what_ends_a_network_ends_no_trial(tmp_path: Path, empty_store: Path) -> None:
    (tmp_path / "spec.yaml").write_text(DEATHS, encoding="utf-8")
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "sitecustomize.py").write_text(FAULT, encoding="utf-8")
    here = Place(tmp_path, modules=tmp_path / "modules", cores=1).take_store(empty_store)
    done = here.ottt("sweep", "run", "spec.yaml")
    assert done.returncode == 0, done.stderr
    said = done.stderr.splitlines()
    notes = [line for line in said if line.startswith("note: 3 trials")]
    assert len(notes) == 1
    assert "3 trials train one by one and not as one network: OutOfMemoryError: tried to allocate 3 GiB" in notes[0]
    assert sum(line.startswith("lost: T=2 ") and "again in 2 s" in line for line in said) == 3
    for trial in plan(here).trials:
        record = here.records.read(trial.trial)
        assert record is not None
        assert (record.status, record.fused, record.group) == (Status.FINISHED, 3 if trial.config.T == 2 else 1, "")
        expected = [
            {key: value for key, value in epoch.items() if not key.startswith(TIMED)}
            for epoch in train(trial.config).history
        ]
        assert numbers(here)[trial.trial] == [pytest.approx(epoch, rel=EXACT, abs=EXACT) for epoch in expected]


def states(here: Place) -> dict[str, dict[str, Any]]:
    """Parameters of the trials that finished, as they ended."""
    finished = [trial for trial, status in here.statuses().items() if status is Status.FINISHED]
    nets = {trial: read_checkpoint(here.records.checkpoint(trial))["net"] for trial in finished}
    return {trial: {name: value.numpy().tobytes() for name, value in net.items()} for trial, net in nets.items()}
