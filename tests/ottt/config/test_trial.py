"""Loading of configurations, in which every mistake is one line with place, rule and value, and their hashes."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import ottt
from ottt.config.load import preset_names
from ottt.config.yaml_reader import flatten, nest, parse_override


def problems(source: object = None, *overrides: str) -> tuple[str, ...]:
    with pytest.raises(ottt.UserError) as error:
        ottt.load_config(source, overrides)  # type: ignore[arg-type]
    return error.value.problems


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("neuron.tua=2", "override: neuron.tua is not a known key (did you mean neuron.tau?), got 2"),
        ("tau=2", "override: tau is not a known key (did you mean neuron.tau?), got 2"),
        ("neuron.tau=0.5", "override: neuron.tau must be >= 1 time steps, got 0.5"),
        ("neuron.tau=fast", "override: neuron.tau must be a number, got 'fast'"),
        ("neuron.tau=.nan", "override: neuron.tau must be finite, got nan"),
        ("T=2.5", "override: T must be a whole number, got 2.5"),
        ("T=true", "override: T must be a whole number, got True"),
        ("T_eval=1,x", "override: T_eval.1 must be a whole number, got 'x'"),
        ("T_eval=[0]", "override: T_eval.0 must be >= 1, got 0"),
        ("T=0", "override: T must be >= 1 time steps, got 0"),
        ("data.name=digit", "override: data.name must be one of "),
        ("rule.update=onlin", "(did you mean online?), got 'onlin'"),
        ("neuron=3", "override: neuron must be a group of settings, got 3"),
        ("rule.name=tbptt", "override: rule.k is required by tbptt"),
        ("rule.name=bptt rule.update=online", "override: rule.update must be accumulate for bptt"),
        ("rule.name=sltt_k rule.k=7", "override: rule.k must be <= T = 6 for sltt_k, got 7"),
        ("optim.momentum=1", "override: optim.momentum must be < 1, got 1"),
        ("=3", "override must read key.path=value, got '=3'"),
        ("neuron.tau", "override must read key.path=value, got 'neuron.tau'"),
    ],
)
def test_one_line_per_mistake(override: str, line: str) -> None:
    (problem,) = problems(None, *override.split())
    assert line in problem
    assert "\n" not in problem


def test_all_mistakes_of_a_file_are_found_at_once_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "trial.yaml"
    path.write_text("T: 0\nneuron:\n  tau: 0.1\n  surrogate: {name: sigmiod}\nrule.update: 3\nlearning_rate: 0.1\n")
    assert [line.removeprefix(str(path)) for line in problems(path)] == [
        ":3: neuron.tau must be >= 1 time steps, got 0.1",
        ":4: neuron.surrogate.name must be one of sigmoid, atan, triangle, rectangle, gaussian, fast_sigmoid, "
        "piecewise_leaky, quasi_clamp (did you mean sigmoid?), got 'sigmiod'",
        ":5: rule.update must be one of accumulate, online, got 3",
        ":1: T must be >= 1 time steps, got 0",
        ":6: learning_rate is not a known key, got 0.1",
    ]


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("T: 1\nT: 2\n", ":2: not valid YAML: found duplicate key"),
        ("T: [1\n", "not valid YAML"),
        ("- T\n", "must hold `key: value` entries, got a list"),
        ("", "must hold `key: value` entries, got nothing"),
    ],
)
def test_files_without_a_configuration_are_refused(text: str, rule: str, tmp_path: Path) -> None:
    path = tmp_path / "trial.yaml"
    path.write_text(text)
    (problem,) = problems(path)
    assert rule in problem


def test_settings_override_a_preset(tmp_path: Path) -> None:
    path = tmp_path / "trial.yaml"
    path.write_text("preset: cifar10_dvs\nT: 5\ndata.frames.size: 32\n")
    config, preset = ottt.load_config(path, ["epochs=2"]), ottt.load_config("cifar10_dvs")
    assert config == preset.replace({"T": 5, "data.frames.size": 32, "epochs": 2})
    path.write_text("T: 5\npreset: cifar\n")
    (problem,) = problems(path)
    assert problem.startswith(f"{path}:2: preset must be one of cifar10, cifar100, ")
    assert problem.endswith(", got 'cifar'")
    path.write_text("preset: digits\nneuron.tau: 0\n")
    assert problems(path) == (f"{path}:2: neuron.tau must be >= 1 time steps, got 0",)


def test_missing_files() -> None:
    assert problems("nowhere.yaml") == ("nowhere.yaml: no such file or directory",)
    assert "one of the presets" in problems("nowhere")[0]


def test_yaml_numbers_and_words(tmp_path: Path) -> None:
    path = tmp_path / "trial.yaml"
    path.write_text("optim.lr: 1e-3\nneuron: {tau: 2}\nneuron.v_threshold: 0.5\n")
    config = ottt.load_config(path, ["optim.lr=2e-2", "T_eval=[1, 2]", "neuron.v_reset=null"])
    assert config.optim.lr == 0.02
    assert (config.neuron.tau, config.neuron.v_threshold) == (2.0, 0.5)
    assert config.T_eval == (1, 2)
    assert parse_override("a=no") == ("a", "no")
    assert [ottt.load_config(None, [f"T_eval={text}"]).T_eval for text in ("1,2, 4", "3")] == [(1, 2, 4), (3,)]


@pytest.mark.parametrize("name", preset_names())
def test_presets_load(name: str) -> None:
    assert ottt.load_config(name).epochs >= 1


def test_the_hash_depends_on_settings_that_change_the_result() -> None:
    base = ottt.load_config()
    same = [
        {"data.root": "elsewhere"},
        {"device": "cpu"},
        {"neuron.trace_decay": 0.5},  # the decay of tau = 2
        {"rule.k": 3},  # not read by ottt
        {"schedule.gamma": 0.5},  # not read by cosine
    ]
    other = [{"seed": 1}, {"neuron.tau": 3.0}, {"T": 5}, {"rule.name": "sltt"}, {"precision": "bf16"}]
    assert {base.replace(change).trial_hash for change in same} == {base.trial_hash}
    hashes = {base.replace(change).trial_hash for change in other}
    assert len(hashes) == len(other)
    assert base.trial_hash not in hashes
    assert base.replace({"seed": 1}).variant_hash == base.variant_hash
    integrate = base.replace({"neuron.kind": "if"})
    assert integrate.trial_hash == integrate.replace({"neuron.tau": 5.0}).trial_hash


def test_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        ottt.load_config().T = 3  # type: ignore[misc]


nested = st.recursive(
    st.integers(),
    lambda inner: st.dictionaries(st.text("abc", min_size=1, max_size=3), inner, min_size=1, max_size=3),
    max_leaves=8,
).filter(lambda value: isinstance(value, dict))


@given(nested)
def test_nest_undoes_flatten(values: dict[str, object]) -> None:
    assert nest(flatten(values)) == values
