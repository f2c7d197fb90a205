"""Two drivers on overlapping sweeps, killed and restarted at random: no result is lost, made twice or changed."""

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from experiments.planning.plan import expand
from experiments.results.trial_records import Epoch, TrialRecords
from experiments.run import driver
from experiments.worker.step_report import StepReport
from ottt.schema import SETTLED, Status
from tests.experiments.desks import Desk, Killed, killing, make_desk
from tests.experiments.mlflow_sweeps import REPORT
from tests.experiments.specs import spec

EPOCHS = 2
SWEEPS = [
    spec(name=name, axes={"neuron.tau": taus}, seeds=2, base={"epochs": EPOCHS})
    for name, taus in (("first", [1.25, 2.0]), ("second", [2.0, 4.0]))
]
TRIALS = sorted({trial.trial for sweep in SWEEPS for trial in expand(sweep).trials})
WRITES = ["begin", "resume", "append", "truncate_epochs", "describe", "keep_evaluation", "drop_checkpoint", "end"]

# A write is: train and take as usual, and end the process before the next such write.
ACTIONS = st.tuples(st.sampled_from(["take"] * 8 + ["train"] * 16 + ["kill"] * 2 + WRITES), st.sampled_from([0, 1]))
# The second waits for a trial that the first began before and finishes meanwhile.
FINISHED_MEANWHILE = [("take", 0), ("take", 0), ("train", 1), *[("train", 0)] * 4, ("take", 1), ("train", 1)]


class World:
    """A folder of results and the two drivers; a driver that was killed is started again when it is to act."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.records = TrialRecords(folder / "trials")
        self.desks: list[Desk | None] = [None, None]
        self.settled: dict[str, list[bytes]] = {}
        self.ends: Counter[str] = Counter()
        self.clock = 0.0  # seconds

    def desk(self, index: int) -> Desk:
        found = self.desks[index] or make_desk(self.folder, SWEEPS[index])
        self.desks[index] = found
        return found

    def take(self, index: int) -> bool:
        """Start the next trial; False if there is none at present."""
        desk = self.desk(index)
        task = desk.next()
        if task is not None:
            desk.driver.started(task.trial)
        return task is not None

    def train(self, index: int) -> None:
        """An epoch of the trial that has been running longest, from where its record is."""
        desk = self.desk(index)
        for trial in desk.driver.state.running()[:1]:
            number = min(len(self.records.epochs(trial)) + 1, EPOCHS)
            epoch = Epoch(number, float(number), {"val/top1": number / 10})
            is_last = number == EPOCHS
            status = Status.FINISHED if is_last else Status.RUNNING
            desk.driver.reported(trial, StepReport(status, epoch, "cpu", evaluation=REPORT if is_last else None))

    def kill(self, index: int) -> None:
        """What the operating system does: locks are free, nothing is written."""
        if (desk := self.desks[index]) is not None:
            desk.driver.effects.locks.close()
        self.desks[index] = None

    def check(self) -> None:
        """A settled trial's files are what they were when it settled."""
        for trial in TRIALS:
            record = self.records.read(trial)
            if record is None or record.status not in SETTLED:
                assert trial not in self.settled
                continue
            files = sorted((self.records.folder / trial).glob("*.json*"))
            assert self.settled.setdefault(trial, [file.read_bytes() for file in files]) == [
                file.read_bytes() for file in files
            ]


@example(actions=FINISHED_MEANWHILE)
@settings(max_examples=100, deadline=None)
@given(actions=st.lists(ACTIONS, max_size=40))
def test_every_trial_is_trained_once_and_no_result_changes(actions: list[tuple[str, int]]) -> None:
    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        world = World(Path(name))
        end = TrialRecords.end

        def counted(records: TrialRecords, trial: str, status: Status, **more: str | None) -> None:
            end(records, trial, status, **more)
            world.ends[trial] += status in SETTLED

        patch.setattr(TrialRecords, "end", counted)
        patch.setattr(driver, "time", SimpleNamespace(monotonic=lambda: world.clock))
        for action, index in actions:
            world.clock += driver.BUSY_WAIT_S  # so that a trial that was busy is looked at again
            if action in ("take", "train", "kill"):
                getattr(world, action)(index)
            else:
                _act_and_die(world, action, index)
            world.check()
        for index in (0, 1):  # both run to their end, one after the other
            world.kill(0)
            world.kill(1)
            while world.take(index) or world.desk(index).driver.state.running():
                world.train(index)
                world.check()
        for desk in world.desks:
            assert desk is None or desk.driver.is_finished
        assert world.ends == dict.fromkeys(TRIALS, 1)
        for trial in TRIALS:
            assert [epoch.epoch for epoch in world.records.epochs(trial)] == list(range(1, EPOCHS + 1))
            assert world.records.evaluation(trial) == REPORT
            assert not world.records.checkpoint(trial).exists()
        world.kill(0)
        world.kill(1)


def _act_and_die(world: World, write: str, index: int) -> None:
    """Train, or take a trial; if that comes to the write, the process ends before it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TrialRecords, write, killing(getattr(TrialRecords, write), 1))
        try:
            world.train(index)
            world.take(index)
        except Killed:
            world.kill(index)
