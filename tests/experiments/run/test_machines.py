"""What the runner asks of machines: GPUs, storage, time, and the doctor that looks at it all."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from experiments import doctor
from experiments.cluster import nodes, shared_storage
from experiments.cluster.access import refuse_silent
from experiments.cluster.shared_storage import Seen, look, refuse_unshared
from experiments.costs import calibrate, gpu_share
from experiments.costs.calibrate import Measurement
from experiments.costs.estimate import estimated, kind_of
from experiments.costs.gpu_share import best_count, fits, spread
from experiments.planning.plan import expand
from experiments.results.folder import Results
from experiments.results.provenance import code_hash
from experiments.sweep_spec.run_settings import Share
from ottt.config.trial import TrialConfig
from ottt.errors import UserError
from ottt.schema import Status
from ottt.training.load_data import load_data
from tests.experiments.commands import Place
from tests.experiments.specs import recorded, spec

ONE = Share(cpu=1.0, gpu=0.0)
SMALL = {"T": 2, "epochs": 10, "batch_size": 256, "model.width": 0.25, "device": "cpu"}


@pytest.mark.parametrize(
    ("throughput", "best"),
    [
        ({1: 100.0}, 1),
        ({1: 100.0, 2: 190.0, 4: 250.0, 8: 240.0}, 4),
        ({1: 100.0, 2: 104.0}, 1),
        ({1: 100.0, 2: 104.0, 4: 106.0}, 4),
        ({1: 100.0, 2: 90.0, 4: 120.0}, 4),
    ],
)
def test_as_many_trials_share_a_gpu_as_train_most_together(throughput: dict[int, float], best: int) -> None:
    assert best_count(throughput) == best


def test_trials_beside_each_other_must_fit() -> None:
    measured = Measurement(1.0, 1.0, 1.0, peak_mib=200.0, total_mib=1000.0)
    assert [fits(measured, count) for count in (1, 2, 4, 8)] == [True, True, True, False]


BIG, HEAD = {"CPU": 16.0, "GPU": 2.0}, {"CPU": 8.0}


@pytest.mark.parametrize(
    ("gpu", "trials", "machines", "spread_gpu"),
    [
        (0.25, 2, [BIG], 1.0),
        (0.25, 3, [BIG], 1 / 2),
        (0.25, 4, [BIG, BIG], 1.0),
        (0.25, 6, [BIG], 1 / 3),
        (0.25, 7, [BIG], 0.25),
        (0.25, 100, [BIG], 0.25),
        (0.3, 6, [BIG], 0.3),  # three on a GPU
        (0.1, 18, [BIG], 0.1),  # cores for 16
        (0.1, 16, [BIG], 1 / 8),
        (0.25, 2, [], 0.25),
        (0.25, 2, [HEAD], 0.25),
        (0.25, 2, [HEAD, BIG], 1.0),
        (1.0, 1, [BIG], 1.0),
        (2.0, 1, [BIG], 2.0),
        (0.0, 1, [BIG], 0.0),
    ],
)
def test_few_trials_leave_no_gpu_idle(
    gpu: float, trials: int, machines: list[dict[str, float]], spread_gpu: float
) -> None:
    assert spread(Share(1.0, gpu), trials=trials, machines=machines) == Share(1.0, spread_gpu)


@given(
    beside=st.integers(1, 10),
    trials=st.integers(1, 60),
    machines=st.lists(st.fixed_dictionaries({"CPU": st.integers(0, 32), "GPU": st.integers(0, 8)}), max_size=4),
)
def test_as_many_trials_run_at_once_as_before(beside: int, trials: int, machines: list[dict[str, float]]) -> None:
    def room(gpu: float) -> float:
        return sum(min(one["GPU"] * round(1 / gpu), one["CPU"]) for one in machines)

    given_share = Share(1.0, 1 / beside)
    wide = spread(given_share, trials=trials, machines=machines)
    assert min(trials, room(wide.gpu)) == min(trials, room(given_share.gpu))
    assert given_share.gpu <= wide.gpu <= 1


def test_without_a_gpu_auto_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_share, "gpus_here", lambda: 0)
    assert gpu_share.auto_share((TrialConfig(), ONE)) == 0.0


def test_measuring_runs_trials_and_says_what_it_could_not() -> None:
    good = TrialConfig().replace(SMALL)
    missing = TrialConfig().replace({"data.name": "cifar10", "data.root": "/nowhere", "device": "cpu"})
    found, problem = calibrate.measure([(good, ONE), (missing, ONE)])
    assert isinstance(found, Measurement)
    images = len(load_data(good, torch.device("cpu")).train)
    assert found.epoch_s * found.samples_per_s > images  # an epoch trains on them all, and evaluates too
    assert isinstance(problem, str)
    assert "/nowhere" in problem


def test_an_estimate_uses_the_epochs_that_were_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("experiments.costs.estimate.usable_cores", lambda: 4)
    sweep = spec(axes={"neuron.tau": [1.25, 2.0], "T": [2, 3]}, seeds=2, base=SMALL)
    records = Results(tmp_path).records
    for trial in expand(sweep).trials:
        if trial.settings["T"] == 2 and trial.seed == 0:
            recorded(records, trial, values=[0.5] * 10)  # 10 s between epochs
    asked: list[TrialConfig] = []

    def measure(jobs: list[calibrate.Job]) -> list[Measurement]:
        asked.extend(config for config, _ in jobs)
        return [Measurement(start_s=5.0, epoch_s=2.0, samples_per_s=1.0)] * len(jobs)

    monkeypatch.setattr("experiments.costs.estimate.measure", measure)
    found = estimated(sweep, records)
    assert [config.T for config in asked] == [3]
    # Two trials of 10 epochs of 10 s; four of 10 epochs of 2 s and half a second of the start. Four at a time.
    assert found.seconds == pytest.approx(max((2 * 100 + 4 * 25) / 4, 100))
    assert (found.trials, found.measured, found.known, found.gpu_hours) == (6, 1, 1, 0.0)


def test_trials_that_trained_as_one_network_share_its_time(tmp_path: Path) -> None:
    sweep = spec(seeds=3, base=SMALL)
    records = Results(tmp_path).records
    for trial in expand(sweep).trials[:2]:
        recorded(records, trial, values=[0.5] * 10)  # 10 s between epochs of both
        records.describe(trial.trial, device="cpu", data_digest=None, fused=2)
    assert estimated(sweep, records).seconds == pytest.approx(10 * 10 / 2)


@pytest.mark.parametrize(
    ("share", "count"),
    [(Share(1, 0), 8), (Share(3, 0), 2), (Share(1, 1), 2), (Share(1, 0.5), 4), (Share(1, 0.1), 8), (Share(1, 2), 1)],
)
def test_trials_that_a_machine_trains_beside_each_other(share: Share, count: int) -> None:
    assert nodes._room({"CPU": 8.0, "GPU": 2.0}, share) == count
    assert nodes._room({"CPU": 8.0}, share) == (0 if share.gpu else count)


def test_what_changes_only_what_is_learnt_costs_the_same() -> None:
    config = TrialConfig()
    for settings in ({"neuron.tau": 3.0}, {"optim.lr": 0.5}, {"seed": 1}, {"neuron.surrogate.alpha": 2.0}):
        assert kind_of(config.replace(settings), ONE) == kind_of(config, ONE)
    for settings in (
        {"T": 3},
        {"batch_size": 3},
        {"model.width": 2.0},
        {"rule.update": "online"},
        {"rule.name": "bptt"},
    ):
        assert kind_of(config.replace(settings), ONE) != kind_of(config, ONE)


def test_a_shared_folder_is_seen_by_all(tmp_path: Path) -> None:
    assert [one.problem for one in look(tmp_path / "new", lambda visit: [visit(), visit()])] == [None, None]
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize("kind", ["elsewhere", "read-only", "stale"])
def test_storage_that_is_not_shared_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    there.mkdir()

    def ask(visit: Callable[[], Seen]) -> list[Seen]:
        """This machine and another, whose folder of that name is its own."""
        if kind == "read-only":
            return [visit(), Seen("far", 0.0, "Read-only file system")]
        probe, token = (cell.cell_contents for cell in visit.__closure__ or ())
        mine = probe if isinstance(probe, Path) else token
        text = token if mine is probe else probe
        other = there / mine.name
        if kind == "stale":
            other.write_text(str(text), encoding="utf-8")
        monkeypatch.setattr(shared_storage.socket, "gethostname", lambda: "far")
        far = shared_storage.visit(other, str(text))
        monkeypatch.undo()
        return [visit(), far]

    with pytest.raises(UserError) as caught:
        refuse_unshared(here, ask)
    [line] = caught.value.problems
    assert line.startswith(f"{here} must be one folder on all machines; far: ")
    assert list(here.iterdir()) == []


SERVICES = """\
import os, sys
from contextlib import nullcontext
from experiments.cluster import nodes
from tests.experiments.commands import descendants
if "all" in sys.argv:
    nodes.bare_instance = nullcontext
