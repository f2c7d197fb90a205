import math

import numpy as np
import pytest
import scipy.stats

from analysis.tables import COUNTS, compare, foremost
from ottt.errors import UserError

BASELINE = {"rule.update": "accumulate", "neuron.tau": 2.0}


def row(comparison, label):
    found = comparison.table[comparison.table["label"] == label]
    assert len(found) == 1
    return found.iloc[0]


def test_a_row_per_variant_in_the_plans_order_with_scipys_numbers(make_runs):
    accumulate, online = [0.90, 0.94, 0.95], [0.93, 0.99, 0.96]
    values = {("online", 2.0): online, ("accumulate", 2.0): accumulate}
    comparison = compare(make_runs(values, baseline=BASELINE))
    assert comparison.table["label"].tolist() == [
        "rule.update=online neuron.tau=2.0",
        "rule.update=accumulate neuron.tau=2.0",
    ]
    first = row(comparison, "rule.update=online neuron.tau=2.0")
    interval = scipy.stats.ttest_1samp(online, 0).confidence_interval()
    paired = scipy.stats.ttest_rel(online, accumulate).confidence_interval()
    assert first["n"] == 3
    assert first["values"] == {0: 0.93, 1: 0.99, 2: 0.96}
    assert first["mean"] == pytest.approx(np.mean(online))
    assert first["sd"] == pytest.approx(np.std(online, ddof=1))
    assert (first["ci_low"], first["ci_high"]) == pytest.approx((interval.low, interval.high))
    assert first["difference"] == pytest.approx(0.03)
    assert (first["difference_low"], first["difference_high"]) == pytest.approx((paired.low, paired.high))
    assert (first["pairs"], first["p"], first["too_few"]) == (3, 0.25, True)
    base = row(comparison, comparison.baseline)
    assert base["is_baseline"]
    assert base["pairs"] == 0
    assert math.isnan(base["difference"])
    assert not base["too_few"]


def test_only_axes_that_differ_are_columns(make_runs):
    runs = make_runs({("online", 2.0): [0.9], ("accumulate", 2.0): [0.8]})
    assert compare(runs).axes == ("rule.update",)
    assert "neuron.tau" not in compare(runs).table.columns
    assert compare(make_runs({("online", 2.0): [0.9]})).axes == ("rule.update", "neuron.tau")


def test_settings_keep_their_types(make_runs):
    runs = make_runs({(None,): [0.9], (0.5,): [0.8], (2,): [0.7], (True,): [0.6]}, axes=["neuron.v_reset"])
    settings = compare(runs, baseline={"neuron.v_reset": 0.5}).table["neuron.v_reset"].tolist()
    assert settings == [None, 0.5, 2, True]
    assert [type(setting) for setting in settings] == [type(None), float, int, bool]


@pytest.mark.parametrize(
    "status", ["failed", "diverged", "stopped-early", "out-of-memory", "running", "interrupted", "missing"]
)
def test_unfinished_trials_are_counted_apart_and_enter_no_mean(make_runs, status):
    runs = make_runs({("accumulate", 2.0): [0.9, 0.9, 0.9], ("online", 2.0): [0.8, status, 0.7]})
    comparison = compare(runs)
    found = row(comparison, "rule.update=online neuron.tau=2.0")
    counts = {name: found[name] for name in COUNTS.values() if found[name]}
    assert counts == {"finished": 2, COUNTS[status]: 1}
    assert (found["planned"], found["n"]) == (3, 2)
    assert found["mean"] == pytest.approx(0.75)  # the left-out trial's last value was 0.5
    assert found["difference"] == pytest.approx(-0.15)
    assert (found["pairs"], found["unpaired"]) == (2, (1,))
    assert f"Left out of the means: 1 {status.replace('-', ' ').replace('_', ' ')}." in comparison.notes
    assert any("rule.update=online neuron.tau=2.0 lacks seed 1." in note for note in comparison.notes)


def test_a_variant_without_a_finished_trial_still_has_its_row(make_runs):
    runs = make_runs({("accumulate", 2.0): [0.9, 0.8], ("online", 2.0): ["missing", "failed"]})
    found = row(compare(runs), "rule.update=online neuron.tau=2.0")
    assert (found["finished"], found["planned"], found["n"], found["pairs"]) == (0, 2, 0, 0)
    assert math.isnan(found["mean"])
    assert math.isnan(found["difference"])


def test_a_baseline_without_a_seed_leaves_that_seed_unpaired_everywhere(make_runs):
    runs = make_runs({("accumulate", 2.0): [0.9, "failed", 0.8], ("online", 2.0): [0.9, 0.5, 0.9]})
    comparison = compare(runs)
    found = row(comparison, "rule.update=online neuron.tau=2.0")
    assert found["difference"] == pytest.approx(0.05)
    assert found["mean"] == pytest.approx(2.3 / 3)
    assert found["unpaired"] == (1,)
    assert any("rule.update=accumulate neuron.tau=2.0 lacks seed 1." in note for note in comparison.notes)


