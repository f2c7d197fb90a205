"""The command with real processes: sweeps that fail, are mended, run again, are interrupted and go on."""

import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from ottt.schema import Status, Tag
from ottt.training.checkpoint import read_checkpoint
from tests.experiments.commands import PROGRAM, Place
from tests.experiments.faults import TRAINER, after_import

SPEC = """\
name: tiny
base: {T: 1, epochs: 2, batch_size: 256, model.width: 0.1}
axes: {rule.update: [accumulate, online]}
seeds: 2
baseline: {rule.update: accumulate}
retries: 0
"""

# Makes one trial of four raise in its second epoch, in whichever process trains it; and the first worker that should
# take another trial fail to.
FAULT = after_import(
    TRAINER,
    """\
train_epoch = module.Trainer.train_epoch
def faulty(self):
    if self.epoch == 1 and self.config.seed == 1 and self.config.rule.update == "online":
        raise ValueError("injected fault\\nsecond line")
    return train_epoch(self)
module.Trainer.train_epoch = faulty
from experiments.worker import trainable
clean, taken, once = trainable.clean, [], Path(__file__).with_name("once")
def dirty(share):
    taken.append(share)
    if len(taken) == 2 and not once.exists():
        once.touch()
        raise RuntimeError("injected reset")
    clean(share)
trainable.clean = dirty
""",
)


def place(folder: Path) -> Place:
    (folder / "tiny.yaml").write_text(SPEC, encoding="utf-8")
    (folder / "fault").mkdir()
    (folder / "fault" / "sitecustomize.py").write_text(FAULT, encoding="utf-8")
    return Place(folder)


@dataclass(frozen=True)
class Story:
    """One sweep run three times: with a fault, without it, and with nothing left to do."""

    place: Place
    faulty: subprocess.CompletedProcess[str]
    faulty_statuses: dict[str, Status]
    faulty_runs: list[tuple[str, str]]
    reason: str | None
    error: str
    mended: subprocess.CompletedProcess[str]
    again: subprocess.CompletedProcess[str]


@pytest.fixture(scope="session")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    here = place(tmp_path_factory.mktemp("a sweep"))
    faulty = here.ottt("sweep", "run", "tiny.yaml", paths=(here.folder / "fault",))
    statuses = here.statuses()
    failed = next(trial for trial, status in statuses.items() if status is Status.FAILED)
    record = here.records.read(failed)
    assert record is not None
    return Story(
        place=here,
        faulty=faulty,
        faulty_statuses=statuses,
        faulty_runs=here.runs(),
        reason=record.reason,
        error=(here.records.folder / failed / "error.txt").read_text(encoding="utf-8"),
        mended=here.ottt("sweep", "retry-failed", "tiny", "--json"),
        again=here.ottt("sweep", "run", "tiny.yaml"),
    )


def test_a_failing_trial_stops_no_other(story: Story) -> None:
    assert story.faulty.returncode == 1, story.faulty.stderr
    assert sorted(story.faulty_statuses.values()) == ["failed", "finished", "finished", "finished"]
    assert story.faulty_runs == [("sweep", "FAILED"), ("trial", "FAILED"), *[("trial", "FINISHED")] * 3]


def test_why_a_trial_failed_is_said_and_kept(story: Story) -> None:
    line = next(number for number, text in enumerate(FAULT.splitlines(), start=1) if "injected fault" in text)
    assert story.reason == f"ValueError: injected fault (sitecustomize.py:{line})"
    assert story.error.startswith("Traceback")
    assert f"failed: rule.update=online seed=1: {story.reason}" in story.faulty.stderr
    assert "error: 1 of 4 trials failed, see results/trials/*/error.txt" in story.faulty.stderr


def test_a_worker_that_cannot_take_the_next_trial_is_replaced(story: Story) -> None:
    lost = [line for line in story.faulty.stderr.splitlines() if line.startswith("lost: ")]
    assert len(lost) == 1
    assert "RuntimeError: injected reset" in lost[0]
    assert lost[0].endswith("; again now, from its last checkpoint")


def test_the_table_counts_what_finished(story: Story) -> None:
    rows = [line.split() for line in story.faulty.stdout.splitlines()]
    done = {row[0]: row[1] for row in rows if row and row[0] in {"accumulate", "online"}}
    assert done["accumulate"] == "2/2"
    assert done["online"] == "1/2"


def test_retrying_runs_only_what_failed(story: Story) -> None:
    assert story.mended.returncode == 0, story.mended.stderr
    summary = json.loads(story.mended.stdout)
    assert {key: summary[key] for key in ("planned", "ran", "finished", "failed")} == {
        "planned": 4,
        "ran": 1,
        "finished": 4,
        "failed": 0,
    }
    assert len(summary["comparison"]["rows"]) == 2


def test_a_finished_sweep_runs_nothing(story: Story) -> None:
    assert story.again.returncode == 0, story.again.stderr
    assert "trials run:  0 of 4" in story.again.stdout
    assert story.again.stdout.endswith(f"\nMLflow page: {PROGRAM} mlflow serve\n")


