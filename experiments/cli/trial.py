"""Commands for one trial on one device: `ottt train`, `ottt evaluate` and `ottt models`."""

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from experiments.cli.arguments import JsonOption, PluginOption, at_home, load_plugins, with_plugins
from experiments.cli.shell import completion
from ottt.errors import UserError
from ottt.plugins import printing_to_stderr

if TYPE_CHECKING:
    from ottt.config.trial import TrialConfig
    from ottt.evalreport import EvalReport
    from ottt.training.trainer import Trainer

ConfigArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[CONFIG] [KEY=VALUE]...",
        autocompletion=completion.config,
        help="A preset or YAML file, and changes to it.",
    ),
]
PicturesOption = Annotated[
    Path | None, typer.Option("--pictures", callback=at_home, metavar="DIR", help="Write pictures into DIR.")
]

PARTS = ("train", "val", "test")


def train(
    config: ConfigArgument = None,
    checkpoints: Annotated[
        Path | None,
        typer.Option(callback=at_home, metavar="DIR", help="Write a checkpoint into DIR after every epoch."),
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(callback=at_home, metavar="PATH", help="Resume from a checkpoint (folder or file).")
    ] = None,
    pictures: PicturesOption = None,
    plugin: PluginOption = None,
    as_json: JsonOption = False,
) -> int:
    """Train one trial, then evaluate it on the test samples.

    Example: ottt train digits neuron.tau=4 rule.update=online --checkpoints trained
    """
    from ottt.config.load import load_config

    settings = load_config(*_split(with_plugins(config, plugin)))
    from ottt.schema import Status
    from ottt.training.trainer import Trainer, fit

    with printing_to_stderr():
        trainer = Trainer(settings)
        if resume is not None:
            trainer.load(resume)
        with _Progress(settings.epochs) as progress:
            result = fit(trainer, sink=progress, checkpoints=checkpoints, saved=resume)
    if result.status is Status.DIVERGED:
        print(f"diverged: {result.reason}", file=sys.stderr)
        return 1
    if checkpoints is not None:
        print(f"checkpoint of epoch {trainer.epoch}: {checkpoints}", file=sys.stderr)
    with printing_to_stderr():
        report = trainer.evaluate(trainer.eval_sets["test"])
    _print_report(report, settings, pictures, as_json=as_json)
    return 0


def evaluate(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            callback=at_home, help="A checkpoint folder or file of `ottt train`, or a .pth of the original code."
        ),
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="[KEY=VALUE]...", autocompletion=completion.settings, help="Changes to the settings."),
    ] = None,
    config: Annotated[
        str | None, typer.Option(help="Preset or YAML file; needed for checkpoints of the original code.")
    ] = None,
    part: Annotated[str, typer.Option(help="Samples to evaluate on: train, val or test.")] = "test",
    pictures: PicturesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Evaluate trained weights: accuracy, firing rates, operations, energy.

    Example: ottt evaluate trained T_eval=[1,2,4,8] --pictures pictures
    """
    if part not in PARTS:
        raise UserError(f"--part must be one of {', '.join(PARTS)}, got {part!r}")
    with printing_to_stderr():
        trainer = _load_trainer(checkpoint, config, overrides or [])
        samples = trainer.train_set if part == "train" else trainer.eval_sets.get(part)
        if samples is None:
            raise UserError(f"--part must name samples that exist: data.val_fraction is 0, got {part!r}")
        report = trainer.evaluate(samples)
    _print_report(report, trainer.config, pictures, as_json=as_json)


def models(plugin: PluginOption = None, as_json: JsonOption = False) -> None:
    """List the networks, with their number of parameters for three input shapes.

    Example: ottt models --json
    """
    import torch

    from ottt.config.load import load_config
    from ottt.data.info import DataInfo
    from ottt.models.registry import MODELS, build_model

    load_plugins(plugin)
    shapes = {"28x28x1, 10": (10, 1, 28), "32x32x3, 10": (10, 3, 32), "224x224x3, 1000": (1000, 3, 224)}
    rows = {}
    for name in MODELS:
        setting = load_config({"model.name": name})
        with printing_to_stderr(), torch.device("meta"):
            nets = {key: build_model(setting, data=DataInfo("", c, i, s, s)) for key, (c, i, s) in shapes.items()}
        rows[name] = {key: sum(p.numel() for p in net.parameters()) for key, net in nets.items()}
    if as_json:
        print(
            json.dumps({name: {"summary": MODELS[name].summary, "parameters": rows[name]} for name in rows}, indent=2)
        )
        return
    width = max(map(len, rows))
    print(f"{'name':<{width}}" + "".join(f"  {key:>15}" for key in shapes) + "  (input, classes: parameters)")
    for name, counts in rows.items():
        print(
            f"{name:<{width}}" + "".join(f"  {count:>15,}" for count in counts.values()) + f"  {MODELS[name].summary}"
        )


def _split(arguments: list[str]) -> tuple[str | None, list[str]]:
    """The configuration's name, if any, and the `key=value` texts."""
    names = [argument for argument in arguments if "=" not in argument]
    if len(names) > 1:
        raise UserError(f"there must be one configuration, got {' and '.join(names)}")
    return (names[0] if names else None), [argument for argument in arguments if "=" in argument]


