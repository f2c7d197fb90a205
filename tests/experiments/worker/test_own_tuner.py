"""`experiments.Trainable` under the user's own `tune.Tuner`, with a real Ray."""

import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray import tune
from ray.tune.schedulers import ASHAScheduler, PopulationBasedTraining

import experiments
import ottt
from experiments.cluster.own_instance import own_token
from ottt.training.checkpoint import read_checkpoint
from tests.experiments.commands import ROOT, Place
from tests.experiments.faults import KILLED, TRAINER, after_import

SMALL: dict[str, Any] = {"base": "digits", "T": 2, "epochs": 3, "batch_size": 128, "model.width": 0.25, "device": "cpu"}
IDLE = 1e-9  # learning rate with which nothing is learnt

Fit = Callable[..., tune.ResultGrid]


class Told(tune.Callback):
    """The results of every trial as Tune received them: its own files of them come to the storage later."""

    def __init__(self) -> None:
        self.of_trial: dict[str, list[dict[str, Any]]] = {}

    def on_trial_result(self, *place: Any, trial: Any, result: dict[str, Any], **more: Any) -> None:
        self.of_trial.setdefault(trial.trial_id, []).append(result)


@pytest.fixture(scope="module")
def own_ray() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("PYTHONPATH", str(ROOT))
        with own_token():  # Ray reads its token once in a process, and other tests may have come before
            ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.CRITICAL)
            yield
            ray.shutdown()


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def fit(own_ray: None, told: Told, tmp_path: Path) -> Fit:
    """Runs the trials of a space, and keeps a checkpoint of every epoch."""

    def run(space: dict[str, Any], trainable: type = experiments.Trainable, **config: Any) -> tune.ResultGrid:
        return tune.Tuner(
            trainable,
            param_space=SMALL | space,
            tune_config=tune.TuneConfig(**config),
            run_config=tune.RunConfig(
                name="run",
                storage_path=str(tmp_path),
                verbose=0,
                callbacks=[told],
                checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=1),
            ),
        ).fit()

    return run


def numbers(metrics: dict[str, Any]) -> dict[str, float]:
    """The metrics of the schema that do not depend on the machine's speed and memory."""
    return {
        key: value
        for key, value in metrics.items()
        if "/" in key and not key.startswith(("time/", "perf/", "mem/", "config/"))
    }


def alone(settings: dict[str, Any]) -> list[dict[str, float]]:
    """Metrics of every epoch of the trial, trained in this process."""
    given = SMALL | settings
    config = ottt.load_config(given["base"], [f"{key}={value}" for key, value in given.items() if key != "base"])
    return [numbers(metrics) for metrics in ottt.train(config).history]


def history(told: Told, result: tune.Result) -> list[dict[str, float]]:
    assert result.metrics is not None
    return [numbers(epoch) for epoch in told.of_trial[result.metrics["trial_id"]]]


def of_lr(results: tune.ResultGrid, lr: float) -> tune.Result:
    return next(result for result in results if result.config is not None and result.config["optim.lr"] == lr)


def test_asha_stops_a_trial_and_the_worker_takes_the_next(fit: Fit, told: Told) -> None:
    asha = ASHAScheduler(time_attr="epoch", metric="val/loss", mode="min", grace_period=1, reduction_factor=2, max_t=9)
    plugin = os.path.relpath(ROOT / "examples" / "gratings.py")  # found where the script is, not in Tune's folders
    space = {"optim.lr": tune.grid_search([0.2, IDLE, 0.1]), "plugins": [plugin]}
    results = fit(space, scheduler=asha, reuse_actors=True, max_concurrent_trials=1)
    assert not results.errors
    stopped = of_lr(results, IDLE)
    assert (stopped.metrics["epoch"], stopped.metrics["training_iteration"]) == (1, 1)
    best = of_lr(results, 0.2)
    assert best.metrics["val/worst_class"] < best.metrics["val/top1"]
    without = [{key: one for key, one in epoch.items() if "worst_class" not in key} for epoch in history(told, best)]
    assert without == alone({"optim.lr": 0.2})
    assert len({result.metrics["pid"] for result in results}) == 1
    for result in results:
        assert result.checkpoint is not None
        assert read_checkpoint(Path(result.checkpoint.path))["epoch"] == result.metrics["epoch"]


