"""JSON texts that end with the CRC-32 of what comes before, so that no damaged file is taken for a result.

Files of versions that wrote no sum are read without it.
"""

import json
import re
from typing import Any
from zlib import crc32

_SEAL = re.compile(rb'(.*),\s+"crc32": "([0-9a-f]{8})"\s*}\s*', re.DOTALL)


def seal(text: str) -> str:
    """The JSON object `text`, indented or not, with one more key, `crc32`, at its end."""
    content = text.rstrip().removesuffix("}").rstrip()
    before, after = (",\n ", "\n}") if "\n" in content else (", ", "}")
    return f'{content}{before}"crc32": "{crc32(content.encode()):08x}"{after}'


def check_seal(text: bytes) -> bool:
    """Check the sum of a text of `seal`; False if the text has none.

    Raises:
        ValueError: the sum is wrong; the message is the rest of a line about the text.
    """
    return _content(text) is not None


def unseal(text: bytes) -> dict[str, Any]:
    """The object in a text of `seal`, or in one without a sum.

    Raises:
        ValueError: the text is damaged, or holds no object; the message is the rest of a line about it.
    """
    if not text.strip(b"\0 \t\r\n"):
        raise ValueError("is empty" if not text else f"holds {len(text)} bytes without content")
    content = _content(text)
    try:
        values = json.loads(text if content is None else content + b"}")
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is no complete JSON: {error}") from None
    if not isinstance(values, dict):
        raise ValueError(f"must be a JSON object, got a {type(values).__name__}")
    return values


def _content(text: bytes) -> bytes | None:
    """What comes before the sum, without the closing brace; None without a sum."""
    found = _SEAL.fullmatch(text)
    if found is None:
        return None
    if crc32(found[1]) != int(found[2], 16):
        raise ValueError("does not have the CRC-32 at its end")
    return found[1]
