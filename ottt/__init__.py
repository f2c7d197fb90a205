"""Online Training Through Time for spiking neural networks: the method and the single-device trainer.

The public names are loaded on first use, so that the command and the reader of results start without torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ottt.config import TrialConfig as TrialConfig
    from ottt.data.load import register_dataset as register_dataset
    from ottt.errors import UserError as UserError
    from ottt.evalreport import EvalReport as EvalReport
    from ottt.evaluation import evaluate as evaluate
    from ottt.loading import load_config as load_config
    from ottt.metrics import register_metric as register_metric
    from ottt.models import build_model as build_model
    from ottt.models import register_model as register_model
    from ottt.reference import load_reference_weights as load_reference_weights
    from ottt.reference import reference_state_dict as reference_state_dict
    from ottt.rules import build_rule as build_rule
    from ottt.rules import register_rule as register_rule
    from ottt.trainer import Diverged as Diverged
    from ottt.trainer import Trainer as Trainer
    from ottt.trainer import TrainResult as TrainResult
    from ottt.trainer import train as train

__version__ = "0.1.0"

_HOMES = {
    "Diverged": "ottt.trainer",
    "EvalReport": "ottt.evalreport",
    "TrainResult": "ottt.trainer",
    "Trainer": "ottt.trainer",
    "TrialConfig": "ottt.config",
    "UserError": "ottt.errors",
    "build_model": "ottt.models",
    "build_rule": "ottt.rules",
    "evaluate": "ottt.evaluation",
    "load_config": "ottt.loading",
    "load_reference_weights": "ottt.reference",
    "register_dataset": "ottt.data.load",
    "register_metric": "ottt.metrics",
    "register_model": "ottt.models",
    "register_rule": "ottt.rules",
    "reference_state_dict": "ottt.reference",
    "train": "ottt.trainer",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'ottt' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
