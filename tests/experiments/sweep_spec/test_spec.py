"""Reading specs: values, overrides, and the message of every mistake."""

from collections.abc import Callable
from pathlib import Path

import pytest

from experiments.planning.plan import expand
from experiments.sweep_spec.read import read_spec
from experiments.sweep_spec.run_settings import Share
from experiments.sweep_spec.spec import SweepSpec
from ottt.config.load import preset_names
from ottt.config.trial import TrialConfig

Problems = Callable[..., list[str]]
WriteSpec = Callable[[str], Path]

GOOD = """\
name: good
base: {epochs: 3, neuron.dropout: 0.1}
axes:
  rule.update: [accumulate, online]
  neuron: {tau: [1.25, 2]}
zip:
  - {optim.lr: [0.1, 0.05], batch_size: [32, 64]}
exclude:
  - {rule.update: online, neuron.tau: 2.0}
seeds: 2
baseline: {rule.update: accumulate, neuron.tau: 2, batch_size: 64}
"""


def test_reads_axes_zip_seeds_and_base(write_spec: WriteSpec) -> None:
    spec = read_spec(write_spec(GOOD))
    assert spec.varied() == ["rule.update", "neuron.tau", "optim.lr", "batch_size"]
    assert spec.seeds == (0, 1)
    assert (spec.base.epochs, spec.base.neuron.dropout) == (3, 0.1)
    assert len(list(spec.combinations())) == 2 * 2 * 2
    assert len(list(spec.variants())) == 2 * 2 * 2 - 2


def test_no_key_of_a_spec_is_a_setting() -> None:
    assert not SweepSpec.model_fields.keys() & TrialConfig.model_fields.keys()


def test_overrides_change_base_and_spec(write_spec: WriteSpec) -> None:
    overrides = ["epochs=7", "base.T=2", "seeds=[5]", "axes.neuron.tau=[2.0, 4.0]"]
    spec = read_spec(write_spec(GOOD), overrides)
    assert (spec.base.epochs, spec.base.T, spec.seeds) == (7, 2, (5,))
    assert spec.axes["neuron.tau"] == (2.0, 4.0)
    assert spec.axes["rule.update"] == ("accumulate", "online")


