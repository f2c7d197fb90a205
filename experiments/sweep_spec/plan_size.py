"""How large a sweep may be: counted from the lengths of its axes, before anything is expanded."""

from collections.abc import Iterator
from math import prod

from experiments.sweep_spec.spec import MAX_TRIALS, SweepSpec
from ottt.config.yaml_reader import KeyPath


def oversized(spec: SweepSpec) -> Iterator[tuple[KeyPath, str]]:
    """What makes a sweep too large to be expanded, if anything does."""
    seeds = max(1, len(spec.seeds))
    if spec.search is not None:
        if (trials := spec.search.trials * seeds) > MAX_TRIALS:
            yield (
                ("search", "trials"),
                _most("trials", f"{trials:,}: {spec.search.trials:,} settings x {seeds:,} seeds"),
            )
        return
    lengths = {key: len(values) for key, values in spec.axes.items()}
    for index, group in enumerate(spec.zip):
        lengths[f"zip.{index}"] = min(map(len, group.values()), default=0)
    cells = prod(length for length in lengths.values() if length)
    factors = " x ".join(f"{length:,} of {key}" for key, length in lengths.items()) or "one variant"
    path = ("axes",) if spec.axes else ("zip",) if spec.zip else ("seeds",)
    if cells > MAX_TRIALS:
        yield path, _most("combinations", f"{cells:,}: {factors}")
    elif cells * seeds > MAX_TRIALS and not spec.exclude:
        yield path, _most("trials", f"{cells * seeds:,}: {factors} x {seeds:,} seeds")


def too_many_left(variants: int, seeds: int) -> str | None:
    """What is wrong with the variants that exclusions leave, if they are too many."""
    trials = variants * seeds
    return _most("trials", f"{trials:,}: {variants:,} variants x {seeds:,} seeds") if trials > MAX_TRIALS else None


def _most(what: str, got: str) -> str:
    return f"a sweep must have at most {MAX_TRIALS:,} {what}, got {got}"
