"""Training batches as CUDA graphs. What they compute is tested on the CPU too, see `test_batch_graph`."""

import gc
from collections.abc import Iterator

import pytest
import torch

from ottt.training import batch_graph
from ottt.training.batch_graph import RECORDERS, UncapturedWarning
from ottt.training.cuda_recorder import CudaRecorder
from ottt.training.trainer import Trainer
from tests.ottt.training import graphs
from tests.ottt.training.graphs import BATCHES, CASES, Reading, epoch, timeless

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]
# Sums of floating point numbers have no fixed order on a GPU; a neuron that rounding lets fire changes more.
SLOW = ["optim.lr=0.001"]
TOLERANCE = 1e-3


class NoRecorder(CudaRecorder):
    """Of a device that trains operation by operation."""

    def record(self, work: object) -> object:  # type: ignore[override]
        raise RuntimeError("no graphs here")


@pytest.fixture(autouse=True)
def notices_again() -> None:
    batch_graph.notice.cache_clear()


@pytest.fixture
def replays(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[torch.cuda.CUDAGraph]]:
    """The graph of every replay."""
    found: list[torch.cuda.CUDAGraph] = []
    replay = torch.cuda.CUDAGraph.replay

    def counted(graph: torch.cuda.CUDAGraph) -> None:
        found.append(graph)
        replay(graph)

    monkeypatch.setattr(torch.cuda.CUDAGraph, "replay", counted)
    yield found
    found.clear()


def trainer(*overrides: str, graph: str = "true") -> Trainer:
    return graphs.trainer(*SLOW, *overrides, graph=graph, device="cuda")


def uncaptured(monkeypatch: pytest.MonkeyPatch, *overrides: str) -> Trainer:
    with monkeypatch.context() as patch:
        patch.setitem(RECORDERS, "cuda", NoRecorder)
        return trainer(*overrides)


def alike(one: Trainer, other: Trainer) -> None:
    """The same draws, and the same weights up to the order of sums."""
    assert torch.equal(one.masks.get_state(), other.masks.get_state())
    for (name, value), expected in zip(one.net.state_dict().items(), other.net.state_dict().values(), strict=True):
        assert (value - expected).double().norm() <= TOLERANCE * expected.double().norm() + 1e-6, name


@pytest.mark.filterwarnings("ignore:.*no graphs here")
@pytest.mark.parametrize("case", CASES)
def test_a_captured_batch_trains_what_its_operations_train(
    case: str, replays: list[torch.cuda.CUDAGraph], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = [one for one in CASES[case] if not one.startswith("optim.lr")]
    captured, expected = trainer(*settings), uncaptured(monkeypatch, *settings)
    for _ in range(captured.config.epochs):
        found, wanted = epoch(captured), epoch(expected)
        assert found["train/loss"] == pytest.approx(wanted["train/loss"], rel=TOLERANCE)
        assert found["optim/lr"] == wanted["optim/lr"]
    alike(captured, expected)
    captures = 1 + len(captured.config.changes)
    assert len(set(replays)) == captures
    assert len(replays) == BATCHES * captured.config.epochs - 3 * captures


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_it_trains_what_the_plain_form_trains(optimizer: str) -> None:
    captured, plain = trainer(f"optim.name={optimizer}"), trainer(f"optim.name={optimizer}", graph="false")
    for _ in range(2):
        assert epoch(captured)["train/loss"] == pytest.approx(epoch(plain)["train/loss"], rel=TOLERANCE)
    alike(captured, plain)


def test_compiled_neurons_are_captured_too(replays: list[torch.cuda.CUDAGraph]) -> None:
    captured, plain = trainer("compile=true"), trainer("compile=true", graph="false")
    for _ in range(2):
        assert epoch(captured)["train/loss"] == pytest.approx(epoch(plain)["train/loss"], rel=TOLERANCE)
    assert len(replays) == 2 * BATCHES - 3


def test_auto_captures_a_long_trial(replays: list[torch.cuda.CUDAGraph]) -> None:
    assert trainer("epochs=3", graph="auto").graph is None
    epoch(trainer("epochs=4", graph="auto"))
    assert len(replays) == 1


@pytest.mark.parametrize("noticed", [True, False])
def test_a_read_of_the_host_falls_back_and_touches_nothing(
    noticed: bool, replays: list[torch.cuda.CUDAGraph], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where it shows before the capture, and where it breaks the capture."""
    if not noticed:
        monkeypatch.setattr(CudaRecorder, "rehearse", CudaRecorder.warm_up)
    reading, plain = trainer("rule.update=online"), uncaptured(monkeypatch, "rule.update=online")
    reading.rule = Reading(reading.rule)
    with pytest.warns(UncapturedWarning, match="a batch cannot be captured") as given:
        found, expected = ([epoch(one)["train/loss"] for _ in range(2)] for one in (reading, plain))
    texts = [str(one.message) for one in given]
    assert ["the host waits for the device in graphs.py:" in one for one in texts] == [noticed, False]
    assert [one.endswith("no graphs here") for one in texts] == [False, True]
    assert found == pytest.approx(expected, rel=TOLERANCE)
    alike(reading, plain)
    assert replays == []
    assert torch.cuda.get_sync_debug_mode() == 0
    torch.cuda.empty_cache()  # the allocator frees memory again
    torch.rand(1, device="cuda")  # the global generator draws again
    epoch(trainer())  # and other trials are captured
    assert len(replays) == 1


def test_trials_one_after_the_other_leave_no_memory_behind(replays: list[torch.cuda.CUDAGraph]) -> None:
    def reserved() -> int:
        gc.collect()
        torch.cuda.empty_cache()
        return torch.cuda.memory_reserved()

    after = []
    for seed in range(3):  # the first leaves what libraries allocate once
        one = trainer(f"seed={seed}", "model.width=1")
        epoch(one)
        epoch(one)
        assert one.graph is not None
        assert one.graph.captured
        held = reserved()
        replays.clear()
        del one
        after.append(reserved())
        assert after[-1] < held
    assert after[2] <= after[1]


@pytest.mark.filterwarnings("ignore:.*no graphs here")
def test_fused_trials_are_captured_together(
    replays: list[torch.cuda.CUDAGraph], monkeypatch: pytest.MonkeyPatch
) -> None:
    captured = graphs.fused("cuda")
    with monkeypatch.context() as patch:
        patch.setitem(RECORDERS, "cuda", NoRecorder)
        expected = graphs.fused("cuda")
    found, wanted = captured.train_epoch(), expected.train_epoch()
    for (_, metrics), (_, same) in zip(found, wanted, strict=True):
        assert timeless(metrics)["train/loss"] == pytest.approx(timeless(same)["train/loss"], rel=1e-2)
    assert len(replays) == BATCHES - 3
