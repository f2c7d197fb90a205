"""Draws by which the host decides what to compute. To read one back from a device would wait for all of its work."""

import random

import torch

_COUNTS = 4  # a device's generator counts in steps of so many


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
