"""Which settings are not as in the paper: its presets, its table's study, and a sweep that differs."""

import pytest

from analysis import render
from analysis.tables.paper import against_paper, published
from analysis.tables.protocol import INPUT, PROTOCOL, UNKNOWN, differences
from experiments.planning.plan import expand
from experiments.sweep_spec.read import read_spec
from experiments.sweep_spec.studies import find_spec
from ottt.config.load import load_config

DVS = {"data.name": "cifar10_dvs", "model.name": "vgg11_ws", "T": 10, "rule.name": "ottt", "epochs_done": 300}
COUNTED = "data.frames.values=count (original)"


def test_every_published_data_set_has_a_protocol():
    assert set(published()["data"]) == PROTOCOL.keys()
    assert published().groupby("data")["input"].first().dropna().to_dict() == {
        "cifar10_dvs": "original",
        "dvs128_gesture": "count",
    }


@pytest.mark.parametrize("name", PROTOCOL)
def test_a_preset_is_the_protocol_except_for_an_input_that_it_does_not_repeat(name):
    assert differences(load_config({"preset": name}).flat()) == ((COUNTED,) if name == "cifar10_dvs" else ())


def test_the_study_of_the_papers_table_follows_the_protocol():
    plan = expand(read_spec(find_spec("paper-main-table")))
    unlike = {trial.label: differences(trial.config.flat()) for trial in plan.trials}
    assert {label: found for label, found in unlike.items() if found} == {}
    inputs = {trial.config.data.frames.values for trial in plan.trials if trial.config.data.name == "cifar10_dvs"}
    assert inputs == {"original"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"epochs": 60}, ("epochs=60 (300)",)),
        ({"data.augment.flip": 0.0, "optim.lr": 0.2}, ("data.augment.flip=0.0 (0.5)", "optim.lr=0.2 (0.1)")),
        ({"neuron.trace_decay": 0.5}, ()),  # the membrane's
        ({"neuron.trace_decay": 0.25}, ("neuron.trace_decay=0.25 (none)",)),
        ({"rule.name": "bptt", "neuron.trace_decay": 0.25}, ()),  # does not read it
    ],
    ids=str,
)
def test_differences_of_a_trial(changes, expected):
    assert differences(load_config({"preset": "cifar10"}).replace(changes).flat()) == expected


def test_frames_that_are_drawn_or_of_another_size_differ():
    config = load_config({"preset": "cifar10_dvs"}).replace({INPUT: "original", "data.frames.train_steps": 10})
    assert differences(config.flat()) == ()
    other = config.replace({"data.frames.train_steps": 5, "data.frames.size": None})
    assert differences(other.flat()) == ("data.frames.size=none (48)", "data.frames.train_steps=5 (none)")


def test_a_run_from_before_the_setting_has_counts():
    settings = load_config({"preset": "cifar10_dvs"}).flat()
    del settings[INPUT]
    assert differences(settings) == (COUNTED,)


def test_settings_of_a_variant_that_never_ran_are_not_known():
    assert differences(dict.fromkeys(load_config({"preset": "cifar10_dvs"}).flat()) | DVS) == ()


@pytest.fixture
def measured(make_runs):
    """One variant on counts, one on the original's input, else as published."""
    runs = make_runs({("accumulate", 2.0): [0.75, 0.76], ("online", 2.0): [0.74, 0.78]})
    flat = load_config({"preset": "cifar10_dvs"}).flat()
    constants = {key: value for key, value in flat.items() if key not in {*runs.columns, "T_eval", "plugins"}}
    found = runs.assign(**(constants | DVS))
    found[INPUT] = ["count", "count", "original", "original"]
    found.attrs = runs.attrs
    return found


def test_the_table_says_which_input_was_used(measured):
    found = against_paper(measured)
    assert found.table["unlike"].tolist() == [(COUNTED,), ()]
    assert found.table["input"].tolist() == ["original", "original"]
    assert any(note.endswith(f"in brackets: {COUNTED} in 1 of 2 variants.") for note in found.notes)
    assert any(
        "cifar10_dvs are of data.frames.values=original" in note and note.endswith("measured: count, original.")
        for note in found.notes
    )
    lines = render.text(found, width=160).splitlines()
    assert [line.split("  ")[-1].strip() for line in lines if "0.7627" in line or "0.7663" in line] == [
        "1 differ",
        "as published",
    ]


def test_what_is_not_known_of_the_paper_is_said(make_runs):
    runs = make_runs({("accumulate", 2.0): [0.9, 0.91]})
    constants = {"data.name": "fashion_mnist", "model.name": "r400", "T": 5, "rule.name": "ottt", "epochs_done": 100}
    found = runs.assign(**constants)
    found.attrs = runs.attrs
    expected = f"The paper's {UNKNOWN['fashion_mnist']} for fashion_mnist are not known."
    assert expected in against_paper(found).notes
