"""How many trials a GPU should train at once: `resources: {gpu: auto}`, and where there are few."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from experiments.costs.calibrate import Job, Measurement, outcome, start
from experiments.sweep_spec.run_settings import Share
from ottt.errors import UserError

COUNTS = (1, 2, 4, 8)  # trials on one GPU that are tried
WORTH = 1.05  # more trials at once must train so many times as many samples per second
TINY = 1e-6  # what dividing may lack
FILL = 0.9  # share of the memory that they may take: contexts and fragments need some


def gpus_here() -> int:
    """NVIDIA devices of this machine, found without loading a driver."""
    return len(list(Path("/proc/driver/nvidia/gpus").glob("*")))


def best_count(throughput: Mapping[int, float]) -> int:
    """The number of trials at once whose joint `throughput` is best; fewer where more are hardly better."""
    best = min(throughput)
    for count in sorted(throughput):
        if throughput[count] > WORTH * throughput[best]:
            best = count
    return best


def fits(measured: Measurement, count: int) -> bool:
    """Whether `count` such trials have room on one GPU."""
    return count * measured.peak_mib <= FILL * measured.total_mib


def auto_share(job: Job) -> float:
    """Of a GPU, for trials like `job`: 1/n with the n that trains the most samples per second. 0 without a GPU.

    Raises:
        UserError: the trial cannot be measured.
    """
    if not gpus_here():
        return 0.0
    throughput: dict[int, float] = {}
    alone = together(job, 1)
    for count in COUNTS:
        if not fits(alone[0], count):
            break
        found = alone if count == 1 else together(job, count)
        throughput[count] = sum(measured.samples_per_s for measured in found)
    if not throughput:
        raise UserError(f"resources.gpu auto: a trial needs {alone[0].peak_mib:.0f} MiB, more than a GPU here has free")
    return 1.0 / best_count(throughput)


def spread(share: Share, *, trials: int, machines: Sequence[Mapping[str, float]]) -> Share:
    """The share of each of so few trials that `machines`, by what they have, need not be filled.

    As few as possible then train beside each other on a GPU, all of them at once. Ray by itself fills one GPU of a
    machine with shares before it takes the next.
    """
    if not 0 < share.gpu < 1:
        return share
    most = int(1 / share.gpu + TINY)
    for beside in range(1, most):
        room = (min(int(one.get("GPU", 0)) * beside, int(one.get("CPU", 0) / share.cpu + TINY)) for one in machines)
        if sum(room) >= trials:
            return replace(share, gpu=1 / beside)
    return share


def together(job: Job, count: int) -> list[Measurement]:
    """`count` trials like `job`, measured beside each other.

    Raises:
        UserError: one of them could not be.
    """
    children = [start([job]) for _ in range(count)]
    found = [measured for child in children for measured in outcome(child)]
    problems = [text for text in found if isinstance(text, str)]
    if problems:
        raise UserError(f"resources.gpu auto: {problems[0]}")
    return [measured for measured in found if isinstance(measured, Measurement)]
