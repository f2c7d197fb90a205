"""`Sweep`: the `ottt sweep` commands for notebooks and scripts."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from experiments.planning.plan import SweepPlan, plan_in
from experiments.planning.status import SweepStatus
from experiments.results.folder import Results
from experiments.run.progress_bar import console_of_python
from experiments.run.resume import WhichTrials
from experiments.run.runner import SweepOutcome, run_sweep
from experiments.sweep_spec.python_values import document_of
from experiments.sweep_spec.read import parse_spec, read_spec
from experiments.sweep_spec.spec import SweepSpec
from experiments.sweep_spec.studies import find_spec
from experiments.tracking.shown_plan import shown_plan

if TYPE_CHECKING:
    import pandas as pd

    from analysis.text.columns import Result


@dataclass(frozen=True)
class Sweep:
    """A sweep and its folder of results.

    Example:
        >>> sweep = Sweep.of({"name": "tau", "base": "digits", "axes": {"neuron.tau": [1.5, 2.0]}, "seeds": 3})
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
    def of(
        cls, spec: Mapping[str, Any], *, overrides: Iterable[str] = (), results: str | Path | None = None
    ) -> "Sweep":
        """A sweep from the entries of a spec, checked as those of a file are; errors call their place `spec`.

        Args:
            spec: entries, with dotted or nested settings. Files that it names are relative to the current folder;
                `base` can also be a `TrialConfig`. See `experiments.sweep_spec.python_values.document_of`.
            overrides: as for `from_file`.
            results: as for `from_file`.

        Raises:
            UserError: one line per problem.
        """
        return cls(parse_spec(document_of(spec), folder=Path.cwd(), overrides=overrides), _place(results))

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
        """Status of every trial; a notebook shows it as a table, `print(sweep.status().text())` elsewhere."""
        return SweepStatus.of(shown_plan(self.plan()), self.place)

    def run(
        self, *, choice: WhichTrials = WhichTrials.MISSING, fail_fast: bool = False, console: Console | None = None
    ) -> SweepOutcome:
        """Run the trials that have no result; see `run_sweep`.

        Without a `console`, progress is shown on stderr, in a notebook below the cell.
        """
        console = console or console_of_python()
        return run_sweep(self.plan(), results=self.place, console=console, which=choice, fail_fast=fail_fast)

    def results(self) -> "pd.DataFrame":
        """One row per trial, from the tracking store. Its columns, their types and units are in docs/tables.md."""
        from analysis import load

        return load.runs(self.spec.name, store=self.place.store)

    def comparison(self, metric: str = "test/top1") -> "Result":
        """Comparison of the variants; see `analysis.tables.compare`."""
        from analysis import tables

        return tables.compare(self.results(), metric=metric)


def _place(results: str | Path | None) -> Results:
    return Results.at(None if results is None else Path(results))
