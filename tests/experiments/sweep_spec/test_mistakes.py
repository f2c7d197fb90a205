"""Several mistakes in one spec: each is reported, but no problem that only follows from another."""

from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.planning.plan import expand
from experiments.sweep_spec.read import read_spec
from ottt.errors import UserError

Problems = Callable[..., list[str]]
WriteSpec = Callable[[str], Path]

AXES = "name: a\naxes: {neuron.tau: [1.25, 2.0], T: [2, 3]}\nseeds: 1\n"
SEARCH = "name: a\nseeds: 1\nsearch:\n  name: optuna\n  trials: 3\n  space:\n"


def test_a_wrong_entry_hides_no_other(problems: Problems) -> None:
    found = problems("""\
name: a
retries: -1
base: {seed: 4, epocs: 2, plugins: [nowhere.py]}
axes:
  neuron.tau: [1.25, 2.0]
  neuron.tua: [1]
  T: 3
resources:
  cpu: 0
  variants:
    - {when: {t: 2}, cpus: 2}
scheduler: {name: ashaa, reduction: 0.5}
seeds: 1
""")
    assert [line.removeprefix("spec.yaml:").split(", got")[0] for line in found] == [
        "3: base.seed is not used: give seeds",
        "3: plugins must be loadable: plugin nowhere.py: no such file in " + str(Path.cwd()),
        "3: epocs is not a known key (did you mean epochs?)",
        "7: axes.T must be a list",
        "9: resources.cpu must be > 0",
        "11: resources.variants.0.cpus is not a known key",
        "2: retries must be >= 0",
        "12: scheduler.name must be one of asha, median, pbt (did you mean asha?)",
        "12: scheduler.reduction must be > 1",
        "6: neuron.tua is not a known key (did you mean neuron.tau?)",
    ]


def test_combinations_are_counted_despite_other_mistakes(problems: Problems) -> None:
    found = problems(
        AXES + "retries: -1\nbaseline: {T: 2}\nbase: {epocs: 2}\nexclude:\n - {T: 9}\n - {neuron.tau: 1.25, T: 2}\n"
    )
    assert sorted(line.split(", got")[0] for line in found) == [
        "spec.yaml:4: retries must be >= 0",
        "spec.yaml:6: epocs is not a known key (did you mean epochs?)",
        "spec.yaml:8: exclude.0.T must be one of the sweep's values 2, 3",
    ]
    found = problems(AXES.replace("2.0", "2.0, x") + "baseline: {T: 2}\nexclude:\n - {T: 9}\n")
    assert sorted(line.split(", got")[0] for line in found) == [
        "spec.yaml:2: neuron.tau must be a number",
        "spec.yaml:4: baseline must match one variant (give neuron.tau too)",
        "spec.yaml:6: exclude.0.T must be one of the sweep's values 2, 3",
    ]


def test_a_population_is_not_counted_where_a_zip_group_is_uneven(problems: Problems) -> None:
    found = problems("name: a\nzip:\n - {T: [1, 2], batch_size: [8]}\nseeds: 1\nscheduler: {name: pbt}\n")
    assert found == ["spec.yaml:3: zip.0 must have as many values of each setting, got 2 of T, 1 of batch_size"]


def test_the_defaults_that_replace_a_wrong_base_cause_no_problems(problems: Problems) -> None:
    # rule.k must be <= T, which is 6 by default and 50 here.
    found = problems("name: a\nbase: {rule.name: sltt_k, rule.k: 1, T: 50, epocs: 1}\naxes: {rule.k: [40]}\nseeds: 1\n")
    assert found == ["spec.yaml:2: epocs is not a known key (did you mean epochs?), got 1"]


@pytest.mark.parametrize("group", ["axes:\n  rule.k: [2, 3]", "axes:\n  rule: {k: [2, 3]}", "zip:\n  - rule.k: [2, 3]"])
def test_a_setting_that_the_base_lacks_can_be_varied(write_spec: WriteSpec, tmp_path: Path, group: str) -> None:
    spec = read_spec(write_spec(f"name: a\nbase: {{rule.name: sltt_k}}\n{group}\nseeds: 1\n"))
    assert [trial.config.rule.k for trial in expand(spec).trials] == [2, 3]
    copy = tmp_path / "copy.yaml"
    copy.write_text(spec.to_yaml(), encoding="utf-8")
    assert expand(read_spec(copy)) == expand(spec)


def test_merged_groups_are_read(write_spec: WriteSpec) -> None:
    spec = read_spec(write_spec("name: a\nseeds: 1\nzip:\n - &lr {optim.lr: [1, 2]}\naxes: {}\n"))
    assert len(expand(spec).trials) == 2
    text = "name: a\nseeds: 1\nresources: &r {cpu: 2}\ncheckpoints:\n  <<: *r\n"
    with pytest.raises(UserError, match=r"checkpoints\.cpu is not a known key"):
        read_spec(write_spec(text))


def test_a_wrong_entry_of_a_search_hides_no_other(problems: Problems) -> None:
    text = SEARCH.replace("3", "0") + "    optim.lrr: [1]\n    T: [2, 2]\n"
    found = problems(text + "    neuron.tau: loguniform(1\nresources: {variants: [{when: {t: 3}}]}\n")
    assert found == [
        "spec.yaml:5: search.trials must be >= 1, got 0",
        "spec.yaml:10: resources.variants.0.when.t is not varied by the sweep, got 3",
        "spec.yaml:7: optim.lrr is not a known key (did you mean optim.lr?), got 1",
        "spec.yaml:8: search.space.T must have different values, got 2 twice",
        "spec.yaml:9: search.space.neuron.tau must be a list, or uniform(low, high), loguniform(low, high),"
        " randint(low, high) (inside braces a range needs quotes); got 'loguniform(1'",
    ]
