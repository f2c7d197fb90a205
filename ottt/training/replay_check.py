"""Whether the replay of a graph does what its batch does: a replay is compared with the batch, operation by operation.

A graph that misses an input or a draw, or keeps a number of another batch, raises nothing.
"""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

# The two differ by rounding, and by what a spike that comes of it, or not, changes in one batch.
TOLERANCE = 0.1  # of the length of the whole update


def replays_truly(
    replay: Callable[[], None],
    work: Callable[[], None],
    *,
    parameters: Sequence[Tensor],
    others: Sequence[Tensor],
    generators: Sequence[torch.Generator],
) -> bool:
    """Train a batch by `replay`, take it back and train it by `work`; whether both gave the same update.

    Args:
        replay: trains the batch as a graph.
        work: trains it operation by operation.
        parameters: what is trained.
        others: all other tensors that training it changes and reads again.
        generators: all generators that it draws from.
    """
    changed = [*parameters, *others]
    before, states = [one.clone() for one in changed], [one.get_state() for one in generators]
    replay()
    replayed = [one.clone() for one in parameters]
    for one, value in zip(changed, before, strict=True):
        one.copy_(value)
    for generator, state in zip(generators, states, strict=True):
        generator.set_state(state)
    work()
    apart, far = _distance(replayed, parameters), _distance(parameters, before[: len(parameters)])
    return apart <= TOLERANCE * far or not math.isfinite(far)  # a training that is lost is found elsewhere


def _distance(some: Sequence[Tensor], others: Sequence[Tensor]) -> float:
    """Euclidean distance of tensors taken as one vector."""
    pairs = zip(some, others, strict=True)
    return math.hypot(*((one.double() - other.double()).norm().item() for one, other in pairs))
