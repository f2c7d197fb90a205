"""Optimizers in the form that a graph of a batch can hold."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.optim import Optimizer

_CHANGED = ("lr", "foreach", "fused", "capturable")  # settings of a group that the form has its own values for


class DeviceUpdates:
    """An optimizer whose learning rate and step counts can be on the device, where a captured update reads them.

    A number would be captured as it is: every replay would use the learning rate of the first. torch's foreach updates
    read a tensor back to the host, its fused ones do not, so the updates are fused ones, which give the same numbers up
    to rounding. Momentum and weight decay stay numbers.

    Outside `on_device` the optimizer has its own settings, so schedules, changes and checkpoints know nothing of this.

    Args:
        optimizer: an optimizer of `build_optimizer`.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self._optimizer = optimizer
        self._rates = [
            torch.zeros((), dtype=torch.float32, device=group["params"][0].device) for group in optimizer.param_groups
        ]

    @contextmanager
    def on_device(self) -> Iterator[None]:
        """The learning rate of now as a tensor, always the same one, and fused updates."""
        groups = self._optimizer.param_groups
        before = [{key: group[key] for key in _CHANGED if key in group} for group in groups]
        self._place_state()
        try:
            for group, rate in zip(groups, self._rates, strict=True):
                form = {"lr": rate.fill_(group["lr"]), "foreach": False, "fused": True, "capturable": True}
                group.update((key, value) for key, value in form.items() if key in group)
            yield
        finally:
            for group, own in zip(groups, before, strict=True):
                group.update(own)

    def _place_state(self) -> None:
        """Step counts on the device, and momenta of all parameters: the fused update takes those of all or of none.

        A momentum of zero is none: the first one is the gradient either way.
        """
        state = self._optimizer.state
        for parameter, values in state.items():
            if "step" in values:
                values["step"] = values["step"].to(parameter.device)
        for group in self._optimizer.param_groups:
            for parameter in group["params"] if group.get("momentum") else ():
                if "momentum_buffer" not in state[parameter]:
                    state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
