"""Sweeps on several hosts, one Ray node each: links cut, nodes killed, the tracking server killed.

Whatever happens, every trial ends once, with the metrics that a single machine gives.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from experiments.results.trial_records import TrialRecords
from ottt.schema import Status
from tests.experiments.cluster.lab import BIN, PORT, ROOT, Host, Lab, lab, until, why_not
from tests.experiments.commands import Place
from tests.experiments.run.test_kill import WATCH

pytestmark = [
    pytest.mark.skipif(why_not() is not None, reason=why_not() or ""),
    pytest.mark.timeout(1800),
]

EPOCHS, TRIALS = 6, 8
SPEC = f"""\
name: hosts
base: {{T: 2, epochs: {EPOCHS}, batch_size: 64, model.width: 0.5, device: cpu}}
axes: {{rule.update: [accumulate, online]}}
seeds: 4
resources: {{cpu: 1, gpu: 0.5, fuse: 1}}
checkpoints: {{seconds: 0}}
"""


@dataclass(frozen=True)
class Cluster:
    """A head that trains nothing and two workers with two logical GPUs each."""

    lab: Lab
    head: Host
    workers: tuple[Host, Host]

    def join(self, worker: Host) -> None:
        worker.ray(f"--address={self.head.address}:{PORT}", "--num-cpus=2", "--num-gpus=2")

    def complete(self) -> None:
        """Bring back a worker that the last test lost."""
        for worker in self.workers:
            worker.link("up")
            if not worker.pids("raylet/raylet"):
                self.join(worker)

    def drain(self, worker: Host, *, seconds: int) -> None:
        """Announce that the worker goes, as a cloud does for a spot machine."""
        address = f"{self.head.address}:{PORT}"
        find = f"[n['NodeID'] for n in ray.nodes() if n['Alive'] and n['NodeManagerAddress'] == '{worker.address}']"
        code = f"import ray; ray.init('{address}', log_to_driver=False); print(*{find})"
        [node] = self.head.run(sys.executable, "-c", code).stdout.split()
        words = ["drain-node", "--address", address, "--node-id", node, "--reason-message", "announced"]
        words += ["--reason", "DRAIN_NODE_REASON_PREEMPTION", "--deadline-remaining-seconds", str(seconds)]
        done = self.head.run(str(BIN / "ray"), *words)
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("lab")
    (folder / "modules").mkdir()
    watch = WATCH.replace("{os.getpid()}", "{os.uname().nodename} {os.environ.get('CUDA_VISIBLE_DEVICES')}")
    (folder / "modules" / "sitecustomize.py").write_text(watch, encoding="utf-8")
    (folder / "bin").mkdir()
    command = f'#!/bin/sh\nexec {sys.executable} -m experiments.cli "$@"\n'
    (folder / "bin" / "ottt").write_text(command, encoding="utf-8")
    (folder / "bin" / "ottt").chmod(0o755)
    variables = {
        "RAY_AUTH_MODE": "token",
        "PYTHONPATH": f"{folder / 'modules'}:{ROOT}",
        "PATH": f"{folder / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "OTTT_WATCH": str(folder / "watched.txt"),
        "OTTT_GATE": str(folder / "gate"),
        "OTTT_RESULTS": str(folder / "submitted"),
        "OTTT_MLFLOW_PAUSE": "1",
    }
    with lab(folder) as made:
        head = made.host("head", variables=variables)
        workers = made.host("one", variables=variables), made.host("two", variables=variables)
        head.ray("--head", f"--port={PORT}", "--num-cpus=0", "--num-gpus=0", "--dashboard-host=127.0.0.1")
        found = Cluster(made, head, workers)
        for worker in workers:
            found.join(worker)
        yield found


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The numbers of the same trials on a single machine."""
    folder = tmp_path_factory.mktemp("alone")
    (folder / "spec.yaml").write_text(SPEC, encoding="utf-8")
    done = Place(folder, cores=1).ottt("sweep", "run", "spec.yaml", "resources.gpu=0")
    assert done.returncode == 0, done.stderr
    return numbers(folder / "results")


