"""Trials of all sweeps, by what MLflow's filter strings ask for."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.load import frame
from analysis.store.base import StoredRun
from analysis.store.open import open_store
from ottt.errors import UserError
from ottt.schema import Tag

_OF_TRIALS = f"tags.`{Tag.KIND}` = 'trial'"
_PREFIX = re.compile(r"[0-9a-zA-Z_-]{4,}")


def search(query: str = "", *, store: str) -> pd.DataFrame:
    """One row per trial that fits, the earliest first, whether its sweep still plans it or not.

    Args:
        query: MLflow filter string, e.g. `params."neuron.tau" = "2.0" and metrics."test/top1" > 0.9`; empty: all.
        store: tracking URI.

    Columns:
        name, sweep: of the run.
        those of `analysis.load.runs`.

    Raises:
        UserError: no such store, or not a filter string.
    """
    source = open_store(store)
    found = source.search(f"{query} and {_OF_TRIALS}") if query else source.runs("trial")
    return frame(found)


def find(given: str, *, store: str) -> StoredRun:
    """The one run whose id, or whose trial, begins with `given`.

    Raises:
        UserError: there is none, or several; `given` is too short or no id.
    """
    if not _PREFIX.fullmatch(given):
        raise UserError(f"run must be at least 4 characters of the id of a run or of a trial, got {given!r}")
    source = open_store(store)
    by_run = source.search(f"attributes.run_id LIKE '{given}%'")  # in which _ stands for any character
    found = [run for run in by_run if run.id.startswith(given)]
    if not found:
        by_trial = source.search(f"tags.`{Tag.TRIAL}` LIKE '{given}%'")
        found = [run for run in by_trial if run.tags[Tag.TRIAL].startswith(given)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise UserError(f"run must be one of the store's, got {given!r}")
    several = ", ".join(f"{run.id} ({run.tags.get(Tag.SWEEP, '?')}: {run.name})" for run in found[:5])
    raise UserError(f"run must be one of the {len(found)} that begin so, got {given!r}: {several}")


@dataclass(frozen=True)
class Difference:
    """Something that two runs do not share; None where a run lacks it."""

    kind: str
    name: str
    first: Any
    second: Any


def differences(first: StoredRun, second: StoredRun) -> list[Difference]:
    """Settings, last metrics and tags of ours that differ, in that order."""
    parts: list[tuple[str, Mapping[str, Any], Mapping[str, Any]]] = [
        ("setting", first.params, second.params),
        ("metric", first.metrics, second.metrics),
        ("tag", _ours(first.tags), _ours(second.tags)),
    ]
    return [
        Difference(kind, name, one.get(name), other.get(name))
        for kind, one, other in parts
        for name in sorted(one.keys() | other.keys())
        if not _same(one.get(name), other.get(name))
    ]


def _ours(tags: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if key.startswith("ottt.")}


def _same(one: Any, other: Any) -> bool:
    return bool(one == other or (one != one and other != other))  # NaN is not itself
