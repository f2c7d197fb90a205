"""Rules between the parts of a sweep spec. A broken rule is reported as a key path and a sentence."""

import difflib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from experiments.sweep_spec.equal_values import hashable, repeated
from experiments.sweep_spec.plan_size import oversized, too_many_left
from experiments.sweep_spec.run_rules import broken_run_rules
from experiments.sweep_spec.run_settings import matches
from experiments.sweep_spec.search_space import domain
from ottt import schema
from ottt.config.messages import describe
from ottt.config.trial import TrialConfig
from ottt.config.yaml_reader import KeyPath, split_keys
from ottt.data.info import empty_part
from ottt.errors import brief

if TYPE_CHECKING:
    from experiments.sweep_spec.spec import SweepSpec

Problem = tuple[KeyPath, str]


def broken_rules(spec: "SweepSpec", *, misshapen: frozenset[KeyPath] = frozenset()) -> list[Problem]:
    """Find every broken rule of `spec`.

    Args:
        spec: spec with valid types.
        misshapen: entries missing from `spec` because their type was wrong; problems that only follow from them are
            not reported.
    """
    lost = {str(path[0]) for path in misshapen}
    uneven = [*_zip_groups(spec)]
    grid = [*_settings(spec), *uneven]
    axes_unknown = lost & {"axes", "zip"} or misshapen & {("search",), ("search", "space")}
    rows = [] if axes_unknown else [*_check_row_keys(spec)]
    found = [*grid, *rows, *_seeds(spec), *_metric(spec), *_search(spec), *broken_run_rules(spec)]
    if "base" not in lost:
        found += _held_out(spec)
    found += (large := [*oversized(spec)])
    if not uneven and not large and not lost & {"axes", "zip", "exclude"}:
        found += _check_exclusions(spec, frozenset(part for path, _ in rows for part in (path[:1], path[:2])))
        if "base" not in lost:
            found += _population(spec)
        if not grid and not rows and "base" not in lost:
            found += _variants(spec)
    return [(path, text) for path, text in found if not any(_within(path, wrong) for wrong in misshapen)]


def _within(path: KeyPath, group: KeyPath) -> bool:
    return split_keys(path)[: len(group)] == group


def _settings(spec: "SweepSpec") -> Iterator[Problem]:
    """Each varied setting on its own: known, given once, with values of its type."""
    seen: set[str] = set()
    for path, values in _varied(spec):
        key = str(path[-1])
        if key == "seed":
            yield path, f"{_dotted(path)} cannot be varied here: give seeds, got {brief(list(values))}"
        elif key in seen:
            yield path, f"{key} is varied twice, here as {_dotted(path)}"
        elif not values:
            yield path, f"{_dotted(path)} must have at least one value, got []"
        elif key not in spec.base.flat():
            yield path, _unknown(spec.base, key, values[0])
        else:
            yield from _values(spec.base, path, values)
        seen.add(key)


def _varied(spec: "SweepSpec") -> Iterator[tuple[KeyPath, tuple[Any, ...]]]:
    for key, values in spec.axes.items():
        yield ("axes", key), values
    for index, group in enumerate(spec.zip):
        for key, values in group.items():
            yield ("zip", index, key), values


def _values(base: TrialConfig, path: KeyPath, values: tuple[Any, ...]) -> Iterator[Problem]:
    key = str(path[-1])
    seen: set[object] = set()
    for index, value in enumerate(values):
        try:
            normal = hashable(base.replace({key: value}).flat()[key])
        except ValidationError as error:
            lines = describe(error, TrialConfig, lambda _: "")
            located = (".".join(map(str, problem["loc"])) for problem in error.errors())
            # A rule between settings can only be checked on the whole variant: see _variants.
            own = [line for line, place in zip(lines, located, strict=False) if place.startswith(key)]
            yield from (((*path, index), line) for line in own)
            continue
        if path[0] != "zip" and normal in seen:
            yield (*path, index), f"{_dotted(path)} must have different values, got {brief(value)} twice"
        seen.add(normal)


def _unknown(base: TrialConfig, key: str, value: object) -> str:
    try:
        base.replace({key: value})
    except ValidationError as error:
        return describe(error, TrialConfig, lambda _: "")[0]
    return f"{key} is a group of settings: vary one of them, got {brief(value)}"


