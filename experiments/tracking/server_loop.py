"""What every process of `ottt mlflow serve` starts with; uvicorn's option `--loop` names it."""

import asyncio

from experiments.garbage_collection import search_rarely


def event_loop() -> asyncio.AbstractEventLoop:
    """The loop that uvicorn takes by itself, in a process that searches less often for garbage.

    MLflow's server makes several objects of every point that it reads. With Python's default, 60 % of its time went
    into searching these, and all that it had imported, for cycles that were not there.
    """
    search_rarely()
    return asyncio.new_event_loop()
