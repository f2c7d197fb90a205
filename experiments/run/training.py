"""Trains the pending trials of a sweep on a Ray cluster: shares of machines, source of variants, scheduler."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib import import_module
from threading import Thread
from typing import TYPE_CHECKING

from experiments.cluster import nodes
from experiments.cluster.liveness import unless_lost
from experiments.cluster.shared_storage import refuse_unshared
from experiments.costs.gpu_share import auto_share, spread
from experiments.interrupt import Ending, Interrupted
from experiments.planning.plan import Trial
from experiments.results.provenance import code_hash, code_on_host
from experiments.results.stop_request import StopRequest
from experiments.run.driver import Driver
from experiments.run.effects import Effects
from experiments.run.grouping import Grouping
from experiments.run.population import Population
from experiments.run.queue import TaskQueue
from experiments.run.resume import ResumePolicy
from experiments.run.state import SweepState
from experiments.run.variant_source import FixedPlan, VariantSource
from experiments.sweep_spec.run_settings import Fuse, Resources, Share
from experiments.sweep_spec.spec import SweepSpec
from experiments.tracking import artifacts
from ottt.errors import UserError

if TYPE_CHECKING:
    from experiments.run.early_stopping import EveryEpochOnce

AHEAD = 16  # trials that wait for a worker, so that none waits for a trial; Tune keeps no order among them
DEMAND = 256  # the same where machines can be added: the autoscaler sees no further than these


def train(effects: Effects, resume: ResumePolicy, ending: Ending, request: StopRequest, *, fail_fast: bool) -> None:
    """Train until no trial is left, the sweep is asked to end, or the cluster is lost.

    Raises:
        UserError: the sweep asks for more than there is, or the machines share no folder of results.
        experiments.tracking.writer.StoreError: the tracking store cannot be opened; nothing was started.
    """
    with _imported_meanwhile("experiments.run.ray_tune"), nodes.connected(ending), suppress(Interrupted):
        unless_lost(lambda: _train(effects, resume, ending, request, fail_fast=fail_fast), ending)


@contextmanager
def _imported_meanwhile(module: str) -> Iterator[None]:
    """In the context, a thread imports the module; the context ends after it, since Python cannot end in an import."""

    def load() -> None:
        with suppress(Exception):  # whoever uses the module imports it, and has the error
            import_module(module)

    thread = Thread(target=load, name="imports")
    thread.start()
    try:
        yield
    finally:
        thread.join()


def _train(effects: Effects, resume: ResumePolicy, ending: Ending, request: StopRequest, *, fail_fast: bool) -> None:
    """Train, connected to a cluster."""
    from experiments.run.ray_tune import Workers, run_trials  # Tune's imports take as long as Ray's start

    spec, state, results = effects.spec, effects.state, effects.results
    gpu = _gpu(effects, ending)
    asked = shares(spec.resources, gpu=gpu)
    nodes.check_shares(asked)
    if len(nodes.nodes()) > 1:
        refuse_unshared(results.root, nodes.on_every_node)
        _refuse_other_code()
    effects.tracking.describe(artifacts.of_cluster(nodes.nodes()))
    queue = TaskQueue(retries=spec.retries)
    source = variant_source(spec, state, queue, resume)
    grouping = Grouping(_fuse(spec), nodes.room, effects.display.print)
    driver = Driver(state, queue, source, resume, effects, grouping, ending, gpu=gpu, fail_fast=fail_fast)
    run_trials(
        driver,
        workers=Workers(
            results.records,
            spec.checkpoints,
            spec.metric,
            request,
            code_hash(),
            spec.limits,
            measures=spec.resources.fuse == "auto",
        ),
        scheduler=_scheduler(effects),
        ahead=_ahead(spec, max(map(grouping.bound, asked.values()))),
        folder=results.root / "ray" / spec.name,
        ending=ending,
    )
    effects.tracking.hurry(is_complete=not ending.is_asked)  # while Ray ends
    effects.open()  # no trial was attempted if other sweeps have trained all of them meanwhile


def _fuse(spec: SweepSpec) -> Fuse:
    """How many trials train as one network; those of a population pause and are copied one by one."""
    return 1 if spec.population is not None else spec.resources.fuse


def variant_source(spec: SweepSpec, state: SweepState, queue: TaskQueue, resume: ResumePolicy) -> VariantSource:
    """What decides which trials there are."""
    if spec.population is not None:
        return Population(spec, state, queue, resume)
    if spec.search is not None:
        from experiments.run.search import Search

        return Search(spec, state)
    return FixedPlan(state, spec.seeds)


def shares(resources: Resources, *, gpu: float) -> dict[str, Share]:
    """What trials can take, by the key of the spec that says so."""
    found = {"resources": resources.share({}, gpu=gpu)}
    for index, row in enumerate(resources.variants):
        found[f"resources.variants.{index}"] = resources.share(row.when, gpu=gpu)
    return found


def _refuse_other_code() -> None:
    """Stop before a trial trains on a machine with other sources than this one's.

    Raises:
        UserError: one line per machine.
    """
    there = nodes.on_every_node(code_on_host)
    other = [host for host, code in there if code != code_hash()]
    if other:
        raise UserError(*(f"{host}: must have the same code as the driver, got other sources" for host in other))


def _ahead(spec: SweepSpec, size: int) -> int:
    """How many groups of `size` trials Tune takes before there is room for them."""
    if spec.search is not None:
        return 1
    return max(AHEAD, DEMAND // size) if nodes.grows() else AHEAD


def _scheduler(effects: Effects) -> "EveryEpochOnce | None":
    settings = effects.spec.scheduler
    if settings is None or effects.spec.population is not None:
        return None
    from experiments.run.early_stopping import build_scheduler

    return build_scheduler(settings, effects.state, effects.records)


def _gpu(effects: Effects, ending: Ending) -> float:
    """What `resources.gpu` comes to: auto is measured, and few trials spread over GPUs that are idle."""
    resources, say, pending = effects.spec.resources, effects.display.print, effects.state.pending()
    idle = nodes.idle()  # before a GPU is taken to measure
    share = resources.share({})
    if resources.gpu == "auto" and pending:
        share = replace(share, gpu=_measured(pending, resources, ending))
        say(f"note: resources.gpu auto is {share.gpu:g}")
    if resources.variants or effects.spec.search is not None:
        return share.gpu
    wide = spread(share, trials=len(pending), machines=idle)
    if wide != share:
        say(f"note: {len(pending)} trials leave GPUs free: they take {wide.gpu:.2g} GPU each, not {share.gpu:.2g}")
    return wide.gpu


def _measured(pending: Sequence[Trial], resources: Resources, ending: Ending) -> float:
    """The best share of a GPU for trials like the first one."""
    if nodes.resources().get("GPU", 0):
        job = pending[0].config, resources.share(pending[0].settings, gpu=1.0)
        return nodes.on_a_gpu(lambda: auto_share(job), ending=ending)
    if nodes.grows():
        raise UserError("resources.gpu must be a number while no machine with a GPU is up to measure on, got auto")
    return 0.0
