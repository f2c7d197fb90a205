"""The trainer of one trial on one device: epochs, metrics, checkpoints. It knows sinks, never MLflow or Ray."""

import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.amp.grad_scaler import GradScaler

from ottt.config.trial import TrialConfig
from ottt.data.samples import Samples
from ottt.evalreport import EvalReport
from ottt.evaluation.evaluator import evaluate
from ottt.functional.precision import check_precision, float32_products
from ottt.models.registry import build_model
from ottt.rules import Batch, build_rule
from ottt.schema import Status
from ottt.sinks.sink import Sink
from ottt.training.batch_graph import BatchGraph, TrainBatch, passing, uses_graph
from ottt.training.checkpoint import State, UnusableState, read_checkpoint, restore, write_checkpoint
from ottt.training.compile import choose_kernels
from ottt.training.device import choose_device, described
from ottt.training.divergence import Diverged, expect_finite, expect_finite_state
from ottt.training.load_data import load_data
from ottt.training.metrics import computed, cost
from ottt.training.optim import build_optimizer, build_schedule, change_optimizer
from ottt.training.sums import Fitted, Sums

EVAL_BATCH = 512  # most samples per batch of an evaluation
EVAL_TO_TRAIN = 4  # most training batches per batch of an evaluation, which needs no memory for a backward pass


class Trainer:
    """A trial in training: call `train_epoch` until `done`, and `save` or `load` between epochs.

    Attributes:
        config: configuration of the trial.
        net: its network.
        epoch: number of completed epochs.
        device: its device.
        data_digest: fingerprint of the data and their split.
        report: evaluation of the test samples after the last epoch trained here; None before that.
        sums: loss and correct answers of the epoch in training.
        graph: what trains its batches in static buffers, as one graph where there are graphs; None: nothing does.
    """

    def __init__(self, config: TrialConfig, *, device: torch.device | None = None) -> None:
        self.config = config
        self.device = device or choose_device(config.device)
        check_precision(config.precision, self.device)
        self.epoch = 0
        self.report: EvalReport | None = None
        if config.deterministic != torch.are_deterministic_algorithms_enabled():  # the call below imports for seconds
            torch.use_deterministic_algorithms(config.deterministic)
        data = load_data(config, self.device)
        self.data_digest = data.digest
        self.train_set = data.train
        self.eval_sets = {name: part for name, part in (("val", data.val), ("test", data.test)) if len(part)}
        self.net = build_model(config).to(self.device).to(memory_format=torch.channels_last)
        self.kernels = choose_kernels(config, self.net, self.train_set, self.device)
        self.rule = build_rule(config, kernels=self.kernels)
        self.scaler = GradScaler(self.device.type) if config.precision == "fp16" else None
        self.optimizer = build_optimizer(self.net.parameters(), config.optim)
        self.schedule = build_schedule(self.optimizer, config)
        order_seed, mask_seed, change_seed = np.random.SeedSequence(config.seed).generate_state(3, np.uint64).tolist()
        self.order = torch.Generator().manual_seed(order_seed)  # order of samples, and frames drawn
        self.masks = torch.Generator(self.device).manual_seed(mask_seed)  # dropout masks
        self.augmentation = torch.Generator(self.device).manual_seed(change_seed)
        self.sums = Sums(None, self.device)
        self.graph = self.new_graph()

    @property
    def done(self) -> bool:
        """Whether all epochs are complete."""
        return self.epoch >= self.config.epochs

    @property
    def device_name(self) -> str:
        """Kind and model of the device, e.g. `cuda: NVIDIA H200`."""
        return described(self.device)

    def train_epoch(self) -> dict[str, float]:
        """Train one epoch and evaluate.

        Returns:
            The epoch's metrics by the names of `ottt.schema`.

        Raises:
            Diverged: the training was lost in this epoch, even if only in its last update.
        """
        self.begin_epoch()
        return self.end_epoch(self._fit())

    def begin_epoch(self) -> None:
        """Apply the changes of settings that are scheduled for the next epoch."""
        if self.config.changes:
            self._apply_changes()

    def end_epoch(self, fitted: Fitted) -> dict[str, float]:
        """Evaluate after a pass over the training samples; see `train_epoch`."""
        expect_finite(self.epoch + 1, "training loss", fitted.loss)
        expect_finite_state(self.epoch + 1, self.net)
        metrics = {
            "train/loss": fitted.loss,
            "train/top1": fitted.top1,
            "optim/lr": float(self.optimizer.param_groups[0]["lr"]),
            "time/epoch_s": fitted.seconds,
            "perf/images_per_s": len(self.train_set) / fitted.seconds,
        }
        if self.device.type == "cuda":
            metrics["mem/peak_mib"] = torch.cuda.max_memory_allocated(self.device) / 2**20
        metrics |= self._evaluated()
        self.schedule.step()
        self.epoch += 1
        return metrics

    def train_batch(self, inputs: Tensor, labels: Tensor) -> Batch:
        """Train one mini-batch, as a rule does, in the precision of the trial."""
        with float32_products(self.config.precision):
            return self.rule.train_batch(
                self.net, self.optimizer, inputs, labels, generator=self.masks, scaler=self.scaler
            )

    def training_pass(self) -> AbstractContextManager[TrainBatch]:
        """A pass over the training samples, in which `sums` count; it gives what trains a batch, perhaps as a graph."""
        return passing(self.graph, self._count_batch)

    def _count_batch(self, inputs: Tensor, labels: Tensor) -> None:
        self.sums.add(self.train_batch(inputs, labels), labels)

    def new_graph(self) -> BatchGraph | None:
        """What trains batches in static buffers, if anything is to; see `ottt.training.batch_graph.uses_graph`."""
        if not uses_graph(self.config, self.net, self.rule, samples=len(self.train_set), device=self.device):
            return None
        size, optimizers, changed = self.config.batch_size, [self.optimizer], [*self.net.buffers(), *self.sums.tensors]
        generators = [self.masks]
        return BatchGraph(size, optimizers=optimizers, generators=generators, changed=changed, device=self.device)

    def _evaluated(self) -> dict[str, float]:
        """Metrics of the evaluations after an epoch."""
        metrics: dict[str, float] = {}
        reports = {name: self.evaluate(samples) for name, samples in self.eval_sets.items()}
        for name, report in reports.items():
            expect_finite(self.epoch + 1, f"{name} loss", report.loss)
            metrics |= {f"{name}/loss": report.loss, f"{name}/top1": report.top1, f"{name}/top5": report.top5}
            metrics |= computed(report, part=name, plugins=self.config.plugins)
        self.report = reports["test"]
        return metrics | cost(self.report)

    def evaluate(self, samples: Samples) -> EvalReport:
        """Evaluate the current network."""
        size = min(EVAL_BATCH, EVAL_TO_TRAIN * self.config.batch_size)
        return evaluate(self.net, samples.batches(size), self.config, kernels=self.kernels)

    def save(self, folder: Path) -> Path:
        """Write a checkpoint into `folder`; training resumed from it is bit-identical to uninterrupted training."""
        state = {
            "trial": self.config.until(self.epoch).trial_hash,
            "config": self.config.model_dump(mode="json"),
            "epoch": self.epoch,
            "net": self.net.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "scaler": None if self.scaler is None else self.scaler.state_dict(),
            "order": self.order.get_state(),
            "masks": self.masks.get_state(),
            "augmentation": self.augmentation.get_state(),
        }
        return write_checkpoint(folder, state)

    def load(self, source: Path) -> None:
        """Resume from a checkpoint of this trial, or of one with the same settings up to the checkpoint's epoch.

        Args:
            source: the folder or the file.

        Raises:
            UserError: no usable checkpoint, or one of another trial. The trainer may be half loaded: do not train it.
        """
        read_checkpoint(source, use=self._restore)

    def _restore(self, state: State) -> None:
        if "trial" not in state:
            raise UnusableState(f"must be of trial {self.config.trial_hash}, got one of no trial")
        expected = self.config.until(state["epoch"]).trial_hash
        if state["trial"] != expected:
            raise UnusableState(f"must be of trial {expected}, got one of {state['trial']}")
        restore(
            state,
            net=self.net,
            optimizer=self.optimizer,
            schedule=self.schedule,
            scaler=self.scaler,
            generators={"order": self.order, "masks": self.masks, "augmentation": self.augmentation},
        )
        self.epoch = state["epoch"]
        if self.graph is not None:
            self.graph.reset()  # the optimizer has other tensors

    def _apply_changes(self) -> None:
        before, now = self.config.at(self.epoch - 1), self.config.at(self.epoch)
        change_optimizer(self.optimizer, self.schedule, before=before.optim, now=now.optim)
        self.rule = build_rule(now, kernels=self.kernels)
        if self.graph is not None and before != now:
            self.graph.reset()

    def _fit(self) -> Fitted:
        """Train on all samples once."""
        started = time.perf_counter()
        self.net.train()
        self.sums.clear()
        size, order, augmentation = self.config.batch_size, self.order, self.augmentation
        with self.training_pass() as train_batch:
            for inputs, labels in self.train_set.training_batches(size, order=order, augmentation=augmentation):
                train_batch(inputs, labels)
        [fitted] = self.sums.fitted(len(self.train_set), started)
        return fitted


