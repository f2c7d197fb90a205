"""Plugins: their names are known where needed, are part of a trial's identity, and cannot be registered twice."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

import ottt
from ottt import names, plugins, rules, schema
from ottt.data import files, info
from ottt.models import registry
from ottt.names import RuleTraits
from ottt.training import load_data, metrics

REGISTRIES: tuple[dict, ...] = (
    registry.MODELS,
    rules.RULES,
    names.RULES,
    info.DATASETS,
    files.FILES,
    load_data._READERS,
    metrics._COMPUTED,
    schema.METRICS,
    plugins._loaded,
    plugins._owners,
)
NETWORK = """
import ottt
from ottt.models.registry import MODELS
ottt.register_model("tiny", MODELS["small"].build, summary="small by another name")
"""
MUTE = """
class Mute(Exception):
    def __str__(self):
        raise RuntimeError
raise Mute
"""
LOUD = """
import os
import subprocess
import sys
print("from Python")
os.write(1, b"from C\\n")
subprocess.run(["echo", "from a child"])
print("to stderr", file=sys.stderr)
"""


@pytest.fixture(autouse=True)
def registries_restored() -> Iterator[None]:
    """Remove what a test has registered."""
    before = [dict(registry) for registry in REGISTRIES]
    models = list(names.MODELS)
    yield
    for names_now, names_before in zip(REGISTRIES, before, strict=True):
        names_now.clear()
        names_now.update(names_before)
    names.MODELS[:] = models


def written(path: Path, text: str = NETWORK) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_the_names_that_configurations_know_are_those_that_can_be_built() -> None:
    assert list(registry.MODELS) == names.MODELS
    assert list(rules.RULES) == list(names.RULES)
    assert set(load_data._READERS) | {"imagenet"} == set(info.DATASETS)


def test_a_network_of_a_plugin_trains_like_the_one_it_wraps(tmp_path: Path) -> None:
    own = [f"plugins=[{written(tmp_path / 'net.py')}]", "model.name=tiny"]
    few = ["epochs=1", "model.width=0.2", "T=2", "device=cpu"]
    got, expected = (ottt.train(ottt.load_config("digits", [*few, *more])).metrics for more in (own, []))
    assert got["test/top1"] == expected["test/top1"]
    assert got["train/loss"] == expected["train/loss"]


def test_without_its_plugin_a_name_is_unknown(tmp_path: Path) -> None:
    with pytest.raises(ottt.UserError, match=r"model\.name must be one of small, .*, r400, got 'tiny'"):
        ottt.load_config("digits", ["model.name=tiny"])
    assert ottt.load_config({"model.name": "tiny", "plugins": [written(tmp_path / "net.py")]}).model.name == "tiny"


def test_the_source_of_a_plugin_is_part_of_the_trial(tmp_path: Path) -> None:
    def trial(folder: str, text: str) -> str:
        (tmp_path / folder).mkdir()
        return ottt.load_config("digits", [f"plugins=[{written(tmp_path / folder / 'own.py', text)}]"]).trial_hash

    plain = ottt.load_config("digits").trial_hash
    assert "plugins" not in ottt.load_config("digits").effective()
    first, same, other = trial("a", "A = 1"), trial("b", "A = 1"), trial("c", "A = 2")
    assert first == same
    assert len({plain, first, other}) == 3


def test_all_files_of_a_package_count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    digests = []
    for name, helper in (("pack_a", "A = 1"), ("pack_b", "A = 2")):
        (tmp_path / name).mkdir()
        written(tmp_path / name / "__init__.py", "")
        written(tmp_path / name / "helper.py", helper)
        digests.append(plugins.load_plugin(name).digest)
    assert digests[0] != digests[1]


def test_an_installed_plugin_is_loaded_when_its_name_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    written(tmp_path / "installed_net.py")
    about = tmp_path / "lab-1.0.dist-info"
    about.mkdir()
    written(about / "METADATA", "Metadata-Version: 2.1\nName: lab\nVersion: 1.0\n")
    written(about / "entry_points.txt", "[ottt.plugins]\nnetworks = installed_net\n")
    built_in, before = ottt.load_config("digits"), list(plugins._loaded)
    assert "installed_net" not in before
    used = built_in.replace({"model.name": "tiny"})
    assert list(plugins._loaded) == [*before, "installed_net"]
    assert used.effective()["plugins"] == [plugins.load_plugin("installed_net").digest]
    assert "plugins" not in built_in.effective()


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("nowhere.py", None, r"plugin nowhere\.py: no such file in "),
        ("nowhere", None, r"No module named 'nowhere' \(a file is named with its ending: nowhere\.py\)"),
        ("broken.py", "import nothing_like_it", r"plugin broken\.py: ModuleNotFoundError: No module named 'nothing_li"),
        ("broken.py", "1 / 0", r"plugin broken\.py: ZeroDivisionError: division by zero"),
        (
            "leaves.py",
            "import sys; sys.exit(0)",
            r"plugin leaves\.py: must not end the process, but called sys\.exit\(0\)",
        ),
        ("ends.py", "raise GeneratorExit", r"plugin ends\.py: GeneratorExit"),
        ("mute.py", MUTE, r"plugin mute\.py: Mute: its message cannot be shown: "),
        ("a b", None, r"plugin 'a b' must be a module \(mylab\.networks\) or a file that ends in \.py"),
        ("..", None, r"plugin '\.\.' must be a module"),
        ("sys", None, r"plugin sys: must be a module or a package with __init__\.py, got none or a bare folder"),
        ("twice.py", NETWORK + NETWORK, r"network 'tiny' is registered already, by twice\.py"),
        ("taken.py", NETWORK.replace("tiny", "r400"), r"network 'r400' is registered already, by ottt"),
    ],
)
def test_errors_of_a_plugin_are_reported(
    name: str, text: str | None, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if text is not None:
        written(tmp_path / name, text)
    with pytest.raises(ottt.UserError, match=problem):
        ottt.load_config("digits", [f"plugins=[{name}]"])


def test_a_name_cannot_be_registered_twice() -> None:
    with pytest.raises(ottt.UserError, match="update rule 'ottt' is registered already, by ottt"):
        ottt.register_rule("ottt", rules.RULES["ottt"], traits=RuleTraits())
    with pytest.raises(ottt.UserError, match="data set 'digits' is registered already, by ottt"):
        ottt.register_dataset("digits", info.DATASETS["digits"], load_data._READERS["digits"])
    with pytest.raises(ottt.UserError, match="metric 'top1' is registered already, by ottt"):
        ottt.register_metric("top1", lambda report: report.top1, better="higher")


def test_traits_of_a_rule_are_checked_and_counted() -> None:
    ottt.register_rule("mine", rules.RULES["sltt"], traits=RuleTraits(reads_k=True))
    with pytest.raises(ottt.UserError, match=r"rule\.k is required by mine"):
        ottt.load_config("digits", ["rule.name=mine"])
    with pytest.raises(ottt.UserError, match=r"rule\.update must be accumulate for mine"):
        ottt.load_config("digits", ["rule.name=mine", "rule.k=1", "rule.update=online"])
    one, two = (ottt.load_config("digits", ["rule.name=mine", f"rule.k={k}"]) for k in (1, 2))
    assert one.trial_hash != two.trial_hash
    assert one.replace({"neuron.trace_decay": 0.1}).trial_hash == one.trial_hash


def test_a_data_set_and_a_metric_of_ones_own() -> None:
    few = replace(info.DATASETS["digits"], classes=10)
    ottt.register_dataset("again", few, load_data._READERS["digits"])
    ottt.register_metric("errors", lambda report: 1 - report.top1, better="lower")
    config = ottt.load_config("digits", ["data.name=again", "epochs=1", "model.width=0.2", "T=2", "device=cpu"])
    measured = ottt.train(config).metrics
    assert measured["test/errors"] == 1 - measured["test/top1"]
    assert measured["val/errors"] == 1 - measured["val/top1"]
    assert schema.metric("val/errors").better == "lower"
    assert schema.metric("test/errors").is_test


def test_only_trials_that_name_it_have_a_plugins_metric(tmp_path: Path) -> None:
    text = 'import ottt\nottt.register_metric("one", lambda report: 1, better=None)\n'
    own = written(tmp_path / "one.py", text)
    settings = ["epochs=1", "model.width=0.2", "T=1", "device=cpu"]
    assert ottt.train(ottt.load_config("digits", [*settings, f"plugins=[{own}]"])).metrics["test/one"] == 1
    assert "test/one" not in ottt.train(ottt.load_config("digits", settings)).metrics


def test_an_interruption_while_a_plugin_is_loaded_is_one(tmp_path: Path) -> None:
    own = written(tmp_path / "slow.py", "raise KeyboardInterrupt\n")
    with pytest.raises(KeyboardInterrupt):
        plugins.load_plugin(own)
    assert own not in plugins._loaded


def test_what_a_plugin_prints_while_it_is_loaded_goes_to_stderr(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    print("before")
    plugins.load_plugin(written(tmp_path / "loud.py", LOUD))
    print("after", flush=True)
    printed = capfd.readouterr()
    assert printed.out == "before\nafter\n"
    assert sorted(printed.err.splitlines()) == ["from C", "from Python", "from a child", "to stderr"]


NAMES = st.text(st.sampled_from("aZ0é_-. :/@#%*\\n\\t\\0\\u2028,()[]"), max_size=8)


@settings(max_examples=500, derandomize=True, database=None, deadline=None)
@given(NAMES)
@example("acc@1")
@example("a//b")
@example("a/../b")
@example("x" * 250)
@example("ok 1.0:x/y-z_")
def test_a_metric_that_can_be_registered_can_be_stored(name: str) -> None:
    from mlflow.exceptions import MlflowException
    from mlflow.utils.validation import _validate_metric

    before = [dict(registry) for registry in (metrics._COMPUTED, schema.METRICS)]
    try:
        ottt.register_metric(name, lambda report: 1.0, better=None)
        registered = True
    except ottt.UserError:
        registered = False
    finally:
        metrics._COMPUTED.clear()
        metrics._COMPUTED.update(before[0])
        schema.METRICS.clear()
        schema.METRICS.update(before[1])
    try:
        for part in metrics.PARTS:
            _validate_metric(f"{part}/{name}", 1.0, 0, 1)
    except MlflowException:
        assert not registered
        return
    assert registered or not name.strip() or not name.isprintable() or len(name) > plugins.LONGEST_NAME


@pytest.mark.parametrize("name", ["top1_at_06", "loss", "top5"])
def test_a_metric_of_ottts_own_is_not_replaced(name: str) -> None:
    with pytest.raises(ottt.UserError, match=f"metric '{name}' is (registered already|a name of ottt's own metrics)"):
        ottt.register_metric(name, lambda report: 1.0, better=None)
    assert name not in metrics._COMPUTED


@pytest.mark.parametrize("name", ["", " ", "a\nb", "\x1b[2J", "x" * 201, 5])
def test_names_are_printable(name: str) -> None:
    with pytest.raises(ottt.UserError, match="network must have a name of 1 to 200 printable characters, got"):
        ottt.register_model(name, registry.MODELS["small"].build, summary="")
    assert name not in names.MODELS


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("5", "str"),
        (b"5", "bytes"),
        (None, "NoneType"),
        (1j, "complex"),
        (10**400, "int"),
        ([1.0], "list"),
        (np.array([1.0, 2.0]), "ndarray"),
        (torch.tensor([1.0, 2.0]), "Tensor"),
        (torch.tensor(1j), "Tensor"),
    ],
)
def test_a_metric_that_is_no_number_ends_the_trial_in_its_first_epoch(value: object, kind: str) -> None:
    ottt.register_metric("odd", lambda report: value, better=None)
    config = ottt.load_config("digits", ["epochs=50", "model.width=0.2", "T=1", "device=cpu"])
    seen: list[int] = []

    class Seen:
        def log(self, epoch: int, metrics: Mapping[str, float]) -> None:
            seen.append(epoch)

    with pytest.raises(ottt.UserError, match=rf"metric 'odd' must return one number, got .*\({kind}\)"):
        ottt.train(config, sink=Seen())
    assert seen == []


@pytest.mark.parametrize(
    "value", [2, True, np.float32(2), np.int64(2), np.array([2.0]), torch.tensor(2.0), torch.tensor([[2]])]
)
def test_numbers_of_other_libraries_are_numbers(value: object) -> None:
    number = metrics._number("fine", value)
    assert type(number) is float
    assert number == (1.0 if value is True else 2.0)
