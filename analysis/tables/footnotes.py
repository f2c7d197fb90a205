"""What must be said under a comparison so that nobody misreads it."""

import pandas as pd

from analysis.statistics.few_seeds import ALPHA, LEVEL, MAX_PAIRS, smallest_sign_flip_p
from ottt.schema import Metric

_LEFT_OUT = ("failed", "diverged", "stopped_early", "out_of_memory", "running", "interrupted", "missing")


def left_out(counts: "pd.Series[int]") -> str:
    """The trials that enter no mean: `1 failed, 2 stopped early`; empty for none."""
    return ", ".join(f"{counts[name]} {name.replace('_', ' ')}" for name in _LEFT_OUT if counts[name])


def sentences(table: pd.DataFrame, metric: Metric, baseline: str, *, rule: str) -> tuple[str, ...]:
    """The notes of a comparison.

    Args:
        table: see `analysis.tables.Comparison`.
        metric: what is compared.
        baseline: label of the baseline, and where it comes from.
        rule: at which epoch, in words.
    """
    reference = str(table.loc[table["is_baseline"], "label"].iloc[0])
    candidates = [
        selection(metric, rule),
        _spread(table),
        f"Baseline: {baseline}." if len(table) > 1 else "",
        *_tests(table),
        _unpaired(table, reference),
        _improvement(table, metric),
        absent(table, metric),
    ]
    return tuple(note for note in candidates if note)


def selection(metric: Metric, rule: str) -> str:
    """What was measured, when, and which direction is better."""
    unit = "" if metric.unit == "1" else f" in {metric.unit}"
    direction = f"; {metric.better} is better" if metric.better else ""
    return f"{metric.name}{unit} {rule}{direction}."


def _spread(table: pd.DataFrame) -> str:
    if table["n"].max() < 2:
        return "No variant has two finished seeds: no spread, no interval, no test."
    return f"± is the standard deviation over seeds; [low, high] a {LEVEL:.0%} t interval."


def _tests(table: pd.DataFrame) -> list[str]:
    found = []
    if tests := table["p"].notna().sum():
        found.append(
            "Differences are paired by seed; p is from the exact two-sided sign-flip test,"
            f" Holm-adjusted over {tests} comparison{'s' if tests > 1 else ''}."
        )
    if tests and (table["too_few"] & (table["pairs"] > 0)).any():
        found.append(f"n too small: with fewer than {_needed(1)} pairs no difference can reach p <= {ALPHA}.")
    most = int(table["pairs"].max())
    if tests and ALPHA / tests < smallest_sign_flip_p(most) <= ALPHA:
        found.append(
            f"Over {tests} comparisons no difference of {most} pairs can reach p <= {ALPHA}: {_needed(tests)} could."
        )
    if (table["pairs"] > MAX_PAIRS).any():
        found.append(f"No exact test beyond {MAX_PAIRS} pairs: p is left out there.")
    return found


def _needed(tests: int) -> int:
    """The fewest pairs whose smallest p value, adjusted over so many tests, reaches ALPHA."""
    return next(n for n in range(1, MAX_PAIRS) if smallest_sign_flip_p(n) * tests <= ALPHA)


def _unpaired(table: pd.DataFrame, baseline: str) -> str:
    """Names the seeds that have no value on one side, under the variant that lacks them."""
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


def absent(table: pd.DataFrame, metric: Metric) -> str:
    """The trials that enter no mean, by their status; empty for none."""
    reasons = [left_out(table[list(_LEFT_OUT)].sum())]
    if unmeasured := int((table["finished"] - table["n"]).sum()):
        reasons.append(f"{unmeasured} finished without a finite {metric.name}")
    named = ", ".join(reason for reason in reasons if reason)
    return f"Left out of the means: {named}." if named else ""
