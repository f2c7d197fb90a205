import pytest

from analysis.tables import compare
from analysis.tables.restricted import note, restricted
from ottt.errors import UserError

BASELINE = {"rule.update": "accumulate", "neuron.tau": 2.0}
VALUES = {
    ("accumulate", 2.0): [0.80, 0.84],
    ("online", 2.0): [0.90, 0.90],
    ("accumulate", None): [0.50, 0.52],
    ("online", None): [0.58, 0.62],
}


def test_a_part_is_compared_with_the_baseline_in_it(make_runs):
    runs = make_runs(VALUES, baseline=BASELINE)
    whole, part = compare(runs), compare(restricted(runs, {"neuron.tau": None}))
    assert len(whole.table) == 4
    assert part.table["label"].tolist() == [
        "rule.update=accumulate neuron.tau=None",
        "rule.update=online neuron.tau=None",
    ]
    assert part.table["is_baseline"].tolist() == [True, False]
    assert part.table["difference"].tolist()[1] == pytest.approx(0.09)  # in the whole table it is -0.22
    assert part.axes == ("rule.update",)
    assert runs.attrs["baseline"] == BASELINE
    assert note({"neuron.tau": None, "T": 2}) == "Only variants with neuron.tau=None, T=2."


def test_without_a_baseline_the_first_variant_of_the_part_is_one(make_runs):
    part = restricted(make_runs(VALUES), {"rule.update": "online"})
    assert compare(part).baseline == "rule.update=online neuron.tau=2.0"


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"neuron.tua": 2.0}, "neuron.tua is not a setting of these runs"),
        ({"neuron.tau": 3.0}, "neuron.tau must be one of 2.0, None for some variant, got 3.0"),
        ({"neuron.tau": "2.0"}, "neuron.tau must be one of 2.0, None for some variant, got '2.0'"),
    ],
)
def test_what_no_variant_has_is_refused(make_runs, settings, line):
    with pytest.raises(UserError) as caught:
        restricted(make_runs(VALUES), settings)
    assert caught.value.problems == (line,)
