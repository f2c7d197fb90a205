"""Running a sweep: what is missing is trained, everything is recorded, and MLflow is brought up to date.

Ray is loaded only when there is something to train.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from rich.console import Console

from experiments.cluster.shared_storage import refuse_unshared
from experiments.interrupt import EXIT_INTERRUPTED, Interrupted, interruptible
from experiments.planning.plan import SweepPlan, Trial, plan_in
from experiments.planning.resume import Choice, Standing
from experiments.results.folder import Results
from experiments.results.provenance import Provenance
from experiments.results.stop_request import StopRequest
from experiments.results.trial_locks import TrialLocks
from experiments.run.disk import Disk
from experiments.run.display import Display
from experiments.run.follower import Follower
from experiments.run.progress import Progress
from experiments.run.queue import Agenda, Task
from experiments.run.stop import watch_stop_request
from experiments.spec.run_settings import Resources, Share
from experiments.spec.spec import SweepSpec
from experiments.tracking import artifacts
from experiments.tracking.sink import MlflowSink
from experiments.tracking.writer import BackgroundWriter
from ottt.errors import UserError
from ottt.schema import Status

if TYPE_CHECKING:
    from ray.tune.schedulers import TrialScheduler

AHEAD = 16  # trials that wait for a worker, so that none waits for a trial; Tune keeps no order among them
DEMAND = 256  # the same where machines can be added: the autoscaler sees no further than these


@dataclass(frozen=True)
class SweepOutcome:
    """How a run of a sweep ended.

    Attributes:
        plan: of the sweep.
        ran: trials that were started now.
        finished: trials of the plan that have their result, whenever it was made.
        failed: trials of the plan that ended without one.
        interrupted: whether the user stopped it.
        store_problem: in one line, what the tracking store lacks.
    """

    plan: SweepPlan
    ran: int
    finished: int
    failed: int
    interrupted: bool
    store_problem: str | None

    @property
    def exit_status(self) -> int:
        """Of the command: 0 only when every trial has its result and the store holds it."""
        if self.interrupted:
            return EXIT_INTERRUPTED
        return int(self.failed > 0 or self.store_problem is not None)


def run_sweep(
    spec: SweepSpec,
    *,
    results: Results,
    console: Console,
    choice: Choice = Choice.MISSING,
    fail_fast: bool = False,
) -> SweepOutcome:
    """Train the trials of `spec` that have no result yet, whichever sweep made the others.

    SIGINT, SIGTERM and a stop request end it early, with everything recorded.

    Args:
        spec: checked.
        results: where records and the default store lie.
        console: for the progress.
        choice: which trials to run instead.
        fail_fast: end it at the first trial that fails.

    Raises:
        UserError: the sweep is running elsewhere, or asks for more than there is.
        experiments.tracking.writer.StoreError: the tracking store cannot be opened; nothing was started.
    """
    plan = plan_in(results, spec)
    with results.lock(spec.name) as request, interruptible() as ending, watch_stop_request(request, ending.soon):
        provenance = Provenance.current()
        sink = MlflowSink(
            plan,
            spec.to_yaml(),
            provenance,
            store=results.store,
            artifacts=results.artifacts,
            states=spec.checkpoints.log,
        )
        writer = BackgroundWriter(sink, results.records)
        writer.start()
        standing = Standing(results.records, provenance, choice)
        progress = Progress(plan)
        to_run = standing.take_in(progress, plan.trials)
        with Display(progress, console) as display:
            for note in standing.reused(progress):
                display.say(f"note: {note}")
            follower = Follower(
                agenda=Agenda(retries=spec.retries),
                standing=standing,
                progress=progress,
                records=results.records,
                provenance=provenance,
                writer=writer,
                display=display,
                disk=Disk(results.root, ending=ending, say=display.say),
                claims=TrialLocks(results.records.folder),
                ending=ending,
                keep=spec.checkpoints.keep,
                fail_fast=fail_fast,
            )
            return _Run(spec, results, follower, request).run(to_run)


@dataclass
class _Run:
    """A sweep that is being run."""

    spec: SweepSpec
    results: Results
    follower: Follower
    request: StopRequest

    def run(self, to_run: Sequence[Trial]) -> SweepOutcome:
        progress, writer = self.follower.progress, self.follower.writer
        status, problem = Status.INTERRUPTED, None
        try:
            if to_run or self._wants_more():
                self._train(to_run)
            else:
                self._open()
            ended = progress.done + progress.failed == len(progress.plan.trials)
            if ended or self.follower.failed_fast or not self.follower.ending.is_asked:
                status = Status.FAILED if progress.failed else Status.FINISHED
        finally:
            self.follower.leave()
            say = None if status is Status.INTERRUPTED else self.follower.display.say
            problem = writer.close(status, say=say, leave=self.follower.ending.now)
        return SweepOutcome(
            plan=progress.plan,
            ran=len(progress.epochs),
            finished=progress.done,
            failed=progress.failed,
            interrupted=status is Status.INTERRUPTED,
            store_problem=problem,
        )

    def _wants_more(self) -> bool:
        variants = {trial.variant for trial in self.follower.progress.plan.trials}
        return self.spec.search is not None and len(variants) < self.spec.search.trials

    def _train(self, to_run: Sequence[Trial]) -> None:
        from experiments.cluster import nodes
        from experiments.run import ray_tune

        with nodes.connected(), suppress(Interrupted):
            gpu = self._gpu(to_run)
            nodes.check_shares(shares(self.spec.resources, gpu=gpu))
            if len(nodes.nodes()) > 1:
                refuse_unshared(self.results.root, nodes.on_every_node)
            self.follower.writer.describe(artifacts.of_cluster(nodes.nodes()))
            self._open()
            if self.spec.population is not None:
                self._populate(gpu)
            else:
                self.follower.agenda.add(tasks(self.spec, to_run, gpu=gpu))
            if self.spec.search is not None:
                self._search(gpu)
            ray_tune.run_trials(
                self.follower,
                records=self.results.records,
                checkpoints=self.spec.checkpoints,
                metric=self.spec.metric,
                scheduler=self._scheduler(),
                ahead=self._ahead(nodes.grows()),
                folder=self.results.root / "ray" / self.spec.name,
                ending=self.follower.ending,
                request=self.request,
            )

    def _ahead(self, grows: bool) -> int:
        if self.spec.search is not None:
            return 1
        return DEMAND if grows else AHEAD

    def _search(self, gpu: float) -> None:
        """Let the agenda ask a searcher for variants when it has no trial left."""
        from experiments.run.search import Searcher

        def planned(plan: SweepPlan, new: Sequence[Trial]) -> None:
            self.follower.agenda.add(tasks(self.spec, self._extend(plan, new), gpu=gpu))

        searcher = Searcher(self.spec, self.follower.progress, self.results.records, planned)
        self.follower.ended = searcher.ended
        self.follower.agenda.more = searcher.suggest

    def _populate(self, gpu: float) -> None:
        """Let the agenda ask a population for what trains next."""
        from experiments.run.population import Population

        def task(trial: Trial, until: int | None) -> Task:
            return replace(*tasks(self.spec, [trial], gpu=gpu), until=until)

        self.follower.agenda.more = Population(self.spec, self.follower, self._extend, task).advance

    def _extend(self, plan: SweepPlan, new: Sequence[Trial]) -> list[Trial]:
        """The sweep has more trials now; returns those to run."""
        progress, writer = self.follower.progress, self.follower.writer
        progress.extend(plan)
        writer.extend(plan)
        self.results.write_plan(plan, self.spec.to_yaml())
        to_run = self.follower.standing.take_in(progress, new)
        for trial in new:
            if trial not in to_run:
                writer.update(trial.trial)
        return to_run

    def _scheduler(self) -> "TrialScheduler | None":
        if self.spec.scheduler is None or self.spec.population is not None:
            return None
        from experiments.run.early_stopping import build_scheduler

        return build_scheduler(self.spec.scheduler, self.follower.progress.plan, self.results.records)

    def _gpu(self, to_run: Sequence[Trial]) -> float:
        """What `resources.gpu` comes to: auto is measured, and few trials spread over GPUs that are idle."""
        from experiments.cluster import nodes
        from experiments.run.gpu_share import spread

        resources, say = self.spec.resources, self.follower.display.say
        idle = nodes.idle()  # before a GPU is taken to measure
        share = resources.share({})
        if resources.gpu == "auto" and to_run:
            share = replace(share, gpu=self._measured(to_run[0]))
            say(f"note: resources.gpu auto is {share.gpu:g}")
        if resources.variants or self.spec.search is not None:
            return share.gpu
        wide = spread(share, trials=len(to_run), machines=idle)
        if wide != share:
            say(f"note: {len(to_run)} trials leave GPUs free: they take {wide.gpu:.2g} GPU each, not {share.gpu:.2g}")
        return wide.gpu

    def _measured(self, trial: Trial) -> float:
        """The best share of a GPU for trials like this one."""
        from experiments.cluster import nodes
        from experiments.run.gpu_share import auto_share

        if nodes.resources().get("GPU", 0):
            job = trial.config, self.spec.resources.share(trial.settings)
            return nodes.on_a_gpu(lambda: auto_share(job), ending=self.follower.ending)
        if nodes.grows():
            raise UserError("resources.gpu must be a number while no machine with a GPU is up to measure on, got auto")
        return 0.0

    def _open(self) -> None:
        """From here on things are written."""
        progress, writer = self.follower.progress, self.follower.writer
        writer.begin()
        self.results.write_plan(progress.plan, self.spec.to_yaml())
        for trial in progress.statuses:
            writer.update(trial)


def tasks(spec: SweepSpec, trials: Sequence[Trial], *, gpu: float) -> list[Task]:
    """The trials in the order to run them: seed by seed, so that an interrupted sweep compares all its variants."""
    ordered = sorted(trials, key=lambda trial: spec.seeds.index(trial.seed))
    return [Task(trial.trial, trial.config, spec.resources.share(trial.settings, gpu=gpu)) for trial in ordered]


def shares(resources: Resources, *, gpu: float) -> dict[str, Share]:
    """What trials may take, by the key of the spec that says so."""
    found = {"resources": resources.share({}, gpu=gpu)}
    for index, row in enumerate(resources.variants):
        found[f"resources.variants.{index}"] = resources.share(row.when, gpu=gpu)
    return found
