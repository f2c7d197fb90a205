"""Results of sweeps: read from MLflow, compared in tables and figures. Needs neither torch nor Ray.

Public names load their modules on first use, so that importing the package stays cheap.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis import figures, load, profiles, render, statistics, style, tables
    from analysis.load import history, plan, runs
    from analysis.store.plan import Plan, PlannedTrial
    from analysis.tables import Comparison, compare
    from analysis.tables.epoch_selection import select
    from analysis.tables.importance import Importance, importance
    from analysis.tables.marginal_means import Marginal, marginal
    from analysis.tables.paper import Against, against_paper
    from analysis.tables.pareto import Front, front
    from analysis.tables.restricted import restricted
    from analysis.tables.two_way import Crossing, cross
    from analysis.tables.variance_explained import Effects, effects

_HOMES = {
    "Against": "tables.paper",
    "Comparison": "tables",
    "Crossing": "tables.two_way",
    "Effects": "tables.variance_explained",
    "Front": "tables.pareto",
    "Importance": "tables.importance",
    "Marginal": "tables.marginal_means",
    "Plan": "store.plan",
    "PlannedTrial": "store.plan",
    "against_paper": "tables.paper",
    "compare": "tables",
    "cross": "tables.two_way",
    "effects": "tables.variance_explained",
    "front": "tables.pareto",
    "history": "load",
    "importance": "tables.importance",
    "marginal": "tables.marginal_means",
    "plan": "load",
    "restricted": "tables.restricted",
    "runs": "load",
    "select": "tables.epoch_selection",
}

__all__ = [
    "Against",
    "Comparison",
    "Crossing",
    "Effects",
    "Front",
    "Importance",
    "Marginal",
    "Plan",
    "PlannedTrial",
    "against_paper",
    "compare",
    "cross",
    "effects",
    "figures",
    "front",
    "history",
    "importance",
    "load",
    "marginal",
    "plan",
    "profiles",
    "render",
    "restricted",
    "runs",
    "select",
    "statistics",
    "style",
    "tables",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"analysis.{_HOMES[name]}"), name)
    if name in __all__:
        return import_module(f"analysis.{name}")
    raise AttributeError(f"module 'analysis' has no attribute {name!r}")
