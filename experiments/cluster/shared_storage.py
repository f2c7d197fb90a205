"""Checks that all machines of a Ray cluster share one folder of results."""

import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from ottt.errors import UserError, first_line


@dataclass(frozen=True)
class Seen:
    """Answer of one machine about the folder.

    Attributes:
        host: name of the machine.
        clock: time on the machine, seconds since 1970.
        problem: why the machine cannot read or write the folder; None if it can.
    """

    host: str
    clock: float
    problem: str | None


Ask = Callable[[Callable[[], Seen]], Sequence[Seen]]  # calls the function on every machine


def look(folder: Path, ask: Ask) -> list[Seen]:
    """Let every machine read a file that this one writes into `folder`, and write one that this one reads.

    Args:
        folder: folder of results, made if need be.
        ask: `experiments.cluster.nodes.on_every_node`, or a substitute.
    """
    folder.mkdir(parents=True, exist_ok=True)
    probe = folder / f".probe-{uuid4().hex}"
    token = uuid4().hex
    probe.write_text(token, encoding="utf-8")
    try:
        seen = ask(lambda: visit(probe, token))
        answers = _answers(probe)
    finally:
        for file in folder.glob(f"{probe.name}*"):
            file.unlink()
    return [_checked(one, answers, folder) for one in seen]


def visit(probe: Path, token: str) -> Seen:
    """Runs on each machine: read the token, write an answer."""
    host = socket.gethostname()
    try:
        found = probe.read_text(encoding="utf-8")
        probe.with_name(f"{probe.name}-{host}-{os.getpid()}").write_text(host, encoding="utf-8")
    except OSError as error:
        return Seen(host, time.time(), first_line(error))
    return Seen(host, time.time(), None if found == token else "holds another file of the same name")


def refuse_unshared(folder: Path, ask: Ask) -> None:
    """Refuse a folder that is not shared: results of other machines would be lost.

    Raises:
        UserError: one line per machine.
    """
    problems = [
        f"{folder} must be one folder on all machines; {one.host}: {one.problem}"
        for one in look(folder, ask)
        if one.problem is not None
    ]
    if problems:
        raise UserError(*problems)


def _answers(probe: Path) -> Mapping[str, str]:
    return {file.read_text(encoding="utf-8"): file.name for file in probe.parent.glob(f"{probe.name}-*")}


def _checked(one: Seen, answers: Mapping[str, str], folder: Path) -> Seen:
    if one.problem is not None or one.host in answers:
        return one
    return Seen(one.host, one.clock, f"what it writes to {folder} does not arrive here")
