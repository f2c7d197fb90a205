"""Tables that answer one question each: from the runs of a sweep to a frozen result with a table and footnotes.

Main entries: `compare`, and one function per module: `two_way.cross`, `variance_explained.effects`,
`importance.importance`, `pareto.front`, `paper.against_paper`, `marginal_means.marginal`, `epoch_selection.select`,
`restricted.restricted`.
"""

from analysis.tables.comparison import Comparison, compare, foremost
from analysis.tables.variants import COUNTS

__all__ = ["COUNTS", "Comparison", "compare", "foremost"]
