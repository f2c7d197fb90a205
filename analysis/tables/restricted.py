"""A part of a sweep: the variants that have some settings, so that a table compares them alone."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from ottt.errors import UserError, brief


def restricted(runs: pd.DataFrame, settings: Mapping[str, Any]) -> pd.DataFrame:
    """The runs of the variants with these settings; their baseline is the sweep's with these settings.

    Args:
        runs: as `analysis.load.runs` gives them.
        settings: value of each setting.

    Raises:
        UserError: no such setting, or no variant with these values.
    """
    if unknown := [key for key in settings if key not in runs.columns]:
        raise UserError(*(f"{key} is not a setting of these runs" for key in unknown))
    part = runs
    for key, value in settings.items():
        found = list(dict.fromkeys(map(brief, part[key])))
        part = part[[one == value for one in part[key]]]
        if part.empty:
            raise UserError(f"{key} must be one of {', '.join(found)} for some variant, got {brief(value)}")
    part = part.reset_index(drop=True)
    baseline = runs.attrs.get("baseline")
    part.attrs = runs.attrs | {"baseline": baseline and {**baseline, **settings}}
    return part


def note(settings: Mapping[str, Any]) -> str:
    """The footnote of a table of such runs."""
    return f"Only variants with {', '.join(f'{key}={value}' for key, value in settings.items())}."
