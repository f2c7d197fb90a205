"""The settings of the paper's numbers, as its authors' scripts have them, and where a variant differs from them.

Those that `analysis.tables.paper.MATCHED` names are not here: without them, there is no number to compare with.
"""

from collections.abc import Mapping
from typing import Any

INPUT = "data.frames.values"
# Settings that earlier versions did not record, with what they did.
_BEFORE = {INPUT: "count"}

_NETWORK = {
    "data.val_fraction": 0.0,
    "data.augment.flip": 0.0,
    "model.width": 1.0,
    "neuron.kind": "lif",
    "neuron.tau": 2.0,
    "neuron.v_threshold": 1.0,
    "neuron.v_reset": None,
    "neuron.surrogate.name": "sigmoid",
    "neuron.surrogate.alpha": 4.0,
    "precision": "fp32",
}
_TRAINING = {
    **_NETWORK,
    "neuron.dropout": 0.0,
    "optim.name": "sgd",
    "optim.lr": 0.1,
    "optim.weight_decay": 0.0,
    "schedule.name": "cosine",
    "schedule.changes": "",
    "epochs": 300,
    "batch_size": 128,
}
_CIFAR = {"data.augment.crop": 4, "data.augment.flip": 0.5, "data.augment.cutout": 0.5, "loss.mse_weight": 0.05}
_EVENTS = {"data.frames.by": "count", "loss.mse_weight": 0.001}

PROTOCOL: dict[str, Mapping[str, Any]] = {
    "cifar10": {**_TRAINING, **_CIFAR, "optim.momentum": 0.9},
    "cifar100": {**_TRAINING, **_CIFAR, "optim.momentum": 0.9},
    "cifar10_dvs": {
        **_TRAINING,
        **_EVENTS,
        "data.augment.crop": 4,
        "data.frames.size": 48,
        INPUT: "original",
        "neuron.dropout": 0.1,
        "optim.momentum": 0.9,
    },
    "dvs128_gesture": {
        **_TRAINING,
        **_EVENTS,
        "data.augment.crop": 0,
        "data.frames.size": None,
        INPUT: "count",
        "optim.name": "adam",
        "optim.lr": 0.001,
        "batch_size": 16,
    },
    "imagenet": {
        **_TRAINING,
        "data.augment.flip": 0.5,
        "data.augment.cutout": 0.0,
        "loss.mse_weight": 0.0,
        "optim.momentum": 0.9,
        "optim.weight_decay": 2e-5,
        "epochs": 100,
        "batch_size": 256,
    },
    # The scripts lack this experiment: its optimizer, dropout, loss and epochs are not known.
    "fashion_mnist": {**_NETWORK, "data.augment.crop": 0, "data.augment.cutout": 0.0},
}
_IF_NONE = ("neuron.trace_decay", "data.frames.train_steps")  # None in the paper
KEYS = tuple(dict.fromkeys([key for settings in PROTOCOL.values() for key in settings] + list(_IF_NONE)))

UNKNOWN = {"fashion_mnist": "optimizer, dropout, loss and epochs"}


def differences(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """The settings of a variant that are not as in the paper, each as "epochs=60 (300)".

    Args:
        settings: settings of the variant, "data.name" among them; what is absent was not recorded, nor what is None
            in a variant of which no trial ran.
    """
    protocol = dict(PROTOCOL.get(settings["data.name"], {}))
    if settings.get("rule.name") != "bptt":  # the others read the trace
        protocol["neuron.trace_decay"] = None
    protocol["data.frames.train_steps"] = None
    has_run = settings.get("batch_size") is not None
    recorded = {key: value for key, value in settings.items() if has_run or value is not None}
    if has_run:
        recorded |= {key: value for key, value in _BEFORE.items() if recorded.get(key) is None}
    return tuple(
        f"{key}={_text(recorded[key])} ({_text(value)})"
        for key, value in protocol.items()
        if key in recorded and recorded[key] != value and not _means_none(key, recorded)
    )


def _means_none(key: str, settings: Mapping[str, Any]) -> bool:
    """Whether a setting that is None in the paper has the value that None stands for."""
    if key == "neuron.trace_decay" and settings.get("neuron.tau"):
        return bool(settings[key] == 1 - 1 / settings["neuron.tau"])
    return key == "data.frames.train_steps" and settings[key] == settings.get("T")


def _text(value: Any) -> str:
    return "none" if value is None else str(value)
