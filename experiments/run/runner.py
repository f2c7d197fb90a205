"""Runs a sweep: trains what is missing, records everything, brings MLflow up to date. Follow a sweep from here.

The path of an event: `ray_tune` (what Tune tells) -> `driver` (what it means) -> `effects` (what is written, in order).
Ray is loaded only when there is something to train.
"""

from dataclasses import dataclass, field

from rich.console import Console

from experiments.interrupt import EXIT_INTERRUPTED, Ending, interruptible
from experiments.planning.plan import SweepPlan
from experiments.results.disk import Disk
from experiments.results.folder import Results
from experiments.results.provenance import Provenance, git_problem
from experiments.results.stop_request import StopRequest
from experiments.results.trial_locks import TrialLocks
from experiments.run.effects import Effects
from experiments.run.progress_bar import ProgressDisplay
from experiments.run.resume import ResumePolicy, WhichTrials
from experiments.run.state import SweepState
from experiments.run.stop import watch_stop_request
from experiments.sinks.sweep_sinks import SweepSinks
from experiments.tracking.sweep_runs import SweepRuns
from experiments.tracking.writer import BackgroundWriter
from ottt.schema import Status

EXIT_LOST = 1


@dataclass(frozen=True)
class SweepOutcome:
    """How a run of a sweep ended.

    Attributes:
        plan: plan of the sweep.
        ran: number of trials that were started now.
        finished: number of trials of the plan that have their result, whenever it was made.
        failed: number of trials of the plan that ended without one.
        interrupted: whether the user stopped it.
        store_problem: what the tracking store lacks, in one line.
        lost: what ended it before its end, in a sentence: the cluster is gone.
        link: link to the sweep on MLflow's page, where that is known.
        is_still_busy: whether a sink is at work that did not end in time.
    """

    plan: SweepPlan = field(repr=False)
    ran: int
    finished: int
    failed: int
    interrupted: bool
    store_problem: str | None
    lost: str | None = None
    link: str | None = None
    is_still_busy: bool = False

    @property
    def exit_status(self) -> int:
        """Exit status of the command: 0 only if every trial has its result and the store holds it."""
        if self.lost is not None:
            return EXIT_LOST
        if self.interrupted:
            return EXIT_INTERRUPTED
        return int(self.failed > 0 or self.store_problem is not None)


def run_sweep(
    plan: SweepPlan,
    *,
    results: Results,
    console: Console,
    which: WhichTrials = WhichTrials.MISSING,
    fail_fast: bool = False,
) -> SweepOutcome:
    """Train the trials of `plan` that have no result yet, whichever sweep made the others.

    SIGINT, SIGTERM, SIGHUP and a stop request end it early, with everything recorded.

    Args:
        plan: plan of the sweep, see `experiments.planning.plan.plan_in`.
        results: folder of records and of the default store.
        console: where to show progress.
        which: which trials to run.
        fail_fast: end the sweep at the first trial that fails.

    Raises:
        UserError: the sweep is running elsewhere, or asks for more than there is.
        experiments.tracking.writer.StoreError: the tracking store cannot be opened; nothing was started.
    """
    with results.lock(plan.name) as request, interruptible() as ending, watch_stop_request(request, ending.soon):
        provenance = Provenance.current()
        tracking = _tracking(plan, results, provenance)
        state = SweepState(plan)
        resume = ResumePolicy(results.records, provenance, which)
        resume.take_stock(state, plan.trials)
        with ProgressDisplay(state, console) as display:
            for note in [*_git_notes(), *resume.notes(state)]:
                display.print(f"note: {note}")
            disk = Disk(results.root, ending=ending, say=display.print)
            locks = TrialLocks(results.records.folder)
            sinks = SweepSinks(plan, results, say=display.print)
            effects = Effects(results, state, display, tracking, sinks, disk, locks)
            return _run(effects, resume, ending, request, fail_fast=fail_fast)


def _git_notes() -> list[str]:
    problem = git_problem()
    return [] if problem is None else [f"the commit of the code is not recorded: {problem}"]


def _tracking(plan: SweepPlan, results: Results, provenance: Provenance) -> BackgroundWriter:
    """The writer of the tracking store, not started yet."""
    runs = SweepRuns(
        plan,
        plan.spec.to_yaml(),
        provenance,
        store=results.store,
        artifacts=results.artifacts,
        states=plan.spec.checkpoints.log,
    )
    return BackgroundWriter(runs, results.records)


def _run(
    effects: Effects, resume: ResumePolicy, ending: Ending, request: StopRequest, *, fail_fast: bool
) -> SweepOutcome:
    """Train what is to be trained, and note how the sweep ended, whatever happens."""
    state, tracking = effects.state, effects.tracking
    status, problem = Status.INTERRUPTED, None
    try:
        if state.pending() or _wants_variants(state.plan):
            from experiments.run.training import train

            tracking.start()  # it connects while Ray starts, whose import comes first: neither is to wait for the other
            train(effects, resume, ending, request, fail_fast=fail_fast)
        else:
            tracking.start()
            effects.open()
        has_ended = state.done + state.failed == len(state.plan.trials)
        if has_ended or (fail_fast and state.failed) or not ending.is_asked:
            status = Status.FAILED if state.failed else Status.FINISHED
    finally:
        effects.interrupt()
        effects.sinks.end()
        say = None if status is Status.INTERRUPTED else effects.display.print
        problem = tracking.close(status, say=say, leave=ending.now)
        is_still_busy = not effects.sinks.wait(ending.now)
    return SweepOutcome(
        plan=state.plan,
        ran=state.begun,
        finished=state.done,
        failed=state.failed,
        interrupted=status is Status.INTERRUPTED,
        store_problem=problem,
        lost=ending.lost if status is Status.INTERRUPTED else None,
        link=tracking.link,
        is_still_busy=is_still_busy,
    )


def _wants_variants(plan: SweepPlan) -> bool:
    """Whether a search has variants left to suggest."""
    search = plan.spec.search
    return search is not None and len({trial.variant for trial in plan.trials}) < search.trials
