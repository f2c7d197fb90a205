"""Which trials train as one network, and how many: without workers."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import ottt
from experiments.run.grouping import AUTO, Grouping, group_size
from experiments.run.queue import ALONE, Task
from experiments.sweep_spec.run_settings import Fuse, Share
from experiments.worker.step_report import FailureKind, StepReport
from ottt.config.fusable import differences, fixed_settings, refusal
from ottt.config.trial import TrialConfig
from ottt.errors import UserError
from ottt.models.fused import feeds_back
from ottt.models.fused import refusal as refusal_of_network
from ottt.names import MODELS, RULES
from ottt.schema import Status
from tests.experiments.desks import Desk, make_desk
from tests.experiments.specs import spec

GPU, CPU = Share(cpu=1, gpu=0.5), Share(cpu=1, gpu=0)


@pytest.mark.parametrize(
    ("most", "trials", "workers", "size"),
    [
        (6, 12, 1, 6),
        (6, 12, 2, 6),
        (6, 12, 3, 4),
        (6, 12, 12, 1),
        (6, 12, 100, 1),
        (8, 9, 1, 5),  # 5 and 4, not 8 and 1
        (4, 9, 2, 3),
        (8, 1, 1, 1),
        (8, 0, 1, 1),
        (1, 100, 1, 1),
    ],
)
def test_size_of_groups(most: int, trials: int, workers: int, size: int) -> None:
    assert group_size(most, trials=trials, workers=workers) == size


def test_groups_leave_no_worker_idle() -> None:
    for most in range(1, 10):
        for trials in range(1, 40):
            for workers in range(1, 10):
                size = group_size(most, trials=trials, workers=workers)
                assert 1 <= size <= min(most, -(-trials // workers))
                rounds = -(-trials // (most * workers))  # no more than groups of `most` would take
                assert -(-trials // size) <= rounds * workers


def task(name: str, share: Share = CPU, **settings: object) -> Task:
    config = TrialConfig().replace({key.replace("__", "."): value for key, value in settings.items()})
    return Task(name, config, share)


def grouping(fuse: Fuse, tasks: list[Task], *, workers: int = 1) -> Grouping:
    made = Grouping(fuse, lambda share: workers, print)
    made.arranged(tasks)
    return made


def test_trials_that_differ_in_seed_and_numbers_fit() -> None:
    first = task("a", seed=1)
    others = [task("b", seed=2), task("c", optim__lr=0.3), task("d", neuron__tau=3.0, neuron__surrogate__alpha=2.0)]
    made = grouping(4, [first, *others])
    assert made.size(first) == 4
    assert all(made.fits(first, other) for other in others)


@pytest.mark.parametrize(
    "other",
    [
        task("b", model__width=0.5),
        task("b", T=3),
        task("b", batch_size=64),
        task("b", rule__update="online"),
        task("b", neuron__v_reset=0.0),
        task("b", precision="bf16"),
        task("b", GPU),
        Task("b", TrialConfig(), CPU, until=3),
        Task("b", TrialConfig(), CPU, group=ALONE),
        Task("b", TrialConfig(), CPU, group="a"),
    ],
)
def test_others_do_not(other: Task) -> None:
    first = task("a")
    assert not grouping(4, [first, other]).fits(first, other)


def test_each_share_has_its_size() -> None:
    tasks = [task(f"g{i}", GPU) for i in range(4)] + [task(f"c{i}", CPU) for i in range(9)]
    made = Grouping(8, {GPU: 2, CPU: 3}.__getitem__, print)
    made.arranged(tasks)
    assert (made.size(tasks[0]), made.size(tasks[-1])) == (2, 3)


@pytest.mark.parametrize(
    ("share", "size"), [(GPU, AUTO), (Share(1, 1), AUTO), (CPU, 1), (Share(cpu=1, gpu=2), 1), (Share(8, 0), 1)]
)
def test_auto_fuses_on_one_gpu_alone(share: Share, size: int) -> None:
    tasks = [task(str(i), share, seed=i) for i in range(4 * AUTO)]
    assert grouping("auto", tasks).size(tasks[0]) == size


def test_auto_leaves_alone_what_is_to_be_the_same_in_every_run() -> None:
    tasks = [task(str(i), GPU, seed=i, deterministic=True) for i in range(8)]
    assert grouping("auto", tasks).size(tasks[0]) == 1
    assert grouping(8, tasks).size(tasks[0]) == 8


def test_a_sweep_on_gpus_fuses_by_itself(tmp_path: Path) -> None:
    sweep = spec(seeds=2 * AUTO + 2, resources={"gpu": 0.25})
    here = make_desk(tmp_path, sweep, gpu=0.25, workers=2)
    assert [len(here.driver.next()) for _ in range(4)] == [5, 5, 5, 3]  # for 2 workers, twice
    here.driver.effects.locks.close()


def test_what_was_given_back_is_not_tried_again() -> None:
    narrow, wide = task("a"), task("b", model__width=2.0)
    made = grouping(2, [narrow, task("c"), wide, task("d", model__width=2.0)])
    made.keep_apart(narrow.config.replace({"seed": 7}))
    assert (made.size(narrow), made.size(wide)) == (1, 2)


def test_why_trials_train_alone_is_said_once() -> None:
    tasks = [task(str(i), model__name="r400", rule__name="sltt_k", rule__k=2, seed=i) for i in range(4)]
    said: list[str] = []
    made = Grouping(4, lambda share: 1, said.append)
    made.arranged(tasks)
    assert [made.size(one) for one in tasks] == [1] * 4
    assert said == [
        "note: resources.fuse: some trials train alone: rule.name=sltt_k cannot be fused with networks that feed back,"
        " got 'r400'"
    ]


@pytest.mark.parametrize("model", MODELS)
def test_settings_say_what_the_networks_say(model: str) -> None:
    net = ottt.build_model(ottt.load_config("digits", [f"model.name={model}", "model.width=0.02"]))
    for rule in RULES:
        k = ["rule.k=1"] if RULES[rule].reads_k else []
        config = ottt.load_config("digits", [f"model.name={model}", f"rule.name={rule}", *k])
        assert bool(refusal(config)) is (rule == "sltt_k" and feeds_back(net)) | bool(refusal_of_network(net))


def test_fixed_settings_are_equal_where_there_are_no_differences() -> None:
    configs = [task("a").config, task("b", seed=3).config, task("c", T=4).config, task("d", T=4, optim__lr=1.0).config]
    for one in configs:
        for other in configs:
            assert (fixed_settings(one) == fixed_settings(other)) is (differences([one, other]) == [])


SWEEP = {"axes": {"optim.lr": [0.1, 0.2], "T": [2, 3]}, "base": {"epochs": 3}, "seeds": 3, "retries": 1}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    made: list[Desk] = []

    def make(fuse: int, *, workers: int = 1) -> Desk:
        made.append(make_desk(tmp_path, spec(**SWEEP, resources={"fuse": fuse}), workers=workers))
        return made[-1]

    yield make
    for one in made:
        one.driver.effects.locks.close()


def names(desk: Desk, tasks: list[Task]) -> list[tuple[int, float, int]]:
    configs = [desk.driver.state[one.trial].trial.config for one in tasks]
    return [(one.T, one.optim.lr, one.seed) for one in configs]


def test_groups_of_a_sweep_seed_by_seed(desk: Callable[..., Desk]) -> None:
    here = desk(4)
    groups = [names(here, here.driver.next()) for _ in range(4)]
    assert groups == [
        [(2, 0.1, 0), (2, 0.2, 0), (2, 0.1, 1), (2, 0.2, 1)],
        [(3, 0.1, 0), (3, 0.2, 0), (3, 0.1, 1), (3, 0.2, 1)],
        [(2, 0.1, 2), (2, 0.2, 2)],
        [(3, 0.1, 2), (3, 0.2, 2)],
    ]
    assert here.driver.next() == []


def test_trials_that_were_under_way_go_on_with_those_left_of_their_group(desk: Callable[..., Desk]) -> None:
    first = desk(4)
    begun, untouched = first.driver.next(), first.driver.next()
    for one in begun:
        first.driver.started(one.trial)
    first.epochs(begun[0].trial, 1, 2, 3, end=Status.FINISHED)
    first.epochs(begun[1].trial, 1)
    first.driver.effects.interrupt()
    again = desk(4)
    groups = [names(again, again.driver.next()) for _ in range(2)]
    assert groups == [names(first, untouched), names(first, begun)[1:]]  # in the order of their first ones


def test_a_trial_that_was_under_way_alone_goes_on_alone(desk: Callable[..., Desk]) -> None:
    first = desk(1)
    alone = first.take()
    first.epochs(alone, 1)
    first.driver.effects.interrupt()
    again = desk(4)
    groups = [[one.trial for one in again.driver.next()] for _ in range(4)]
    assert groups[0] == [alone]
    assert [len(group) for group in groups[1:]] == [4, 4, 2]


def test_the_same_trials_give_the_same_groups(desk: Callable[..., Desk]) -> None:
    first = desk(4)
    groups = [names(first, first.driver.next()) for _ in range(2)]
    first.driver.effects.locks.close()
    again = desk(4)
    assert [names(again, again.driver.next()) for _ in range(2)] == groups


def test_members_of_a_group_end_one_by_one_and_are_tried_again_alone(desk: Callable[..., Desk]) -> None:
    here = desk(4)
    driver, group = here.driver, here.driver.next()
    for one in group:
        driver.started(one.trial)
    first, second, third, fourth = (one.trial for one in group)
    here.epochs(first, 1, 2, 3, end=Status.FINISHED)
    reason = "3 trials train one by one and not as one network: no memory"
    for trial, why in ((second, reason), (third, None), (fourth, None)):
        driver.reported(trial, StepReport(Status.FAILED, reason=why, traceback=why, failure=FailureKind.FUSED))
    assert here.said.getvalue().count(f"note: {reason}") == 1
    assert [here.status(trial) for trial in (first, second, third)] == ["finished", "interrupted", "interrupted"]
    assert [[one.trial for one in driver.next()] for _ in range(3)] == [[second], [third], [fourth]]
    assert len(driver.next()) == 4  # of other time steps
    assert len(driver.next()) == 1  # like those that were given back


def test_a_record_says_how_many_trained_as_one(desk: Callable[..., Desk]) -> None:
    here = desk(2)
    trials = [one.trial for one in here.driver.next()]
    for trial in trials:
        here.driver.started(trial)
        here.driver.reported(trial, StepReport(Status.RUNNING, device="cpu", fused=1))
        here.driver.reported(trial, StepReport(Status.RUNNING, device="cpu", fused=2))
    for trial in trials:
        here.driver.crashed(trial, StepReport(Status.FAILED, reason="gone", failure=FailureKind.PREEMPTED))
    assert [one.trial for one in here.driver.next()] == trials  # its machine is gone: they go on as one
    for trial in trials:
        here.driver.started(trial)
        here.driver.reported(trial, StepReport(Status.RUNNING, device="cpu", fused=1))
        record = here.records.read(trial)
        assert record is not None
        assert record.fused == 2  # the most, over all attempts


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"resources": {"fuse": 0}}, "resources.fuse must be a number of trials (>= 1) or auto, got 0"),
        ({"resources": {"fuse": True}}, "resources.fuse must be a number of trials (>= 1) or auto, got True"),
        ({"resources": {"fuse": 2.5}}, "resources.fuse must be a number of trials (>= 1) or auto, got 2.5"),
        ({"resources": {"fuse": "all"}}, "resources.fuse must be a number of trials (>= 1) or auto, got 'all'"),
        (
            {"resources": {"fuse": 6, "gpu": 2}},
            "resources.fuse must be 1 or auto with resources.gpu = 2: a network is on one GPU, got 6",
        ),
        (
            {"resources": {"fuse": 6, "variants": [{"when": {"T": 2}, "gpu": 4}]}},
            "resources.fuse must be 1 or auto with resources.variants.0.gpu = 4: a network is on one GPU, got 6",
        ),
        (
            {"resources": {"fuse": 6}, "scheduler": {"name": "pbt"}},
            "resources.fuse must be 1 or auto with scheduler.name pbt, whose trials are paused, got 6",
        ),
    ],
)
def test_what_cannot_be_fused_is_refused_by_name(values: dict[str, object], message: str) -> None:
    with pytest.raises(UserError) as caught:
        spec(**({k: v for k, v in SWEEP.items() if k != "resources"} | values))
    assert [line.partition(": ")[2] for line in caught.value.problems] == [message]


def test_auto_is_allowed_everywhere() -> None:
    population = spec(**SWEEP, resources={"fuse": "auto", "gpu": 2}, scheduler={"name": "pbt"})
    assert population.resources.fuse == "auto"


def test_an_arrangement_loses_no_trial_and_keeps_the_order_of_first_ones() -> None:
    tasks = [task(f"{T}{seed}", T=T, seed=seed) for seed in range(5) for T in (1, 2, 3)]
    arranged = grouping(2, tasks).arranged(tasks)
    names = [one.trial for one in arranged]
    assert names == ["10", "11", "20", "21", "30", "31", "12", "13", "22", "23", "32", "33", "14", "24", "34"]
    assert grouping(1, tasks).arranged(tasks) == tasks
    assert grouping("auto", tasks).arranged(tasks) == tasks  # without a GPU
