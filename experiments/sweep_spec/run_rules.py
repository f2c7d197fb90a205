"""Rules on the parts of a sweep spec that say how to run it. A broken rule is a key path and a sentence."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from experiments.sweep_spec.sink_choice import wrong_sinks
from ottt.config.yaml_reader import KeyPath

if TYPE_CHECKING:
    from experiments.sweep_spec.spec import SweepSpec


def broken_run_rules(spec: "SweepSpec") -> Iterator[tuple[KeyPath, str]]:
    """Find every broken rule."""
    if spec.checkpoints.log and not spec.checkpoints.keep:
        yield ("checkpoints", "log"), "checkpoints.log must come with checkpoints.keep: true, got keep: false"
    yield from _fuse(spec)
    yield from wrong_sinks(spec.sinks)


def _fuse(spec: "SweepSpec") -> Iterator[tuple[KeyPath, str]]:
    """Trials that are to train as one network do so on one GPU, from their beginning to their end."""
    resources = spec.resources
    if resources.fuse == "auto" or resources.fuse == 1:
        return
    path, asked = ("resources", "fuse"), f"got {resources.fuse}"
    if spec.population is not None:
        yield path, f"resources.fuse must be 1 or auto with scheduler.name pbt, whose trials are paused, {asked}"
    several = {"resources.gpu": resources.share({}).gpu}
    several |= {f"resources.variants.{index}.gpu": row.gpu or 0.0 for index, row in enumerate(resources.variants)}
    for key, gpu in several.items():
        if gpu > 1:
            yield path, f"resources.fuse must be 1 or auto with {key} = {gpu:g}: a network is on one GPU, {asked}"
