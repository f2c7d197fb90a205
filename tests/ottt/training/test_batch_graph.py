"""A batch in static buffers, and captured, trains what it trains operation by operation, bit for bit."""

import gc
import warnings
import weakref
from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any

import pytest
import torch

from ottt import rules
from ottt.rules import Batch
from ottt.training import batch_graph
from ottt.training.batch_graph import RECORDERS, BatchGraph, UncapturedWarning
from ottt.training.trainer import Trainer
from tests.ottt.test_other_device import RULES as ALL_RULES
from tests.ottt.training.graphs import BATCHES, CASES, Reading, epoch, fused, same, timeless, trainer
from tests.ottt.training.recorded import NoRecorder, Recorder, Watching


@pytest.fixture(autouse=True)
def notices_again() -> None:
    batch_graph.notice.cache_clear()


def recorder(one: Trainer) -> Recorder:
    assert one.graph is not None
    assert isinstance(one.graph._recorder, Recorder)
    return one.graph._recorder


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RECORDERS, "cpu", Recorder)


def unrecorded(monkeypatch: pytest.MonkeyPatch, make: Callable[[], Any]) -> Any:
    """What `make` makes where nothing can be captured."""
    with monkeypatch.context() as patch:
        patch.setitem(RECORDERS, "cpu", NoRecorder)
        return make()


