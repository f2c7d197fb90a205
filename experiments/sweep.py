"""`Sweep`: the `ottt sweep` commands for notebooks and scripts."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from experiments.planning.plan import SweepPlan, plan_in
from experiments.planning.status import SweepStatus
from experiments.results.folder import Results
from experiments.run.resume import WhichTrials
from experiments.run.runner import SweepOutcome, run_sweep
from experiments.sweep_spec.read import read_spec
from experiments.sweep_spec.spec import SweepSpec
from experiments.sweep_spec.studies import find_spec

if TYPE_CHECKING:
    import pandas as pd

    from analysis.text.columns import Result


@dataclass(frozen=True)
class Sweep:
    """A sweep and its folder of results.

    Example:
        >>> sweep = Sweep.from_file("quickstart", overrides=["epochs=4"])
        >>> sweep.run()
        >>> sweep.results().groupby("label")["test/top1"].mean()

    Attributes:
        spec: checked spec of the sweep.
        place: folder of results of all sweeps.
    """

    spec: SweepSpec
    place: Results

    @classmethod
    def from_file(
        cls, spec: str | Path, *, overrides: Iterable[str] = (), results: str | Path | None = None
    ) -> "Sweep":
        """Read a sweep from a YAML file, or from a study that ships with this package.

        Args:
            spec: path of the file, or name of the study.
            overrides: `key.path=value` texts, see `experiments.sweep_spec.read.read_spec`.
            results: folder of results; None: OTTT_RESULTS, else `results` in the current folder.

        Raises:
            UserError: one line per problem.
        """
        return cls(read_spec(find_spec(str(spec)), overrides), _place(results))

    @classmethod
    def named(cls, name: str, *, results: str | Path | None = None) -> "Sweep":
        """The sweep as it last ran here, overrides included.

        Raises:
            UserError: the sweep never ran here.
        """
        place = _place(results)
        return cls(read_spec(place.spec_of(name)), place)

    def plan(self) -> SweepPlan:
        """All trials of the sweep; of a search, those suggested until now."""
        return plan_in(self.place, self.spec)

    def status(self) -> SweepStatus:
        """Status of every trial; `print(sweep.status().text())` shows it."""
        return SweepStatus.of(self.plan(), self.place)

    def run(
        self, *, choice: WhichTrials = WhichTrials.MISSING, fail_fast: bool = False, console: Console | None = None
    ) -> SweepOutcome:
        """Run the trials that have no result; see `run_sweep`. Without a `console`, progress is shown on stderr."""
        console = console or Console(stderr=True)
        return run_sweep(self.plan(), results=self.place, console=console, which=choice, fail_fast=fail_fast)

    def results(self) -> "pd.DataFrame":
        """One row per trial, from the tracking store; see `analysis.load.runs`."""
        from analysis import load

        return load.runs(self.spec.name, store=self.place.store)

    def comparison(self, metric: str = "test/top1") -> "Result":
        """Comparison of the variants; see `analysis.tables.compare`."""
        from analysis import tables

        return tables.compare(self.results(), metric=metric)


def _place(results: str | Path | None) -> Results:
    return Results.at(None if results is None else Path(results))