def numbers(results: Path) -> dict[str, Any]:
    """By trial: how it ended, and every metric that the machine's speed does not change."""
    records = TrialRecords(results / "trials")
    found = {}
    for path in records.folder.iterdir():
        record = records.read(path.name)
        assert record is not None
        metrics = [
            {key: value for key, value in epoch.metrics.items() if not key.startswith(("time/", "perf/", "mem/"))}
            for epoch in records.epochs(path.name)
        ]
        found[path.name] = record.status, metrics
    return found


@dataclass
class Sweep:
    """The sweep, driven from the head."""

    cluster: Cluster
    folder: Path

    @property
    def results(self) -> Path:
        return self.folder / "results"

    def start(self, *overrides: str, **variables: str) -> subprocess.Popen[str]:
        self.cluster.complete()
        (self.folder / "spec.yaml").write_text(SPEC, encoding="utf-8")
        self.watched, self.gate = self.cluster.lab.folder / "watched.txt", self.cluster.lab.folder / "gate"
        self.watched.unlink(missing_ok=True)
        self.gate.touch()
        address = {"RAY_ADDRESS": f"{self.cluster.head.address}:{PORT}"}
        words = [sys.executable, "-m", "experiments.cli", "sweep", "run", str(self.folder / "spec.yaml"), *overrides]
        command = self.cluster.head.command(
            *words, "--results", str(self.results), "--json", variables=address | variables
        )
        with (self.folder / "said.txt").open("w") as said:
            return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=said)

    def said(self) -> str:
        return (self.folder / "said.txt").read_text(encoding="utf-8")

    def trained(self) -> Counter[str]:
        """Epochs by host."""
        return Counter(host for host, _ in self.places())

    def places(self) -> list[tuple[str, str]]:
        """Host and GPU of every epoch."""
        text = self.watched.read_text(encoding="utf-8") if self.watched.is_file() else ""
        lines = [line.split() for line in text.splitlines()]
        return [(line[2], line[3]) for line in lines if len(line) == 4]

    @contextmanager
    def midway(self) -> Iterator[None]:
        """While both hosts train, however long it takes: no trial leaves its second epoch before the block ends."""
        until(lambda: {"one", "two"} <= {host for host, count in self.trained().items() if count >= 2}, self.said)
        yield
        self.gate.unlink()

    def check(self, driver: "subprocess.Popen[str]", alone: dict[str, Any]) -> None:
        driver.wait(timeout=900)
        assert driver.returncode == 0, self.said()
        assert {status for status, _ in alone.values()} == {Status.FINISHED}
        assert numbers(self.results) == alone
        assert len(alone) == TRIALS
        assert set(self.trained()) == {"one", "two"}


def test_a_cut_link_costs_time_only(cluster: Cluster, alone: dict[str, Any], tmp_path: Path) -> None:
    sweep, two = Sweep(cluster, tmp_path), cluster.workers[1]
    driver = sweep.start()
    try:
        with sweep.midway():
            two.link("down")
        until(lambda: "lost: " in sweep.said(), "nobody noticed the cut")
        assert driver.poll() is None
        two.link("up")
        until(lambda: not two.pids("raylet/raylet"), "a node that was given up lives on")
        cluster.join(two)
        sweep.check(driver, alone)
    finally:
        driver.kill()
    once_in_the_store(tmp_path)


def test_a_killed_node_costs_time_only(cluster: Cluster, alone: dict[str, Any], tmp_path: Path) -> None:
    sweep, one = Sweep(cluster, tmp_path), cluster.workers[0]
    driver = sweep.start()
    try:
        with sweep.midway():
            one.kill("raylet/raylet")
        until(lambda: "lost: " in sweep.said(), "nobody noticed the loss")
        assert driver.poll() is None
        sweep.check(driver, alone)
    finally:
        driver.kill()
    once_in_the_store(tmp_path)


def test_a_drained_node_saves_its_checkpoints(cluster: Cluster, alone: dict[str, Any], tmp_path: Path) -> None:
    sweep, two = Sweep(cluster, tmp_path), cluster.workers[1]
    driver = sweep.start("checkpoints.seconds=100000")  # by themselves trials write none
    try:
        with sweep.midway():
            assert list(sweep.results.rglob("*.pt")) == []
            cluster.drain(two, seconds=20)
        until(lambda: list(sweep.results.rglob("*.pt")) != [], "no checkpoint was written")
        until(lambda: not two.pids("raylet/raylet"), "a drained node stays")
        cluster.join(two)
        sweep.check(driver, alone)
        again = sweep.trained().total() - TRIALS * EPOCHS
        assert again <= 4, sweep.said()  # an epoch of each trial on that node
    finally:
        driver.kill()
    once_in_the_store(tmp_path)


