"""The summary of a sweep, in sentences that claim no more than the seeds support."""

from analysis.statistics import ALPHA, LEVEL
from analysis.tables import COUNTS, Comparison
from analysis.tables.footnotes import detectable_note, left_out
from analysis.text import numbers
from analysis.text.columns import printable


def summary(comparison: Comparison) -> tuple[str, ...]:
    """How much was run, the best variant, and how many differences the tests support."""
    table, metric = comparison.table, comparison.metric
    counts = table[[*COUNTS.values(), "planned"]].sum()
    missing = left_out(counts)
    unfinished = f" ({missing})" if missing else ""
    variants = f"{len(table)} variant{'s' if len(table) > 1 else ''}"
    done = f"{variants}, {counts['finished']} of {counts['planned']} trials finished{unfinished}."
    if metric.better is None or table["mean"].isna().all():
        return (done,)
    index = table["mean"].argmax() if metric.better == "higher" else table["mean"].argmin()
    best = table.iloc[int(index)]
    mean = numbers.with_spread(best["mean"], best["sd"])
    chosen = " It was chosen on the test set: a fresh run would likely be worse." if metric.is_test else ""
    sentences = [done, f"Best mean {metric.name}: {printable(best['label'])}, {mean} (n = {best['n']}).{chosen}"]
    if not best["is_baseline"] and best["pairs"]:
        difference = numbers.with_interval(best["difference"], best["difference_low"], best["difference_high"])
        interval = f" ({LEVEL:.0%} interval, not adjusted for the choice)" if best["pairs"] > 1 else ""
        sentences.append(f"Its difference to the baseline, {printable(comparison.baseline)}: {difference}{interval}.")
    detectable = detectable_note(table)
    return (*sentences, *([detectable] if detectable else []), _supported(comparison))


def _supported(comparison: Comparison) -> str:
    table = comparison.table
    tested = table[table["p_holm"].notna()]
    if tested.empty:
        return "No difference was tested: too few seeds."
    clear = int((tested["p_holm"] <= ALPHA).sum())
    return f"{clear} of {len(tested)} tested differences to the baseline have an adjusted p of at most {ALPHA}."
