"""Values of an axis, or seeds, as an override has them without brackets: `axes.neuron.tau=2.0,4.0`."""

from typing import Any

from ottt.config.yaml_reader import parse_override
from ottt.errors import UserError, brief

_AXES = "axes."
_TEXT = "schedule.changes"  # the setting whose values hold commas themselves


def parse_spec_override(text: str) -> tuple[str, Any]:
    """Split `key.path=value` as `parse_override` does; `2.0,4.0` and `2.0` are values of an axis, `3,4` are seeds.

    Raises:
        UserError: as `parse_override`; several values of a setting that itself holds commas need brackets and quotes.
    """
    key, value = parse_override(text)
    given = text.partition("=")[2].strip()
    setting = key.removeprefix(_AXES)
    if key == "seeds" and isinstance(value, str) and "," in value:
        return parse_override(f"{key}=[{given}]")
    if not key.startswith(_AXES) or isinstance(value, list | dict):
        return key, value
    if setting == _TEXT and "," in given:
        raise UserError(f'override: {key} must be a list: give {key}=["...", "..."], got {brief(value)}')
    return parse_override(f"{key}=[{given}]")
