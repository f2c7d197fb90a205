"""Trained networks from checkpoints, without their data set."""

from collections.abc import Iterable
from pathlib import Path

from ottt.config.load import Source, load_config
from ottt.config.trial import TrialConfig
from ottt.errors import UserError
from ottt.models.base import Network
from ottt.models.reference_weights import load_reference_weights
from ottt.models.registry import build_model
from ottt.training.checkpoint import UnusableState, load_weights, read_checkpoint


def trained(
    checkpoint: str | Path, *, config: TrialConfig | Source = None, overrides: Iterable[str] = ()
) -> tuple[Network, TrialConfig]:
    """The network of a checkpoint in evaluation mode, on the CPU, and its configuration.

    Args:
        checkpoint: a folder or file of `ottt train`, or a checkpoint of the original code.
        config: configuration, or what `load_config` takes; needed for checkpoints of the original code, which hold
            none. None: that of the checkpoint.
        overrides: `key.path=value` texts that change the configuration.

    Raises:
        UserError: no usable checkpoint, no configuration, or weights that do not fit it.
    """
    path = Path(checkpoint)
    state = read_checkpoint(path)
    is_trial = "trial" in state
    if not is_trial and config is None:
        raise UserError(f"{path}: a checkpoint of the original code needs its configuration, got none")
    given = state["config"] if config is None else config
    settings = load_config(given.flat() if isinstance(given, TrialConfig) else given, overrides)
    net = build_model(settings)
    if is_trial:
        try:
            load_weights(net, state["net"])
        except UnusableState as error:
            raise UserError(f"{path}: {error}") from error
    else:
        load_reference_weights(net, state)
    return net.eval(), settings
