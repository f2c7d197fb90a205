"""Errors caused by user input, and the commands that they advise. Standard library only."""

import os
import shlex
import shutil
import sys
from pathlib import Path

LONGEST_VALUE = 200  # characters of a value in a message
LONGEST_LINE = 2000  # characters of a problem


class UserError(Exception):
    """A mistake in user input: one line per problem, with place, rule and value.

    Attributes:
        problems: the lines, in the order found; `str(error)` joins them.
    """

    def __init__(self, *problems: str) -> None:
        self.problems = tuple(map(_one_line, problems))
        super().__init__("\n".join(self.problems))

    def __reduce__(self) -> tuple[type["UserError"], tuple[str, ...]]:
        return type(self), self.problems  # a copy, or one in another process, has as many lines


def first_line(error: BaseException) -> str:
    """The first line of the error's message; the error's type if the message is empty."""
    return next(iter(message_of(error).splitlines()), type(error).__name__)


def message_of(error: BaseException) -> str:
    """`str(error)`, also of an error that cannot be shown."""
    try:
        return str(error)
    except Exception as problem:
        return f"its message cannot be shown: {type(problem).__name__}"


def brief(value: object) -> str:
    """`repr(value)`, cut if it is long."""
    text = repr(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 3]}..."


def _one_line(problem: str) -> str:
    """The problem without line breaks, escape sequences and excess: it can quote anything that a user wrote."""
    if len(problem) > LONGEST_LINE:
        problem = f"{problem[: LONGEST_LINE // 2]}...{problem[-LONGEST_LINE // 2 :]}"
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in problem)


def command(*words: str) -> str:
    """The line that runs `ottt` with these words, as this program was started and as a shell here finds it."""
    return shlex.join([*_program(), *words])


def _program() -> list[str]:
    module = [_python(), "-m", "experiments.cli"]
    started, beside = Path(sys.argv[0]), Path(sys.executable).with_name("ottt")
    if started.parts[-3:] == ("experiments", "cli", "__main__.py"):
        return module
    found = shutil.which("ottt")
    if found is not None and os.path.realpath(found) in map(os.path.realpath, (started, beside)):
        return ["ottt"]
    return [_from_here(beside)] if beside.is_file() else module


def _python() -> str:
    found = shutil.which("python")
    return "python" if found is not None and Path(found) == Path(sys.executable) else _from_here(Path(sys.executable))


def _from_here(path: Path) -> str:
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)
