"""A training batch as one graph: the device does what it did before, without the host launching every operation."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import cache, partial
from typing import Protocol

import torch
from torch import Tensor
from torch.optim import Optimizer

from ottt.config.trial import TrialConfig
from ottt.errors import first_line
from ottt.models.base import Network
from ottt.rules import Rule
from ottt.training.capturable import DeviceUpdates
from ottt.training.cuda_recorder import CudaRecorder
from ottt.training.replay_check import replays_truly

WARM_UP = 3  # batches before the one that is captured, as in torch's documentation
# Replays that pay for a capture, for `auto`. A capture takes the host about as long as a batch, and a replay saves most
# of that; nobody has measured it yet, so it is a round number that is certainly enough.
WORTH = 10
CHECKED = 2  # replays that are compared with their batch: the second is the first with other samples

_KNOWN = ("ottt.", "torch.")  # packages whose rules and layers decide nothing on the host but what `_problem` names

TrainBatch = Callable[[Tensor, Tensor], None]  # trains a batch of inputs and labels


class UncapturedWarning(UserWarning):
    """Training batches were to be a graph and are not; the numbers are the same."""


class Recorder(Protocol):
    """What records work on a kind of device, see `CudaRecorder`."""

    def warm_up(self, work: Callable[[], None]) -> None:
        """Do the work in the way in which it will be recorded."""

    def rehearse(self, work: Callable[[], None]) -> str | None:
        """The same once more; returns why the work cannot be recorded, if that shows."""

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Record the work without doing it, and return what does it."""

    def release(self) -> None:
        """Give back the memory of what was recorded."""


# By kind of device, what makes a recorder for a device and the generators that the work draws from.
RECORDERS: dict[str, Callable[[torch.device, Sequence[torch.Generator]], Recorder]] = {"cuda": CudaRecorder}


