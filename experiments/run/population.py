"""Trains a population: all variants up to the next comparison, then copies of the best in place of the worst."""

from collections.abc import Iterator

from experiments.planning.pbt import Copy, NotReached, PopulationState, population_state, recorded_metric
from experiments.planning.plan import Trial, expand
from experiments.run.queue import TaskQueue
from experiments.run.resume import ResumePolicy
from experiments.run.state import SweepState
from experiments.run.variant_source import ForkTrial, Grow, Retire, Step, Train
from experiments.sweep_spec.spec import SweepSpec
from ottt.config.trial import TrialConfig
from ottt.schema import ENDED


class Population:
    """A `VariantSource` whose variants replace each other; `experiments.planning.pbt` decides.

    Args:
        spec: a spec with a population.
        state: state of the sweep.
        queue: trials under way.
        resume: which trials resume what was left.
    """

    def __init__(self, spec: SweepSpec, state: SweepState, queue: TaskQueue, resume: ResumePolicy) -> None:
        self._spec = spec
        self._state = state
        self._queue = queue
        self._resume = resume
        self._recorded = recorded_metric(resume.records, spec.metric)
        self._made: set[str] = set()  # copies
        self._goals: dict[str, int] = {}  # epochs up to which trials were supplied

    def supply(self) -> Iterator[Step]:
        """Let every paused trial train up to the next comparison."""
        found = population_state(self._spec, self._metric_at)
        plan = expand(self._spec, found.settings.values())
        if any(trial.trial not in self._state for trial in plan.trials):
            yield Grow(plan)
        for copy in found.copies:
            if copy.variant not in self._made:
                self._made.add(copy.variant)
                yield from self._replace(copy)
        yield from self._train(found)

    def _replace(self, copy: Copy) -> Iterator[Step]:
        """The copy's trials continue where their parent's are paused; those that it replaces end."""
        parents = {trial.seed: trial.trial for trial in self._trials(copy.parent)}
        for trial in self._trials(copy.variant):
            parent = parents[trial.seed]
            if self._is_open(trial.trial) and not self._is_ours(trial.trial) and self._is_ours(parent):
                yield ForkTrial(trial.trial, parent, copy.epoch)
        for trial in self._trials(copy.replaces):
            if self._is_open(trial.trial):
                reason = f"stopped after epoch {copy.epoch}: a copy of a better one took its place"
                yield Retire(trial.trial, reason)

    def _train(self, found: PopulationState) -> Iterator[Step]:
        until = found.goal if found.goal < self._spec.base.epochs else None
        for trial in self._state.plan.trials:
            if trial.variant in found.alive and self._is_due(trial.trial, found.goal):
                self._goals[trial.trial] = found.goal
                yield Train(trial, until)

    def _metric_at(self, config: TrialConfig, epochs: int) -> float | None:
        trial = config.trial_hash
        is_under_way = epochs == self._goals.get(trial) and self._queue.holds(trial)
        if self._is_open(trial) and (is_under_way or not self._is_ours(trial)):
            raise NotReached
        return self._recorded(config, epochs)

    def _trials(self, variant: str) -> list[Trial]:
        return [trial for trial in self._state.plan.trials if trial.variant == variant]

    def _is_open(self, trial: str) -> bool:
        """Whether the trial has not ended for good; a copy that is not planned yet has not."""
        return trial not in self._state or self._state[trial].status not in ENDED

    def _is_due(self, trial: str, goal: int) -> bool:
        if not self._is_open(trial) or self._goals.get(trial) == goal:
            return False
        is_behind = len(self._resume.records.epochs(trial)) < goal
        return is_behind or not self._is_ours(trial) or goal == self._spec.base.epochs  # with all epochs, but no end

    def _is_ours(self, trial: str) -> bool:
        """Whether what is recorded of the trial was made, or is resumed, by this run."""
        return (trial in self._state and self._state[trial].has_begun) or not self._resume.starts_fresh(trial)
