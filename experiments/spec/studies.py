"""The studies that come with this package, and how a spec is found by file or by name."""

from difflib import get_close_matches
from pathlib import Path

from ottt.errors import UserError

STUDIES = Path(__file__).parents[1] / "studies"


def find_spec(given: str) -> Path:
    """The file `given`, or the study of that name.

    Raises:
        UserError: neither exists.
    """
    path, study = Path(given), STUDIES / f"{given}.yaml"
    if path.is_file():
        return path
    if study.is_file():
        return study
    near = get_close_matches(given, [file.stem for file in STUDIES.glob("*.yaml")], n=3)
    hint = f" (did you mean {' or '.join(near)}?)" if near else ""
    raise UserError(f"{given}: must be a spec file or a study of `ottt sweep list`{hint}; found neither")
