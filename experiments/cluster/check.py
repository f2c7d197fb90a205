"""The check of a launcher file before machines are rented: Ray's schema and our rules, offline."""

import re
from dataclasses import dataclass
from pathlib import Path

from experiments.cluster import rules
from experiments.cluster.layout import Layout
from ottt.errors import UserError

CONSTRAINTS = "constraints.txt"


@dataclass(frozen=True)
class Verdict:
    """Result of a check.

    Attributes:
        problems: what must be fixed, a line each.
        notes: what to look at, a line each.
        ray: version of Ray that the file was checked against.
    """

    problems: tuple[str, ...]
    notes: tuple[str, ...]
    ray: str


def check(path: Path) -> Verdict:
    """Find all problems of the file at `path`.

    Raises:
        UserError: the file cannot be read, or there is no constraints.txt to check it against.
    """
    from experiments.cluster.launcher import ray_notes, ray_problems

    layout = Layout.read(path)
    ray = pinned_ray(path)
    problems = ray_problems(layout)
    # Our rules assume the types that Ray's schema demands.
    if not problems:
        problems = [*rules.versions(layout, ray)]
        for rule in (rules.storage, rules.network, rules.head, rules.token, rules.tracking, rules.scaling):
            problems += rule(layout)
    return Verdict(tuple(dict.fromkeys(problems)), (*ray_notes(layout), *rules.placeholders(layout)), ray)


def pinned_ray(path: Path) -> str:
    """Version of Ray in the constraints.txt beside the file, or in a folder above it.

    Raises:
        UserError: no such file, or it does not pin Ray.
    """
    for folder in path.absolute().parents:
        constraints = folder / CONSTRAINTS
        if constraints.is_file():
            found = re.search(r"^ray==(\S+)$", constraints.read_text(encoding="utf-8"), re.MULTILINE)
            if found is None:
                raise UserError(f"{constraints}: must pin ray, got no line ray==VERSION")
            return found[1]
    raise UserError(f"{path}: {CONSTRAINTS} must be beside it or in a folder above, found none")