def test_base_is_a_preset_or_a_file_beside_the_spec(write_spec: WriteSpec, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("epochs: 9\nseed: 4\n", encoding="utf-8")
    assert read_spec(write_spec("name: a\nbase: mine.yaml\nseeds: 1\n")).base.epochs == 9
    assert read_spec(write_spec("name: a\nbase: digits\nseeds: 1\n")).base.data.name == "digits"


def test_its_yaml_reads_back_as_the_same_plan(write_spec: WriteSpec, tmp_path: Path) -> None:
    spec = read_spec(write_spec(GOOD), ["T=2"])
    copy = tmp_path / "copy.yaml"
    copy.write_text(spec.to_yaml(), encoding="utf-8")
    assert expand(read_spec(copy)) == expand(spec)


def test_all_mistakes_are_found_at_once(problems: Problems) -> None:
    found = problems("""\
name: a/b
base: digitz
axes:
  rule.update: [accumulate, onlin]
  neuron.tau: [1.25, 2.0, 2, 0.5]
  neuron.tua: [1]
  optim.lr: []
  T: [x]
zip:
  - {optim.lr: [0.1, 0.05], seed: [1]}
seeds: [1, 1]
metric: test/top1
resources: {cpu: 0}
axis: {}
""")
    assert sorted(found, key=lambda line: int(line.split(":")[1])) == [
        "spec.yaml:1: name must be letters, digits, '.', '_' and '-' only (it names a folder), got 'a/b'",
        f"spec.yaml:2: base must be a preset ({', '.join(preset_names())}), a YAML file or settings, got 'digitz'",
        "spec.yaml:4: rule.update must be one of accumulate, online (did you mean online?), got 'onlin'",
        "spec.yaml:5: axes.neuron.tau must have different values, got 2 twice",
        "spec.yaml:5: neuron.tau must be >= 1 time steps, got 0.5",
        "spec.yaml:6: neuron.tua is not a known key (did you mean neuron.tau?), got 1",
        "spec.yaml:7: axes.optim.lr must have at least one value, got []",
        "spec.yaml:8: T must be a whole number, got 'x'",
        "spec.yaml:10: optim.lr is varied twice, here as zip.0.optim.lr",
        "spec.yaml:10: zip.0.seed cannot be varied here: give seeds, got [1]",
        "spec.yaml:10: zip.0 must have as many values of each setting, got 2 of optim.lr, 1 of seed",
        "spec.yaml:11: seeds must be different, got 1 twice",
        "spec.yaml:12: metric must not be measured on test data: it steers choices, got 'test/top1'",
        "spec.yaml:13: resources.cpu must be > 0, got 0",
        "spec.yaml:14: axis is not a known key (did you mean axes?), got a group of settings",
    ]


def test_an_empty_axis_is_reported_once(problems: Problems) -> None:
    text = "name: a\naxes: {T: []}\nexclude:\n - {T: 2}\nseeds: 1\nbaseline: {T: 3}\n"
    assert problems(text) == ["spec.yaml:2: axes.T must have at least one value, got []"]


AXES = "name: a\naxes: {neuron.tau: [1.25, 2.0], T: [2, 3]}\nseeds: 1\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "exclude:\n - {neuron.tua: 2.0}",
            "exclude.0.neuron.tua is not varied by the sweep (did you mean neuron.tau?)",
        ),
        ("exclude:\n - {neuron.tau: 3.0}", "exclude.0.neuron.tau must be one of the sweep's values 1.25, 2.0, got 3.0"),
        ("exclude:\n - {}", "exclude.0 must name at least one setting, got {}"),
        ("exclude:\n - {T: 2}\n - {T: 3}", "exclude must leave at least one variant, got none of 4"),
        ("baseline: {batch_size: 2}", "baseline.batch_size is not varied by the sweep, got 2"),
        ("baseline: {T: 9}", "baseline.T must be one of the sweep's values 2, 3, got 9"),
        ("baseline: {T: 2}", "baseline must match one variant (give neuron.tau too), got 2 of 4"),
        ("baseline: {T: 2}\nexclude:\n - {T: 2}", "baseline must match one variant, got 0 of 2"),
        ("metric: rate/totl", "metric is not a known one (did you mean rate/total?), got 'rate/totl'"),
        ("metric: optim/lr", "metric must have a better direction, got 'optim/lr'"),
        (
            "checkpoints: {log: true}",
            "checkpoints.log must come with checkpoints.keep: true, got keep: false",
        ),
        ("resources: {gpu: 1.5}", "resources.gpu must be a fraction of one GPU or a whole number of GPUs, got 1.5"),
        ("base: {seed: 1}", "base.seed is not used: give seeds, got 1"),
        ("base: {data: {name: cifar9}}", "data.name must be one of"),
        ("resources: {gpu: all}", "resources.gpu must be a number of GPUs (>= 0) or auto, got 'all'"),
        ("resources: {gpu: -1}", "resources.gpu must be a number of GPUs (>= 0) or auto, got -1"),
        ("resources: {variants: [{when: {T: 9}, gpu: 1}]}", "resources.variants.0.when.T must be one of the sweep's"),
        ("resources: {variants: [{when: {t: 2}}]}", "resources.variants.0.when.t is not varied by the sweep"),
        ("resources: {variants: [{when: {}}]}", "resources.variants.0.when must name at least one setting, got {}"),
        ("zip:\n - {batch_size: [8, 9, 8]}", "zip.0 must have different rows, got {'batch_size': 8} twice"),
        ("base: {optim.lr: 0.1, optim: {lr: 0.2}}", "base.optim.lr must be given once, got it in line 4 too"),
        ("base: {plugins: [nowhere.py]}", "plugins must be loadable: plugin nowhere.py: no such file in "),
        ("checkpoints: {seconds: -1}", "checkpoints.seconds must be >= 0, got -1"),
        ("retries: -1", "retries must be >= 0, got -1"),
        ("scheduler: {name: hyperband}", "scheduler.name must be one of asha, median, pbt, got 'hyperband'"),
        ("scheduler: {name: asha, reduction: 1}", "scheduler.reduction must be > 1, got 1"),
        ("scheduler: {name: asha, grace: 1}", "scheduler.grace is not a known key"),
    ],
)
def test_refuses(problems: Problems, text: str, expected: str) -> None:
    found = problems(AXES + text)
    assert len(found) == 1
    assert found[0].startswith(tuple(f"spec.yaml:{line}: {expected}" for line in (4, 5, 6)))


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("epoch=2", "override: epoch is not a known key (did you mean epochs?), got 2"),
        ("seeds=0", "override: seeds must be a number of seeds (>= 1) or a list of seeds, got 0"),
        ("seed=3", "override: seed varies in the sweep a: give seeds=[...], got 'seed=3'"),
        ("neuron.tau=3", "override: neuron.tau varies in the sweep a: give axes.neuron.tau=[...], got 'neuron.tau=3'"),
        ("axes.T=[2, x]", "override: T must be a whole number, got 'x'"),
        ("epochs", "override must read key.path=value, got 'epochs'"),
        ("seds=3", "override: seds is not a known key (did you mean seeds?), got 'seds=3'"),
        ("seeds=[9223372036854775808]", "override: seeds must be >= 0 and < 2^63, got 9223372036854775808"),
        ("axes.T=[]", "override: axes.T must have at least one value, got []"),
    ],
)
def test_refuses_overrides(problems: Problems, override: str, expected: str) -> None:
    assert problems(AXES, override) == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("base: cifar10\nscheduler: {name: asha}", ["spec.yaml:6: scheduler looks at val/top1:"]),
        ("base: cifar10\nscheduler: {name: asha}\nmetric: train/loss", []),
        ("base: cifar10", []),
        (
            "zip:\n - {data.val_fraction: [0.1, 0.0]}\nscheduler: {name: asha}\nmetric: val/loss",
            ["spec.yaml:6: scheduler looks at val/loss:"],
        ),
        ("base: cifar10\nzip:\n - {data.val_fraction: [0.1, 0.2]}\nscheduler: {name: median}", []),
    ],
)
def test_a_scheduler_on_validation_metrics_needs_validation_samples(
    problems: Problems, text: str, expected: list[str]
) -> None:
    found = problems(f"{AXES}retries: -1\n{text}")
    assert [line for line in found if "retries" not in line] == [
        f"{line} data.val_fraction must be > 0, got 0.0" for line in expected
    ]


