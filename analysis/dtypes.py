"""Columns that keep the values they are given."""

from collections.abc import Iterable
from typing import Any

import pandas as pd


def column(values: Iterable[Any]) -> pd.Series:
    """A column of pandas' own dtype where all values are of one type, of Python objects otherwise.

    Left alone, pandas turns a None among floats into NaN and an int among floats into a float, and settings
    would no longer be those of the plan.
    """
    listed = list(values)
    return pd.Series(listed, dtype=None if len({type(value) for value in listed}) == 1 else object)
