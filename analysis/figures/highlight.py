"""Which variants are in colour in figures."""

from analysis.style import COLOURS
from analysis.tables import Comparison, foremost

OF_MANY = 5  # variants in colour where there are more than colours


def highlighted(comparison: Comparison) -> list[str]:
    """Ids of the variants in colour: all if colours suffice, else the baseline and those with the best means.

    The baseline is the first, the others follow in the plan's order.
    """
    variants = comparison.table["variant"].tolist()
    chosen = foremost(comparison, count=len(COLOURS) if len(variants) <= len(COLOURS) else OF_MANY)
    return [chosen[0], *(variant for variant in variants if variant in chosen[1:])]