def test_a_search_needs_validation_samples(problems: Problems) -> None:
    found = problems(SEARCH + "    optim.lr: [0.1, 0.2]\nbase: imagenet\n")
    assert found == ["spec.yaml:3: search looks at val/top1: data.val_fraction must be > 0, got 0.0"]


LEAVES = "data.val_fraction must leave samples for training and for validation (0: no validation), got"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("base: {data.val_fraction: 0.0001}\nscheduler: {name: asha}", "0.0001: 1438 for training, 0 for validation"),
        ("base: {data.val_fraction: 0.999}", "0.999: 0 for training, 1438 for validation"),
        ("zip:\n - {data.val_fraction: [0.1, 0.001]}", "0.001: 1438 for training, 0 for validation"),
    ],
)
def test_a_part_without_samples_is_one_line(problems: Problems, text: str, expected: str) -> None:
    found = problems(f"{AXES}{text}")
    assert found
    assert {line[line.index(LEAVES) :] for line in found} == {f"{LEAVES} {expected}"}


def test_a_search_over_the_share_of_validation_samples(problems: Problems, write_spec: WriteSpec) -> None:
    given = SEARCH + "    data.val_fraction: "
    assert read_spec(write_spec(f"{given}[0.1, 0.2]\nbase: imagenet\n")).varied() == ["data.val_fraction"]
    assert problems(f"{given}uniform(0.0001, 0.2)\n") == [
        f"spec.yaml:7: {LEAVES} 0.0001: 1438 for training, 0 for validation"
    ]
    assert problems(f"{given}[0.0, 0.2]\n") == [
        "spec.yaml:7: search looks at val/top1: data.val_fraction must be > 0, got 0.0"
    ]


