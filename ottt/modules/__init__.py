"""Layers that own parameters and call `ottt.functional`; they keep no state between calls."""

from ottt.modules.context import ConsumableState, Context, NeuronState, Spikes, State, Trace, on_both, states_of
from ottt.modules.neuron import Neuron
from ottt.modules.weighted import SPIKE_SCALE, Conv2d, Linear, Synapse, dropped, global_mean, halve

__all__ = [
    "SPIKE_SCALE",
    "ConsumableState",
    "Context",
    "Conv2d",
    "Linear",
    "Neuron",
    "NeuronState",
    "Spikes",
    "State",
    "Synapse",
    "Trace",
    "dropped",
    "global_mean",
    "halve",
    "on_both",
    "states_of",
]
