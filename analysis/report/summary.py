"""What a sweep found, in a few sentences that do not overclaim."""

from analysis.statistics.few_seeds import ALPHA, LEVEL
from analysis.tables.comparison import COUNTS, Comparison
from analysis.tables.footnotes import left_out
from analysis.text import numbers
from analysis.text.columns import printable


def summary(comparison: Comparison) -> tuple[str, ...]:
    """How much was run, what came out best, and what of it the seeds support."""
    table, metric = comparison.table, comparison.metric
    counts = table[[*COUNTS.values(), "planned"]].sum()
    missing = left_out(counts)
    rest = f" ({missing})" if missing else ""
    done = f"{len(table)} variants, {counts['finished']} of {counts['planned']} trials finished{rest}."
    if metric.better is None or table["mean"].isna().all():
        return (done,)
    place = table["mean"].argmax() if metric.better == "higher" else table["mean"].argmin()
    best = table.iloc[int(place)]
    level = numbers.with_spread(best["mean"], best["sd"])
    chosen = " It was chosen on the test set: a fresh run would likely be worse." if metric.is_test else ""
    found = [done, f"Best mean {metric.name}: {printable(best['label'])}, {level} (n = {best['n']}).{chosen}"]
    if not best["is_baseline"] and best["pairs"]:
        difference = numbers.with_interval(best["difference"], best["difference_low"], best["difference_high"])
        interval = f" ({LEVEL:.0%} interval, not adjusted for the choice)" if best["pairs"] > 1 else ""
        found.append(f"Its difference to the baseline, {printable(comparison.baseline)}: {difference}{interval}.")
    return (*found, _supported(comparison))


def _supported(comparison: Comparison) -> str:
    table = comparison.table
    tested = table[table["p_holm"].notna()]
    if tested.empty:
        return "No difference was tested: too few seeds."
    clear = int((tested["p_holm"] <= ALPHA).sum())
    return f"{clear} of {len(tested)} tested differences to the baseline have an adjusted p of at most {ALPHA}."
