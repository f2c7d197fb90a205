"""The studies that ship with this package; finds a spec by file or by name."""

from difflib import get_close_matches
from pathlib import Path

from ottt.errors import UserError, command
from ottt.files import is_file, user_path

STUDIES = Path(__file__).parents[1] / "studies"


def studies() -> dict[str, Path]:
    """The file of each study by name, in order of names; `cifar10/rule.yaml` is the study cifar10-rule."""
    files = STUDIES.rglob("*.yaml")
    return dict(sorted(("-".join(file.relative_to(STUDIES).with_suffix("").parts), file) for file in files))


def find_spec(given: str) -> Path:
    """The file `given`, or the study of that name.

    Raises:
        UserError: neither exists.
    """
    path, known = user_path(given), studies()
    if is_file(path):
        return path
    if given in known:
        return known[given]
    near = get_close_matches(given, known, n=3)
    hint = f" (did you mean {' or '.join(near)}?)" if near else ""
    raise UserError(
        f"{given}: must be a spec file or a study of `{command('sweep', 'list', '--studies')}`{hint}; found neither"
    )
