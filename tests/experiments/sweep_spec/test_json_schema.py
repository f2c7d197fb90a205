"""The JSON schema of specs: it accepts the studies and marks mistakes."""

from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from experiments.sweep_spec.json_schema import spec_schema
from experiments.sweep_spec.studies import studies

CHECK = jsonschema.Draft202012Validator(spec_schema())


def problems(text: str) -> list[str]:
    return sorted(".".join(map(str, error.absolute_path)) for error in CHECK.iter_errors(YAML(typ="safe").load(text)))


def test_is_a_schema() -> None:
    jsonschema.Draft202012Validator.check_schema(spec_schema())


@pytest.mark.parametrize("study", studies().values(), ids=studies())
def test_studies_fit(study: Path) -> None:
    assert problems(study.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("seeds: 0", ["seeds"]),
        ("axes: {neuron.tau: [fast]}", ["axes.neuron.tau.0"]),
        ("axes: {T: []}", ["axes.T"]),
        ("zip: [{rule.update: [onlin]}]", ["zip.0.rule.update.0"]),
        ("base: {batch_size: many}", ["base"]),
        ("resources: {gpu: 0.5, cpus: 1}", ["resources"]),
        ("scheduler: {name: hyperband}", ["scheduler"]),
        ("metrics: val/top1", [""]),
        ("metric: test/top1", ["metric"]),
        ("seeds: []", ["seeds"]),
        ("axes: {neuron.tua: [1.5]}", ["axes"]),
        ("axes: {neuron: {tua: [1.5]}}", ["axes.neuron"]),
        ("exclude: [{neuron.surrogate: {nam: atan}}]", ["exclude.0.neuron.surrogate"]),
        ("base: {epocs: 2}", ["base"]),
        ("base: {preset: digits, model: {widht: 2}}", ["base"]),
        ("base: {preset: digits, neuron: {surrogate.name: atan}, neuron.surrogate: {alpha: 2}}", []),
        ("resources: {gpu: auto}", []),
        ("search: {name: optuna, trials: 3, space: {optim.lr: 'loguniform(0.1, 1)'}}", []),
        ("base: mine.yaml", []),
        ("axes: {neuron: {tau: [1.5]}}", []),
    ],
)
def test_mistakes_are_marked(text: str, places: list[str]) -> None:
    seeds = "" if text.startswith("seeds") else "\nseeds: [1]"
    assert problems(f"name: a\n{text}{seeds}") == places
