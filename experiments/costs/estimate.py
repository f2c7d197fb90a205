"""What the rest of a sweep will take, before anything is spent."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from statistics import median
from typing import Any

from analysis.text.terminal import duration
from experiments.costs.calibrate import Measurement, measure
from experiments.costs.cores import usable_cores
from experiments.costs.gpu_share import gpus_here
from experiments.costs.known_speed import KnownSpeeds
from experiments.planning.plan import Trial, expand
from experiments.results.trial_records import Record, TrialRecords
from experiments.sweep_spec.run_settings import Share
from experiments.sweep_spec.spec import SweepSpec
from ottt.config.trial import TrialConfig
from ottt.data.files import FILES
from ottt.errors import command
from ottt.files import user_path

_FREE = (  # settings that change what is learnt and not what it costs
    "seed",
    "epochs",
    "neuron.tau",
    "neuron.trace_decay",
    "neuron.v_",
    "neuron.surrogate.",
    "loss.",
    "optim.lr",
    "optim.momentum",
    "optim.weight_decay",
    "schedule.",
    "data.split_seed",
)

_NO_GPU = "GPU-hours: there is no GPU here to measure on"


@dataclass(frozen=True)
class Estimate:
    """Of the trials that have no result yet.

    Attributes:
        trials: how many.
        seconds: on this machine, as many at once as it has room for.
        gpu_hours: of whole GPUs; where `resources.gpu` is auto, as if each trial had one to itself.
        measured: kinds of trial of which a few batches were run now.
        remembered: kinds of which an earlier plan ran them, on this machine with this code.
        known: kinds whose epochs were timed in trials that ran.
        problems: why some kinds could not be measured; their trials are left out of the sums.
        shares_gpus: whether `resources.gpu` is auto, so that trials can share a GPU.
    """

    trials: int
    seconds: float
    gpu_hours: float
    measured: int
    remembered: int
    known: int
    problems: tuple[str, ...] = ()
    shares_gpus: bool = False

    def to_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return asdict(self)

    def text(self) -> str:
        """In a line, and one per problem."""
        if not self.trials:
            return "nothing is left to run"
        parts = [f"to run: {self.trials} trials"]
        if self.seconds:
            parts.append(f"about {duration(self.seconds)} on this machine")
        if self.gpu_hours:
            parts.append(f"{'at most ' if self.shares_gpus else ''}{self.gpu_hours:.2g} GPU-hours")
        parts.append(f"{self.measured} kinds of trial measured now")
        parts.append(f"{self.remembered} by an earlier plan")
        parts.append(f"{self.known} known from trials that ran")
        return "\n".join([", ".join(parts), *(f"not estimated: {problem}" for problem in self.problems)])


def estimated(spec: SweepSpec, records: TrialRecords) -> Estimate:
    """What the trials of `spec` without a result will take.

    A kind of trial is what costs the same: network, time steps, batch, rule and so on. Kinds that have run are known
    from the records; of each other kind a few batches are run now, in a process of its own, unless that was done
    before.
    """
    plan = expand(spec)
    is_auto = spec.resources.gpu == "auto"
    whole = 1.0 if is_auto and gpus_here() else None
    left: dict[str, list[tuple[Trial, Share]]] = {}
    seconds: dict[str, float] = {}
    for trial in plan.trials:
        record = records.read(trial.trial)
        share = spec.resources.share(trial.settings, gpu=whole)
        kind = kind_of(trial.config, share)
        if not plan.is_done(record):
            left.setdefault(kind, []).append((trial, share))
        if record is not None and (spent := _timed(record, records)) is not None:
            seconds[kind] = spent
    known = sum(kind in seconds for kind in left)
    speeds = KnownSpeeds()
    new: dict[str, tuple[Trial, Share]] = {}
    for kind in [kind for kind in left if kind not in seconds]:
        if (found := speeds.get(kind)) is not None:
            seconds[kind] = _epoch_s(left[kind][0][0], found)
        else:
            new[kind] = left[kind][0]
    measured, problems = _measured(new, speeds)
    remembered = len(left) - known - len(new)
    if is_auto and left and not gpus_here():
        problems = (*problems, _NO_GPU)
    counts = {"measured": len(measured), "remembered": remembered, "known": known}
    return replace(_sum(left, seconds | measured, counts), problems=problems, shares_gpus=is_auto)


def kind_of(config: TrialConfig, share: Share) -> str:
    """Trials of one kind take the same time per epoch."""
    settings = {key: value for key, value in config.effective().items() if not key.startswith(_FREE)}
    return repr((sorted(settings.items(), key=lambda item: item[0]), share))


def room(share: Share, *, cpus: int, gpus: int) -> float:
    """How much of a machine a trial occupies, in (0, 1]."""
    return min(1.0, max(share.cpu / cpus, share.gpu / gpus if gpus else 0.0))


def _timed(record: Record, records: TrialRecords) -> float | None:
    """Seconds per epoch of a trial that ran; the first epoch, with all that starts, says too little.

    Of trials that trained as one network, each has its part of the network's epochs.
    """
    times = [epoch.time for epoch in records.epochs(record.trial)]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    return median(gaps) / record.fused if gaps else None


def _epoch_s(trial: Trial, measured: Measurement) -> float:
    """Seconds per epoch of such a trial, its start included."""
    return measured.epoch_s + measured.start_s / trial.config.epochs


def _measured(
    kinds: Mapping[str, tuple[Trial, Share]], speeds: KnownSpeeds
) -> tuple[dict[str, float], tuple[str, ...]]:
    absent = {kind: lacks for kind, job in kinds.items() if (lacks := _absent(*job))}
    problems = list(dict.fromkeys(problem for lacks in absent.values() for problem in lacks))
    ready = {kind: job for kind, job in kinds.items() if kind not in absent}
    if not ready:
        return {}, tuple(problems)
    seconds: dict[str, float] = {}
    jobs = [(trial.config, share) for trial, share in ready.values()]
    for (kind, (trial, _)), found in zip(ready.items(), measure(jobs), strict=False):
        if isinstance(found, Measurement):
            seconds[kind] = _epoch_s(trial, found)
            speeds.keep(kind, found)
        else:
            problems.append(f"{trial.label}: {found}")
    return seconds, tuple(problems)


def _absent(trial: Trial, share: Share) -> list[str]:
    """Why nothing can be measured, where files of the data set or a GPU are not there."""
    name, root = trial.config.data.name, user_path(trial.config.data.root)
    missing = [file.path for file in FILES.get(name, ()) if file.find(root) is None]
    found = [f"{name}: {root / path} is not there, see `{command('datasets')}`" for path in missing[:1]]
    return [*found, _NO_GPU] if share.gpu and not gpus_here() else found


def _sum(
    left: Mapping[str, Sequence[tuple[Trial, Share]]],
    seconds: Mapping[str, float],
    counts: Mapping[str, int],
) -> Estimate:
    cpus = usable_cores()
    gpus = gpus_here()
    wall = longest = hours = 0.0
    for kind, found in left.items():
        for trial, share in found if kind in seconds else ():
            spent = seconds[kind] * trial.config.epochs
            wall += spent * room(share, cpus=cpus, gpus=gpus)
            longest = max(longest, spent)
            hours += spent * share.gpu / 3600
    trials = sum(map(len, left.values()))
    measured, remembered, known = (counts[name] for name in ("measured", "remembered", "known"))
    return Estimate(trials, max(wall, longest), hours, measured, remembered, known)
