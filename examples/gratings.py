"""A plugin: it adds a data set, a network, an update rule and a metric without changes to OTTT Lab.

    ottt train data.name=gratings model.name=two_layers T=4 epochs=5 --plugin examples/gratings.py
    ottt sweep run examples/gratings.yaml

Use it as a template. Shapes: N samples, B batch, C channels, H W image, K classes, T time steps.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

import ottt
from ottt.config import TrialConfig
from ottt.data.frames import Framing
from ottt.data.info import DataInfo
from ottt.data.sets import Prepared
from ottt.data.splits import fingerprint
from ottt.evalreport import EvalReport
from ottt.loss import step_loss
from ottt.models.base import Network
from ottt.modules import Context, Linear, Neuron, State, states_of
from ottt.names import RuleTraits
from ottt.rules import Batch, Settings, detached, encoded

SIZE = 8  # pixels, height and width
CLASSES = 4  # orientations
TRAIN, TEST = 600, 200


def read_gratings(root: Path, framing: Framing) -> Prepared:
    """Noisy gratings of four orientations, [N,1,8,8] float32 in [0, 1], generated rather than read."""
    rng = np.random.default_rng(0)
    labels = np.arange(TRAIN + TEST, dtype=np.int64) % CLASSES
    angle_N11 = (labels * np.pi / CLASSES)[:, None, None]
    phase_N11 = rng.uniform(0, 2 * np.pi, (len(labels), 1, 1))
    y_HW, x_HW = np.mgrid[:SIZE, :SIZE]
    wave = np.sin(1.5 * (x_HW * np.cos(angle_N11) + y_HW * np.sin(angle_N11)) + phase_N11)
    noisy = 0.5 + 0.25 * wave + rng.normal(0, 0.3, wave.shape)
    images = noisy.clip(0, 1).astype(np.float32)[:, None]
    return Prepared(images, labels, TRAIN, fingerprint(images, labels))


class TwoLayers(Network):
    """Two fully connected layers of neurons and a linear read-out."""

    def __init__(self, config: TrialConfig, data: DataInfo, generator: torch.Generator) -> None:
        super().__init__()
        pixels, hidden = data.channels * data.height * data.width, max(1, round(64 * config.model.width))
        self.stem = Linear(pixels, hidden, std=pixels**-0.5, generator=generator)
        self.first = Neuron(config.neuron)
        self.between = Linear(hidden, hidden, std=2 * hidden**-0.5, generator=generator)
        self.second = Neuron(config.neuron)
        self.readout = Linear(hidden, data.classes, std=hidden**-0.5, generator=generator)

    def encode(self, frame: Tensor, context: Context) -> Tensor:
        """See `Network.encode`."""
        current: Tensor = self.stem(frame.flatten(1), context)
        return current

    def step(self, current: Tensor, state: State | None, context: Context) -> tuple[Tensor, State]:
        """See `Network.step`."""
        before_first, before_second = states_of(state, 2)
        spikes, first = self.first(current, before_first, context)
        spikes, second = self.second(self.between(spikes, context), before_second, context)
        return self.readout(spikes, context), (first, second)


@dataclass(frozen=True)
class LateSteps:
    """OTTT that learns only from the second half of the time steps; the first half only runs the network."""

    settings: Settings

    def train_batch(
        self,
        net: Network,
        optimizer: Optimizer,
        inputs: Tensor,
        labels: Tensor,
        *,
        generator: torch.Generator | None = None,
        scaler: GradScaler | None = None,
    ) -> Batch:
        """See `ottt.rules.Rule.train_batch`; fp16, which needs the scaler, is not supported here."""
        if scaler is not None:
            raise ottt.UserError("precision must not be fp16 for late, got fp16")
        time_steps = self.settings.time_steps
        context = self.settings.context(trace="decay", generator=generator)
        outs, losses, state = [], [], None
        optimizer.zero_grad()
        for t in range(time_steps):
            learns = t >= time_steps // 2
            current = encoded(net, inputs, t, context)
            with torch.set_grad_enabled(learns):
                out, state = net.step(current, state, context)
                loss = step_loss(out, labels, time_steps=time_steps, mse_weight=self.settings.mse_weight)
            if learns:
                loss.backward()
            state = detached(state)
            outs.append(out.detach())
            losses.append(loss.detach())
        context.push_back()
        optimizer.step()
        return Batch(torch.stack(outs), torch.stack(losses))


def worst_class(report: EvalReport) -> float:
    """Lowest accuracy of any class."""
    confusion_KK = np.array(report.confusion)
    return float((confusion_KK.diagonal() / confusion_KK.sum(1).clip(1)).min())


ottt.register_dataset(
    "gratings", DataInfo("noisy gratings of four orientations", CLASSES, 1, SIZE, SIZE, TRAIN, TEST), read_gratings
)
ottt.register_model("two_layers", TwoLayers, summary="two fully connected layers of 64 neurons")
ottt.register_rule("late", lambda settings, config: LateSteps(settings), traits=RuleTraits(reads_trace=True))
ottt.register_metric("worst_class", worst_class, better="higher")