def once_in_the_store(folder: Path) -> None:
    """Every trial has one run, and every epoch one point."""
    place = Place(folder)
    assert place.runs() == [("sweep", "FINISHED"), *[("trial", "FINISHED")] * TRIALS]
    assert place.doubled() == 0
    assert place.query("SELECT count(*) FROM metrics WHERE key = 'val/top1'") == [(TRIALS * EPOCHS,)]


def test_a_killed_tracking_server_costs_nothing(cluster: Cluster, alone: dict[str, Any], tmp_path: Path) -> None:
    head, server = cluster.head, tmp_path / "server"
    script = str(ROOT / "deploy" / "mlflow-server.sh")
    started = head.run(script, "start", str(server))
    assert started.returncode == 0, started.stderr
    try:
        page = head.run("curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "127.0.0.1:5000/")
        assert page.stdout == "401"  # it asks for a password
        variables = {
            "MLFLOW_TRACKING_URI": "http://127.0.0.1:5000",
            "MLFLOW_TRACKING_USERNAME": "admin",
            "MLFLOW_TRACKING_PASSWORD": (server / "password").read_text(encoding="utf-8").strip(),
        }
        sweep = Sweep(cluster, tmp_path)
        driver = sweep.start(**variables)
        with sweep.midway():
            head.kill("mlflow server --host")
        sweep.check(driver, alone)
        assert "starting it again" in (server / "watch.log").read_text(encoding="utf-8")
    finally:
        head.run(script, "stop", str(server))
    (tmp_path / "served").mkdir()
    (tmp_path / "served" / "results").symlink_to(server)
    once_in_the_store(tmp_path / "served")


def test_few_trials_take_a_gpu_each(cluster: Cluster, tmp_path: Path) -> None:
    sweep = Sweep(cluster, tmp_path)
    driver = sweep.start("seeds=2", "epochs=2", "resources.gpu=0.25")  # Ray alone puts two on one GPU
    with sweep.midway():
        until(lambda: len(sweep.places()) == 4 * 2, sweep.said)
    driver.wait(timeout=900)
    assert driver.returncode == 0, sweep.said()
    assert Counter(sweep.places()) == Counter({(host, gpu): 2 for host in ("one", "two") for gpu in ("0", "1")})
    assert "note: 4 trials leave GPUs free: they take 1 GPU each, not 0.25" in sweep.said()


ON_A_GPU = """\
import json, os, time
from experiments.interrupt import Ending, Interrupted
from experiments.cluster.nodes import connected, idle, on_a_gpu
from ottt.errors import UserError

def where():
    return os.uname().nodename, os.environ["CUDA_VISIBLE_DEVICES"]

def wrong():
    raise UserError("far away")

found, ending = [], Ending()
with connected():
    found.append(sorted(one.get("GPU", 0) for one in idle()))
    found.append(on_a_gpu(where, ending=ending))
    try:
        on_a_gpu(wrong, ending=ending)
    except UserError as error:
        found.append(error.problems)
    ending.now.set()
    try:
        on_a_gpu(lambda: time.sleep(600), ending=ending)
    except Interrupted:
        found.append("interrupted")
    found.append(idle())
print(json.dumps(found))
"""


def test_what_needs_a_gpu_goes_where_one_is(cluster: Cluster, tmp_path: Path) -> None:
    cluster.complete()
    variables = {"RAY_ADDRESS": f"{cluster.head.address}:{PORT}"}
    done = cluster.head.run(sys.executable, "-c", ON_A_GPU, variables=variables)
    assert done.returncode == 0, done.stderr
    gpus, (host, gpu), *rest = json.loads(done.stdout)
    assert gpus == [0, 2, 2]
    assert (host in ("one", "two"), gpu in ("0", "1")) == (True, True)
    assert rest == [["far away"], "interrupted", []]  # the last task still has its GPU
    (tmp_path / "spec.yaml").write_text(SPEC, encoding="utf-8")
    words = ("epochs=1", "seeds=1", "resources.gpu=auto", "--results", str(tmp_path / "results"))
    measured = cluster.head.ottt("sweep", "run", str(tmp_path / "spec.yaml"), *words, variables=variables)
    assert measured.returncode == 0, measured.stderr
    assert "note: resources.gpu auto is 0\n" in measured.stderr  # the workers have none that trials could use


def test_a_submitted_sweep_runs_by_itself(cluster: Cluster) -> None:
    head = cluster.head
    submitted = head.ottt("cluster", "submit", "quickstart", "device=cpu", "epochs=1", "seeds=1", "name=sent")
    assert submitted.returncode == 0, submitted.stderr
    job = submitted.stdout.removeprefix("submitted: ").strip()
    assert job.startswith("sent-")

    def status() -> str:
        shown = head.ottt("cluster", "status", job)
        return shown.stdout + shown.stderr

    until(lambda: "succeeded" in status() or "failed" in status(), "the sweep never ended")
    said = head.ottt("cluster", "logs", "sent")
    assert "trials run:  6 of 6" in said.stdout, said.stdout + said.stderr
    assert {record for record, _ in numbers(cluster.lab.folder / "submitted").values()} == {Status.FINISHED}
    assert "job must be one of sent-" in head.ottt("cluster", "logs", "other").stderr


def test_a_submitted_sweep_that_is_stopped_goes_on_when_submitted_again(cluster: Cluster, tmp_path: Path) -> None:
    cluster.complete()
    head, results, gate = cluster.head, tmp_path / "results", cluster.lab.folder / "gate"
    (tmp_path / "spec.yaml").write_text(SPEC.replace("name: hosts", "name: halted"), encoding="utf-8")
    words = ("cluster", "submit", str(tmp_path / "spec.yaml"), "seeds=2", "--results", str(results))
    gate.touch()  # no trial gets beyond its second epoch
    assert head.ottt(*words).returncode == 0
    records = TrialRecords(results / "trials")

    def epochs() -> int:
        return sum(len(records.epochs(path.name)) for path in records.folder.glob("*"))

    until(lambda: epochs() == 4, "not all four train")
    stopped = head.ottt("cluster", "stop", "halted")
    assert stopped.returncode == 0, stopped.stderr
    until(lambda: " stopped " in head.ottt("cluster", "status", "halted").stdout, "it goes on")
    assert {status for status, _ in numbers(results).values()} == {Status.INTERRUPTED}
    assert set(Place(tmp_path).runs()) == {("sweep", "KILLED"), ("trial", "KILLED")}
    gate.unlink()
    again = head.ottt(*words, "--follow")
    assert (again.returncode, "trials run:  4 of 4" in again.stdout) == (0, True), again.stdout + again.stderr
    assert {status for status, _ in numbers(results).values()} == {Status.FINISHED}


def test_without_the_token_nobody_comes_in(cluster: Cluster) -> None:
    stranger, head = cluster.lab.host("stranger", token=None), cluster.head
    nothing = head.ottt("cluster", "submit", "quickstart", variables={"HOME": str(cluster.lab.folder / "nobody")})
    assert (nothing.returncode, nothing.stdout) == (2, "")
    [line] = nothing.stderr.splitlines()
    assert line.startswith(f"error: {cluster.lab.folder}/nobody/.ray/auth_token: the cluster's token must be there")
    wrong = {"RAY_AUTH_TOKEN": "another token"}
    refused = head.ottt("cluster", "status", variables=wrong)
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
    assert "Authentication failed" in refused.stderr
    code = f"import ray; ray.init('{head.address}:{PORT}', log_to_driver=False)"
    for variables in ({"RAY_AUTH_MODE": "disabled"}, wrong | {"RAY_AUTH_MODE": "token"}):
        connected = stranger.run(sys.executable, "-c", code, variables=variables)
        assert connected.returncode != 0
        assert "uthentic" in connected.stderr
    page = stranger.run("curl", "--silent", "--show-error", "--max-time", "5", f"{head.address}:8265")
    assert (page.returncode, "Connection refused" in page.stderr or "connect" in page.stderr) == (7, True)
