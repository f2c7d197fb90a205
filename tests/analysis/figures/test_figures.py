"""Figures show the numbers they are given, as read back from matplotlib's objects."""

import numpy as np
import pandas as pd
import pytest
from IPython.core.formatters import DisplayFormatter
from matplotlib import rcParams
from matplotlib.colors import to_hex

from analysis import figures, style
from analysis.figures import plots
from analysis.figures.highlight import highlighted
from analysis.profiles import learning_curves
from analysis.tables.comparison import compare
from analysis.tables.marginal_means import marginal
from analysis.tables.pareto import front
from analysis.tables.two_way import cross


@pytest.fixture
def runs(make_runs):
    values = {
        ("accumulate", 1.0): [0.80, 0.82],
        ("accumulate", 10.0): [0.90, 0.94],
        ("online", 1.0): [0.70, 0.72],
        ("online", 10.0): ["failed", "failed"],
    }
    found = make_runs(values)
    found["energy/synops"] = np.arange(8.0) + 1
    return found


def profile(count):
    rows = [(f"v{one}", f"x={one} $y$", x, 2, one + x / 10, one, one + 1.0) for one in range(count) for x in (1, 2, 3)]
    return pd.DataFrame(rows, columns=["variant", "label", "x", "n", "mean", "low", "high"])


def lines(axes):
    return {line.get_label(): line for line in axes.lines}


