"""The command that fills a tracking store from the trial records: `ottt sweep sync`."""

from typing import Annotated

import typer

from experiments.cli.arguments import ResultsOption, SweepArgument, sweep_name
from experiments.results.folder import Results


def sync(
    sweep: SweepArgument,
    store: Annotated[
        str | None,
        typer.Option("--to", metavar="URI", help="Tracking store (default: $MLFLOW_TRACKING_URI, else the local one)."),
    ] = None,
    results: ResultsOption = None,
) -> None:
    """Write the records of a sweep that MLflow lacks: after an outage, or into another store.

    Example: ottt sweep sync quickstart --to http://mlflow.example:5000
    """
    from analysis.store.uri import shown_uri
    from experiments.tracking.sync import sync as replay

    place = Results.at(results)
    synced = replay(sweep_name(sweep, place), results=place, store=store)
    print(f"{synced.text}; the store has them all: {shown_uri(store or place.store)}")
