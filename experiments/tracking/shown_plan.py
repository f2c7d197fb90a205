"""A plan as MLflow, tables and terminals get it: without secrets."""

from dataclasses import replace
from typing import Any, TypeVar

from analysis.store.plan import Plan
from experiments.planning.plan import label
from experiments.tracking.redact import redactor

_SomePlan = TypeVar("_SomePlan", bound=Plan)


def shown_plan(plan: _SomePlan) -> _SomePlan:
    """The plan with secrets replaced in its settings and labels; hashes, and labels without secrets, are the same.

    Values of a setting that only their secrets tell apart stay apart: the second becomes `*** (2)`, the third
    `*** (3)`, in the order of the plan.
    """
    redact = redactor()
    seen: dict[tuple[str, str], list[str]] = {}

    def value(key: str, found: Any) -> Any:
        text = redact(str(found))
        if text == str(found):
            return found
        others = seen.setdefault((key, text), [])
        if str(found) not in others:
            others.append(str(found))
        number = others.index(str(found)) + 1
        return text if number == 1 else f"{text} ({number})"

    trials = []
    for trial in plan.trials:
        settings = {key: value(key, found) for key, found in trial.settings.items()}
        if settings != trial.settings:
            trial = replace(trial, settings=settings, label=label(settings))
        trials.append(trial)
    baseline = None if plan.baseline is None else {key: value(key, found) for key, found in plan.baseline.items()}
    return replace(plan, trials=tuple(trials), baseline=baseline)