def test_the_store_holds_every_trial_once(story: Story) -> None:
    assert story.place.runs() == [("sweep", "FINISHED"), *[("trial", "FINISHED")] * 4]
    assert story.place.doubled() == 0
    counts = story.place.query(
        "SELECT count(DISTINCT step), max(step) FROM metrics WHERE key = 'test/top1' GROUP BY run_uuid"
    )
    assert counts == [(2, 2)] * 4
    params = story.place.query("SELECT count(*) FROM params GROUP BY run_uuid")
    assert len(params) == 4
    assert min(params)[0] > 25


def test_the_store_holds_the_numbers_of_the_records(story: Story) -> None:
    stored = story.place.query(
        "SELECT t.value, m.key, m.step, m.value FROM metrics m JOIN tags t USING (run_uuid)"
        f" WHERE t.key = '{Tag.TRIAL}'"
        " AND m.key NOT LIKE 'time/%' AND m.key NOT LIKE 'perf/%' AND m.key NOT LIKE 'mem/%'"
    )
    recorded = {
        (trial, key, epoch.epoch, value)
        for trial in story.place.statuses()
        for epoch in story.place.records.epochs(trial)
        for key, value in epoch.metrics.items()
        if not key.startswith(("time/", "perf/", "mem/"))
    }
    assert set(stored) == recorded


def test_output_is_quiet_and_plain_where_there_is_no_terminal(story: Story) -> None:
    for run in (story.faulty, story.mended, story.again):
        assert "\x1b" not in run.stdout + run.stderr
        assert "Traceback" not in run.stderr
    assert story.again.stderr == "tiny: 4 trials, 4 done before, 0 to run\n"
    assert all(
        line.startswith(("tiny: ", "failed: ", "lost: ", "error: ")) for line in story.faulty.stderr.splitlines()
    )


def test_nothing_of_ray_is_left(story: Story) -> None:
    assert list((story.place.folder / "results" / "ray").iterdir()) == []


def test_plan_and_status_show_what_is_done(story: Story) -> None:
    planned = story.place.ottt("sweep", "plan", "tiny.yaml", "seeds=3").stdout.splitlines()
    assert planned[-2] == "tiny: 4 of 6 trials done"
    assert planned[-1].startswith("to run: 2 trials, about ")
    assert planned[-1].endswith("0 kinds of trial measured now, 0 by an earlier plan, 2 known from trials that ran")
    status = json.loads(story.place.ottt("sweep", "status", "tiny", "--json").stdout)
    assert status["done"] == 4
    assert status["running"] is False
    assert {trial["status"] for trial in status["trials"]} == {"finished"}


def test_list_and_export_hand_a_sweep_on(story: Story) -> None:
    listed = json.loads(story.place.ottt("sweep", "list", "--json").stdout)
    assert listed["sweeps"] == [{"sweep": "tiny", "trials": 4, "done": 4, "failed": 0, "now": ""}]
    exported = story.place.ottt("sweep", "export", "tiny", "--to", "handed on")
    assert exported.returncode == 0, exported.stderr
    folder = story.place.folder / "handed on"
    runs = (folder / "runs.csv").read_text(encoding="utf-8").splitlines()
    history = (folder / "history.csv").read_text(encoding="utf-8").splitlines()
    assert len(runs) == 1 + 4
    assert sum(",val/top1," in line for line in history) == 4 * 2
    copy = story.place.ottt("sweep", "plan", "handed on/spec.yaml", "--json", "--no-estimate")
    hashes = [trial["trial"] for trial in json.loads(copy.stdout)["trials"]]
    plan = json.loads((folder / "plan.json").read_text(encoding="utf-8"))
    assert hashes == [trial["trial"] for trial in plan["trials"]]
    tables = [story.place.ottt("compare", one, "--format", "json").stdout for one in ("tiny", "handed on")]
    assert tables[0] == tables[1]
    assert json.loads(tables[0])["rows"]
    page = story.place.ottt("report", "handed on", "-o", "handed on.html")
    assert page.returncode == 0, page.stderr
    refused = story.place.ottt("sweep", "export", "tiny", "--to", "tiny.yaml")
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: --to must be a folder that can be written, got tiny.yaml: ")


def test_compare_writes_each_format(story: Story) -> None:
    table = story.place.ottt("compare", "tiny", "--metric", "val/top1", "--format", "json")
    assert json.loads(table.stdout)["metric"] == "val/top1"
    by_spec = story.place.ottt("compare", "tiny.yaml", "--format", "csv")
    assert len(by_spec.stdout.splitlines()) == 3


