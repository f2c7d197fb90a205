"""Figures show the numbers they are given, as read back from matplotlib's objects."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import rcParams

from analysis import figures, style
from analysis.figures import plots
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
    figure = figures.learning_curves(profile(9), metric="val/top1", stressed=["x=2 $y$", "x=0 $y$"])
    (axes,) = figure.axes
    drawn = lines(axes)
    assert drawn["x=2 $y$"].get_ydata().tolist() == pytest.approx([2.1, 2.2, 2.3])
    assert drawn["x=0 $y$"].get_color() == style.COLOURS[0]
    assert sum(line.get_color() == style.REST and len(line.get_xdata()) == 3 for line in axes.lines) == 7
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [r"x=0 \$y\$", r"x=2 \$y\$", "7 others"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("epoch", "val/top1")


def test_without_a_choice_the_first_seven_are_in_colour():
    figure = figures.layer_rates(profile(9))
    colours = [line.get_color() for line in figure.axes[0].lines if line.get_color() != style.REST]
    assert tuple(colours) == style.COLOURS


def test_response_shows_means_intervals_and_seeds(runs):
    found = marginal(runs, ["neuron.tau"])
    figure = figures.axis_response(found.table, axis="neuron.tau", metric="test/top1")
    (axes,) = figure.axes
    points = [list(line.get_ydata()) for line in axes.lines if line.get_color() == plots.POINT]
    assert points == [pytest.approx([0.75, 0.77])]  # online was not finished at 10
    assert axes.get_xscale() == "log"
    assert [text.get_text() for text in axes.get_xticklabels()] == ["1", "10"]


def test_response_of_names_has_one_place_each(runs):
    table = marginal(runs, ["rule.update"]).table
    (axes,) = figures.axis_response(table, axis="rule.update", metric="test/top1").axes
    assert [text.get_text() for text in axes.get_xticklabels()] == ["accumulate", "online"]
    assert axes.get_xscale() == "linear"


def test_heat_map_writes_each_mean_and_marks_what_is_missing(runs):
    table = cross(runs, rows="neuron.tau", cols="rule.update").table
    figure = figures.heat_map(table, rows="neuron.tau", cols="rule.update", metric="test/top1")
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert texts == ["0.8100", "0.7100", "0.9200", "-"]


def test_pareto_joins_the_front(runs):
    table = front(runs).table
    figure = figures.pareto(table, x="energy/synops", y="test/top1")
    (joined,) = [line for line in figure.axes[0].lines if line.get_linestyle() == ":"]
    assert joined.get_xydata() == pytest.approx(np.array([[1.5, 0.81], [3.5, 0.92]]))


def test_parallel_coordinates_draw_a_line_per_measured_variant(runs):
    comparison = compare(runs)
    figure = figures.parallel_coordinates(comparison.table, axes=comparison.axes, metric="test/top1")
    axis_lines = 2
    paths = [list(line.get_ydata()) for line in figure.axes[0].lines][:-axis_lines]
    assert paths == [[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]]  # the worst first, the failed variant not at all


def test_saving_writes_both_kinds_and_leaves_matplotlib_alone(tmp_path):
    before = dict(rcParams)
    vector, pixels = style.save(figures.layer_rates(profile(2)), tmp_path / "new" / "rates.v1")
    assert vector.read_bytes().startswith(b"%PDF")
    assert pixels.read_bytes().startswith(b"\x89PNG")
    assert (vector.name, pixels.name) == ("rates.v1.pdf", "rates.v1.png")
    assert dict(rcParams) == before


def test_colours_return_with_other_markers():
    looks = list(style.looks(20))
    assert len(set(looks)) == 20
