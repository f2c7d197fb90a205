"""Results of sweeps: read from MLflow, compared in tables and figures. Needs neither torch nor ray."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis import figures, load, profiles, render, statistics, style, tables
    from analysis.averages import Marginal, marginal
    from analysis.crossing import Crossing, cross
    from analysis.load import history, plan, runs
    from analysis.pareto import Front, front
    from analysis.planned import Plan, PlannedTrial
    from analysis.published import Against, against_paper
    from analysis.ranking import Importance, importance
    from analysis.selection import select
    from analysis.shares import Effects, effects
    from analysis.tables import Comparison, compare

_HOMES = {
    "Against": "published",
    "Comparison": "tables",
    "Crossing": "crossing",
    "Effects": "shares",
    "Front": "pareto",
    "Importance": "ranking",
    "Marginal": "averages",
    "Plan": "planned",
    "PlannedTrial": "planned",
    "against_paper": "published",
    "compare": "tables",
    "cross": "crossing",
    "effects": "shares",
    "front": "pareto",
    "history": "load",
    "importance": "ranking",
    "marginal": "averages",
    "plan": "load",
    "runs": "load",
    "select": "selection",
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