@dataclass(frozen=True)
class TrainResult:
    """The result of training a trial.

    Attributes:
        config: configuration of the trial.
        status: FINISHED or DIVERGED.
        history: metrics of every epoch trained in this call, by the names of `ottt.schema`.
        reason: why it did not finish, with the epoch and the last good checkpoint; None if it did.
    """

    config: TrialConfig
    status: Status
    history: tuple[dict[str, float], ...]
    reason: str | None = None

    @property
    def metrics(self) -> dict[str, float]:
        """Metrics of the last epoch; empty if there was none."""
        return self.history[-1] if self.history else {}


def train(
    config: TrialConfig,
    *,
    sink: Sink | None = None,
    resume: Path | None = None,
    checkpoints: Path | None = None,
) -> TrainResult:
    """Train one trial to its end on one device.

    Args:
        config: configuration of the trial.
        sink: destination of each epoch's metrics.
        resume: folder or file of a checkpoint to resume from.
        checkpoints: folder for a checkpoint after every epoch.

    Raises:
        UserError: `resume` holds no checkpoint of this trial.
    """
    trainer = Trainer(config)
    if resume is not None:
        trainer.load(resume)
    return fit(trainer, sink=sink, checkpoints=checkpoints, saved=resume)


def fit(
    trainer: Trainer, *, sink: Sink | None = None, checkpoints: Path | None = None, saved: Path | None = None
) -> TrainResult:
    """Train a trial from its current epoch to its end.

    Args:
        trainer: the trial.
        sink: destination of each epoch's metrics.
        checkpoints: folder for a checkpoint after every epoch.
        saved: checkpoint that it was resumed from, named if the first epoch diverges.
    """
    history: list[dict[str, float]] = []
    while not trainer.done:
        try:
            history.append(trainer.train_epoch())
        except Diverged as error:
            reason = f"{error}; last good checkpoint: {saved or 'none'}"
            return TrainResult(trainer.config, Status.DIVERGED, tuple(history), reason)
        if checkpoints is not None:
            saved = trainer.save(checkpoints)
        if sink is not None:
            sink.log(trainer.epoch, history[-1])
    return TrainResult(trainer.config, Status.FINISHED, tuple(history))
