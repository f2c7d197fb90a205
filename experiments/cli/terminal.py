"""What the terminal and the surroundings lack is made up for, before a command runs."""

import codecs
import io
import os
import unicodedata
from pathlib import Path
from typing import TextIO

READABLE = "ottt.readable"  # how text is encoded that the terminal cannot show
_AS_ASCII = {
    "±": "+/-",
    "×": "x",
    "·": "*",
    "…": "...",
    "→": "->",
    "≤": "<=",
    "≥": ">=",
    "≠": "!=",
    "≈": "~",
    "•": "*",
    **dict.fromkeys("‐‑‒–—−━─", "-"),
    **dict.fromkeys("‘’", "'"),
    **dict.fromkeys("“”", '"'),
    **dict.fromkeys("│┃", "|"),
}


def prepare(*streams: TextIO) -> None:
    """Make the streams accept every text, and give this process a home folder if it has none."""
    codecs.register_error(READABLE, _readable)
    for stream in streams:
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=READABLE)
    try:
        Path.home()
    except RuntimeError:  # in a container, a user without an entry in the list of users; libraries ask for it
        os.environ["HOME"] = "/"


def _readable(error: UnicodeError) -> tuple[str | bytes, int]:
    """What stands in the text instead of the first character that the encoding lacks."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    character = error.object[error.start]
    is_byte = "\udc80" <= character <= "\udcff"  # of a file's name that is no text
    return bytes([ord(character) - 0xDC00]) if is_byte else _ascii(character), error.start + 1


def _ascii(character: str) -> str:
    """ASCII that reads like the character; else `?`."""
    plain = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return _AS_ASCII.get(character) or plain or "?"
