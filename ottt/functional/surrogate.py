"""Surrogate gradients, which replace the derivative of a spike, the Heaviside step of x = u - v_threshold.

Each surrogate is the derivative of a primitive g(x; alpha). Training uses only the derivative; the primitive documents
it, and the tests differentiate it numerically. Except for `quasi_clamp`, whose window grows with alpha, the primitives
approach the step as alpha grows.
Every derivative has its maximum at x = 0, where the sigmoid's is alpha / 4 and the others' as stated.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

Factor = float | Tensor  # of all neurons of a layer, or a tensor that broadcasts to it
Curve = Callable[[Tensor, Factor], Tensor]

LEAK = 0.01  # slope of `piecewise_leaky` outside its window, as a share of the slope inside
TAIL = 1e-20  # surrogates that vanish exponentially are set to zero below this


class Surrogate(NamedTuple):
    """A primitive and its derivative, both elementwise in x with parameter alpha; the derivative can overwrite x."""

    primitive: Curve
    derivative: Curve


def sigmoid(x: Tensor, alpha: Factor) -> Tensor:
    """alpha sig(alpha x) (1 - sig(alpha x)); the paper's choice, with alpha = 4."""
    sig = _without_tail(x.mul_(alpha).sigmoid_())
    return sig.addcmul_(sig, sig, value=-1).mul_(alpha)


def atan(x: Tensor, alpha: Factor) -> Tensor:
    """alpha/2 / (1 + (pi/2 alpha x)^2) (Fang et al., ICCV 2021)."""
    return 0.5 * alpha / (1 + (0.5 * math.pi * alpha * x) ** 2)


def triangle(x: Tensor, alpha: Factor) -> Tensor:
    """alpha max(0, 1 - alpha |x|) (Esser et al., PNAS 2016), of unit area."""
    return alpha * (1 - alpha * x.abs()).clamp_min(0)


def rectangle(x: Tensor, alpha: Factor) -> Tensor:
    """alpha where |x| < 1/(2 alpha), else 0 (Wu et al., Frontiers 2018, with a = 1/alpha)."""
    return alpha * (x.abs() < 0.5 / alpha).to(x.dtype)


def gaussian(x: Tensor, alpha: Factor) -> Tensor:
    """alpha / sqrt(pi) exp(-(alpha x)^2), the derivative of the error function's step."""
    return _without_tail(x.mul_(alpha).square_().neg_().exp_()).mul_(alpha / math.sqrt(math.pi))


def fast_sigmoid(x: Tensor, alpha: Factor) -> Tensor:
    """alpha/2 / (1 + alpha |x|)^2 (Zenke and Ganguli, Neural Computation 2018)."""
    return 0.5 * alpha / (1 + alpha * x.abs()) ** 2


def piecewise_leaky(x: Tensor, alpha: Factor) -> Tensor:
    """alpha where |x| < 1/(2 alpha), else LEAK alpha, so that every neuron has a gradient."""
    inside = x.abs() < 0.5 / alpha
    return alpha * torch.where(inside, x.new_ones(()), x.new_full((), LEAK))


def quasi_clamp(x: Tensor, alpha: Factor) -> Tensor:
    """1 where |x| <= alpha, else 0: the derivative of a clamp to [-alpha, alpha] (QuasiClamp of the original code)."""
    return (x.abs() <= alpha).to(x.dtype)


def _without_tail(curve: Tensor) -> Tensor:
    """`curve`, set to zero below TAIL in place: denormal numbers make processors many times slower."""
    return torch.threshold_(curve, TAIL, 0.0)


def _fast_sigmoid_primitive(x: Tensor, alpha: Factor) -> Tensor:
    return 0.5 * (alpha * x / (1 + alpha * x.abs()) + 1)


def _triangle_primitive(x: Tensor, alpha: Factor) -> Tensor:
    z = (alpha * x).clamp(-1, 1)
    return 0.5 + z - 0.5 * z * z.abs()


def _piecewise_leaky_primitive(x: Tensor, alpha: Factor) -> Tensor:
    z = alpha * x
    return z.clamp(-0.5, 0.5) + 0.5 + LEAK * (z - z.clamp(-0.5, 0.5))


SURROGATES: dict[str, Surrogate] = {
    "sigmoid": Surrogate(lambda x, alpha: torch.sigmoid(alpha * x), sigmoid),
    "atan": Surrogate(lambda x, alpha: torch.atan(0.5 * math.pi * alpha * x) / math.pi + 0.5, atan),
    "triangle": Surrogate(_triangle_primitive, triangle),
    "rectangle": Surrogate(lambda x, alpha: (alpha * x).clamp(-0.5, 0.5) + 0.5, rectangle),
    "gaussian": Surrogate(lambda x, alpha: 0.5 * torch.erfc(-alpha * x), gaussian),
    "fast_sigmoid": Surrogate(_fast_sigmoid_primitive, fast_sigmoid),
    "piecewise_leaky": Surrogate(_piecewise_leaky_primitive, piecewise_leaky),
    "quasi_clamp": Surrogate(lambda x, alpha: x.clamp(torch.as_tensor(-alpha), torch.as_tensor(alpha)), quasi_clamp),
}
