"""Wrong specs: valid ones with one to four changes, of their values or of their text."""

from collections.abc import Callable
from copy import deepcopy
from functools import cache
from random import Random
from typing import Any

from ruamel.yaml import YAML

from experiments.sweep_spec.studies import studies

EVERY_GROUP = """\
name: every-group
question: what?
cost: nothing
base: {preset: digits, epochs: 3, neuron.surrogate: {alpha: 2.0}, schedule.changes: optim.lr=0.05 after 2}
axes:
  rule.update: [accumulate, online]
  neuron: {tau: [1.25, 2]}
  T_eval: [[], [1, 2]]
zip:
  - {optim.lr: [0.1, 0.05], batch_size: [32, 64]}
exclude:
  - {rule.update: online, neuron.tau: 2.0}
seeds: 2
baseline: {rule.update: accumulate, neuron.tau: 2, batch_size: 64, T_eval: []}
metric: val/loss
resources: {cpu: 1, gpu: auto, variants: [{when: {batch_size: 64}, cpu: 2}]}
checkpoints: {seconds: 1.5, epochs: 2, keep: true, log: true}
retries: 1
scheduler: {name: asha, grace_epochs: 1, reduction: 2}
sinks: [tensorboard, {name: wandb, plugin: textwrap}]
"""
SEARCH = """\
name: searched
seeds: [3, 4]
base: {data.name: digits_dvs, rule: {name: sltt_k, k: 2}, data.frames: {by: time, size: 12}}
search:
  name: optuna
  sampler: random
  trials: 5
  space:
    {optim.lr: "loguniform(0.01, 1)", T: "randint(2, 6)", precision: [fp32, bf16], loss.mse_weight: "uniform(0, 1)"}
  seed: 3
"""
POPULATION = """\
name: population
base: {epochs: 6, schedule: {name: step, step_epochs: 2, gamma: 0.5}}
axes: {optim.lr: [0.1, 0.2, 0.4, 0.8]}
seeds: 1
scheduler: {name: pbt, period_epochs: 2, quantile: 0.25, change: [optim.lr], factors: [0.5, 2]}
"""

SCALARS: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 10**9, -(10**9), 2**63, 10**30, 0.0, -0.0, 0.5, 1e-320, 1e308),
    *(float("inf"), float("-inf"), float("nan"), "", " ", "x", "null", "1e400", "\0", "\n", "\u2028", "é😀", "{", "*a"),
    *("auto", "digits", "cifar10_dvs", "imagenet", "sltt_k", "pbt", "median", "optuna", "random", "val/top1"),
    *("uniform(0, 1e400)", "uniform(nan, 1)", "randint(0, 1e30)", "loguniform(1, 2", "loguniform(0, 1)", "1" * 5000),
    *("optim.lr=0.1 after 1", "optim.lr=nan after 1", "optim.lr=1 after 99999999999", "rate/layer_01", "x" * 300),
    *("x" * 9000, "a.b", "..", "/", "/dev/zero", "/dev/null", "~", "~nobody-here", "../x", "test/top1", "1,2", "!x"),
)  # fmt: skip
NESTED: tuple[Any, ...] = (
    [],
    {},
    [[]],
    [{}],
    {"a": {}},
    {"": 1},
    [1, 1],
    [1, 1.0, True],
    list(range(400)),
    [None],
    [[1], [1]],
)
KEYS = (
    *("name", "base", "axes", "zip", "exclude", "seeds", "baseline", "metric", "resources", "checkpoints", "retries"),
    *("scheduler", "search", "space", "variants", "when", "preset", "plugins", "seed", "T", "T_eval", "epochs", "rule"),
    *("rule.k", "rule.name", "neuron.tau", "neuron", "data.name", "data.val_fraction", "schedule.changes", "optim.lr"),
    *("data.frames.train_steps", "model.width", "x", "", ".", "a..b", "1", "null", "neuron.tua", "\n"),
    *("a" * 300, "a." * 60),
)  # fmt: skip
SYNTAX = (
    "{",
    "}",
    "[",
    "]",
    ":",
    ": ",
    "- ",
    "\n",
    "\t",
    "#",
    "&a ",
    "*a",
    "<<: ",
    "!!int ",
    "!!set ",
    "!!binary ",
    "|",
    ">",
    '"',
)
MORE_SYNTAX = (
    "'",
    "%YAML 1.1\n",
    "---\n",
    "...\n",
    "? ",
    ",",
    "\0",
    "\ufeff",
    "2001-01-01",
    "0x",
    ".nan",
    "1e999",
    "[" * 60,
    "=",
    "`",
    "@",
)

