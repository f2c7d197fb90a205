"""Commands that write trained networks for other software: `ottt export`."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from experiments.cli.arguments import at_home
from experiments.results.folder import shown
from ottt.errors import UserError
from ottt.plugins import printing_to_stderr

if TYPE_CHECKING:
    from ottt.config.trial import TrialConfig

RESETS = ("loop", "lif")  # keys of `ottt.export.nir.RESETS`, which needs torch

app = typer.Typer(no_args_is_help=True, help="Write trained networks for other software.")


@app.command("nir")
def nir(
    checkpoint: Annotated[
        Path,
        typer.Argument(
            callback=at_home, help="A checkpoint folder or file of `ottt train`, or a .pth of the original code."
        ),
    ],
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", callback=at_home, help="File to write (default: network.nir).")
    ] = None,
    dt: Annotated[float, typer.Option(metavar="SECONDS", help="Duration of a time step.")] = 1e-4,
    reset: Annotated[
        str,
        typer.Option(
            metavar="loop|lif",
            help="How a soft reset, which NIR's neurons lack, is said: exactly, by a loop of other nodes; or by LIF"
            " neurons and a note in the metadata, for readers that subtract by themselves.",
        ),
    ] = "loop",
    config: Annotated[
        str | None, typer.Option(help="Preset or YAML file; needed for checkpoints of the original code.")
    ] = None,
) -> None:
    """Write a trained network in the Neuromorphic Intermediate Representation, which simulators and chips read.

    Example: ottt export nir trained digits.nir
    """
    if reset not in RESETS:
        raise UserError(f"--reset must be one of {', '.join(RESETS)}, got {reset!r}")
    from ottt.export.load import trained
    from ottt.export.nir import write

    target = file or Path("network.nir")
    with printing_to_stderr():
        net, settings = trained(checkpoint, config=config)
        graph = write(net, settings, target, dt=dt, reset="lif" if reset == "lif" else "loop")
    for note in _notes(settings, reset):
        print(f"note: {note}", file=sys.stderr)
    print(f"wrote {shown(target.absolute())}: {len(graph.nodes)} nodes, {len(graph.edges)} edges")


def _notes(config: "TrialConfig", reset: str) -> list[str]:
    """What a reader of the file must know."""
    notes = []
    if config.neuron.v_reset is None and reset == "lif":
        notes.append("the reader must subtract v_threshold after a spike: a LIF node alone would be set to v_reset")
    if config.precision in ("bf16", "fp16"):
        notes.append(f"the network was trained in {config.precision}; its kernels are exported in float32")
    return notes