def test_the_user_s_mistakes_start_nothing(tmp_path: Path) -> None:
    here = place(tmp_path)
    wrong = here.ottt("sweep", "run", "tiny.yaml", "data.name=cifar9", "axes.T=[]", "epoch=3")
    assert wrong.returncode == 2
    lines = wrong.stderr.splitlines()
    assert [line.split(",")[-1] for line in lines] == [" got 'cifar9'", " got 3", " got []"]
    assert all(line.startswith("error: override: ") for line in lines)
    assert not (tmp_path / "results").exists()


def test_a_trial_larger_than_the_machine_makes_no_run(tmp_path: Path) -> None:
    here = place(tmp_path)
    refused = here.ottt("sweep", "run", "tiny.yaml", "resources.cpu=4096")
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[-1].startswith("error: resources.cpu must be <= ")
    assert not (tmp_path / "results" / "trials").exists()
    assert here.query("SELECT count(*) FROM runs") == [(0,)]


def test_another_shell_watches_and_stops_a_sweep(tmp_path: Path, empty_store: Path) -> None:
    here = place(tmp_path).take_store(empty_store)
    driver = here.start("sweep", "run", "tiny.yaml", "epochs=4000", "checkpoints.seconds=1e6")
    while here.epochs() < 1 and driver.poll() is None:
        time.sleep(0.05)
    status = json.loads(here.ottt("sweep", "status", "tiny", "--json").stdout)
    assert status["running"] is True
    assert "running" in {trial["status"] for trial in status["trials"]}
    second = here.ottt("sweep", "run", "tiny.yaml")
    assert second.returncode == 2
    assert second.stderr.endswith("the sweep tiny is running in another process\n")
    stopped = here.ottt("sweep", "stop", "tiny")
    assert stopped.returncode == 0, stopped.stderr
    assert stopped.stdout == f"stopped: 0 of 4 trials done; to resume: {PROGRAM} sweep resume tiny\n"
    assert stopped.stderr == "asked: waiting for the running epochs\n"
    _, said = driver.communicate(timeout=900)
    assert driver.returncode == 130
    assert said.splitlines()[-1].startswith(
        f"interrupted: 0 of 4 trials done; to resume: {PROGRAM} sweep run tiny.yaml"
    )
    assert set(here.statuses().values()) == {Status.INTERRUPTED}
    assert here.runs() == [("sweep", "KILLED"), *[("trial", "KILLED")] * len(here.statuses())]
    epochs = {trial: len(here.records.epochs(trial)) for trial in here.statuses()}
    for trial, count in epochs.items():  # a worker may have taken its first trial only after the request
        assert count == 0 or read_checkpoint(here.records.checkpoint(trial))["epoch"] == count
    again = here.ottt("sweep", "stop", "tiny")
    assert (again.returncode, again.stdout) == (2, "")
    assert again.stderr == "error: the sweep must be running to be stopped, got tiny, which is not\n"

    left = here.start("sweep", "resume", "tiny")
    while here.epochs() <= sum(epochs.values()) and left.poll() is None:
        assert here.epochs() >= sum(epochs.values())  # from the states that were written: nothing is trained again
        time.sleep(0.05)
    assert left.poll() is None
    left.send_signal(signal.SIGTERM)  # to the driver alone, as a batch system does
    left.communicate(timeout=900)
    assert left.returncode == 130
    assert set(here.statuses().values()) == {Status.INTERRUPTED}


def test_ctrl_c_records_what_is_done_and_the_next_run_goes_on(tmp_path: Path, empty_store: Path) -> None:
    here = place(tmp_path).take_store(empty_store)
    arguments = ("sweep", "run", "tiny.yaml", "epochs=40")
    process = here.start(*arguments)
    while len(here.statuses()) < 3 and process.poll() is None:  # the third starts when the first has ended
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to the workers too
    _, said = process.communicate(timeout=900)
    assert process.returncode == 130, said
    done = sum(status is Status.FINISHED for status in here.statuses().values())
    assert 1 <= done < 4
    assert said.splitlines()[-1] == (
        f"interrupted: {done} of 4 trials done; to resume: {PROGRAM} sweep run tiny.yaml epochs=40"
    )
    assert set(here.statuses().values()) == {Status.FINISHED, Status.INTERRUPTED}
    statuses = [status for kind, status in here.runs() if kind == "trial"]
    assert statuses.count("FINISHED") == done
    assert set(here.runs()) >= {("sweep", "KILLED"), ("trial", "KILLED")}
    assert "RUNNING" not in statuses
    log = here.folder / "results" / "mlflow.db-wal"
    assert not log.exists()  # the file can be copied by itself

    resumed = here.ottt(*arguments)
    assert resumed.returncode == 0, resumed.stderr
    assert not log.exists()
    assert f"trials run:  {4 - done} of 4" in resumed.stdout
    assert here.runs() == [("sweep", "FINISHED"), *[("trial", "FINISHED")] * 4]
    assert here.doubled() == 0
    counts = here.query("SELECT count(*) FROM metrics WHERE key = 'test/top1' GROUP BY run_uuid")
    assert counts == [(40,)] * 4
