"""Measures the time and memory of a trial's epoch from a few batches, in a separate process.

`python -m experiments.costs.calibrate` reads a JSON list of jobs on stdin, `{"config": settings, "cpu": n, "gpu": n}`,
and writes a line of JSON for each: a `Measurement`, or `{"problem": "..."}`.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from statistics import median
from typing import TYPE_CHECKING, Any

from experiments.sweep_spec.run_settings import Share
from ottt.config.trial import TrialConfig
from ottt.errors import UserError, first_line
from ottt.plugins import described, printing_to_stderr

if TYPE_CHECKING:
    from ottt.training.trainer import Trainer

WARM_UP = 2  # batches that do not count, where others do
BATCHES = 10  # that count, at most
BUDGET_S = 0.5  # of batches after the first


@dataclass(frozen=True)
class Measurement:
    """Measured cost of one trial.

    Attributes:
        start_s: time to load the data and build the network.
        epoch_s: time of an epoch with its evaluation.
        samples_per_s: training speed.
        peak_mib: peak memory on the GPU; 0 without one.
        total_mib: memory of the GPU.
    """

    start_s: float
    epoch_s: float
    samples_per_s: float
    peak_mib: float = 0.0
    total_mib: float = 0.0


Job = tuple[TrialConfig, Share]


def measure(jobs: Iterable[Job]) -> Iterator[Measurement | str]:
    """Measure the jobs one after the other in a child process; a text in place of a measurement says why it failed."""
    yield from outcome(start(jobs))


def start(jobs: Iterable[Job]) -> subprocess.Popen[str]:
    """Start a child process that measures the jobs; several at once show what trials cost beside each other."""
    asked = [{"config": config.flat(), **asdict(share)} for config, share in jobs]
    command = [sys.executable, "-m", "experiments.costs.calibrate"]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdin is not None
    child.stdin.write(json.dumps(asked))
    child.stdin.close()
    return child


def outcome(child: subprocess.Popen[str]) -> Iterator[Measurement | str]:
    """Measurements of a child process of `start`, as they come; if it ends in the middle, a text comes last.

    The child ends with the iterator, also where that is left early.
    """
    assert child.stdout is not None
    try:
        for line in child.stdout:
            found: dict[str, Any] = json.loads(line)
            yield found["problem"] if "problem" in found else Measurement(**found)
        if child.wait():
            yield f"measuring it ended the process with status {child.returncode}"
    finally:
        child.stdout.close()
        child.kill()
        child.wait()


def _measured(config: TrialConfig, share: Share) -> Measurement:
    import torch

    from ottt.training.trainer import Trainer

    torch.set_num_threads(share.threads)
    began = time.perf_counter()
    sees_gpu = share.gpu > 0 or config.device != "auto"  # see experiments.cluster.nodes
    trainer = Trainer(config, device=None if sees_gpu else torch.device("cpu"))
    start_s = time.perf_counter() - began
    if trainer.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    batch_s, batch = _batch_seconds(trainer)
    evaluation_s = sum(_evaluation_seconds(trainer, name) for name in trainer.eval_sets)
    epoch_s = batch_s * len(trainer.train_set) / batch + evaluation_s
    if trainer.device.type != "cuda":
        return Measurement(start_s, epoch_s, batch / batch_s)
    peak, total = torch.cuda.max_memory_reserved(), torch.cuda.get_device_properties(trainer.device).total_memory
    return Measurement(start_s, epoch_s, batch / batch_s, peak / 2**20, total / 2**20)


def _batch_seconds(trainer: "Trainer") -> tuple[float, int]:
    """Time of one training batch, and the size of the batch."""
    size = min(trainer.config.batch_size, len(trainer.train_set))
    batches = trainer.train_set.training_batches(size, order=trainer.order, augmentation=trainer.augmentation)
    least = 0 if trainer.graph is None else trainer.graph.before_replay + 1  # also where each takes long
    skipped = max(WARM_UP, least - 1)
    times: list[float] = []
    with trainer.training_pass() as train_batch:
        for inputs, labels in islice(batches, skipped + BATCHES):
            began = _now(trainer)
            train_batch(inputs, labels)
            times.append(_now(trainer) - began)
            if sum(times[1:]) > BUDGET_S and len(times) >= least:
                break
    return median(times[skipped:] or times[-1:]), size


def _evaluation_seconds(trainer: "Trainer", name: str) -> float:
    """Time of the evaluation on a whole set, estimated from as many samples as a training batch has."""
    samples = trainer.eval_sets[name]
    few = samples.select(range(min(len(samples), trainer.config.batch_size)))
    began = _now(trainer)
    trainer.evaluate(few)
    return (_now(trainer) - began) * len(samples) / len(few)


def _now(trainer: "Trainer") -> float:
    """The time in seconds once the device has finished its work."""
    if trainer.device.type == "cuda":
        import torch

        torch.cuda.synchronize(trainer.device)
    return time.perf_counter()


def _main() -> None:
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    with printing_to_stderr():  # what plugins print must not stand between the answers
        for job in json.load(sys.stdin):
            print(json.dumps(_answer(job)), file=answers, flush=True)


def _answer(job: dict[str, Any]) -> dict[str, Any]:
    try:
        from ottt.config.load import load_config

        return asdict(_measured(load_config(job["config"]), Share(job["cpu"], job["gpu"])))
    except (UserError, RuntimeError, MemoryError) as error:
        return {"problem": first_line(error)}
    except (Exception, SystemExit) as error:  # of a plugin
        return {"problem": described(error)}


if __name__ == "__main__":
    _main()
