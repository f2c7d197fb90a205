"""Names that users and plugin authors import: the public face of `ottt`, and the paths documented for plugins."""

from importlib import import_module

import pytest

import ottt

PUBLIC = {
    "Diverged",
    "EvalReport",
    "SinkTrial",
    "TrainResult",
    "Trainer",
    "TrialConfig",
    "UserError",
    "__version__",
    "build_model",
    "build_rule",
    "evaluate",
    "load_config",
    "load_reference_weights",
    "reference_state_dict",
    "register_dataset",
    "register_metric",
    "register_model",
    "register_rule",
    "register_sink",
    "train",
}
DOCUMENTED = (
    "ottt.config.TrialConfig",
    "ottt.data.frames.Framing",
    "ottt.data.info.DataInfo",
    "ottt.data.sets.Prepared",
    "ottt.data.splits.fingerprint",
    "ottt.evalreport.EvalReport",
    "ottt.loss.step_loss",
    "ottt.models.base.Network",
    "ottt.modules.Context",
    "ottt.modules.Linear",
    "ottt.modules.Neuron",
    "ottt.modules.State",
    "ottt.modules.states_of",
    "ottt.names.RuleTraits",
    "ottt.rules.Batch",
    "ottt.rules.Settings",
    "ottt.rules.detached",
    "ottt.rules.encoded",
)


def test_the_public_face_has_exactly_these_names() -> None:
    assert set(ottt.__all__) == PUBLIC
    assert len(ottt.__all__) == len(PUBLIC)


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_every_public_name_resolves(name: str) -> None:
    assert getattr(ottt, name) is not None


def test_another_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'ottt' has no attribute 'nothing'"):
        ottt.nothing  # noqa: B018


@pytest.mark.parametrize("path", DOCUMENTED)
def test_every_path_documented_for_plugins_imports(path: str) -> None:
    module, _, name = path.rpartition(".")
    assert hasattr(import_module(module), name)
