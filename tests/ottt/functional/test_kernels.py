"""Compiled neurons against plain ones, and the precision of values passed between layers."""

import importlib
import logging
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


def four_steps(
    kernels: Kernels, *, dtype: torch.dtype, v_reset: float | None, surrogate: str, decay: float, channels_last: bool
) -> list[Tensor]:
    """Potential, trace as kept, trace as sent, and the input current's gradient after each of four time steps."""
    generator = torch.Generator().manual_seed(0)
    memory = torch.channels_last if channels_last else torch.contiguous_format
    u = a = None
    values: list[Tensor] = []
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
        values += [u.detach(), a.float(), sent.float(), grad.float()]
    return values


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("v_reset", [None, 0.1])
@pytest.mark.parametrize("surrogate", ["sigmoid", "triangle"])
def test_compiled_neurons_give_the_numbers_of_plain_ones(
    dtype: torch.dtype, v_reset: float | None, surrogate: str
) -> None:
    for decay, channels_last in ((0.5, True), (0.75, False)):
        settings = {"dtype": dtype, "v_reset": v_reset, "surrogate": surrogate, "decay": decay}
        plain = four_steps(EAGER, **settings, channels_last=channels_last)
        fused = four_steps(compiled(CPU), **settings, channels_last=channels_last)
        # The last digit of the gradient depends on how the exponential is computed; in bfloat16 a digit is 2^-8.
        torch.testing.assert_close(fused, plain, rtol=1e-5 if dtype == torch.float32 else 2**-7, atol=1e-6)


def test_the_first_decay_is_not_compiled_in_as_a_constant() -> None:
    ones = torch.ones(7)
    kept = [compiled(CPU).update_trace(ones, ones, decay)[0][0].item() for decay in (0.5, 0.25, 0.125)]
    assert kept == [1.5, 1.25, 1.125]


def test_traces_are_kept_in_full_precision_under_bf16() -> None:
    s, a = torch.ones(1, dtype=torch.bfloat16), None
    for _ in range(2000):
        a, sent = trace_step(s, a, 0.999)
    assert a is not None
    assert sent.dtype == torch.bfloat16
    # In bfloat16 the sum would stop growing at 256, where neighbouring numbers are 2 apart.
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


def uncompiled(caplog: pytest.LogCaptureFixture) -> str:
    """The reason of the warning with which `compiled` returns the plain kernels."""
    with caplog.at_level(logging.WARNING):
        assert compiled.__wrapped__(CPU) is EAGER
    (record,) = caplog.records
    return record.getMessage().removeprefix("compile: neurons run uncompiled: ")


def test_a_renamed_interface_of_torch_leaves_the_plain_kernels(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delattr(torch._dynamo, "config")
    monkeypatch.setitem(sys.modules, "torch._dynamo.config", None)
    reason = uncompiled(caplog)
    assert reason.startswith(f"torch {torch.__version__} has another interface to its compiler: ")
    assert "torch._dynamo" in reason


@pytest.mark.parametrize("name", ["TritonMissing", "GPUTooOldForTriton", "InductorError", "InvalidCxxCompiler"])
def test_any_failure_of_the_compiler_leaves_the_plain_kernels(
    name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    kind = getattr(importlib.import_module("torch._inductor.exc"), name)
    failure = kind.__new__(kind, f"no {name}")

    def fails(*_: object) -> None:
        raise failure

    monkeypatch.setattr(torch, "compile", lambda kernel, dynamic: fails)
    assert uncompiled(caplog) == f"no working compiler: no {name}"


@pytest.mark.parametrize("error", [ValueError("a mistake of ours"), torch.OutOfMemoryError("the GPU is full")])
def test_other_errors_are_raised(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise error

    monkeypatch.setattr(torch, "compile", lambda kernel, dynamic: fails)
    with pytest.raises(type(error), match=str(error)):
        compiled.__wrapped__(CPU)


def test_without_a_compiler_neurons_run_uncompiled_with_one_warning(tmp_path: Path) -> None:
    env = os.environ | {"CXX": "no-such-compiler", "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", NO_COMPILER], env=env, capture_output=True, text=True, timeout=900)
    assert done.stdout.split() == ["True", "True"], done.stderr
    assert done.stderr.count("neurons run uncompiled") == 1
