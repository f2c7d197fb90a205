"""Gives the sinks of a sweep that ran earlier everything that its records hold."""

from collections.abc import Mapping
from math import inf

from experiments.planning.plan import plan_in
from experiments.results.folder import Results
from experiments.sinks.sweep_sinks import SweepSinks
from experiments.sweep_spec.read import read_spec


def refill(sweep: str, *, results: Results) -> Mapping[str, str | None]:
    """Give each sink of `sweep` every epoch of every recorded trial again; waits for all of them.

    Args:
        sweep: name of a sweep that ran in `results`.
        results: folder of the records.

    Returns:
        By the name of each sink what went wrong, in a line, or None.

    Raises:
        UserError: no such sweep, or it is running.
    """
    plan = plan_in(results, read_spec(results.spec_of(sweep)))
    with results.lock(sweep):
        sinks = SweepSinks(plan, results, say=_nothing, anew=True)
        sinks.begin()
        for trial in plan.trials:
            sinks.update(trial.trial)
        sinks.end()
        sinks.wait(seconds=inf)
    return sinks.problems


def _nothing(line: str) -> None:
    """Problems are returned."""
