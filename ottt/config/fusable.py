"""Which trials can train as one network, as far as their settings say; see `ottt.training.fused`. Without torch."""

from collections.abc import Hashable, Sequence

from ottt.config.trial import TrialConfig
from ottt.errors import brief
from ottt.plugins import owner

# Settings in which the trials of a fused network can differ, and groups of settings.
FREE = (
    "seed",
    "epochs",
    "T_eval",
    "neuron.tau",
    "neuron.trace_decay",
    "neuron.v_threshold",
    "neuron.surrogate.alpha",
    "loss.mse_weight",
    "optim.",
    "schedule.",
    "data.augment.",
    "data.split_seed",
)
FEEDS_BACK = frozenset({"vgg11f_ws", "r400"})  # spikes reach, in the next step, weights that have no part in the first


def differences(configs: Sequence[TrialConfig]) -> list[str]:
    """The settings in which trials differ that must be equal in a fused network, one line each."""
    settings = [config.flat() for config in configs]
    values = {key: list(dict.fromkeys(brief(one[key]) for one in settings)) for key in settings[0]}
    return [
        f"{key} must be equal in trials that are fused, got {', '.join(several)}"
        for key, several in values.items()
        if len(several) > 1 and not key.startswith(FREE)
    ]


def refusal(config: TrialConfig) -> list[str]:
    """Why trials like this one cannot be fused, whatever they are fused with; one line each, empty if they can.

    Networks and rules of plugins are left alone: nothing says that they keep channels apart.
    """
    rule, model = config.rule.name, config.model
    problems = [
        f"{key} of a plugin cannot be fused, got {name!r}"
        for key, kind, name in (("model.name", "network", model.name), ("rule.name", "update rule", rule))
        if owner(kind, name) is not None
    ]
    if rule == "sltt_k" and model.name in FEEDS_BACK:
        # A trial that chose the first step alone has no gradient of the feedback; fused, it would have one of zero.
        problems.append(f"rule.name=sltt_k cannot be fused with networks that feed back, got {model.name!r}")
    if model.depth_draws == "batch" and model.stochastic_depth > 0:
        problems.append("model.depth_draws=batch cannot be fused: it leaves out other blocks in each trial")
    return problems


def fixed_settings(config: TrialConfig) -> Hashable:
    """Equal for trials without `differences`, which it finds among many trials."""
    return tuple(repr(value) for key, value in config.flat().items() if not key.startswith(FREE))
