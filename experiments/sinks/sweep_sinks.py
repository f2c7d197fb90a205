"""The sinks of a sweep, all of them: trials wait for none, and the end of the sweep not for long."""

import time
from collections.abc import Callable
from math import inf
from threading import Event

from experiments.planning.plan import SweepPlan
from experiments.results.folder import Results
from experiments.sinks.feeder import SinkFeeder
from experiments.sinks.trials import SinkTrials
from ottt.sinks.registry import find_sink

WAIT_S = 120.0  # at the end of a sweep, for sinks that are not done; one that uploads needs some
PATIENCE_S = 2.0  # of a user, until told what is waited for
LEAVE_S = 5.0  # to wait once the sweep was asked to end at once
_TICK_S = 0.05


class SweepSinks:
    """Feeds the sinks of a sweep, each in a thread of its own.

    Args:
        plan: plan of the sweep, with the sinks of its spec.
        results: folder of the records and of the sinks' files.
        say: prints a line for the user, from any thread.
        anew: give again what earlier runs of the sweep gave.
    """

    def __init__(self, plan: SweepPlan, results: Results, *, say: Callable[[str], None], anew: bool = False) -> None:
        self._say = say
        self._trials = SinkTrials(plan, results) if plan.spec.sinks else None
        self._feeders = []
        for choice in plan.spec.sinks:
            assert self._trials is not None, "there are sinks"
            kind = find_sink(choice.name, plugin=choice.plugin)
            folder = results.sink_folder(kind.name, plan.name)
            self._feeders.append(SinkFeeder(kind, plan.name, folder, results.records, self._trials, say=say, anew=anew))
        self._has_begun = False

    def begin(self) -> None:
        """Start the threads."""
        self._has_begun = True
        for feeder in self._feeders:
            feeder.start()

    def extend(self, plan: SweepPlan) -> None:
        """Replace the plan by one with more trials; to be called before their updates."""
        if self._trials is not None:
            self._trials.extend(plan)

    def update(self, trial: str) -> None:
        """Give the sinks what is new in the record of `trial`."""
        for feeder in self._feeders:
            feeder.update(trial)

    def end(self) -> None:
        """There are no further updates."""
        for feeder in self._feeders:
            feeder.end()

    def wait(self, leave: Event | None = None, *, seconds: float = WAIT_S) -> bool:
        """Wait after `end` until the sinks have everything; False: one did not get there, and was left.

        Args:
            leave: set to wait no longer than LEAVE_S.
            seconds: how long to wait otherwise.
        """
        if not self._has_begun:
            return True
        began, is_told = time.monotonic(), False
        while busy := [feeder for feeder in self._feeders if feeder.is_busy]:
            waited = time.monotonic() - began
            limit = LEAVE_S if leave is not None and leave.is_set() else seconds
            if waited > limit:
                for feeder in busy:
                    feeder.leave(f"is not done after {limit:.0f} s")
                return False
            if waited > PATIENCE_S and not is_told:
                names = ", ".join(feeder.name for feeder in busy)
                most = "" if limit == inf else f" up to {limit:.0f} s"
                self._say(f"waiting{most} for sinks: {names}; Ctrl-C ends the wait")
                is_told = True
            busy[0].join(_TICK_S)
        return True

    @property
    def problems(self) -> dict[str, str | None]:
        """By the name of each sink what went wrong first, in a line; None: nothing."""
        return {feeder.name: feeder.problem for feeder in self._feeders}
