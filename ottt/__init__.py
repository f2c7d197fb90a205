"""Online Training Through Time for spiking neural networks: the method and the single-device trainer.

Public names are loaded on first use, so that the command line and the analysis start without torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ottt.config.load import load_config as load_config
    from ottt.config.trial import TrialConfig as TrialConfig
    from ottt.errors import UserError as UserError
    from ottt.evalreport import EvalReport as EvalReport
    from ottt.evaluation.evaluator import evaluate as evaluate
    from ottt.models.reference_weights import load_reference_weights as load_reference_weights
    from ottt.models.reference_weights import reference_state_dict as reference_state_dict
    from ottt.models.registry import build_model as build_model
    from ottt.models.registry import register_model as register_model
    from ottt.rules import build_rule as build_rule
    from ottt.rules import register_rule as register_rule
    from ottt.sinks.registry import register_sink as register_sink
    from ottt.sinks.sink import SinkTrial as SinkTrial
    from ottt.training.divergence import Diverged as Diverged
    from ottt.training.load_data import register_dataset as register_dataset
    from ottt.training.metrics import register_metric as register_metric
    from ottt.training.trainer import Trainer as Trainer
    from ottt.training.trainer import TrainResult as TrainResult
    from ottt.training.trainer import train as train

__version__ = "0.1.0"

_HOMES = {
    "Diverged": "ottt.training.divergence",
    "EvalReport": "ottt.evalreport",
    "SinkTrial": "ottt.sinks.sink",
    "TrainResult": "ottt.training.trainer",
    "Trainer": "ottt.training.trainer",
    "TrialConfig": "ottt.config",
    "UserError": "ottt.errors",
    "build_model": "ottt.models.registry",
    "build_rule": "ottt.rules",
    "evaluate": "ottt.evaluation.evaluator",
    "load_config": "ottt.config.load",
    "load_reference_weights": "ottt.models.reference_weights",
    "register_dataset": "ottt.training.load_data",
    "register_metric": "ottt.training.metrics",
    "register_model": "ottt.models.registry",
    "register_rule": "ottt.rules",
    "register_sink": "ottt.sinks.registry",
    "reference_state_dict": "ottt.models.reference_weights",
    "train": "ottt.training.trainer",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ottt' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