Place = tuple[Any, Any]  # a mapping or a list, and a key or an index in it


@cache
def valid_texts() -> list[str]:
    """Specs that are read without a problem: the studies, and some that use every group."""
    return [path.read_text(encoding="utf-8") for path in studies().values()] + [EVERY_GROUP, SEARCH, POPULATION]


def mutated(text: str, draw: Random) -> str:
    """The spec in `text` with one to four changes."""
    if draw.random() < 0.3:
        for _ in range(draw.randint(1, 4)):
            text = _with_other_characters(text, draw)
        return text
    values = YAML(typ="safe", pure=True).load(text)
    for _ in range(draw.randint(1, 4)):
        if places := _places(values):
            draw.choice(CHANGES)(draw.choice(places), draw)
    return _written(values)


def _with_other_characters(text: str, draw: Random) -> str:
    start = draw.randrange(len(text) + 1)
    end = min(len(text), start + draw.choice((0, 0, 1, 5, 40)))
    inserted = draw.choice((*SYNTAX, *MORE_SYNTAX, text[start:end] * 2, ""))
    return text[:start] + inserted + text[end:]


def _places(values: Any) -> list[Place]:
    inner = values.items() if isinstance(values, dict) else enumerate(values) if isinstance(values, list) else ()
    return [place for key, value in inner for place in ((values, key), *_places(value))]


def _replace(place: Place, draw: Random) -> None:
    inside, key = place
    inside[key] = deepcopy(draw.choice((draw.choice(SCALARS), draw.choice(NESTED), [inside[key]], {"x": inside[key]})))


def _delete(place: Place, draw: Random) -> None:
    inside, key = place
    del inside[key]


def _rename(place: Place, draw: Random) -> None:
    inside, key = place
    if isinstance(inside, dict):
        inside[draw.choice(KEYS)] = inside.pop(key)


def _add(place: Place, draw: Random) -> None:
    inside, key = place
    value = deepcopy(draw.choice((inside[key], draw.choice(SCALARS), draw.choice(NESTED), [draw.choice(SCALARS)])))
    if isinstance(inside, dict):
        inside[draw.choice(KEYS)] = value
    else:
        inside.append(value)


def _copy(place: Place, draw: Random) -> None:
    inside, key = place
    if isinstance(inside, list):
        inside.extend(deepcopy(inside[key]) for _ in range(draw.choice((1, 2, 500))))


CHANGES: tuple[Callable[[Place, Random], None], ...] = (_replace, _replace, _replace, _delete, _rename, _add, _copy)


def _written(values: Any) -> str:
    """As flow YAML, which can hold every value."""
    if isinstance(values, dict):
        return "{" + ", ".join(f"{_quoted(str(key))}: {_written(value)}" for key, value in values.items()) + "}"
    if isinstance(values, list):
        return "[" + ", ".join(map(_written, values)) + "]"
    if isinstance(values, float):
        return {"inf": ".inf", "-inf": "-.inf", "nan": ".nan"}.get(repr(values), repr(values))
    if values is None or isinstance(values, bool):
        return str(values).lower().replace("none", "null")
    return _quoted(values) if isinstance(values, str) else str(values)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in escaped) + '"'


def override(draw: Random) -> str:
    """A `key=value` text, seldom a sensible one."""
    value = _written(draw.choice((draw.choice(SCALARS), draw.choice(NESTED), [draw.choice(SCALARS)])))
    key = draw.choice(("", "", "axes.", "base.", "search.space.")) + draw.choice(KEYS)
    text = f"{key}={value}"
    return _with_other_characters(text, draw) if draw.random() < 0.3 else text
