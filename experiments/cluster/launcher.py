"""Ray's own check of a launcher file, offline."""

import contextlib
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ray.autoscaler
from jsonschema import Draft7Validator, ValidationError
from ray.autoscaler._private.util import prepare_config, validate_config

from experiments.cluster.layout import Layout
from ottt.errors import first_line


def ray_problems(layout: Layout) -> list[str]:
    """What Ray would say of the file, one line per problem."""
    values = layout.document.values
    problems = list(_of_schema(layout, values))
    if problems:
        return problems
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            validate_config(prepare_config(values))
    except ValidationError as error:
        return [_line(layout, error)]
    except (ValueError, RuntimeError, NotImplementedError, KeyError, AssertionError) as error:
        return [f"{layout.document.name}: {first_line(error)}"]
    except Exception as error:  # what Ray prints before it leaves with an exception of its command line
        return [f"{layout.document.name}: {_last(said.getvalue()) or first_line(error)}"]
    return []


def _of_schema(layout: Layout, values: dict[str, Any]) -> Iterator[str]:
    schema = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text(encoding="utf-8"))
    for error in sorted(Draft7Validator(schema).iter_errors(values), key=lambda error: list(map(str, error.path))):
        yield _line(layout, error)


def _line(layout: Layout, error: ValidationError) -> str:
    path = tuple(error.absolute_path)
    key = ".".join(map(str, path))
    return layout.problem(path, f"{key}: {error.message}" if key else error.message)


def _last(said: str) -> str:
    return next((line.strip() for line in reversed(said.splitlines()) if line.strip()), "")