def test_one_seed_has_no_spread_and_no_test(make_runs):
    comparison = compare(make_runs({("accumulate", 2.0): [0.9], ("online", 2.0): [0.8]}))
    found = row(comparison, "rule.update=online neuron.tau=2.0")
    assert found["mean"] == 0.8
    assert found["difference"] == pytest.approx(-0.1)
    for name in ("sd", "ci_low", "ci_high", "difference_low", "p", "p_holm"):
        assert math.isnan(found[name]), name
    assert "No variant has two finished seeds: no spread, no interval, no test." in comparison.notes


def test_constant_columns_have_width_zero(make_runs):
    found = row(
        compare(make_runs({("accumulate", 2.0): [0.5] * 3, ("online", 2.0): [0.7] * 3})),
        "rule.update=online neuron.tau=2.0",
    )
    assert found["sd"] == 0
    assert found["difference_low"] == found["difference_high"] == found["difference"] == pytest.approx(0.2)


def test_swapping_baseline_and_variant_flips_the_difference(make_runs):
    runs = make_runs({("accumulate", 2.0): [0.9, 0.8, 0.7], ("online", 2.0): [0.95, 0.7, 0.9]})
    forth = row(compare(runs, baseline={"rule.update": "accumulate"}), "rule.update=online neuron.tau=2.0")
    back = row(compare(runs, baseline={"rule.update": "online"}), "rule.update=accumulate neuron.tau=2.0")
    assert back["difference"] == pytest.approx(-forth["difference"])
    assert back["difference_low"] == pytest.approx(-forth["difference_high"])
    assert back["p"] == forth["p"]


def test_p_values_are_adjusted_over_the_table(make_runs):
    base = np.linspace(0.5, 0.6, 6)
    runs = make_runs(
        {
            ("accumulate", 2.0): list(base),
            ("online", 2.0): list(np.add(base, [0.1, 0.2, 0.3, 0.1, 0.2, 0.3])),
            ("online", 4.0): list(np.add(base, [0.1, -0.1, 0.2, -0.3, 0.1, 0.05])),
        }
    )
    table = compare(runs).table
    assert table["p"].tolist()[1] == 2 / 64
    assert table["p_holm"].tolist()[1] == 4 / 64  # the smaller of two is doubled
    assert table["p_holm"].tolist()[2] == pytest.approx(table["p"].tolist()[2])
    assert not table["too_few"].any()


@pytest.mark.parametrize(("seeds", "too_few"), [(5, True), (6, False)])
def test_five_pairs_are_too_few_for_five_percent(make_runs, seeds, too_few):
    runs = make_runs({("accumulate", 2.0): [0.5] * seeds, ("online", 2.0): [0.7] * seeds})
    comparison = compare(runs)
    assert bool(comparison.table["too_few"].any()) == too_few
    assert any(note.startswith("n too small") for note in comparison.notes) == too_few


def test_more_pairs_than_the_exact_test_takes_are_said(make_runs):
    runs = make_runs({("accumulate", 2.0): [0.5] * 33, ("online", 2.0): [0.7] * 33})
    comparison = compare(runs)
    assert comparison.table["p"].isna().all()
    assert "No exact test beyond 32 pairs: p is left out there." in comparison.notes


def test_without_a_named_baseline_the_first_variant_is_it_and_said_so(make_runs):
    runs = make_runs({("online", 4.0): [0.9], ("accumulate", 2.0): [0.8]})
    comparison = compare(runs)
    assert comparison.baseline == "rule.update=online neuron.tau=4.0"
    note = "Baseline: rule.update=online neuron.tau=4.0 (the first variant: none is named)."
    assert note in comparison.notes


def test_a_single_variant_is_compared_with_nothing(make_runs):
    comparison = compare(make_runs({(): [0.9, 0.8]}, axes=[]))
    assert comparison.axes == ()
    assert comparison.table["mean"].tolist() == pytest.approx([0.85])
    assert not any("Baseline" in note or "paired" in note for note in comparison.notes)


def test_rate_and_time_are_means_over_finished_trials(make_runs):
    runs = make_runs({("accumulate", 2.0): [0.9, 0.8, "diverged"]})
    runs["rate/total"] = [0.1, 0.3, 9.0]
    runs["time/epoch_s"] = [1.0, 2.0, 9.0]
    found = compare(runs).table.iloc[0]
    assert (found["rate"], found["epoch_s"]) == pytest.approx((0.2, 1.5))


def test_finished_trials_without_a_finite_value_are_said(make_runs):
    runs = make_runs({("accumulate", 2.0): [0.9, math.nan, math.inf], ("online", 2.0): [0.9, 0.8, 0.7]})
    comparison = compare(runs)
    assert comparison.table["n"].tolist() == [1, 3]
    assert "Left out of the means: 2 finished without a finite test/top1." in comparison.notes
    unmeasured = compare(runs, metric="val/top1")
    assert unmeasured.table["n"].tolist() == [0, 0]
    assert "Left out of the means: 6 finished without a finite val/top1." in unmeasured.notes


