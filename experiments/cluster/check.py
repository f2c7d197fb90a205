"""Checking a launcher file before machines are rented: Ray's schema and our rules, offline."""

import re
from dataclasses import dataclass
from pathlib import Path

from experiments.cluster import rules
from experiments.cluster.layout import Layout
from ottt.errors import UserError

CONSTRAINTS = "constraints.txt"


@dataclass(frozen=True)
class Verdict:
    """What was found.

    Attributes:
        problems: lines that must be mended.
        notes: lines to look at.
        ray: the version that the file was held against.
    """

    problems: tuple[str, ...]
    notes: tuple[str, ...]
    ray: str


def check(path: Path) -> Verdict:
    """Everything wrong with the file at `path`, in one go.

    Raises:
        UserError: it cannot be read, or there is no constraints.txt to hold it against.
    """
    from experiments.cluster.launcher import ray_problems

    layout = Layout.read(path)
    ray = pinned_ray(path)
    problems = ray_problems(layout)
    # The rules ask for values of the types that Ray's schema demands.
    if not problems:
        problems = [*rules.versions(layout, ray)]
        for rule in (rules.storage, rules.network, rules.head, rules.token, rules.tracking, rules.scaling):
            problems += rule(layout)
    return Verdict(tuple(dict.fromkeys(problems)), tuple(rules.placeholders(layout)), ray)


def pinned_ray(path: Path) -> str:
    """Ray's version in the constraints.txt beside the file, or in a folder above it.

    Raises:
        UserError: there is none.
    """
    for folder in path.absolute().parents:
        constraints = folder / CONSTRAINTS
        if constraints.is_file():
            found = re.search(r"^ray==(\S+)$", constraints.read_text(encoding="utf-8"), re.MULTILINE)
            if found is None:
                raise UserError(f"{constraints}: must pin ray, got no line ray==VERSION")
            return found[1]
    raise UserError(f"{path}: {CONSTRAINTS} must lie beside it or in a folder above, found none")
