"""The event loop of every process of `ottt mlflow serve`, for uvicorn's option `--loop`."""

import asyncio

from experiments.garbage_collection import collect_rarely


def event_loop() -> asyncio.AbstractEventLoop:
    """Make uvicorn's default loop, in a process that collects garbage less often.

    MLflow's server makes several objects for every point that it reads. With Python's default thresholds, 60 % of its
    time went into searching these, and all imported objects, for cycles that were not there.
    """
    collect_rarely()
    return asyncio.new_event_loop()
