"""Every use of Ray's private interfaces. Each has a fallback for versions of Ray that lack it.

`tests/experiments/test_ray_internals.py` names the interface that an upgrade of Ray has renamed.
"""

import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import reduce
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

MISSING = (ImportError, AttributeError, TypeError)  # a module, a name or a parameter is gone


def draining_nodes() -> frozenset[str]:
    """Ids of the nodes that are being drained or preempted.

    Interface: `ray._private.state.state.get_draining_nodes()`, seen in Ray 2.60.
    Purpose: trials write a checkpoint before their node goes away.
    Fallback: no node is known to drain; trials resume from their last regular checkpoint.
    """
    try:
        from ray._private.state import state

        return frozenset(state.get_draining_nodes())
    except MISSING:
        return frozenset()


@contextmanager
def bare_instance() -> Iterator[None]:
    """In the context, `ray.init` starts an instance of Ray without services that a sweep on one machine does not use.

    Interface: `Node.start_api_server(...)`, `Node.start_monitor()` and `Node.start_log_monitor()` of
        `ray._private.node`, and `ray._private.utils.get_dashboard_dependency_error()`, which tells the node's agent
        whether to serve pages; seen in Ray 2.60.
    Purpose: dashboard, autoscaler, log monitor and pages take a third of the processor time of a start, and `ray.init`
        waits for the dashboard.
    Fallback: what is missing is left as it is, and that service starts.
    """
    with ExitStack() as undo:
        for module, name, replacement in _UNUSED:
            with suppress(*MISSING):
                *owners, last = name.split(".")
                owner = reduce(getattr, owners, import_module(module))
                undo.callback(setattr, owner, last, getattr(owner, last))
                setattr(owner, last, replacement)
        yield


def _nothing(*_: Any, **__: Any) -> None:
    """In place of what starts a service."""


def _no_pages() -> Exception:
    return ImportError("the node's agent is to serve no pages")


_UNUSED = [
    ("ray._private.node", "Node.start_api_server", _nothing),
    ("ray._private.node", "Node.start_monitor", _nothing),
    ("ray._private.node", "Node.start_log_monitor", _nothing),
    ("ray._private.utils", "get_dashboard_dependency_error", _no_pages),
]


def has_autoscaler() -> bool:
    """Whether the cluster has an autoscaler that can add machines: that of `ray up` on clouds, or of KubeRay.

    Interface: `ray.autoscaler.v2.utils.is_autoscaler_v2(fetch_from_server=True)`, seen in Ray 2.60.
    Purpose: GPU shares are not measured while machines can be added.
    Fallback: the cluster is taken not to grow.
    """
    try:
        from ray.autoscaler.v2.utils import is_autoscaler_v2

        return bool(is_autoscaler_v2(fetch_from_server=True))
    except MISSING:
        return False


def same_imports() -> dict[str, Any]:
    """Arguments of `ray.init` with which workers import modules from where this process does.

    Interface: `JobConfig(_py_driver_sys_path=...)`, seen in Ray 2.60; Ray appends the current folder to that list, and
        each worker puts the entries, one after the other, in front of its own `sys.path`.
    Purpose: otherwise workers import from the current folder first, whatever this process imports: another copy of
        these packages there would train the trials.
    Fallback: Ray's own way; a worker that imported other code refuses to train (`experiments.worker.trainable`).
    """
    if "RAY_JOB_CONFIG_JSON_ENV_VAR" in os.environ:  # a submitted job: Ray sets up its paths, without this folder
        return {}
    try:
        from ray.job_config import JobConfig

        return {"job_config": JobConfig(_py_driver_sys_path=_FixedList(reversed(_own_paths())))}
    except MISSING:
        return {}


class _FixedList(list[str]):
    """A list that stays as it was made."""

    def __bool__(self) -> bool:
        return True  # an empty one too: Ray would take another list in its place

    def extend(self, further: Iterable[str]) -> None:
        """Ignore `further`."""


def _own_paths() -> list[str]:
    """Where this process looks for modules before it looks into its Python installation."""
    installed = tuple({sys.prefix, sys.base_prefix})
    places = [Path(entry).absolute() for entry in sys.path]
    return [
        str(place) for place in places if place.exists() and not any(place.is_relative_to(one) for one in installed)
    ]


def launcher_check() -> Callable[[dict[str, Any]], None] | None:
    """The check that `ray up` makes of a launcher file's content, which raises an error; None where it is missing.

    Interface: `prepare_config(config)` and `validate_config(config)` of `ray.autoscaler._private.util`, seen in
        Ray 2.60.
    Purpose: `ottt cluster check` finds what `ray up` would refuse.
    Fallback: launcher files are checked by Ray's published JSON schema alone.
    """
    try:
        from ray.autoscaler._private.util import prepare_config, validate_config

        for function in (prepare_config, validate_config):
            signature(function).bind({})  # a TypeError of the check itself comes from the file, not from Ray's version
    except MISSING:
        return None
    return lambda config: validate_config(prepare_config(config))
