"""Short names of variants and trials, for pages that cut names: MLflow's after about twelve characters."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.planning.plan import SweepPlan

NAME_TAG = "ottt.name"  # the variant in as few words as tell it from the others; for display only, `Tag.LABEL` is exact


def variant_names(plan: SweepPlan) -> dict[str, str]:
    """A name for each variant by its hash, e.g. "tau=2 online"; no two are the same.

    Settings that all variants share are left out. The shortest come first, so that a name that is cut still tells as
    much as it can: words stand alone, numbers with the last part of their key. Where more variants can follow, the
    names of those that are there do not depend on them.

    Args:
        plan: without secrets, see `experiments.tracking.shown_plan`.
    """
    settings = {trial.variant: trial.settings for trial in plan.trials}
    labels = {trial.variant: trial.label for trial in plan.trials}
    grows = plan.spec.search is not None or plan.spec.population is not None
    columns = _columns(plan.axes, list(settings.values()), takes_all=grows or len(settings) == 1)
    ranked = columns if grows else sorted(columns, key=lambda texts: max(map(len, texts), default=0))
    names = {variant: " ".join(filter(None, texts)) for variant, *texts in zip(settings, *ranked, strict=True)}
    if len(set(names.values())) < len(names):
        return labels
    return {variant: name or labels[variant] for variant, name in names.items()}


def trial_name(variant: str, seed: int) -> str:
    """The name of a trial of a variant, e.g. "tau=2 online s1"."""
    return f"{variant} s{seed}"


def _columns(axes: Sequence[str], settings: Sequence[Mapping[str, Any]], *, takes_all: bool) -> list[list[str]]:
    """By axis the text of each variant: of the axes in which the variants differ, or of all."""
    last_parts = Counter(key.rpartition(".")[2] for key in axes)
    values = {key: [one[key] for one in settings] for key in axes}
    differing = {key: found for key, found in values.items() if takes_all or len(set(map(repr, found))) > 1}
    shared = Counter(value for found in differing.values() for value in {one for one in found if isinstance(one, str)})
    columns = []
    for key, found in differing.items():
        short = last_parts[key.rpartition(".")[2]] == 1
        name = key.rpartition(".")[2] if short else key
        is_word = all(isinstance(value, str) and shared[value] == 1 for value in found)
        columns.append([_text(value) if is_word or value == "" else f"{name}={_text(value)}" for value in found])
    return columns


def _text(value: object) -> str:
    """The value without a needless ".0"."""
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)
