"""Names that scripts of users import: the package's own and those of its modules, wherever the code lies."""

from importlib import import_module

import pytest

import analysis

PUBLIC = [
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
OF_MODULES = {
    "figures": (
        "accuracy_by_steps",
        "axis_response",
        "by_setting",
        "heat_map",
        "layer_rates",
        "learning_curves",
        "parallel_coordinates",
        "pareto",
    ),
    "load": ("COLUMNS", "HISTORY_COLUMNS", "MISSING", "frame", "history", "parent", "plan", "runs", "typed"),
    "profiles": ("COSTS_BY_T", "PROFILE_COLUMNS", "accuracy_by_steps", "by_setting", "layer_rates", "learning_curves"),
    "render": ("csv", "document_of", "html", "json", "latex", "markdown", "text"),
    "search": ("Difference", "differences", "find", "search"),
    "statistics": (
        "ALPHA",
        "Estimate",
        "FloatArray",
        "LEVEL",
        "MAX_PAIRS",
        "estimate",
        "holm",
        "paired_difference",
        "probability_of_improvement",
        "sign_flip_p",
        "smallest_sign_flip_p",
    ),
    "style": ("COLOURS", "DPI", "MAP", "MARKERS", "REST", "WIDTH", "looks", "save", "styled"),
    "tables": ("COUNTS", "Comparison", "compare", "foremost"),
}


def test_the_public_names_are_these() -> None:
    assert analysis.__all__ == PUBLIC


@pytest.mark.parametrize("name", PUBLIC)
def test_a_public_name_resolves(name: str) -> None:
    found = getattr(analysis, name)
    assert found.__name__ == (f"analysis.{name}" if name in OF_MODULES else name)


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, names in OF_MODULES.items() for name in names])
def test_a_module_keeps_its_names(module: str, name: str) -> None:
    assert hasattr(import_module(f"analysis.{module}"), name), f"analysis.{module}.{name} is gone"