def test_a_copy_goes_on_from_the_state_of_the_better_trial(fit: Fit, told: Told) -> None:
    """As one trial whose learning rate changes would: bit for bit, so weights, momentum and order of samples are it."""
    population = PopulationBasedTraining(
        time_attr="epoch",
        metric="val/loss",
        mode="min",
        perturbation_interval=2,
        quantile_fraction=0.5,
        custom_explore_fn=lambda config: config | {"optim.lr": 0.15},
        synch=True,
    )
    results = fit({"optim.lr": tune.grid_search([0.2, IDLE])}, scheduler=population, reuse_actors=True)
    assert not results.errors
    good, copy = of_lr(results, 0.2), of_lr(results, 0.15)
    assert history(told, good) == alone({"optim.lr": 0.2})
    after = alone({"optim.lr": 0.2, "schedule.changes": "optim.lr=0.15 after 2"})[2]
    assert history(told, copy)[0] == alone({"optim.lr": IDLE})[0]
    # Tune can leave out the result that it compared.
    assert (copy.metrics["epoch"], history(told, copy)[-1]) == (3, after)
    assert after["optim/lr"] == pytest.approx(0.15 * 0.25)  # the cosine's place after two of three epochs
    assert copy.checkpoint is not None
    written = read_checkpoint(Path(copy.checkpoint.path))["config"]
    assert (written["optim"]["lr"], written["schedule"]["changes"]) == (0.2, "optim.lr=0.15 after 2")


@pytest.mark.parametrize("wrap", [False, True])
def test_an_unknown_setting_is_refused_before_anything_starts(fit: Fit, wrap: bool, tmp_path: Path) -> None:
    trainable = tune.with_resources(experiments.Trainable, {"cpu": 2}) if wrap else experiments.Trainable
    with pytest.raises(ottt.UserError) as caught:
        fit({"neuron": {"tua": tune.grid_search([1.5])}, "epoch": 2}, trainable)
    assert caught.value.problems == (
        "param_space: neuron.tua is not a known key (did you mean neuron.tau?), got 1.5",
        "param_space: epoch is not a known key (did you mean epochs?), got 2",
    )
    assert not list(tmp_path.rglob("result.json"))


def test_a_trial_with_a_wrong_value_ends_with_its_line_and_others_train(fit: Fit) -> None:
    space = {"epochs": 1, "neuron.tau": tune.grid_search([2.0, 0.5]), "optim.lr": tune.sample_from(lambda _: 1e30)}
    results = fit(space | {"optim.weight_decay": 1e30}, reuse_actors=True, max_concurrent_trials=1)
    lost, wrong = (str(error) for error in results.errors)
    assert re.search(r"TrialEnded: diverged: \w+ loss became (nan|inf) in epoch 1$", lost.strip())
    assert (
        wrong.strip().splitlines()[-1].endswith("UserError: param_space: neuron.tau must be >= 1 time steps, got 0.5")
    )


def test_the_tuner_the_command_and_a_sweep_train_the_same_trial(fit: Fit, told: Told, tmp_path: Path) -> None:
    settings = ["T=2", "epochs=2", "batch_size=128", "model.width=0.25", "device=cpu", "rule.update=online", "seed=3"]
    [result] = fit({"epochs": 2, "rule": {"update": "online"}, "seed": 3})
    assert result.checkpoint is not None
    place = Place(tmp_path, variables={"OMP_NUM_THREADS": "1"})
    shown = place.ottt("train", "digits", *settings, "--checkpoints", "trained", "--json")
    assert shown.returncode == 0, shown.stderr
    spec = f"name: same\nbase: {{preset: digits, {', '.join(settings[:-1]).replace('=', ': ')}}}\nseeds: [3]\n"
    (tmp_path / "same.yaml").write_text(f"{spec}checkpoints: {{keep: true}}\n", encoding="utf-8")
    ran = place.ottt("sweep", "run", "same.yaml")
    assert ran.returncode == 0, ran.stderr
    [trial] = place.statuses()
    assert history(told, result) == [numbers(dict(epoch.metrics)) for epoch in place.records.epochs(trial)]
    evaluated = place.ottt("evaluate", result.checkpoint.path, "--json")
    for done in (shown, evaluated):
        report = json.loads(done.stdout)["report"]
        assert (report["top1"], report["loss"]) == (result.metrics["test/top1"], result.metrics["test/loss"])
    nets = [
        {name: value.numpy().tobytes() for name, value in read_checkpoint(Path(folder))["net"].items()}
        for folder in (result.checkpoint.path, tmp_path / "trained", place.records.checkpoint(trial))
    ]
    assert nets[0] == nets[1] == nets[2]


