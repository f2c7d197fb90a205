"""Tables that answer one question each: runs in, a frozen result with its table and footnotes out."""

from analysis.tables.comparison import COUNTS, Comparison, compare, foremost

__all__ = ["COUNTS", "Comparison", "compare", "foremost"]
