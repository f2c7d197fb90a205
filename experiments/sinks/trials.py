"""What sinks are told of the trials of a sweep: no secret is in it."""

from collections.abc import Callable, Mapping
from typing import Any

from experiments.planning.plan import SweepPlan
from experiments.results.folder import Results
from experiments.results.trial_records import Record
from experiments.tracking.names import trial_name, variant_names
from experiments.tracking.redact import redactor
from experiments.tracking.shown_plan import shown_plan
from ottt.sinks.sink import SinkTrial


class SinkTrials:
    """Describes trials of a plan that can grow."""

    def __init__(self, plan: SweepPlan, results: Results) -> None:
        self._results = results
        self.extend(plan)

    def extend(self, plan: SweepPlan) -> None:
        """Replace the plan by one with more trials."""
        shown = shown_plan(plan)
        self._plan = plan
        self._names = variant_names(shown)
        self._trials = {trial.trial: trial for trial in shown.trials}

    def describe(self, sink: str, record: Record) -> SinkTrial:
        """What the sink is told of the trial of a record."""
        trial = self._trials[record.trial]
        variant = self._names[trial.variant]
        redact = redactor()
        return SinkTrial(
            sweep=self._plan.name,
            trial=trial.trial,
            name=redact(trial_name(variant, trial.seed)),
            variant=redact(variant),
            seed=trial.seed,
            settings=trial.settings,
            config=_without_secrets(record.config, redact),
            metric=self._plan.metric,
            started=record.started,
            folder=self._results.sink_folder(sink, self._plan.name),
        )


def _without_secrets(config: Mapping[str, Any], redact: Callable[[str], str]) -> dict[str, Any]:
    return {key: value if (text := redact(str(value))) == str(value) else text for key, value in config.items()}
