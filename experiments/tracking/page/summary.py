"""The comparison of a sweep's variants and its report, as artifacts that MLflow's page shows.

They need pandas and SciPy, whose import takes a second: only `files` loads them.
"""

REPORT = "report.html"
TABLES = ("comparison.md", "comparison.csv")
METRIC = "test/top1"  # as `ottt compare` and `ottt report` show


def files(sweep: str, *, store: str) -> dict[str, str]:
    """The report and the comparison by their path, from what the store holds.

    Raises:
        UserError: the sweep has no trials.
    """
    from analysis import load, render, tables
    from analysis.report.origin import Origin
    from analysis.report.page import page

    runs, history = load.runs(sweep, store=store), load.history(sweep, store=store)
    comparison = tables.compare(runs, metric=METRIC)
    markdown, csv = TABLES
    return {
        REPORT: page(runs, history, comparison, Origin.of(sweep, store=store)),
        markdown: render.markdown(comparison),
        csv: render.csv(comparison),
    }
