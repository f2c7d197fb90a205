"""A fully connected hidden layer with trained recurrence (R400 of the paper, for Fashion-MNIST)."""

import torch
from torch import Tensor

from ottt.config.groups import NeuronConfig
from ottt.models.base import Network
from ottt.modules import Context, Linear, Neuron, Spikes, State, dropped


class Recurrent(Network):
    """Input -> hidden neurons -> linear; the hidden neurons also receive their own spikes of the previous step."""

    def __init__(
        self,
        hidden: int,
        *,
        features_in: int,
        classes: int,
        neuron: NeuronConfig,
        dropout: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.stem = Linear(features_in, hidden, std=features_in**-0.5, generator=generator)
        self.recurrence = Linear(hidden, hidden, std=hidden**-0.5, generator=generator)
        self.hidden = Neuron(neuron)
        self.classifier = Linear(hidden, classes, std=hidden**-0.5, generator=generator)

    def encode(self, frame: Tensor, context: Context) -> Tensor:
        """The input layer, applied to the flattened frame; see `Network.encode`."""
        current: Tensor = self.stem(frame.flatten(1), context)
        return current

    def step(self, current: Tensor, state: State | None, context: Context) -> tuple[Tensor, State]:
        """See `Network.step`."""
        before = None if state is None else state[0]
        if before is not None:
            current = current + self.recurrence(Spikes(before.s, before.a), context)
        spikes, after = self.hidden(current, before, context)
        return self.classifier(dropped(self, spikes, self.dropout, context), context), (after,)
