"""Searches the trials of all sweeps: by MLflow filter string, by id, and the differences of two runs."""

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
    """One row per trial that matches, the earliest first, including trials that the sweep no longer plans.

    Args:
        query: MLflow filter string, e.g. `params."neuron.tau" = "2.0" and metrics."test/top1" > 0.9`; empty for all.
        store: tracking URI.

    Columns:
        name, sweep: name of the run and its sweep.
        the columns of `analysis.load.runs`.

    Raises:
        UserError: no such store, or not a filter string of MLflow.
    """
    source = open_store(store)
    found = source.search(f"{query} and {_OF_TRIALS}") if query else source.runs("trial")
    return frame(found)


def find(given: str, *, store: str) -> StoredRun:
    """The one run whose id, or else whose trial's id, begins with `given`.

    Raises:
        UserError: no run or several runs match, or `given` is too short or not an id.
    """
    if not _PREFIX.fullmatch(given):
        raise UserError(f"run must be at least 4 characters of the id of a run or of a trial, got {given!r}")
    source = open_store(store)
    by_run = source.search(f"attributes.run_id LIKE '{given}%'")  # LIKE takes _ for any character
    found = [run for run in by_run if run.id.startswith(given)]
    if not found:
        by_trial = source.search(f"tags.`{Tag.TRIAL}` LIKE '{given}%'")
        found = [run for run in by_trial if run.tags[Tag.TRIAL].startswith(given)]
    if len(found) == 1:
        return found[0]
    if not found:
        raise UserError(f"run must be the beginning of an id in the store, got {given!r}")
    matches = ", ".join(f"{run.id} ({run.tags.get(Tag.SWEEP, '?')}: {run.name})" for run in found[:5])
    raise UserError(f"run must match one run, got {given!r}, which matches {len(found)}: {matches}")


@dataclass(frozen=True)
class Difference:
    """A value in which two runs differ; None where a run lacks it."""

    kind: str
    name: str
    first: Any
    second: Any


def differences(first: StoredRun, second: StoredRun) -> list[Difference]:
    """Settings, last metrics and `ottt.` tags that differ, in that order."""
    groups: list[tuple[str, Mapping[str, Any], Mapping[str, Any]]] = [
        ("setting", first.params, second.params),
        ("metric", first.metrics, second.metrics),
        ("tag", _ottt_tags(first.tags), _ottt_tags(second.tags)),
    ]
    return [
        Difference(kind, name, one.get(name), other.get(name))
        for kind, one, other in groups
        for name in sorted(one.keys() | other.keys())
        if not _equal(one.get(name), other.get(name))
    ]


def _ottt_tags(tags: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in tags.items() if key.startswith("ottt.")}


def _equal(one: Any, other: Any) -> bool:
    return bool(one == other or (one != one and other != other))  # NaN equals NaN here