@pytest.mark.parametrize("case", CASES)
def test_static_buffers_change_no_bit(case: str) -> None:
    plain, static = trainer(*CASES[case], graph="false"), trainer(*CASES[case])
    assert plain.graph is None
    assert static.graph is not None
    while not plain.done:
        assert epoch(static) == epoch(plain)
    assert static.graph._buffers is not None
    assert static.graph._buffers[1].shape == (256,)
    same(static, plain)


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize("case", CASES)
def test_a_captured_batch_changes_no_bit(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Against the same updates, operation by operation."""
    captured = trainer(*CASES[case])
    uncaptured = unrecorded(monkeypatch, lambda: trainer(*CASES[case]))
    before = {name: value.clone() for name, value in captured.net.state_dict().items()}
    with pytest.warns(UncapturedWarning, match="a batch cannot be captured: no graphs here"):
        expected = [epoch(uncaptured) for _ in range(uncaptured.config.epochs)]
    assert [epoch(captured) for _ in range(captured.config.epochs)] == expected
    same(captured, uncaptured)
    assert not all(torch.equal(value, before[name]) for name, value in captured.net.state_dict().items())
    found, captures = recorder(captured), 1 + len(captured.config.changes)
    assert (found.warm, found.recorded) == (3 * captures, captures)
    assert found.replays == BATCHES * captured.config.epochs - 3 * captures


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_updates_of_a_graph_are_the_plain_ones_up_to_rounding(optimizer: str) -> None:
    settings = [f"optim.name={optimizer}", "optim.lr=0.001", "optim.weight_decay=0.1", "epochs=1"]
    plain, captured, start = trainer(*settings, graph="false"), trainer(*settings), trainer(*settings, graph="false")
    expected, found = epoch(plain), epoch(captured)
    assert recorder(captured).replays == 1
    assert found["train/loss"] == pytest.approx(expected["train/loss"], rel=1e-4)
    for name, value in plain.net.state_dict().items():
        far = (value - start.net.state_dict()[name]).norm()
        assert (captured.net.state_dict()[name] - value).norm() <= 0.01 * far, name


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_a_rate_that_is_a_number_would_never_change(schedule: str) -> None:
    settings = ["batch_size=64", f"schedule.name={schedule}"]  # replays that are checked are of the first epoch
    plain, wrong = (trainer(*settings, graph=graph) for graph in ("false", "true"))
    assert wrong.graph is not None
    wrong.graph._updates = []
    found = [epoch(wrong) == epoch(plain) for _ in range(2)]
    assert found == [True, schedule == "constant"]


def lost_change(graph: BatchGraph) -> None:
    """Changes of the optimizer leave the graph as it is."""
    graph.reset = lambda: None  # type: ignore[method-assign]


def lost_input(graph: BatchGraph) -> None:
    """The graph goes on with its first batch."""
    placed = graph._placed
    graph._placed = lambda *batch: graph._buffers if graph.captured else placed(*batch)  # type: ignore


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize(("spoil", "equal"), [(lost_change, [True, False]), (lost_input, [False, False])])
def test_what_a_graph_can_get_wrong_is_noticed(spoil: Callable[[BatchGraph], None], equal: list[bool]) -> None:
    settings = ["batch_size=128", "schedule.changes=optim.momentum=0.5 after 1"]
    right, wrong = trainer(*settings), trainer(*settings)
    assert wrong.graph is not None
    spoil(wrong.graph)
    assert [epoch(wrong) == epoch(right) for _ in range(2)] == equal


class Idle(Recorder):
    """Its replays do nothing."""

    def _repeat(self) -> None:
        self.replays += 1


class Stale(Recorder):
    """Its replays go on with the samples of the captured batch."""

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        inputs, labels = work.args  # type: ignore[attr-defined]
        first = inputs.clone(), labels.clone()
        repeat = super().record(work)

        def replay() -> None:
            kept = inputs.clone(), labels.clone()
            inputs.copy_(first[0])
            labels.copy_(first[1])
            repeat()
            inputs.copy_(kept[0])
            labels.copy_(kept[1])

        return replay


class Redrawing(Recorder):
    """Its replays draw what the captured batch drew."""

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        [generator] = self._generators
        state, repeat = generator.get_state(), super().record(work)

        def replay() -> None:
            generator.set_state(state)
            repeat()

        return replay


@pytest.mark.parametrize(("wrong", "replays"), [(Idle, 1), (Stale, 2), (Redrawing, 2)])
def test_a_replay_that_does_something_else_is_taken_back(
    wrong: type[Recorder], replays: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ["batch_size=64", "neuron.dropout=0.3"]
    plain = unrecorded(monkeypatch, lambda: trainer(*settings))
    with pytest.warns(UncapturedWarning):
        expected = [epoch(plain) for _ in range(2)]
    monkeypatch.setitem(RECORDERS, "cpu", wrong)
    spoilt = trainer(*settings)
    found = recorder(spoilt)
    with pytest.warns(UncapturedWarning, match="a batch cannot be captured: its replay gave other numbers"):
        assert [epoch(spoilt) for _ in range(2)] == expected
    same(spoilt, plain)
    assert found.replays == replays
    assert spoilt.graph is not None
    assert not spoilt.graph.captured


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize(("first", "second"), [("true", "false"), ("false", "true"), ("true", "true")])
def test_a_checkpoint_fits_both_forms(first: str, second: str, optimizer: str, tmp_path: Path) -> None:
    settings = ["epochs=3", f"optim.name={optimizer}", "rule.update=online"]
    whole, begun, resumed = (trainer(*settings, graph=form) for form in ("false", first, second))
    epoch(begun)
    begun.save(tmp_path)
    epoch(begun)  # lost
    resumed.load(tmp_path)
    expected = [epoch(whole) for _ in range(3)]
    assert [epoch(resumed) for _ in range(2)] == expected[1:]
    same(resumed, whole)


@pytest.mark.usefixtures("recorded")
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_captured_trial_resumes_bit_identically(optimizer: str, tmp_path: Path) -> None:
    settings = ["epochs=3", f"optim.name={optimizer}", "optim.lr=0.01"]
    whole, begun = trainer(*settings), trainer(*settings)
    expected = [epoch(whole) for _ in range(3)]
    epoch(begun)
    saved = begun.save(tmp_path)
    epoch(begun)  # captured, and lost
    begun.load(saved)
    assert [epoch(begun) for _ in range(2)] == expected[1:]
    same(begun, whole)
    assert recorder(begun).recorded == 2
    [group] = torch.load(saved)["optimizer"]["param_groups"]
    assert type(group["lr"]) is float
    assert (group["foreach"], group["fused"], group.get("capturable", False)) == (True, None, False)
    plain = trainer(*settings, graph="false")
    plain.load(saved)
    assert epoch(plain)["train/loss"] == pytest.approx(expected[1]["train/loss"], rel=0.05)


@pytest.mark.parametrize(
    ("kind", "problem"),
    [(Recorder, "operation not permitted when stream is capturing"), (Watching, "1 reads")],
)
def test_a_batch_that_the_host_reads_is_trained_uncaptured(
    kind: type[Recorder], problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = ["rule.update=online", "optim.name=adam", "optim.lr=0.01"]
    expected = unrecorded(monkeypatch, lambda: trainer(*settings))
    monkeypatch.setitem(RECORDERS, "cpu", kind)
    found, again = trainer(*settings), trainer(*settings)
    recorders = [recorder(one) for one in (found, again)]
    for one in (found, again):
        one.rule = Reading(one.rule)
    with pytest.warns(UncapturedWarning, match="no graphs here"):
        metrics = [epoch(expected) for _ in range(2)]
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        for one in (found, again):
            assert [epoch(one) for _ in range(2)] == metrics
            same(one, expected)
    [notice] = given
    assert issubclass(notice.category, UncapturedWarning)
    text = "cuda_graph: batches are trained operation by operation: a batch cannot be captured: "
    assert str(notice.message) == text + problem
    assert [(one.warm, one.recorded, one.replays) for one in recorders] == [(3, 0, 0)] * 2


class Full(Recorder):
    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        raise torch.OutOfMemoryError("the GPU is full")


def test_a_full_device_is_no_reason_to_fall_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(RECORDERS, "cpu", Full)
    one = trainer()
    with pytest.raises(torch.OutOfMemoryError, match="the GPU is full"):
        one.train_epoch()
    assert type(one.optimizer.param_groups[0]["lr"]) is float


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (ALL_RULES["sltt_k"], "rule.name=sltt_k draws the steps"),
        (["precision=fp16"], "precision=fp16 reads"),
        (["model.name=nfresnet18", "model.stochastic_depth=0.3", "model.depth_draws=batch"], "depth_draws=batch draws"),
    ],
)
def test_what_the_host_decides_is_said_where_a_graph_is_asked_for(settings: list[str], reason: str) -> None:
    with pytest.warns(UncapturedWarning, match=reason):
        assert trainer(*settings).graph is None
    assert trainer(*settings, graph="auto").graph is None


class Own:
    """A rule whose code nobody has read."""

    def train_batch(self, *args: Any, **options: Any) -> Batch:
        raise NotImplementedError


def test_auto_captures_trials_that_can_be_and_are_long_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    assert trainer("epochs=100", graph="auto").graph is None  # on a device without graphs
    monkeypatch.setitem(RECORDERS, "cpu", Recorder)
    assert trainer("epochs=3", graph="auto").graph is None  # 12 full batches
    assert trainer("epochs=4", graph="auto").graph is not None
    assert trainer("epochs=4", graph="false").graph is None
    assert trainer("epochs=100", "batch_size=2000", graph="auto").graph is None  # no full batch
    monkeypatch.setitem(rules.RULES, "sltt", lambda *_: Own())
    assert trainer("epochs=4", "rule.name=sltt", graph="auto").graph is None
    assert trainer("epochs=4", "rule.name=sltt").graph is not None


@pytest.mark.usefixtures("recorded")
def test_a_graph_ends_with_its_trainer() -> None:
    one = trainer()
    epoch(one)
    assert one.graph is not None
    assert one.graph.captured
    found = weakref.ref(recorder(one))
    gc.disable()
    try:
        del one
        assert found() is None
    finally:
        gc.enable()


@pytest.mark.usefixtures("recorded")
@pytest.mark.filterwarnings("ignore:.*no graphs here")
def test_fused_trials_are_captured_together(monkeypatch: pytest.MonkeyPatch) -> None:
    captured, uncaptured = fused(), unrecorded(monkeypatch, fused)
    captures = []
    for _ in range(3):
        graph = captured._graph
        found, expected = captured.train_epoch(), uncaptured.train_epoch()
        for (one, metrics), (other, wanted) in zip(found, expected, strict=True):
            assert timeless(metrics) == timeless(wanted)
            same(one, other)
        assert graph is not None
        assert isinstance(graph._recorder, Recorder)
        captures.append((graph, graph._recorder.recorded))
    (first, once), (second, again), (third, twice) = captures
    assert first is not second  # a member has left
    assert second is third  # a setting has changed
    assert (once, again, twice) == (1, 1, 2)


def test_torch_has_what_the_recorder_of_cuda_uses() -> None:
    """Without a GPU nothing else here says that an upgrade renames it."""
    graph = torch.cuda.CUDAGraph
    assert {"pool", "capture_error_mode"} <= signature(graph.capture_begin).parameters.keys()
    for name in ("capture_end", "register_generator_state", "replay", "reset"):
        assert callable(getattr(graph, name))
    for name in ("clone_state", "graphsafe_set_state"):
        assert callable(getattr(torch.Generator, name))
    for name in ("graph_pool_handle", "get_sync_debug_mode", "set_sync_debug_mode", "default_generators"):
        assert hasattr(torch.cuda, name)
    assert hasattr(torch._C, "_cuda_endAllocateToPool")
