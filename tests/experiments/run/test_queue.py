import pytest

from experiments.run.queue import FIRST_WAIT_S, Agenda, Task
from experiments.spec.run_settings import Share
from experiments.worker.step_report import FailureKind
from ottt.config.trial import TrialConfig


def task(name: str, *, gpu: float = 0.0) -> Task:
    return Task(name, TrialConfig(), Share(cpu=1.0, gpu=gpu))


def agenda_of(tasks: list[Task], *, retries: int) -> Agenda:
    agenda = Agenda(retries=retries)
    agenda.add(tasks)
    return agenda


def test_trials_come_in_order_and_then_none() -> None:
    agenda = agenda_of([task("a"), task("b")], retries=0)
    assert [agenda.next(0.0), agenda.next(0.0), agenda.next(0.0)] == [task("a"), task("b"), None]
    assert not agenda.finished
    agenda.settle("a")
    agenda.settle("b")
    assert agenda.finished


def test_a_lost_worker_is_replaced_later_each_time_and_not_for_ever() -> None:
    agenda = agenda_of([task("a")], retries=3)
    now = 0.0
    for wait in (2.0, 8.0, 32.0):
        assert agenda.next(now) == task("a")
        assert agenda.fail("a", FailureKind.WORKER, now) == wait
        assert not agenda.finished
        assert agenda.next(now + wait - 0.1) is None
        now += wait
    assert agenda.next(now) == task("a")
    assert agenda.fail("a", FailureKind.WORKER, now) is None
    assert agenda.finished


def test_what_waits_does_not_hold_up_the_rest() -> None:
    agenda = agenda_of([task("a"), task("b"), task("c")], retries=1)
    agenda.next(0.0)
    agenda.fail("a", FailureKind.WORKER, 0.0)
    assert agenda.next(1.0) == task("b")
    assert agenda.next(2.0) == task("a")
    assert agenda.next(2.0) == task("c")


def test_an_error_of_the_trial_is_final() -> None:
    agenda = agenda_of([task("a")], retries=3)
    agenda.next(0.0)
    assert agenda.fail("a", FailureKind.ERROR, 0.0) is None
    assert agenda.finished


def test_preemption_counts_against_nothing() -> None:
    agenda = agenda_of([task("a")], retries=0)
    for _ in range(10):
        agenda.next(0.0)
        assert agenda.fail("a", FailureKind.PREEMPTED, 0.0) == 0.0


def test_a_worker_that_cannot_take_a_trial_is_replaced_once_for_nothing() -> None:
    agenda = agenda_of([task("a")], retries=1)
    waits = []
    for _ in range(3):
        agenda.next(100.0)
        waits.append(agenda.fail("a", FailureKind.RESET, 0.0))
    assert waits == [0.0, FIRST_WAIT_S, None]


def test_what_does_not_fit_on_a_part_of_a_gpu_gets_a_whole_one_once() -> None:
    agenda = agenda_of([task("a", gpu=0.25)], retries=3)
    agenda.next(0.0)
    assert agenda.fail("a", FailureKind.DEVICE_MEMORY, 0.0) == 0.0
    assert agenda.next(0.0) == task("a", gpu=1.0)
    assert agenda.fail("a", FailureKind.DEVICE_MEMORY, 0.0) is None


@pytest.mark.parametrize("gpu", [0.0, 1.0, 2.0])
def test_there_is_no_larger_share_than_whole_gpus(gpu: float) -> None:
    agenda = agenda_of([task("a", gpu=gpu)], retries=3)
    agenda.next(0.0)
    assert agenda.fail("a", FailureKind.DEVICE_MEMORY, 0.0) is None


def test_more_is_asked_for_only_when_there_is_nothing_to_hand_out() -> None:
    agenda = agenda_of([task("a")], retries=0)
    batches = [[task("b")], []]

    def more() -> bool:
        if not batches:
            return False
        agenda.add(batches.pop(0))
        return True

    agenda.more = more
    assert agenda.next(0.0) == task("a")
    assert len(batches) == 2
    assert agenda.next(0.0) == task("b")
    agenda.settle("a")
    agenda.settle("b")
    assert agenda.next(0.0) is None
    assert (batches, agenda.finished) == ([], True)


def test_what_cannot_start_now_is_tried_later() -> None:
    agenda = agenda_of([task("a"), task("b")], retries=0)
    agenda.next(0.0)
    agenda.postpone("a", 0.0, wait=5.0)
    assert agenda.next(1.0) == task("b")
    assert agenda.next(4.9) is None
    assert agenda.next(5.0) == task("a")
