"""A sweep from Python, as the `ottt sweep` commands have it: for notebooks and scripts."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from experiments.planning.plan import SweepPlan, plan_in
from experiments.planning.resume import Choice
from experiments.planning.status import SweepStatus
from experiments.results.folder import Results
from experiments.run.runner import SweepOutcome, run_sweep
from experiments.spec.read import read_spec
from experiments.spec.spec import SweepSpec
from experiments.spec.studies import find_spec

if TYPE_CHECKING:
    import pandas as pd

    from analysis.text.columns import Result


@dataclass(frozen=True)
class Sweep:
    """A sweep and where its results lie.

    Example:
        >>> sweep = Sweep.from_file("quickstart", overrides=["epochs=4"])
        >>> sweep.run()
        >>> sweep.results().groupby("label")["test/top1"].mean()

    Attributes:
        spec: checked.
        place: folder of results, of all sweeps.
    """

    spec: SweepSpec
    place: Results

    @classmethod
    def from_file(
        cls, spec: str | Path, *, overrides: Iterable[str] = (), results: str | Path | None = None
    ) -> "Sweep":
        """The sweep that a YAML file, or a study that comes with this, describes.

        Args:
            spec: the file, or the study's name.
            overrides: `key.path=value` texts, see `experiments.spec.read.read_spec`.
            results: folder of results; None: OTTT_RESULTS, else `results` in the current folder.

        Raises:
            UserError: one line per problem.
        """
        return cls(read_spec(find_spec(str(spec)), overrides), _place(results))

    @classmethod
    def named(cls, name: str, *, results: str | Path | None = None) -> "Sweep":
        """The sweep as it last ran here, overrides included.

        Raises:
            UserError: it never did.
        """
        place = _place(results)
        return cls(read_spec(place.spec_of(name)), place)

    def plan(self) -> SweepPlan:
        """All its trials; of a search those suggested so far."""
        return plan_in(self.place, self.spec)

    def status(self) -> SweepStatus:
        """How each of them stands; `print(sweep.status().text())` shows it."""
        return SweepStatus.of(self.plan(), self.place)

    def run(
        self, *, choice: Choice = Choice.MISSING, fail_fast: bool = False, console: Console | None = None
    ) -> SweepOutcome:
        """Train what is missing; see `run_sweep`. Without a `console` the progress goes to stderr."""
        console = console or Console(stderr=True)
        return run_sweep(self.spec, results=self.place, console=console, choice=choice, fail_fast=fail_fast)

    def results(self) -> "pd.DataFrame":
        """One row per trial, from the tracking store; see `analysis.load.runs`."""
        from analysis import load

        return load.runs(self.spec.name, store=self.place.store)

    def comparison(self, metric: str = "test/top1") -> "Result":
        """Its variants beside each other; see `analysis.tables.compare`."""
        from analysis import tables

        return tables.compare(self.results(), metric=metric)


def _place(results: str | Path | None) -> Results:
    return Results.at(None if results is None else Path(results))