def _zip_groups(spec: "SweepSpec") -> Iterator[Problem]:
    for index, group in enumerate(spec.zip):
        lengths = {key: len(values) for key, values in group.items()}
        if not group:
            yield ("zip", index), f"zip.{index} must name at least one setting, got {{}}"
        elif len(set(lengths.values())) > 1:
            counts = ", ".join(f"{length} of {key}" for key, length in lengths.items())
            yield ("zip", index), f"zip.{index} must have as many values of each setting, got {counts}"
        else:
            rows = [dict(zip(group, row, strict=True)) for row in zip(*group.values(), strict=True)]
            yield from (
                (("zip", index), f"zip.{index} must have different rows, got {brief(row)} twice")
                for row in repeated(rows)
            )


def _check_row_keys(spec: "SweepSpec") -> Iterator[Problem]:
    """Rows of `exclude`, the baseline and the variants of `resources` name only varied settings and their values."""
    known: dict[str, tuple[Any, ...]] = {str(path[-1]): values for path, values in _varied(spec)}
    if spec.search is not None:
        space = spec.search.space.items()
        known = {key: tuple(given) if isinstance(given, list) else () for key, given in space}
    for path, row in _named_rows(spec):
        if not row and path[0] != "baseline":
            yield path, f"{_dotted(path)} must name at least one setting, got {{}}"
        for key, value in row.items():
            name = _dotted((*path, key))
            if key not in known:
                yield (*path, key), f"{name} is not varied by the sweep{_meant(key, known)}, got {brief(value)}"
            elif known[key] and value not in known[key]:
                values = brief(list(known[key]))[1:].removesuffix("]")
                yield (*path, key), f"{name} must be one of the sweep's values {values}, got {brief(value)}"


def _named_rows(spec: "SweepSpec") -> Iterator[tuple[KeyPath, Mapping[str, Any]]]:
    for index, variant in enumerate(spec.resources.variants):
        yield ("resources", "variants", index, "when"), variant.when
    if spec.search is not None:
        return
    for index, row in enumerate(spec.exclude):
        yield ("exclude", index), row
    if spec.baseline is not None:
        yield ("baseline",), spec.baseline


def _search(spec: "SweepSpec") -> Iterator[Problem]:
    """A search excludes axes, and its space holds valid settings."""
    if spec.search is None:
        return
    for key in ("axes", "zip", "exclude", "baseline"):
        if value := getattr(spec, key):
            yield (key,), f"{key} must be left out: search chooses the variants, got {brief(value)}"
    if not spec.search.space:
        yield ("search", "space"), "search.space must name at least one setting, got {}"
    for key, given in spec.search.space.items():
        path = ("search", "space", key)
        try:
            ends = domain(given).ends
        except ValueError as error:
            yield path, f"search.space.{key} {error}"
            continue
        if key == "seed":
            yield path, f"search.space.seed cannot be searched: give seeds, got {brief(given)}"
        elif key not in spec.base.flat():
            yield path, _unknown(spec.base, key, ends[0])
        else:
            yield from ((place[:3], line) for place, line in _values(spec.base, path, ends))


def _check_exclusions(spec: "SweepSpec", wrong: frozenset[KeyPath]) -> Iterator[Problem]:
    """Each exclusion matches a combination, together they leave a variant; the baseline is one variant.

    Args:
        spec: spec whose zip groups are valid.
        wrong: paths of exclusions, or of the baseline, with problems reported before.
    """
    combinations = list(spec.combinations())
    if not combinations:
        return
    for index, row in enumerate(spec.exclude):
        if ("exclude", index) not in wrong and not any(matches(combination, row) for combination in combinations):
            yield ("exclude", index), f"exclude.{index} matches no combination, got {brief(row)}"
    variants = [one for one in combinations if not any(matches(one, row) for row in spec.exclude)]
    if (problem := too_many_left(len(variants), len(spec.seeds))) is not None:
        yield ("exclude",), problem
    if not variants and ("exclude",) not in wrong:
        yield ("exclude",), f"exclude must leave at least one variant, got none of {len(combinations)}"
    elif spec.baseline is not None and spec.search is None and ("baseline",) not in wrong:
        count = sum(matches(variant, spec.baseline) for variant in variants)
        free = [key for key in spec.varied() if key not in spec.baseline]
        if not count or (count > 1 and free):  # else a value is given twice, which is reported already
            hint = f" (give {', '.join(free)} too)" if count else ""
            yield ("baseline",), f"baseline must match one variant{hint}, got {count} of {len(variants)}"