with nodes.connected():
    found = {open(f"/proc/{pid}/cmdline").read() for pid in descendants(os.getpid())}
services = ("gcs_server", "_private/log_monitor.py", "_private/monitor.py", "dashboard/dashboard.py")
print([sum(service in words.partition("--")[0] for words in found) for service in services])
"""


@pytest.mark.parametrize(("which", "counts"), [("ours", [1, 0, 0, 0]), ("all", [1, 1, 1, 1])])
def test_a_ray_of_our_own_has_no_services_that_it_does_not_use(tmp_path: Path, which: str, counts: list[int]) -> None:
    command = [sys.executable, "-c", SERVICES, which]
    done = subprocess.run(command, env=Place(tmp_path).environment(), capture_output=True, text=True)
    assert done.stdout == f"{counts}\n", done.stderr


def test_doctor_finds_nothing_here(tmp_path: Path) -> None:
    done = Place(tmp_path).ottt("doctor", "quickstart", "--json")
    checks = {check["name"]: check for check in json.loads(done.stdout)}
    assert list(checks) == ["packages", "code", "disk", "clock", "store", "spec", "ray", "storage", "machines"]
    assert f"sources {code_hash()}" in checks["code"]["found"]
    assert checks["spec"]["found"] == "quickstart: 18 trials"
    bad = {name: check["fix"] for name, check in checks.items() if check["fix"] is not None}
    assert bad.keys() <= {"packages", "code"}, bad  # code: git can refuse a checkout that another user owns
    assert done.returncode == len(bad)


def test_doctor_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "MIN_FREE_GIB", 1e9)
    assert doctor.disk(tmp_path / "new").fix == "free 1e+09 GiB, or choose another with --results"
    monkeypatch.setattr(doctor.time, "time", lambda: 0.0)
    assert doctor.clock(tmp_path).fix == "set it with NTP: times of epochs would be wrong"
    (tmp_path / "bad.yaml").write_text("name: bad\nseeds: 0\nmetric: test/top1\n", encoding="utf-8")
    wrong = doctor.specs(str(tmp_path / "bad.yaml"))
    assert wrong.found.endswith("bad.yaml:2: seeds must be a number of seeds (>= 1) or a list of seeds, got 0")
    assert wrong.fix == f"fix {tmp_path / 'bad.yaml'}, 2 problems in all"
    monkeypatch.setattr(doctor, "gpus_here", lambda: 4)
    assert (
        doctor.devices({"CPU": 8.0, "GPU": 2.0}).text().startswith("FAIL  ray        8 CPUs, 2 GPUs as Ray sees them")
    )


def test_doctor_finds_a_store_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    (tmp_path / "mlflow.db").mkdir()
    check = doctor.store(Results(tmp_path))
    assert not check.is_good
    assert check.fix == "make the folder of results writable"


def test_doctor_finds_a_server_that_does_not_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    check = doctor.store(Results(tmp_path))
    assert check.found == "http://127.0.0.1:9: the server does not answer"
    assert check.fix == "check MLFLOW_TRACKING_URI and its server"


def test_a_folder_that_cannot_be_written_is_one_finding_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    monkeypatch.chdir(tmp_path)
    Path("results").touch()
    root = tmp_path / "results"
    assert doctor.disk(root).fix == "results must be a folder: choose another with --results"
    [check] = doctor.storage(root, lambda visit: [visit()])
    assert (check.name, check.fix) == ("storage", "make the folder of results writable, or choose another")
    with pytest.raises(UserError) as caught, Results(root).lock("s"):
        pass
    [line] = caught.value.problems
    assert line.startswith("results: the folder of results must be writable, got [Errno 20] Not a directory: ")


def test_a_cluster_that_does_not_answer_is_said_at_once(tmp_path: Path) -> None:
    place = Place(tmp_path, variables={"RAY_ADDRESS": "127.0.0.1:9"})
    (tmp_path / "s.yaml").write_text("name: s\nbase: {epochs: 1}\nseeds: 1\n", encoding="utf-8")
    began = time.monotonic()
    done = place.ottt("sweep", "run", "s.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    last = done.stderr.splitlines()[-1]
    assert last == "error: RAY_ADDRESS must be a cluster that runs, got 127.0.0.1:9: [Errno 111] Connection refused"
    assert time.monotonic() - began < 60
    with pytest.raises(UserError, match="RAY_ADDRESS must be auto, local or HOST:PORT of a head, got head"):
        refuse_silent("head")
    [check] = [one for one in json.loads(place.ottt("doctor", "s.yaml", "--json").stdout) if one["name"] == "ray"]
    assert check["fix"] == "check RAY_ADDRESS, or unset it to start Ray on this machine"


def test_trials_that_ran_are_done_in_the_estimate(tmp_path: Path) -> None:
    sweep = spec(base=SMALL)
    records = Results(tmp_path).records
    recorded(records, expand(sweep).trials[0], Status.FINISHED, values=[0.5] * 10)
    assert estimated(sweep, records).text() == "nothing is left to run"
