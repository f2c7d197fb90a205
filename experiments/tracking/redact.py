"""Removes passwords and other secrets from text before it is stored or shown."""

import os
import re
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

SHORTEST = 6  # characters of a secret; shorter values also occur in ordinary text

_SECRET_NAME = re.compile(r"PASSWORD|PASSWD|SECRET|TOKEN|CREDENTIAL|API_?KEY|ACCESS_KEY|PRIVATE_KEY", re.IGNORECASE)
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


def _secrets(environment: Mapping[str, str]) -> list[str]:
    """Values to hide, the longest first, since one can contain another."""
    named = {value for name, value in environment.items() if _SECRET_NAME.search(name)}
    in_addresses = {password for value in environment.values() if (password := _password(value)) is not None}
    return sorted((value for value in named | in_addresses if len(value) >= SHORTEST), key=len, reverse=True)


def _password(value: str) -> str | None:
    try:
        return urlsplit(value).password if "://" in value else None
    except ValueError:  # not an address
        return None
