"""Footnotes of tables: metric and rule, tests, missing trials and seeds."""

import pandas as pd

from analysis.statistics import ALPHA, LEVEL, MAX_PAIRS, smallest_sign_flip_p
from analysis.statistics.power import Detectable
from ottt.schema import Metric

_LEFT_OUT = ("failed", "diverged", "stopped_early", "out_of_memory", "running", "interrupted", "missing")


def left_out(counts: "pd.Series[int]") -> str:
    """The trials that enter no mean, by status: `1 failed, 2 stopped early`; empty if there are none."""
    return ", ".join(f"{counts[name]} {name.replace('_', ' ')}" for name in _LEFT_OUT if counts[name])


def comparison_notes(table: pd.DataFrame, metric: Metric, baseline: str, *, rule: str) -> tuple[str, ...]:
    """The footnotes of a comparison.

    Args:
        table: see `analysis.tables.Comparison`.
        metric: metric that is compared.
        baseline: label of the baseline, and its origin.
        rule: value of `analysis.tables.epoch_selection.RULES`.
    """
    reference = str(table.loc[table["is_baseline"], "label"].iloc[0])
    candidates = [
        metric_note(metric, rule),
        _spread(table),
        f"Baseline: {baseline}." if len(table) > 1 else "",
        *_tests(table),
        detectable_note(table),
        _unpaired(table, reference),
        _improvement(table, metric),
        left_out_note(table, metric),
    ]
    return tuple(note for note in candidates if note)


def metric_note(metric: Metric, rule: str) -> str:
    """The metric, its unit, the rule, and the better direction."""
    unit = "" if metric.unit == "1" else f" in {metric.unit}"
    direction = f"; {metric.better} is better" if metric.better else ""
    return f"{metric.name}{unit} {rule}{direction}."


def _spread(table: pd.DataFrame) -> str:
    if table["n"].max() < 2:
        return "No variant has two finished seeds: no spread, no interval, no test."
    return f"± is the standard deviation over seeds; [low, high] a {LEVEL:.0%} t interval."


def _tests(table: pd.DataFrame) -> list[str]:
    notes = []
    if tests := table["p"].notna().sum():
        notes.append(
            "Differences are paired by seed; p is from the exact two-sided sign-flip test,"
            f" Holm-adjusted over {tests} comparison{'s' if tests > 1 else ''}."
        )
    if tests and (table["too_few"] & (table["pairs"] > 0)).any():
        notes.append(f"n too small: with fewer than {_needed(1)} pairs no difference can reach p <= {ALPHA}.")
    most = int(table["pairs"].max())
    if tests and ALPHA / tests < smallest_sign_flip_p(most) <= ALPHA:
        notes.append(
            f"Over {tests} comparisons no difference of {most} pairs can reach p <= {ALPHA}: {_needed(tests)} could."
        )
    if (table["pairs"] > MAX_PAIRS).any():
        notes.append(f"No exact test beyond {MAX_PAIRS} pairs: p is left out there.")
    return notes


def _needed(tests: int) -> int:
    """The fewest pairs whose smallest p value, adjusted over a number of tests, reaches ALPHA."""
    return next(n for n in range(1, MAX_PAIRS) if smallest_sign_flip_p(n) * tests <= ALPHA)


def detectable_note(table: pd.DataFrame) -> str:
    """The differences that these seeds, and more of them, can detect; empty where no spread is known.

    The spread is that of the differences to the baseline, pooled over the other variants.
    """
    reference = table.loc[table["is_baseline"], "values"].iloc[0]
    others = table.loc[~table["is_baseline"], "values"]
    differences = [[values[seed] - reference[seed] for seed in values if seed in reference] for values in others]
    found = Detectable.of(differences, seeds=max(map(len, differences), default=0))
    return "" if found is None else f"{found.text().capitalize()}."


def _unpaired(table: pd.DataFrame, baseline: str) -> str:
    """The seeds without a value on one side, by the variant that lacks them."""
    lacking: dict[str, set[int]] = {baseline: set()}
    for label, seeds, values in zip(table["label"], table["unpaired"], table["values"], strict=True):
        lacking[baseline] |= set(seeds) & values.keys()
        lacking[label] = lacking.get(label, set()) | (set(seeds) - values.keys())
    listed = [
        f"{label} lacks seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, sorted(seeds)))}"
        for label, seeds in lacking.items()
        if seeds
    ]
    return f"Left out of the differences, having no partner: {'; '.join(listed)}." if listed else ""


def _improvement(table: pd.DataFrame, metric: Metric) -> str:
    if table["improvement"].isna().all():
        return ""
    return f"P(better): chance that a trial has a {metric.better} {metric.name} than one of the baseline, ties half."


def left_out_note(table: pd.DataFrame, metric: Metric) -> str:
    """The trials that enter no mean, by reason; empty if there are none."""
    reasons = [left_out(table[list(_LEFT_OUT)].sum())]
    if unmeasured := int((table["finished"] - table["n"]).sum()):
        reasons.append(f"{unmeasured} finished without a finite {metric.name}")
    listed = ", ".join(reason for reason in reasons if reason)
    return f"Left out of the means: {listed}." if listed else ""
