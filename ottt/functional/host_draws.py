"""Draws of a mini-batch: of masks, and those by which the host decides what to compute.

To read one of the latter back from a device would wait for all of its work. Trials that train as one network each draw
from a generator of their own, what they would draw alone.
"""

import random

import torch
from torch import Tensor

# One, one for each of several trials in turn; None: torch's global one of the device.
Generators = torch.Generator | tuple[torch.Generator, ...] | None

_COUNTS = 4  # a device's generator counts in steps of so many


def each(generator: Generators) -> tuple[torch.Generator | None, ...]:
    """The generators of the trials."""
    return generator if isinstance(generator, tuple) else (generator,)


def uniform(like: Tensor, generator: Generators) -> Tensor:
    """Uniform draws from [0, 1) of the shape of `like`, [B,C,...], float32 at least; each trial has C/n channels."""
    exact = torch.promote_types(like.dtype, torch.float32)
    parts = like.chunk(len(generator), 1) if isinstance(generator, tuple) else (like,)
    drawn = [
        torch.rand(part.shape, generator=one, device=like.device, dtype=exact)
        for part, one in zip(parts, each(generator), strict=True)
    ]
    return drawn[0] if len(drawn) == 1 else torch.cat(drawn, 1)


def draw_steps(time_steps: int, k: int, generator: torch.Generator | None) -> frozenset[int]:
    """`k` of the steps 0 to T-1; `generator`: on any device, None: torch's global one of the host."""
    if (host := _host_generator(generator)) is not None:
        return frozenset(host.sample(range(time_steps), k))
    return frozenset(torch.randperm(time_steps, generator=generator)[:k].tolist())


def draw_event(p: float, generator: torch.Generator | None) -> bool:
    """True with probability `p`; `generator`: as for `draw_steps`."""
    if (host := _host_generator(generator)) is not None:
        return host.random() < p
    return bool(torch.rand((), generator=generator) < p)


def _host_generator(generator: torch.Generator | None) -> random.Random | None:
    """A generator for one draw that follows from a device's, which is a seed and a count that the host knows.

    None if `generator` is the host's already.
    """
    if generator is None or generator.device.type == "cpu":
        return None
    count = generator.get_offset()
    generator.set_offset(count + _COUNTS)
    return random.Random(f"{generator.initial_seed()} {count}")