def test_a_misshapen_axis_is_not_blamed_on_the_baseline(problems: Problems) -> None:
    found = problems("name: a\naxes: {neuron.tau: 2.0}\nseeds: 1\nbaseline: {neuron.tau: 2.0}\n")
    assert found == ["spec.yaml:2: axes.neuron.tau must be a list, got 2.0"]


SEARCH = "name: a\nseeds: 1\nsearch:\n  name: optuna\n  trials: 3\n  space:\n"


def test_reads_a_search(write_spec: WriteSpec, tmp_path: Path) -> None:
    text = SEARCH + "    optim.lr: loguniform(1e-3, 1)\n    rule: {update: [online, accumulate]}\n"
    spec = read_spec(write_spec(text), ["search.trials=9"])
    assert spec.varied() == ["optim.lr", "rule.update"]
    assert spec.search is not None
    assert spec.search.trials == 9
    copy = tmp_path / "copy.yaml"
    copy.write_text(spec.to_yaml(), encoding="utf-8")
    assert read_spec(copy) == spec
    assert expand(spec).trials == ()


def test_all_mistakes_of_a_search_are_found_at_once(problems: Problems) -> None:
    found = problems(
        SEARCH
        + """\
    optim.lr: loguniform(0, 1)
    T: randint(0, 6)
    neuron.tau: normal(0, 1)
    neuron.tua: uniform(1, 2)
    seed: [1, 2]
    batch_size: randint(1.5, 2)
    rule.update: [online, ofline]
    model.width: uniform(2, 1)
axes: {T: [2]}
metric: test/loss
"""
    )
    assert sorted(found, key=lambda line: int(line.split(":")[1])) == [
        "spec.yaml:7: search.space.optim.lr must be above 0, got 'loguniform(0, 1)'",
        "spec.yaml:8: T must be >= 1 time steps, got 0",
        "spec.yaml:9: search.space.neuron.tau must be a list, or uniform(low, high), loguniform(low, high),"
        " randint(low, high); got 'normal(0, 1)'",
        "spec.yaml:10: neuron.tua is not a known key (did you mean neuron.tau?), got 1.0",
        "spec.yaml:11: search.space.seed cannot be searched: give seeds, got [1, 2]",
        "spec.yaml:12: search.space.batch_size must have whole numbers as its ends, got 1.5",
        "spec.yaml:13: rule.update must be one of accumulate, online (did you mean online?), got 'ofline'",
        "spec.yaml:14: search.space.model.width must have its lower end first, got 'uniform(2, 1)'",
        "spec.yaml:15: axes must be left out: search chooses the variants, got {'T': (2,)}",
        "spec.yaml:16: metric must not be measured on test data: it steers choices, got 'test/loss'",
    ]


def test_resources_follow_the_variant(write_spec: WriteSpec) -> None:
    text = (
        AXES
        + "resources:\n  cpu: 2\n  gpu: auto\n  variants:\n    - {when: {T: 3}, gpu: 0.5}\n    - {when: {T: 2}, cpu: 1}"
    )
    resources = read_spec(write_spec(text)).resources
    assert resources.share({"T": 3, "neuron.tau": 2.0}, gpu=0.25) == Share(cpu=2, gpu=0.5)
    assert resources.share({"T": 2, "neuron.tau": 2.0}, gpu=0.25) == Share(cpu=1, gpu=0.25)
    assert resources.share({}, gpu=0.25) == Share(cpu=2, gpu=0.25)
    assert resources.share({}) == Share(cpu=2, gpu=0.0)