def test_curves_in_colour_and_the_others_grey():
    axes = figures.learning_curves(profile(9), metric="val/top1", stressed=["x=2 $y$", "x=0 $y$"])
    drawn = lines(axes)
    assert drawn["x=2 $y$"].get_ydata().tolist() == pytest.approx([2.1, 2.2, 2.3])
    assert drawn["x=2 $y$"].get_color() == style.COLOURS[0]  # the first of `stressed`: the baseline
    assert drawn["x=0 $y$"].get_color() == style.COLOURS[1]
    assert sum(line.get_color() == style.REST and len(line.get_xdata()) == 3 for line in axes.lines) == 7
    assert [text.get_text() for text in axes.figure.legends[0].get_texts()] == [r"x=0 \$y\$", r"x=2 \$y\$", "7 others"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("epoch", "val/top1")


def test_without_a_choice_the_first_seven_are_in_colour():
    axes = figures.layer_rates(profile(9))
    colours = [line.get_color() for line in axes.lines if line.get_color() != style.REST]
    assert tuple(colours) == style.COLOURS


def test_costs_by_a_setting():
    axes = figures.by_setting(profile(2), axis="T", metric="time/epoch_s")
    assert lines(axes)["x=1 $y$"].get_xydata().tolist() == [[1, 1.1], [2, 1.2], [3, 1.3]]
    assert axes.get_xticks().tolist() == [1, 2, 3]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("T", "time/epoch_s (s)")


def test_response_shows_means_intervals_and_seeds(runs):
    found = marginal(runs, ["neuron.tau"])
    axes = figures.axis_response(found.table, axis="neuron.tau", metric="test/top1")
    points = [list(line.get_ydata()) for line in axes.lines if line.get_color() == plots.POINT]
    assert points == [pytest.approx([0.75, 0.77])]  # online was not finished at 10
    assert axes.get_xscale() == "log"
    assert [text.get_text() for text in axes.get_xticklabels()] == ["1", "10"]


def test_response_of_names_has_one_place_each(runs):
    table = marginal(runs, ["rule.update"]).table
    axes = figures.axis_response(table, axis="rule.update", metric="test/top1")
    assert [text.get_text() for text in axes.get_xticklabels()] == ["accumulate", "online"]
    assert axes.get_xscale() == "linear"


def test_heat_map_writes_each_mean_and_marks_what_is_missing(runs):
    table = cross(runs, rows="neuron.tau", cols="rule.update").table
    axes = figures.heat_map(table, rows="neuron.tau", cols="rule.update", metric="test/top1")
    texts = [text.get_text() for text in axes.texts]
    assert texts == ["0.8100", "0.7100", "0.9200", "-"]


def test_pareto_joins_the_front(runs):
    table = front(runs).table
    axes = figures.pareto(table, x="energy/synops", y="test/top1")
    (joined,) = [line for line in axes.lines if line.get_linestyle() == ":"]
    assert joined.get_xydata() == pytest.approx(np.array([[1.5, 0.81], [3.5, 0.92]]))


def test_parallel_coordinates_draw_a_line_per_measured_variant(runs):
    comparison = compare(runs)
    axes = figures.parallel_coordinates(comparison.table, axes=comparison.axes, metric="test/top1")
    paths = [list(line.get_ydata()) for line in axes.lines]
    # The worst first, the failed variant not at all. At a value that two share, the worse lies below.
    assert paths == [pytest.approx(path) for path in ([0.75, 0.1], [0.1, 0.4], [0.4, 0.75])]
    ends = [style.MAP[0], style.MAP[-1]]
    assert [to_hex(axes.lines[place].get_color()) for place in (0, -1)] == ends
    assert len({line.get_color() for line in axes.lines}) == 3


def test_layers_are_counted_from_one():
    ticks = figures.layer_rates(profile(2).assign(x=[0, 1, 2] * 2)).get_xticklabels()
    assert [text.get_text() for text in ticks] == ["1", "2", "3"]


def test_intervals_are_those_of_the_learning_curves(make_runs):
    runs = make_runs({("online", 1.0): [0.97, 0.99, 1.0], ("online", 2.0): [0.9, 0.91, 0.93]})
    rows = [(trial, 1, "test/top1", value) for trial, value in zip(runs["trial"], runs["test/top1"], strict=True)]
    curve = learning_curves(runs, pd.DataFrame(rows, columns=["trial", "epoch", "metric", "value"]), metric="test/top1")
    table = marginal(runs, ["neuron.tau"]).table
    axes = figures.axis_response(table, axis="neuron.tau", metric="test/top1")
    (bars,) = axes.collections
    drawn = [segment[:, 1].tolist() for segment in bars.get_segments()]
    assert drawn == [pytest.approx(list(ends)) for ends in curve[["low", "high"]].to_numpy()]
    assert max(map(max, drawn)) < 1 < table["ci_high"].max()


def test_bars_of_standard_deviations_end_where_accuracies_do(make_runs):
    runs = make_runs({("online", 1.0): [0.8, 1.0, 1.0], ("online", 2.0): [0.9, 0.91, 0.93]})
    runs["rate/total"] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    table = front(runs, metrics=("test/top1", "rate/total")).table
    assert (table["test/top1"] + table["sd test/top1"]).max() > 1
    axes = figures.pareto(table, x="rate/total", y="test/top1")
    assert axes.get_ylim()[1] <= 1


def test_colours_are_the_same_on_the_page_and_in_figures(make_runs):
    many = make_runs({("online", 1.0 + tau): [0.9 + tau / 100] for tau in range(9)}, baseline={"neuron.tau": 4.0})
    chosen = highlighted(compare(many))
    assert chosen == [f"hash of rule.update=online neuron.tau={tau}" for tau in (4.0, 6.0, 7.0, 8.0, 9.0)]
    few = many[many["neuron.tau"] <= 7].copy()
    few.attrs = many.attrs
    assert len(highlighted(compare(few))) == 7
    assert highlighted(compare(few))[0] == chosen[0]


def test_saving_writes_both_kinds_and_leaves_matplotlib_alone(tmp_path):
    before = dict(rcParams)
    vector, pixels = style.save(figures.layer_rates(profile(2)).figure, tmp_path / "new" / "rates.v1")
    assert vector.read_bytes().startswith(b"%PDF")
    assert pixels.read_bytes().startswith(b"\x89PNG")
    assert (vector.name, pixels.name) == ("rates.v1.pdf", "rates.v1.png")
    assert dict(rcParams) == before


def test_a_notebook_shows_the_figure_of_axes():
    formats, _ = DisplayFormatter().format(figures.layer_rates(profile(2)).figure)
    assert formats["image/png"].startswith(b"\x89PNG")


def test_colours_return_with_other_markers():
    looks = list(style.looks(20))
    assert len(set(looks)) == 20
