"""Training a population: all of it up to the next comparison, then copies of the best in place of the worst."""

from collections.abc import Callable, Sequence

from experiments.planning.pbt import Copy, Lineage, Unknown, lineage, recorded
from experiments.planning.plan import SweepPlan, Trial, expand
from experiments.run.follower import Follower
from experiments.run.queue import Task
from experiments.spec.spec import SweepSpec
from ottt.config.trial import TrialConfig
from ottt.schema import ENDED


class Population:
    """Hands out the trials of a sweep whose variants take each other's place; see `experiments.planning.pbt`.

    Args:
        spec: with a population.
        follower: of the sweep.
        planned: told the plan whenever it has grown, and the new trials.
        task: of a trial.
    """

    def __init__(
        self,
        spec: SweepSpec,
        follower: Follower,
        planned: Callable[[SweepPlan, Sequence[Trial]], object],
        task: Callable[[Trial, int | None], Task],
    ) -> None:
        self._spec = spec
        self._follower = follower
        self._planned = planned
        self._task = task
        self._recorded = recorded(follower.records, spec.metric)
        self._copied: set[str] = set()
        self._goals: dict[str, int] = {}  # epochs up to which trials were handed out

    def advance(self) -> bool:
        """Let all trials that wait train up to the next comparison; False where there is none at present."""
        found = lineage(self._spec, self._look)
        self._plan(found)
        for copy in found.copies:
            if copy.variant not in self._copied:
                self._copied.add(copy.variant)
                self._replace(copy)
        return self._hand_out(found)

    def _plan(self, found: Lineage) -> None:
        known = {trial.trial for trial in self._follower.progress.plan.trials}
        plan = expand(self._spec, found.cells.values())
        if new := [trial for trial in plan.trials if trial.trial not in known]:
            self._planned(plan, new)

    def _replace(self, copy: Copy) -> None:
        """The copy's trials go on where those of the one it comes from wait; those that it replaces end."""
        follower = self._follower
        origins = {trial.seed: trial.trial for trial in self._trials(copy.of)}
        for trial in self._trials(copy.variant):
            if self._is_open(trial.trial) and not self._is_ours(trial.trial) and self._is_ours(origins[trial.seed]):
                follower.inherit(trial.trial, origins[trial.seed], copy.epoch)
        for trial in self._trials(copy.instead):
            if self._is_open(trial.trial):
                follower.retire(trial.trial, f"stopped after epoch {copy.epoch}: a copy of a better one took its place")

    def _hand_out(self, found: Lineage) -> bool:
        until = found.goal if found.goal < self._spec.base.epochs else None
        tasks = []
        for trial in self._follower.progress.plan.trials:
            if trial.variant in found.alive and self._is_due(trial.trial, found.goal):
                self._goals[trial.trial] = found.goal
                tasks.append(self._task(trial, until))
        self._follower.agenda.add(tasks)
        return bool(tasks)

    def _look(self, config: TrialConfig, epochs: int) -> float | None:
        trial = config.trial_hash
        under_way = epochs == self._goals.get(trial) and self._follower.agenda.holds(trial)
        if self._is_open(trial) and (under_way or not self._is_ours(trial)):
            raise Unknown
        return self._recorded(config, epochs)

    def _trials(self, variant: str) -> list[Trial]:
        return [trial for trial in self._follower.progress.plan.trials if trial.variant == variant]

    def _is_open(self, trial: str) -> bool:
        """Whether the trial has not ended for good."""
        return self._follower.progress.statuses.get(trial) not in ENDED

    def _is_due(self, trial: str, goal: int) -> bool:
        if not self._is_open(trial) or self._goals.get(trial) == goal:
            return False
        return not self._is_ours(trial) or len(self._follower.records.epochs(trial)) < goal

    def _is_ours(self, trial: str) -> bool:
        """Whether what is recorded of the trial is what this run has made or goes on from."""
        return trial in self._follower.progress.epochs or not self._follower.standing.begins_anew(trial)
