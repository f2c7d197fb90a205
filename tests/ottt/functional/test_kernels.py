"""Compiled neurons against plain ones, and the precision of what travels between layers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

import ottt
from ottt.functional.kernels import EAGER, Kernels, compiled
from ottt.functional.lif import lif_step, trace_step
from ottt.functional.surrogate import SURROGATES

CPU = torch.device("cpu")


def course(
    kernels: Kernels, *, dtype: torch.dtype, v_reset: float | None, surrogate: str, decay: float, channels_last: bool
) -> list[Tensor]:
    """Potential, trace as kept, trace as sent, and the current's gradient after each of four time steps."""
    generator = torch.Generator().manual_seed(0)
    memory = torch.channels_last if channels_last else torch.contiguous_format
    u = a = None
    seen: list[Tensor] = []
    for _ in range(4):
        x = (2 * torch.randn(3, 5, 4, 6, generator=generator)).to(dtype).contiguous(memory_format=memory)
        x.requires_grad_()
        s, u = lif_step(
            x,
            None if u is None else u.detach(),
            decay=decay,
            v_reset=v_reset,
            derivative=SURROGATES[surrogate].derivative,
            dtype=dtype,
            kernels=kernels,
        )
        a, sent = trace_step(s, a, decay, kernels=kernels)
        weight = torch.randn(s.shape, generator=generator).to(s.dtype)
        (grad,) = torch.autograd.grad((s * weight).sum(), x)
        assert s.dtype == sent.dtype == grad.dtype == dtype
        assert u.dtype == torch.float32
        assert set(s.unique().tolist()) == {0.0, 1.0}
        seen += [u.detach(), a.float(), sent.float(), grad.float()]
    return seen


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("v_reset", [None, 0.1])
@pytest.mark.parametrize("surrogate", ["sigmoid", "triangle"])
def test_compiled_neurons_give_the_numbers_of_plain_ones(
    dtype: torch.dtype, v_reset: float | None, surrogate: str
) -> None:
    for decay, channels_last in ((0.5, True), (0.75, False)):
        settings = {"dtype": dtype, "v_reset": v_reset, "surrogate": surrogate, "decay": decay}
        plain = course(EAGER, **settings, channels_last=channels_last)
        fused = course(compiled(CPU), **settings, channels_last=channels_last)
        # The gradient's last digit depends on how the exponential is computed; in bfloat16 a digit is 2^-8.
        torch.testing.assert_close(fused, plain, rtol=1e-5 if dtype == torch.float32 else 2**-7, atol=1e-6)


def test_a_decay_seen_first_is_not_compiled_in() -> None:
    ones = torch.ones(7)
    kept = [compiled(CPU).remember(ones, ones, decay)[0][0].item() for decay in (0.5, 0.25, 0.125)]
    assert kept == [1.5, 1.25, 1.125]


def test_traces_are_kept_in_full_precision_under_bf16() -> None:
    s, a = torch.ones(1, dtype=torch.bfloat16), None
    for _ in range(2000):
        a, sent = trace_step(s, a, 0.999)
    assert a is not None
    assert sent.dtype == torch.bfloat16
    # In bfloat16 the sum would stop growing at 256: its neighbours are 2 apart there.
    assert a.item() == pytest.approx((1 - 0.999**2000) / 0.001, rel=1e-4)


@pytest.mark.parametrize("rule", ["ottt", "sltt", "bptt", "ndot"])
def test_a_training_step_with_compiled_neurons_agrees(rule: str) -> None:
    config = ottt.load_config({"model.name": "small", "rule.name": rule, "T": 3, "seed": 1})
    inputs = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    labels = torch.tensor([0, 3, 5, 9])
    gradients = []
    for kernels in (EAGER, compiled(CPU)):
        net = ottt.build_model(config).to(memory_format=torch.channels_last)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        ottt.build_rule(config, kernels=kernels).train_batch(net, optimizer, inputs, labels)
        gradients.append([p.grad for p in net.parameters()])
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-4, atol=1e-7)


NO_COMPILER = """
import torch
from ottt.functional.kernels import EAGER, compiled
print(compiled(torch.device("cpu")) is EAGER, compiled(torch.device("cpu")) is EAGER)
"""


def test_without_a_compiler_neurons_run_plain_with_one_notice(tmp_path: Path) -> None:
    env = os.environ | {"CXX": "no-such-compiler", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", NO_COMPILER], env=env, capture_output=True, text=True, timeout=300)
    assert done.stdout.split() == ["True", "True"], done.stderr
    assert done.stderr.count("neurons run uncompiled") == 1
