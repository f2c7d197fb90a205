import pytest

from experiments.run.queue import ALONE, FIRST_WAIT_S, Task, TaskQueue
from experiments.sweep_spec.run_settings import Share
from experiments.worker.step_report import FailureKind
from ottt.config.trial import TrialConfig


def task(name: str, *, gpu: float = 0.0) -> Task:
    return Task(name, TrialConfig(), Share(cpu=1.0, gpu=gpu))


def trial(found: Task | None) -> str | None:
    return None if found is None else found.trial


def queue_of(tasks: list[Task], *, retries: int) -> TaskQueue:
    queue = TaskQueue(retries=retries)
    for one in tasks:
        queue.add(one)
    return queue


def test_trials_come_in_order_and_then_none() -> None:
    queue = queue_of([task("a"), task("b")], retries=0)
    assert [queue.next(0.0), queue.next(0.0), queue.next(0.0)] == [task("a"), task("b"), None]
    assert not queue.is_empty
    queue.complete("a")
    queue.complete("b")
    assert queue.is_empty


def test_a_lost_worker_is_replaced_later_each_time_and_not_for_ever() -> None:
    queue = queue_of([task("a")], retries=3)
    now = 0.0
    for wait in (2.0, 8.0, 32.0):
        assert trial(queue.next(now)) == "a"
        assert queue.fail("a", FailureKind.WORKER, now) == wait
        assert not queue.is_empty
        assert queue.next(now + wait - 0.1) is None
        now += wait
    assert trial(queue.next(now)) == "a"
    assert queue.fail("a", FailureKind.WORKER, now) is None
    assert queue.is_empty


def test_what_waits_does_not_hold_up_the_rest() -> None:
    queue = queue_of([task("a"), task("b"), task("c")], retries=1)
    queue.next(0.0)
    queue.fail("a", FailureKind.WORKER, 0.0)
    assert queue.next(1.0) == task("b")
    assert trial(queue.next(2.0)) == "a"
    assert queue.next(2.0) == task("c")


def test_an_error_of_the_trial_is_final() -> None:
    queue = queue_of([task("a")], retries=3)
    queue.next(0.0)
    assert queue.fail("a", FailureKind.ERROR, 0.0) is None
    assert queue.is_empty


def test_preemption_counts_against_nothing() -> None:
    queue = queue_of([task("a")], retries=0)
    for _ in range(10):
        queue.next(0.0)
        assert queue.fail("a", FailureKind.PREEMPTED, 0.0) == 0.0


def test_a_worker_that_cannot_take_a_trial_is_replaced_once_for_nothing() -> None:
    queue = queue_of([task("a")], retries=1)
    waits = []
    for _ in range(3):
        queue.next(100.0)
        waits.append(queue.fail("a", FailureKind.RESET, 0.0))
    assert waits == [0.0, FIRST_WAIT_S, None]


def test_what_does_not_fit_on_a_part_of_a_gpu_gets_a_whole_one_once() -> None:
    queue = queue_of([task("a", gpu=0.25)], retries=3)
    queue.next(0.0)
    assert queue.fail("a", FailureKind.DEVICE_MEMORY, 0.0) == 0.0
    assert queue.next(0.0) == task("a", gpu=1.0)
    assert queue.fail("a", FailureKind.DEVICE_MEMORY, 0.0) is None


@pytest.mark.parametrize("gpu", [0.0, 1.0, 2.0])
def test_there_is_no_larger_share_than_whole_gpus(gpu: float) -> None:
    queue = queue_of([task("a", gpu=gpu)], retries=3)
    queue.next(0.0)
    assert queue.fail("a", FailureKind.DEVICE_MEMORY, 0.0) is None


def test_it_knows_what_is_running_or_waiting() -> None:
    queue = queue_of([task("a"), task("b")], retries=1)
    queue.next(0.0)
    queue.fail("a", FailureKind.WORKER, 0.0)
    assert [queue.holds(name) for name in ("a", "b", "c")] == [True, True, False]
    assert queue.next(0.0) == task("b")
    assert queue.holds("b")
    queue.complete("b")
    assert not queue.holds("b")


def test_what_cannot_start_now_is_tried_later() -> None:
    queue = queue_of([task("a"), task("b")], retries=0)
    queue.next(0.0)
    queue.postpone("a", 0.0, wait=5.0)
    assert queue.next(1.0) == task("b")
    assert queue.next(4.9) is None
    assert queue.next(5.0) == task("a")


def test_what_may_have_killed_its_worker_trains_alone_from_then_on() -> None:
    queue = queue_of([task("a"), task("b"), task("c"), task("d")], retries=1)
    failures = (FailureKind.WORKER, FailureKind.FUSED, FailureKind.PREEMPTED, FailureKind.RESET)
    given = [queue.next(0.0) for _ in failures]
    waits = [queue.fail(one.trial, kind, 0.0) for one, kind in zip(given, failures, strict=True) if one is not None]
    assert waits == [2.0, 0.0, 0.0, 0.0]
    again = [queue.next(2.0) for _ in failures]
    assert {one.trial: one.group for one in again if one is not None} == {"a": ALONE, "b": ALONE, "c": None, "d": None}


def test_being_given_back_counts_against_nothing() -> None:
    queue = queue_of([task("a")], retries=0)
    queue.next(0.0)
    assert queue.fail("a", FailureKind.FUSED, 0.0) == 0.0


def test_only_those_come_that_fit_and_are_next() -> None:
    queue = queue_of([task("a1"), task("b1"), task("a2"), task("b2")], retries=0)
    queue.next(0.0)
    queue.fail("a1", FailureKind.PREEMPTED, 0.0)
    of_b = [trial(queue.next(0.0, fits=lambda one: one.trial.startswith("b"))) for _ in range(2)]
    assert of_b == ["b1", None]
    of_a = [trial(queue.next(0.0, fits=lambda one: one.trial.startswith("a"))) for _ in range(3)]
    assert of_a == ["a1", "a2", None]
    queue.arrange([task("b3"), *queue.ready()])
    assert [trial(queue.next(0.0)) for _ in range(3)] == ["b3", "b2", None]
