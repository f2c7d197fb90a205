"""The precision in which weighted layers compute, and the flags of torch that decide what float32 products are.

Membranes, traces, parameters, gradients summed over time steps and the optimizer are float32 in every precision.

    fp32    float32, as the name says: on GPUs torch would otherwise round the operands of convolutions to TF32
    tf32    float32 whose products have operands of 10 bits of mantissa (TF32), on NVIDIA GPUs from Ampere on
    bf16    bfloat16 operands and results
    fp16    float16 operands and results, with a scaled loss
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from ottt.errors import UserError

DTYPES: dict[str, torch.dtype | None] = {"fp32": None, "tf32": None, "bf16": torch.bfloat16, "fp16": torch.float16}

_BACKENDS: Any = torch.backends  # its annotations lack some of what it has
_ON_CUDA = (_BACKENDS.cuda.matmul, _BACKENDS.cudnn.conv)
_ON_CPU = (_BACKENDS.mkldnn.matmul, _BACKENDS.mkldnn.conv)


@contextmanager
def float32_products(precision: str) -> Iterator[None]:
    """Set what products of float32 tensors are in a trial of this precision, and restore what they were before.

    Args:
        precision: a key of DTYPES.
    """
    before = [(backend, backend.fp32_precision) for backend in (*_ON_CUDA, *_ON_CPU)]
    try:
        for backend in _ON_CUDA:
            backend.fp32_precision = "tf32" if precision == "tf32" else "ieee"
        for backend in _ON_CPU:
            backend.fp32_precision = "ieee"
        yield
    finally:
        for backend, value in before:
            backend.fp32_precision = value


def check_precision(precision: str, device: torch.device) -> None:
    """Refuse a precision that `device` would silently replace by another.

    Raises:
        UserError: TF32 where there is none.
    """
    if precision == "tf32" and not (device.type == "cuda" and torch.cuda.is_tf32_supported()):
        raise UserError(f"precision must be fp32, bf16 or fp16 on {device.type}: this device has no TF32, got 'tf32'")