def _variants(spec: "SweepSpec") -> Iterator[Problem]:
    """Each variant as a whole is a valid configuration."""
    for settings in spec.variants():
        try:
            spec.base.replace(settings)
        except ValidationError as error:
            label = " ".join(f"{key}={value}" for key, value in settings.items())
            for line in describe(error, TrialConfig, lambda _: ""):
                yield ("axes",), f"variant {label}: {line}"


def _seeds(spec: "SweepSpec") -> Iterator[Problem]:
    if not spec.seeds:
        yield ("seeds",), "seeds must have at least one value, got []"
    seen: set[int] = set()
    for index, seed in enumerate(spec.seeds):
        if seed in seen:
            yield ("seeds", index), f"seeds must be different, got {brief(seed)} twice"
        elif not 0 <= seed < 2**63:
            yield ("seeds", index), f"seeds must be >= 0 and < 2^63, got {brief(seed)}"
        seen.add(seed)


def _metric(spec: "SweepSpec") -> Iterator[Problem]:
    try:
        metric = schema.metric(spec.metric)
    except KeyError:
        hint = _meant(spec.metric, schema.METRICS)
        yield ("metric",), f"metric is not a known one{hint}, got {brief(spec.metric)}"
        return
    if metric.is_test:
        yield ("metric",), f"metric must not be measured on test data: it steers choices, got {brief(spec.metric)}"
    elif metric.better is None:
        yield ("metric",), f"metric must have a better direction, got {brief(spec.metric)}"


def _population(spec: "SweepSpec") -> Iterator[Problem]:
    """A population has variants to compare, enough epochs, and settings that a factor changes."""
    if spec.population is None:
        return
    if spec.search is not None:
        yield ("scheduler", "name"), "scheduler.name must not be pbt with a search: both choose the variants, got 'pbt'"
    elif len(list(spec.variants())) < 2:
        yield ("scheduler", "name"), "scheduler.name pbt needs at least 2 variants to compare, got 1"
    if (period := spec.population.period_epochs) >= spec.base.epochs:
        yield (
            ("scheduler", "period_epochs"),
            f"scheduler.period_epochs must be < epochs = {spec.base.epochs}, got {period}",
        )
    varied = [(path, str(path[-1])) for path, _ in _varied(spec)]
    yield from ((path, f"{_dotted(path)} cannot be varied with pbt") for path, key in varied if key == "epochs")
    for index, setting in enumerate(spec.population.change):
        if spec.base.flat()[setting] == 0 and setting not in dict(varied).values():
            path = ("scheduler", "change", index)
            yield path, f"scheduler.change: a factor leaves {setting} = 0 as it is, got {brief(setting)}"


def _held_out(spec: "SweepSpec") -> Iterator[Problem]:
    """A search or scheduler on a validation metric needs validation samples."""
    user = "search" if spec.search is not None else "scheduler"
    if getattr(spec, user) is None or not spec.metric.startswith("val/"):
        return
    varied = [(path, values) for path, values in _varied(spec) if path[-1] == "data.val_fraction"]
    for path, values in [*varied, *_searched(spec, "data.val_fraction")] or [((user,), (spec.base.data.val_fraction,))]:
        if 0 in values:
            yield path, f"{user} looks at {spec.metric}: data.val_fraction must be > 0, got {values[values.index(0)]}"
        if path[0] == "search":  # otherwise the variants as a whole are checked
            numbers = (value for value in values if isinstance(value, float) and 0 < value < 1)
            parts = {value: spec.base.data.samples.parts(value) for value in numbers}
            yield from ((path, empty_part(value, *counts)) for value, counts in parts.items() if counts is not None)


def _searched(spec: "SweepSpec", key: str) -> Iterator[tuple[KeyPath, tuple[Any, ...]]]:
    """The ends of the domain of a searched setting; nothing if it is not searched, or has no domain."""
    if spec.search is None or key not in spec.search.space:
        return
    with suppress(ValueError):
        yield ("search", "space", key), domain(spec.search.space[key]).ends


def _meant(word: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {near[0]}?)" if near else ""


def _dotted(path: KeyPath) -> str:
    return ".".join(map(str, path))
