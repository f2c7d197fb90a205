"""`Trainable`: a trial for the user's own `ray.tune.Tuner`."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ray import tune

from experiments.sweep_spec.run_settings import Share
from experiments.worker.continued import continued
from experiments.worker.process import clean, ending_of, import_trainer
from experiments.worker.step_report import EPOCH
from experiments.worker.usage import Usage
from ottt.config.load import laid_over
from ottt.config.trial import TrialConfig
from ottt.config.yaml_reader import flatten
from ottt.errors import UserError, brief
from ottt.files import is_file, user_path
from ottt.schema import Status

if TYPE_CHECKING:
    from ottt.training.trainer import Trainer

BASE = "base"  # key of a param_space that is no setting
METRICS = "metrics.json"  # beside a checkpoint: metrics of its epoch

# Of workers: the folder in which they started, before Tune moves to the trial's; Ray 2.60 sets it. Without it relative
# paths are those of the trial's folder, where nothing is found.
_HERE = "TUNE_ORIG_WORKING_DIR"


class TrialEnded(Exception):
    """A trial diverged or needed more memory than there is: `diverged: val loss became inf in epoch 1`."""


class Trainable(tune.Trainable):
    """A trial for `ray.tune.Tuner`: one epoch per step.

    Its `param_space` holds settings by their dotted names or nested, and can hold `base`: a preset, a YAML file or
    settings that the others are laid over. Relative paths are those of the folder in which the script runs.

    Every result has the metrics of `ottt.schema`, by their names, and `epoch`. The trial is done after its `epochs`.

    Example:
        >>> space = {"base": "digits", "neuron.tau": tune.grid_search([1.5, 2.0]), "epochs": 3}
        >>> tune.Tuner(experiments.Trainable, param_space=space).fit().get_best_result("val/top1", "max")
    """

    def __init_subclass__(cls) -> None:
        """Check the settings in the driver also where a class asks for other resources: `tune.with_resources`."""
        super().__init_subclass__()
        own = cls.__dict__.get("default_resource_request")
        if own is not None:
            cls.default_resource_request = classmethod(  # type: ignore[method-assign,assignment]
                lambda made, config: own.__get__(None, made)(_checked(config))
            )

    @classmethod
    def default_resource_request(cls, config: dict[str, Any]) -> tune.PlacementGroupFactory | None:
        """None: one core. Tune asks in the driver, before a trial starts.

        Raises:
            UserError: a setting that does not exist, in any trial; a line for each.
        """
        _checked(config)
        return None

    def setup(self, config: dict[str, Any]) -> None:
        """Take the first trial; `step` says what is wrong with its settings, as Tune shows errors of `setup` badly."""
        import_trainer()
        self._take(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        """Take the next trial, with `reuse_actors=True`; nothing of the last one stays."""
        self._take(new_config)
        return True

    def _take(self, config: Mapping[str, Any]) -> None:
        os.chdir(os.environ.get(_HERE, "."))  # where relative paths of settings mean what they mean in the driver
        self._metrics: dict[str, float] = {}
        self._problems: tuple[str, ...] = ()
        try:
            settings = trial_config(config)
        except UserError as error:
            settings, self._problems = TrialConfig(), error.problems
        self._config, self._share = settings, _share(self.trial_resources)
        self._trainer: Trainer | None = None
        clean(self._share)

    def step(self) -> dict[str, Any]:
        """Train one epoch.

        Raises:
            UserError: the trial's settings are not allowed, or its data are missing; one line per problem.
            TrialEnded: it diverged or ran out of memory; Tune ends it as it ends all trials that raise.
        """
        try:
            trainer = self._ready()
            if not trainer.done:  # as is a copy of a trial that was complete: its metrics are repeated
                usage = Usage(self._share)
                self._metrics = trainer.train_epoch() | usage.metrics()
        except UserError as error:
            raise error from None  # Tune copies an error and its causes, which not all of them allow
        except Exception as error:
            ending = ending_of(error)
            if ending.status is Status.FAILED:
                raise
            raise TrialEnded(f"{ending.status}: {ending.reason}") from None
        return {**self._metrics, EPOCH: trainer.epoch, "done": trainer.done}

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Write the state, a checkpoint as that of `ottt train`, and the metrics of its epoch."""
        folder = Path(checkpoint_dir)
        self._ready().save(folder)
        (folder / METRICS).write_text(json.dumps(self._metrics), encoding="utf-8")

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Go on from a state of this trial, or of one that differs in what can change during training.

        Raises:
            UserError: the state is damaged, or of a trial that this one cannot continue; one line per reason.
        """
        from ottt.training.checkpoint import read_checkpoint

        self._refuse()
        folder, self._trainer = Path(checkpoint), None
        state = read_checkpoint(folder)
        if state.get("epoch") == 0:  # nothing was trained
            return
        if "config" in state:
            saved = TrialConfig.model_validate_json(json.dumps(state["config"]))
            self._config = continued(self._config, saved, state["epoch"])
        self._ready().load(folder)
        self._metrics = json.loads((folder / METRICS).read_text(encoding="utf-8"))

    def _ready(self) -> "Trainer":
        """The trainer of the trial, made when it is first needed."""
        from ottt.training.trainer import Trainer

        self._refuse()
        if self._trainer is None:
            self._trainer = Trainer(self._config)
        return self._trainer

    def _refuse(self) -> None:
        if self._problems:
            raise UserError(*self._problems)


def trial_config(given: Mapping[str, Any]) -> TrialConfig:
    """The trial of a resolved `param_space`.

    Raises:
        UserError: one line per problem.
    """
    settings = dict(given)
    base = settings.pop(BASE, None)
    if not isinstance(base, str | Path | Mapping | None):
        raise UserError(f"param_space: {BASE} must be a preset, a YAML file or settings, got {brief(base)}")
    return laid_over(base, _plain(settings).items(), name="param_space")


def _checked(config: dict[str, Any]) -> dict[str, Any]:
    """The same `config`, in which `base` names its file in full: workers, and who restores, can be elsewhere.

    Raises:
        UserError: a setting that does not exist.
    """
    known = TrialConfig().flat()
    unknown = {key: value for key, value in _plain(config).items() if key not in known and key.split(".")[0] != BASE}
    if unknown:
        laid_over(None, unknown.items(), name="param_space")
    base = config.get(BASE)
    if isinstance(base, str | Path) and is_file(path := user_path(base)):
        config[BASE] = str(path.absolute())
    return config


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by their dotted names, numbers of NumPy as Python's: samplers give both."""
    return {
        key: value.item() if getattr(value, "ndim", None) == 0 else value for key, value in flatten(settings).items()
    }


def _share(resources: tune.PlacementGroupFactory | None) -> Share:
    """Share of the machine that Tune gave the trial: the first bundle, in which its process runs."""
    bundle = {} if resources is None or resources.head_bundle_is_empty else resources.bundles[0]
    return Share(bundle.get("CPU", 1.0), bundle.get("GPU", 0.0))