SCRIPT = """\
import json, os, sys
from pathlib import Path
from ray import tune
import experiments

storage, then = Path(sys.argv[1]), sys.argv[2]

class Watch(tune.Callback):
    # Tune copies its own files of results to the storage now and then, so a kill can cost some of them.
    def on_trial_result(self, iteration, trials, trial, result, **info):
        with open(storage / "results.jsonl", "a") as file:
            file.write(json.dumps({"tau": trial.config["neuron.tau"], "result": result}, default=str) + "\\n")

    def on_step_begin(self, iteration, trials, **info):
        if not os.path.exists(os.environ["OTTT_GATE"]):
            return
        states = sorted((storage / "run").glob("experiment_state-*.json"))
        known = states and states[-1].read_text().count(b"checkpoint_000001".hex())
        if known and all(trial.checkpoint for trial in trials) and len(trials) == 2 and known >= 2:
            os.kill(os.getpid(), 9)

if then == "restore":
    tuner = tune.Tuner.restore(str(storage / "run"), trainable=experiments.Trainable)
else:
    tuner = tune.Tuner(
        experiments.Trainable,
        param_space={"base": "mine.yaml", "neuron.tau": tune.grid_search([1.5, 2.0])},
        run_config=tune.RunConfig(
            name="run",
            storage_path=str(storage),
            callbacks=[Watch()],
            checkpoint_config=tune.CheckpointConfig(checkpoint_frequency=1, num_to_keep=2),
        ),
    )
for result in tuner.fit():
    print("result", result.metrics["iterations_since_restore"], result.config["neuron.tau"])
"""
# In the third epoch every trial waits while there is a gate.
WAIT = after_import(
    TRAINER,
    """\
train_epoch = module.Trainer.train_epoch
def waiting(self):
    while self.epoch == 2 and os.path.exists(os.environ.get("OTTT_GATE", "")):
        time.sleep(0.05)
    return train_epoch(self)
module.Trainer.train_epoch = waiting
""",
)


def test_a_killed_script_goes_on_elsewhere_to_the_same_numbers(tmp_path: Path) -> None:
    here, there, gate = tmp_path / "here", tmp_path / "there", tmp_path / "gate"
    here.mkdir()
    there.mkdir()
    gate.touch()
    settings = "preset: digits\nT: 2\nepochs: 4\nbatch_size: 128\nmodel.width: 0.25\ndevice: cpu\n"
    (here / "mine.yaml").write_text(settings, encoding="utf-8")
    (tmp_path / "sitecustomize.py").write_text(WAIT, encoding="utf-8")
    variables = {"OTTT_GATE": str(gate), "TUNE_GLOBAL_CHECKPOINT_S": "0", "OMP_NUM_THREADS": "1"}
    place = Place(here, modules=tmp_path, variables=variables)

    def run(folder: Path, then: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", SCRIPT, str(tmp_path / "storage"), then]
        return subprocess.run(command, cwd=folder, env=place.environment(), capture_output=True, text=True, timeout=900)

    killed = run(here, "begin")
    assert killed.returncode == KILLED, killed.stderr
    gate.unlink()
    done = run(there, "restore")
    assert done.returncode == 0, done.stderr
    lines = [line.split()[1:] for line in done.stdout.splitlines() if line.startswith("result ")]
    assert len(lines) == 2
    told = [json.loads(line) for line in (tmp_path / "storage" / "results.jsonl").read_text("utf-8").splitlines()]
    for trained, tau in lines:
        whole = ottt.train(ottt.load_config(here / "mine.yaml", [f"neuron.tau={tau}"])).history
        epochs = [one["result"] for one in told if one["tau"] == float(tau)]
        assert [epoch["epoch"] for epoch in epochs] == [1, 2, 3, 4]
        assert [numbers(epoch) for epoch in epochs] == [numbers(metrics) for metrics in whole]
        assert int(trained) == 2  # the two epochs of the checkpoint are not trained again
