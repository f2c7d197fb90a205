"""Plugins: their names are known where needed, are part of a trial's identity, and cannot be registered twice."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

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
    built_in = ottt.load_config("digits")
    assert plugins._loaded == {}
    used = built_in.replace({"model.name": "tiny"})
    assert list(plugins._loaded) == ["installed_net"]
    assert used.effective()["plugins"] == [plugins.load_plugin("installed_net").digest]
    assert "plugins" not in built_in.effective()


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("nowhere.py", None, r"plugin nowhere\.py: no such file in "),
        ("nowhere", None, r"No module named 'nowhere' \(a file is named with its ending: nowhere\.py\)"),
        ("broken.py", "import nothing_like_it", r"plugin broken\.py: ModuleNotFoundError: No module named 'nothing_li"),
        ("broken.py", "1 / 0", r"plugin broken\.py: ZeroDivisionError: division by zero"),
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
