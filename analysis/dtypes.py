"""Columns of data frames that keep the types of their values."""

from collections.abc import Iterable
from typing import Any

import pandas as pd


def column(values: Iterable[Any]) -> pd.Series:
    """A column of a pandas dtype if all values have one type, of Python objects otherwise.

    By default pandas turns None among floats into NaN and int among floats into float; settings would then differ from
    those of the plan.
    """
    listed = list(values)
    return pd.Series(listed, dtype=None if len(set(map(type, listed))) == 1 else object)
