"""Settings that change during training: `optim.lr=0.05 after 10` applies from the eleventh epoch on.

Commas separate several changes. They are written by hand or by population based training.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ottt.errors import brief

CHANGEABLE = ("optim.lr", "optim.momentum", "optim.weight_decay", "loss.mse_weight")
_CHANGE = re.compile(r"\s*([a-z_.]+)\s*=\s*(\S+)\s+after\s+(\d{1,9})\s*")


@dataclass(frozen=True, order=True)
class Change:
    """A change of one setting.

    Attributes:
        after: number of epochs after which it applies, from 1.
        setting: one of CHANGEABLE.
        value: new value.
    """

    after: int
    setting: str
    value: float

    def __str__(self) -> str:
        return f"{self.setting}={self.value!r} after {self.after}"


def parse_changes(text: str) -> tuple[Change, ...]:
    """The changes in `text`, the earliest first.

    Raises:
        ValueError: a change that cannot be parsed, an unknown setting, or a setting changed twice after one epoch.
    """
    changes = sorted(_parsed(part) for part in text.split(",")) if text.strip() else []
    for index, change in enumerate(changes[1:]):
        before = changes[index]
        if (change.after, change.setting) == (before.after, before.setting):
            raise ValueError(f"must change {change.setting} once after {change.after}, got {before} and {change}")
    return tuple(changes)


def written(changes: Iterable[Change]) -> str:
    """The text that `parse_changes` reads."""
    return ", ".join(map(str, changes))


def _parsed(text: str) -> Change:
    match = _CHANGE.fullmatch(text)
    if match is None:
        raise ValueError(
            f"must read SETTING=VALUE after EPOCHS, with commas between several, got {brief(text.strip())}"
        )
    setting, value, after = match.groups()
    if setting not in CHANGEABLE:
        raise ValueError(f"must change one of {', '.join(CHANGEABLE)}, got {brief(setting)}")
    try:
        number = float(value)
    except ValueError:
        raise ValueError(f"must set {setting} to a number, got {brief(value)}") from None
    if int(after) < 1:
        raise ValueError(f"must come after >= 1 epochs, got {brief(text.strip())}")
    return Change(int(after), setting, number)
