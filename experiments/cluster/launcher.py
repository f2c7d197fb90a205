"""Ray's own checks of a launcher file, offline."""

import contextlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ray
import ray.autoscaler
from jsonschema import Draft7Validator, ValidationError

from experiments.cluster.layout import Layout
from experiments.ray_internals import launcher_check
from ottt.errors import first_line


def ray_problems(layout: Layout) -> list[str]:
    """Problems that Ray finds in the file, a line each."""
    values = layout.document.values
    problems = list(_schema_problems(layout, values))
    check = launcher_check()
    if problems or check is None:
        return problems
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
            check(values)
    except ValidationError as error:
        return [_line(layout, error)]
    except (ValueError, RuntimeError, NotImplementedError, KeyError, AssertionError) as error:
        return [f"{layout.document.name}: {first_line(error)}"]
    except Exception as error:  # Ray prints the problem, then raises an error of its command line
        return [f"{layout.document.name}: {_last_line(printed.getvalue()) or first_line(error)}"]
    return []


def ray_notes(layout: Layout) -> list[str]:
    """Checks of Ray that could not be made, a line each."""
    if launcher_check() is not None:
        return []
    return [
        f"{layout.document.name}: checked against Ray's JSON schema alone:"
        f" Ray {ray.__version__} lacks the interface of its other checks"
    ]


def _schema_problems(layout: Layout, values: dict[str, Any]) -> Iterator[str]:
    schema = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text(encoding="utf-8"))
    for error in sorted(Draft7Validator(schema).iter_errors(values), key=lambda error: list(map(str, error.path))):
        yield _line(layout, error)


def _line(layout: Layout, error: ValidationError) -> str:
    path = tuple(error.absolute_path)
    key = ".".join(map(str, path))
    return layout.problem(path, f"{key}: {error.message}" if key else error.message)


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "")
