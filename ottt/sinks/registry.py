"""The sinks that there are by name, and `register_sink`. Standard library only."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.util import find_spec

from ottt.errors import UserError, brief
from ottt.plugins import claim, load_installed, load_plugin
from ottt.sinks.sink import SinkTrial, TrialSink

KIND = "sink"
RESERVED = frozenset({"artifacts", "ray", "sweeps", "trials"})  # folders of results beside those of sinks

_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")

OpenSink = Callable[[SinkTrial], TrialSink]


@dataclass(frozen=True)
class SinkKind:
    """A sink by its name.

    Attributes:
        name: its name in a spec.
        open: opens the sink of a trial.
        end: called after the last trial of a sweep.
        needs: module that must be installed.
    """

    name: str
    open: OpenSink
    end: Callable[[], None] | None = None
    needs: str | None = None


def _tensorboard(trial: SinkTrial) -> TrialSink:
    from ottt.sinks.tensorboard import TensorBoardSink

    return TensorBoardSink(trial)


def _wandb(trial: SinkTrial) -> TrialSink:
    from ottt.sinks.wandb import WandbSink

    return WandbSink(trial)


def _end_wandb() -> None:
    from ottt.sinks.wandb import end_processes

    end_processes()


SINKS: dict[str, SinkKind] = {
    "tensorboard": SinkKind("tensorboard", _tensorboard, needs="tensorboard"),
    "wandb": SinkKind("wandb", _wandb, end=_end_wandb, needs="wandb"),
}


def register_sink(name: str, factory: OpenSink, *, end: Callable[[], None] | None = None) -> None:
    """Add a sink, for `sinks` in the spec of a sweep.

    It runs in the process that drives the sweep, in a thread of its own, and is fed from the records of the trials.

    Args:
        name: its name; the folder in the results where it can write.
        factory: function, or class, that gives a `TrialSink` for a `SinkTrial`. Then the sink gets every epoch of the
            trial in order, from the first on: also when an interrupted sweep goes on.
        end: called in the same thread after the last trial of a sweep.

    Raises:
        UserError: the name is taken, or cannot be one of a folder.
    """
    claim(KIND, name, SINKS)
    if not _NAME.fullmatch(name) or name in RESERVED:
        raise UserError(
            "sink must have a name of at most 40 letters, digits, '-' and '_' (it names a folder),"
            f" other than {', '.join(sorted(RESERVED))}, got {brief(name)}"
        )
    SINKS[name] = SinkKind(name, factory, end)


def find_sink(name: str, *, plugin: str | None = None) -> SinkKind:
    """The sink of this name.

    Args:
        name: as registered.
        plugin: module or file that registers it, see `ottt.plugins.load_plugin`; None: it is built in, of a plugin that
            is loaded, or of an installed one.

    Raises:
        UserError: there is none, or what it needs is not installed; the message is the rest of a line about its place.
    """
    if plugin is not None:
        load_plugin(plugin)
    elif name not in SINKS:
        load_installed()
    if name not in SINKS:
        near = get_close_matches(name, SINKS, n=1)
        meant = f" (did you mean {near[0]}?)" if near else ""
        where = (
            f"{plugin} to register it" if plugin is not None else "a plugin that registers it: {name: ..., plugin: ...}"
        )
        raise UserError(f"must be one of {', '.join(SINKS)}{meant}, or have {where}, got {brief(name)}")
    found = SINKS[name]
    if found.needs is not None and not _is_installed(found.needs):
        raise UserError(f"needs the package {found.needs}: pip install 'ottt-lab[{name}]', got {brief(name)}")
    return found


def _is_installed(module: str) -> bool:
    spec = find_spec(module)
    return spec is not None and spec.origin is not None  # else a folder of that name, such as W&B itself makes