def test_direction_and_unit_are_said(make_runs):
    runs = make_runs({("accumulate", 2.0): [1.0], ("online", 2.0): [2.0]}, metric="time/epoch_s")
    expected = "time/epoch_s in s at the last epoch of finished trials; lower is better."
    assert compare(runs, metric="time/epoch_s").notes[0] == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"metric": "test/top2"}, r"metric must be one of .*; got 'test/top2'"),
        ({"by": ["rule.updat"]}, "rule.updat is not a setting of these runs"),
        ({"by": ["rule.update"]}, "by must tell the variants apart, rule.update does not: .*2.0; .*4.0"),
        ({"baseline": {"rule.update": "online"}}, "must match exactly one variant, .* matches .*2.0; .*4.0"),
        ({"baseline": {"neuron.tau": 3.0}}, "must match exactly one variant, neuron.tau=3.0 matches none"),
    ],
)
def test_mistakes_are_refused(make_runs, arguments, message):
    runs = make_runs({("accumulate", 2.0): [0.9], ("online", 2.0): [0.9], ("online", 4.0): [0.9]})
    with pytest.raises(UserError, match=message):
        compare(runs, **arguments)


def test_runs_that_cannot_be_compared_are_refused(make_runs):
    runs = make_runs({("accumulate", 2.0): [0.9, 0.8]})
    with pytest.raises(UserError, match="at least one trial"):
        compare(runs[:0])
    with pytest.raises(UserError, match=r"neuron.tau=2.0 must have each seed once"):
        compare(runs.assign(seed=0))
    runs.attrs = {}
    with pytest.raises(UserError, match="these runs carry no plan"):
        compare(runs)
    assert compare(runs, by=["neuron.tau"]).axes == ("neuron.tau",)


def test_more_comparisons_need_more_pairs(make_runs):
    six = {("accumulate", 2.0): [0.5] * 6} | {("online", float(tau)): [0.7] * 6 for tau in range(1, 4)}
    notes = compare(make_runs(six)).notes
    assert "Over 3 comparisons no difference of 6 pairs can reach p <= 0.05: 7 could." in notes
    assert not any("could." in note for note in compare(make_runs(dict(list(six.items())[:2]))).notes)


def test_probability_of_improvement_follows_the_metrics_direction(make_runs):
    values = {("accumulate", 2.0): [1.0, 2.0], ("online", 2.0): [1.0, 3.0], ("online", 4.0): [9.0]}
    higher = compare(make_runs(values)).table["improvement"].tolist()
    lower = compare(make_runs(values, metric="test/loss"), metric="test/loss").table["improvement"].tolist()
    assert higher == pytest.approx([math.nan, (0.5 + 0 + 1 + 1) / 4, math.nan], nan_ok=True)  # one seed says nothing
    assert lower == pytest.approx([math.nan, 1 - 2.5 / 4, math.nan], nan_ok=True)


def test_budget_counts_all_trials_in_hours_and_finished_ones_in_means(make_runs):
    runs = make_runs({("accumulate", 2.0): [0.9, 0.8, "failed"]})
    runs["duration_s"], runs["epochs_done"] = [3600.0, 3600.0, 1800.0], [10, 10, 3]
    runs["perf/images_per_s"], runs["mem/peak_mib"] = [100.0, 300.0, 9.0], [10.0, 20.0, 99.0]
    found = compare(runs).table.iloc[0]
    assert (found["hours"], found["epochs"], found["images_per_s"], found["peak_mib"]) == (2.5, 10, 200, 15)


def test_the_foremost_are_the_baseline_and_the_best(make_runs):
    runs = make_runs({("a", 1.0): [0.1], ("b", 1.0): [0.9], ("c", 1.0): ["failed"], ("d", 1.0): [0.8]})
    assert [name[-16] for name in foremost(compare(runs), count=3)] == ["a", "b", "d"]


def test_the_detectable_difference_is_that_of_the_pairs_there_are(make_runs):
    runs = make_runs(
        {
            ("accumulate", 2.0): [0.80, 0.90, 0.70],
            ("online", 2.0): [0.81, 0.92, 0.73],  # differences 0.01, 0.02, 0.03
            ("online", 4.0): [0.70, "failed", 0.64],  # -0.10, -0.06
        }
    )
    (note,) = [note for note in compare(runs).notes if note.startswith("Detectable")]
    # squares around the means 0.0002 and 0.0008, 2 + 1 degrees of freedom: sd 0.0183, times 3.26, 1.68 and 1.00
    assert note.startswith("Detectable with 80% power: 0.060 with 3 seeds, 0.031 with 5 seeds, 0.018 with 10 seeds (")
    assert note.endswith("standard deviation of paired differences 0.018, pooled over 2 variants).")


def test_without_a_spread_of_differences_none_is_called_detectable(make_runs):
    one_seed = make_runs({("accumulate", 2.0): [0.9], ("online", 2.0): [0.8]})
    one_variant = make_runs({("accumulate", 2.0): [0.9, 0.8, 0.7]})
    without_partners = make_runs({("accumulate", 2.0): ["failed", 0.8, 0.7], ("online", 2.0): [0.9, 0.8, "failed"]})
    for runs in (one_seed, one_variant, without_partners):
        assert not any("etectable" in note for note in compare(runs).notes)
