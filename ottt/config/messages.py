"""Error messages for configurations and specs: one line per problem, with place, rule and value."""

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from ottt.config.yaml_reader import KeyPath, flatten
from ottt.errors import brief

MANY = 100  # problems that are reported


def describe(error: ValidationError, model: type[BaseModel], place: Callable[[KeyPath], str]) -> list[str]:
    """One line per problem, for one more than MANY at most: `place: key rule, got value`."""
    lines = []
    for problem in error.errors(include_url=False)[: MANY + 1]:
        path = tuple(part for part in problem["loc"] if part not in {"function-after", "list", "tuple"})
        where = place(path)
        text = _message(model, path, problem)
        lines.append(f"{where}: {text}" if where else text)
    return lines


def few(lines: Iterable[str]) -> list[str]:
    """The different lines; if there are more than MANY, the first of them and a line that says so."""
    different = list(dict.fromkeys(lines))
    return different if len(different) <= MANY else [*different[:MANY], "there are more problems than these"]


def _message(model: type[BaseModel], path: KeyPath, problem: Mapping[str, Any]) -> str:
    key = ".".join(map(str, path))
    value = problem["input"]
    got = f"got {brief(value)}" if not isinstance(value, Mapping) else "got a group of settings"
    context = problem.get("ctx", {})
    match problem["type"]:
        case "extra_forbidden":
            return f"{key} is not a known key{_suggestion(model, path)}, {got}"
        case "missing":
            return f"{key} is required"
        case "literal_error":
            near = difflib.get_close_matches(str(value), _choices(context["expected"]), n=1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            return f"{key} must be one of {', '.join(_choices(context['expected']))}{hint}, {got}"
        case "value_error":
            return f"{key} {context['error']}" if key else str(context["error"])
        case "int_type" | "int_from_float":
            return f"{key} must be a whole number, {got}"
        case "float_type":
            return f"{key} must be a number, {got}"
        case "string_type":
            return f"{key} must be text, {got}"
        case "bool_type":
            return f"{key} must be true or false, {got}"
        case "list_type" | "tuple_type":
            return f"{key} must be a list, {got}"
        case "dict_type" | "model_type":
            return f"{key} must be a group of settings, {got}"
        case "finite_number":
            return f"{key} must be finite, {got}"
        case _ if bounds := _bounds(context):
            unit = " time steps" if key.endswith(("tau", "T")) else ""
            return f"{key} must be {bounds}{unit}, {got}"
        case _:
            return f"{key}: {problem['msg']}, {got}"


def _bounds(context: Mapping[str, Any]) -> str:
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    return " and ".join(f"{sign} {context[name]:g}" for name, sign in signs.items() if name in context)


def _choices(expected: str) -> list[str]:
    """pydantic's `'a', 'b' or 'c'` -> [a, b, c]."""
    return expected.replace(" or ", ", ").replace("'", "").split(", ")


def _suggestion(model: type[BaseModel], path: KeyPath) -> str:
    """The key that was probably meant: the same name in another group, else a similar one in the same group."""
    *groups, unknown = (str(part) for part in path)
    keys = flatten(_defaults(model))
    prefix = "".join(f"{group}." for group in groups)
    elsewhere = [key for key in keys if key.split(".")[-1] == unknown]
    if elsewhere:
        return f" (did you mean {elsewhere[0]}?)"
    siblings = {key.removeprefix(prefix).split(".")[0] for key in keys if key.startswith(prefix)}
    if not groups:
        siblings |= model.model_fields.keys()
    near = difflib.get_close_matches(unknown, siblings, n=1)
    return f" (did you mean {prefix}{near[0]}?)" if near else ""


def _defaults(model: type[BaseModel]) -> dict[str, Any]:
    """Default of every field that has one, groups spread out."""
    fields = ((name, field.get_default()) for name, field in model.model_fields.items())
    return {name: value.model_dump() if isinstance(value, BaseModel) else value for name, value in fields}