def _load_trainer(checkpoint: Path, config: str | None, overrides: list[str]) -> "Trainer":
    """A trainer whose network has the weights of `checkpoint`; other settings can differ from training."""
    from ottt.config.load import load_config
    from ottt.models.reference_weights import load_reference_weights
    from ottt.training.checkpoint import UnusableState, load_weights, read_checkpoint
    from ottt.training.trainer import Trainer

    state = read_checkpoint(checkpoint)
    if "trial" in state:
        trainer = Trainer(load_config(state["config"], overrides))
        try:
            load_weights(trainer.net, state["net"])
        except UnusableState as error:
            raise UserError(f"{checkpoint}: {error}") from error
        return trainer
    if config is None:
        raise UserError(f"{checkpoint}: a checkpoint of the original code needs --config, got none")
    trainer = Trainer(load_config(config, overrides))
    load_reference_weights(trainer.net, state)
    return trainer


def _print_report(report: "EvalReport", config: "TrialConfig", pictures: Path | None, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"config": config.flat(), "report": asdict(report)}, indent=2))
    else:
        print(_report_text(report))
    if pictures is not None:
        from ottt.evaluation.plots import save

        for file in save(report, pictures):
            print(f"wrote {file}", file=sys.stderr)


def _report_text(report: "EvalReport") -> str:
    lines = [
        f"samples     {report.samples}",
        f"top-1       {report.top1:.4f}",
        f"top-5       {report.top5:.4f}",
        f"loss        {report.loss:.4f} nat",
        f"rate        {report.total_rate:.4f} spikes per neuron and time step, T = {report.time_steps}",
    ]
    name_width = max(map(len, report.layers))
    lines += [f"  {name:<{name_width}}  {rate:.4f}" for name, rate in zip(report.layers, report.rates, strict=True)]
    lines += [
        f"operations  {report.synops:,.0f} synaptic (AC), {report.macs:,.0f} of real-valued input (MAC), per sample",
        f"energy      {report.energy_nj:,.1f} nJ per sample: 0.9 pJ per AC, 4.6 pJ per MAC (45 nm, Horowitz 2014)",
    ]
    if len(report.top1_at) > 1:
        at = ", ".join(f"T={steps}: {top1:.4f}" for steps, top1 in report.top1_at.items())
        lines.append(f"top-1 at    {at}")
    return "\n".join(lines)


class _Progress:
    """A sink that shows epochs on stderr: a progress bar on a terminal, else a line per epoch."""

    def __init__(self, epochs: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self._epochs = epochs
        console = Console(stderr=True)
        columns = (TextColumn("epoch"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        text = TextColumn("{task.fields[metrics]}")
        self._bar = Progress(*columns, text, console=console) if console.is_terminal else None
        self._task = self._bar.add_task("", total=epochs, metrics="") if self._bar is not None else None

    def __enter__(self) -> "_Progress":
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, *error: Any) -> None:
        if self._bar is not None:
            self._bar.stop()

    def log(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """See `ottt.sinks.sink.Sink`."""
        shown = [name for name in ("train/loss", "val/top1", "test/top1") if name in metrics]
        text = "  ".join(f"{name} {metrics[name]:.4f}" for name in shown)
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=epoch, metrics=text)
        else:
            print(f"epoch {epoch}/{self._epochs}  {text}", file=sys.stderr)