class BatchGraph:
    """Trains full batches in buffers that never move, and as one graph on devices that have graphs.

    The first WARM_UP full batches are trained operation by operation; the next is captured; from then on the graph is
    replayed. The last batch of an epoch, if it is smaller, stays as it is. If the last batch of the warm-up shows that
    a capture would fail, or if it does fail, which changes nothing, or if one of the first replays does not do what its
    batch does, which is taken back, then all batches from there on are trained operation by operation, with one notice.

    Args:
        size: samples of a full batch.
        optimizers: the optimizers that the batch steps.
        generators: the generators on the device that it draws from.
        changed: the tensors that it changes besides those of the optimizers: buffers of the network, sums.
        device: where it is trained.

    Attributes:
        before_replay: number of full batches before those that are only replayed.
    """

    before_replay = WARM_UP + CHECKED

    def __init__(
        self,
        size: int,
        *,
        optimizers: Sequence[Optimizer],
        generators: Sequence[torch.Generator],
        changed: Sequence[Tensor],
        device: torch.device,
    ) -> None:
        kind = RECORDERS.get(device.type)
        self._size = size
        self._recorder = None if kind is None else kind(device, generators)
        self._optimizers, self._generators, self._others = tuple(optimizers), tuple(generators), tuple(changed)
        self._updates = [] if kind is None else [DeviceUpdates(one) for one in optimizers]
        self._buffers: tuple[Tensor, Tensor] | None = None
        self._replay: Callable[[], None] | None = None
        self._warm, self._replays = 0, 0

    @property
    def captured(self) -> bool:
        """Whether full batches are replays."""
        return self._replay is not None

    def reset(self) -> None:
        """Forget what was captured: the next batches are to use other settings, or other tensors of the optimizer."""
        self._replay, self._warm, self._replays = None, 0, 0
        if self._recorder is not None:
            self._recorder.release()

    @contextmanager
    def training(self, train: TrainBatch) -> Iterator[TrainBatch]:
        """A pass over the samples. What it gives trains a batch as `train` does, which is the same one in all passes.

        `train` must use the same tensors for the same purpose in every call.
        """
        with ExitStack() as stack:
            for one in self._updates:
                stack.enter_context(one.on_device())
            yield partial(self._train, train)

    def _train(self, train: TrainBatch, inputs: Tensor, labels: Tensor) -> None:
        if len(inputs) != self._size:
            train(inputs, labels)
            return
        work = partial(train, *self._placed(inputs, labels))
        if self._recorder is None:
            work()
        elif self._replay is not None:
            self._repeat(self._recorder, self._replay, work)
        elif self._warm < WARM_UP:
            self._warm += 1
            self._warm_up(self._recorder, work)
        else:
            self._capture(self._recorder, work)

    def _placed(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        if self._buffers is None:
            self._buffers = inputs.clone(), labels.clone()
        else:
            for buffer, value in zip(self._buffers, (inputs, labels), strict=True):
                buffer.copy_(value)
        return self._buffers

    def _warm_up(self, recorder: Recorder, work: Callable[[], None]) -> None:
        if self._warm < WARM_UP:
            recorder.warm_up(work)
        elif (problem := recorder.rehearse(work)) is not None:
            self._give_up(problem)

    def _capture(self, recorder: Recorder, work: Callable[[], None]) -> None:
        try:
            self._replay = recorder.record(work)
        except torch.OutOfMemoryError:
            raise
        except RuntimeError as error:
            self._give_up(first_line(error))
            work()
        else:
            self._repeat(recorder, self._replay, work)

    def _repeat(self, recorder: Recorder, replay: Callable[[], None], work: Callable[[], None]) -> None:
        self._replays += 1
        if self._replays > CHECKED:
            replay()
            return
        parameters = [
            one.detach() for made in self._optimizers for group in made.param_groups for one in group["params"]
        ]
        states = [values for made in self._optimizers for values in made.state.values()]
        held = [value for values in states for value in values.values() if isinstance(value, Tensor)]
        others = [*held, *self._others]
        if not replays_truly(replay, work, parameters=parameters, others=others, generators=self._generators):
            self._replay = None
            recorder.release()
            self._give_up("its replay gave other numbers")

    def _give_up(self, problem: str) -> None:
        self._recorder = None
        notice(f"a batch cannot be captured: {problem}")


def passing(graph: BatchGraph | None, train: TrainBatch) -> AbstractContextManager[TrainBatch]:
    """A pass over the samples with `graph`, or without one."""
    return nullcontext(train) if graph is None else graph.training(train)


def uses_graph(config: TrialConfig, net: Network, rule: Rule, *, samples: int, device: torch.device) -> bool:
    """Whether the trial's batches are trained with a `BatchGraph`; gives a notice if they cannot be though asked for.

    Args:
        config: configuration of the trial.
        net: its network.
        rule: its update rule.
        samples: number of its training samples.
        device: its device.
    """
    problem = _problem(config)
    if config.cuda_graph == "auto":
        full = samples // config.batch_size * config.epochs
        # What others' code decides on the host, by a count or a draw, would be captured without a sign of it.
        ours = all(type(part).__module__.startswith(_KNOWN) for part in (rule, *net.modules()))
        return device.type in RECORDERS and problem is None and ours and full >= WARM_UP + WORTH
    if config.cuda_graph and problem is not None:
        notice(problem)
    return config.cuda_graph and problem is None


def _problem(config: TrialConfig) -> str | None:
    """Why batches of this trial cannot be a graph: what the host decides in each of them. None: nothing is known."""
    if config.precision == "fp16":
        return "precision=fp16 reads in every update whether the scaled gradients are finite"
    if config.rule.name == "sltt_k":
        return "rule.name=sltt_k draws the steps of every batch on the host"
    if config.model.stochastic_depth > 0 and config.model.depth_draws == "batch":
        return "model.depth_draws=batch draws the blocks of every batch on the host"
    return None


@cache
def notice(reason: str) -> None:
    """Say once per process and reason why training batches are no graph."""
    warnings.warn(f"cuda_graph: batches are trained operation by operation: {reason}", UncapturedWarning, stacklevel=2)
