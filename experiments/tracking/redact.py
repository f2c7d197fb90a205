"""Removes passwords and other secrets from what is stored in MLflow or shown. Standard library only.

Text passes one gate on its way to MLflow, `experiments.tracking.run.RunWriter`, and one on its way to the terminal,
`Screen`, around every `ottt` command. The settings of a sweep were replaced before, see
`experiments.tracking.shown_plan`; lines that are cut to a width, before they were cut.
"""

import errno
import json
import mmap
import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import quote, urlsplit

SHORTEST = 6  # characters of a secret; shorter values also occur in ordinary text

_SECRET_NAME = re.compile(r"PASSWORD|PASSWD|SECRET|TOKEN|CREDENTIAL|API_?KEY|ACCESS_KEY|PRIVATE_KEY", re.IGNORECASE)
_LONG_LINE = 16  # characters of a line of a secret of several lines
_MOST_KEPT = 8192  # characters of a line, until it ends
_IN_ADDRESS = re.compile(r"(?<=://)[^/@\s]+:[^/@\s]+(?=@)")  # user:password


def redacted(text: str, environment: Mapping[str, str] | None = None) -> str:
    """`text` with `***` in place of passwords in addresses and values of secret environment variables.

    Args:
        text: a message or the content of a file.
        environment: environment variables; None: those of this process.
    """
    return redactor(environment)(text)


def redactor(environment: Mapping[str, str] | None = None) -> Callable[[str], str]:
    """Make a function like `redacted` for many texts: finding the secrets takes longer than replacing them."""
    secrets = _secrets(os.environ if environment is None else environment)

    def redact(text: str) -> str:
        for secret in secrets:
            text = text.replace(secret, "***")
        return _IN_ADDRESS.sub("***", text)

    return redact


def holds_secret(file: Path) -> bool:
    """Whether a secret of the environment stands in the file as it is."""
    if file.stat().st_size == 0:
        return False
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return any(content.find(secret.encode()) >= 0 for secret in _secrets(os.environ))


class Screen:
    """A stream that replaces secrets in what is written to it; in everything else it is the stream within.

    What a thread writes is kept until the end of a line, or a flush: `print` writes that end by itself, and another
    thread could write before it.

    Args:
        stream: where the text goes.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._redact = redactor()
        self._begun: dict[int, str] = {}  # by thread, what has no end yet

    def write(self, text: str) -> int:
        """Write `text` without its secrets; those that are cut where it was shown are not seen."""
        thread = threading.get_ident()
        begun = self._begun.pop(thread, "") + text
        if text.endswith("\n") or "\r" in text or len(begun) > _MOST_KEPT:
            self._pass_on(begun)
        else:
            self._begun[thread] = begun
        return len(text)

    def flush(self) -> None:
        """Show what this thread wrote."""
        if begun := self._begun.pop(threading.get_ident(), ""):
            self._pass_on(begun)
        with _closed_terminal_ignored():
            self._stream.flush()

    def finish(self) -> None:
        """Write what all threads have begun: there will be no more."""
        while self._begun:
            _, begun = self._begun.popitem()
            with suppress(BrokenPipeError):  # `| head` has read enough
                self._pass_on(begun)

    def writelines(self, lines: Iterator[str]) -> None:
        """Write every line."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _pass_on(self, text: str) -> None:
        with _closed_terminal_ignored():
            self._stream.write(self._redact(text))


@contextmanager
def _closed_terminal_ignored() -> Iterator[None]:
    """A terminal that was closed shows nothing, and what runs there goes on to its end, see `experiments.interrupt`."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.EIO:
            raise


def _secrets(environment: Mapping[str, str]) -> list[str]:
    """Values to hide, the longest first, since one can contain another."""
    named = {value for name, value in environment.items() if _SECRET_NAME.search(name)}
    in_addresses = {password for value in environment.values() if (password := _password(value)) is not None}
    forms = {form for secret in named | in_addresses if len(secret) >= SHORTEST for form in _forms(secret)}
    return sorted(forms, key=len, reverse=True)


def _forms(secret: str) -> Iterator[str]:
    """The secret as it may stand in text: as it is, quoted for JSON, YAML or an address, and its longer lines."""
    yield secret
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield secret.replace("'", "''")
    yield quote(secret, safe="")
    yield from (line for line in secret.split("\n") if len(line) >= _LONG_LINE)


def _password(value: str) -> str | None:
    try:
        return urlsplit(value).password if "://" in value else None
    except ValueError:  # not an address
        return None
