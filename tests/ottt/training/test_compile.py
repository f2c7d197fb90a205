"""When compiled kernels are chosen, by kind of device."""

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import ottt
from ottt.functional.kernels import EAGER
from ottt.functional.surrogate import sigmoid
from ottt.training.compile import COST_S, SAVED_S, seconds_saved

NEURONS = 1000
FASTEST = 8e12  # bytes per second


class Traffic(TorchDispatchMode):
    """Bytes that operations read and write, of each tensor once."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = 0

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = function(*args, **kwargs)
        if "empty" not in str(function):
            read = {id(one): one for one in tree_leaves(args) if isinstance(one, Tensor)}
            written = [one for one in tree_leaves(result) if isinstance(one, Tensor)]
            self.bytes += sum(one.numel() * one.element_size() for one in [*read.values(), *written])
        return result


def test_the_bound_for_gpus_is_the_memory_that_plain_kernels_pass_over() -> None:
    x, u, grad = (torch.randn(NEURONS) for _ in range(3))
    with Traffic() as fire:
        s, u_next, u_read = EAGER.fire(x, u, 0.5, 1.0, None, x.dtype)
    with Traffic() as gradient:
        found = EAGER.spike_gradient(s, u_read, grad, 1.0, True, sigmoid, 4.0, x.dtype)
    plain = fire.bytes + gradient.bytes
    once = sum(one.numel() * one.element_size() for one in (x, u, s, u_next, s, u_read, grad, found))
    assert plain - once == pytest.approx(SAVED_S["cuda"] * FASTEST * NEURONS)


@pytest.mark.parametrize(
    ("overrides", "samples", "cpu", "cuda"),
    [
        (["model.name=vgg11_ws", "data.name=cifar10", "epochs=300"], 50_000, True, True),
        (["model.name=vgg11_ws", "data.name=cifar10", "epochs=10"], 50_000, True, False),
        (["epochs=20"], 1_500, False, False),
    ],
)
def test_auto_compiles_where_it_saves_more_than_it_costs(
    overrides: list[str], samples: int, cpu: bool, cuda: bool
) -> None:
    config = ottt.load_config("cifar10" if "data.name=cifar10" in overrides else "digits", ["T=6", *overrides])
    net = ottt.build_model(config)
    saved = [seconds_saved(config, net, range(samples), torch.device(kind)) for kind in ("cpu", "cuda", "meta")]  # type: ignore[arg-type]
    assert [one > COST_S for one in saved] == [cpu, cuda, False]
    assert saved[2] == 0
