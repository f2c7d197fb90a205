"""Results of sweeps: read from MLflow, compared in tables. Needs neither torch nor ray."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis import load, render, statistics, tables
    from analysis.load import history, plan, runs
    from analysis.planned import Plan, PlannedTrial
    from analysis.tables import Comparison, compare

__all__ = [
    "Comparison",
    "Plan",
    "PlannedTrial",
    "compare",
    "history",
    "load",
    "plan",
    "render",
    "runs",
    "statistics",
    "tables",
]

_HOMES = {
    "Comparison": "tables",
    "Plan": "planned",
    "PlannedTrial": "planned",
    "compare": "tables",
    "history": "load",
    "plan": "load",
    "runs": "load",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"analysis.{_HOMES[name]}"), name)
    if name in __all__:
        return import_module(f"analysis.{name}")
    raise AttributeError(f"module 'analysis' has no attribute {name!r}")
