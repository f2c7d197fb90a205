import math
import sys

import numpy as np

from analysis.store.points import PointCollector, restored

LARGEST = sys.float_info.max


def test_pieces_are_one_and_databases_values_come_back() -> None:
    collector = PointCollector()
    collector.add(["a", "b"], ["x", "x"], [1, 1], [10, 10], [0.5, None])
    collector.add(["b", "a"], ["y", "x"], [1, 2], [10, 20], [LARGEST, -LARGEST])
    points = collector.points()
    assert (points.runs, points.metrics) == (("a", "b"), ("x", "y"))
    assert points.run.tolist() == [0, 1, 1, 0]
    assert points.metric.tolist() == [0, 0, 1, 0]
    np.testing.assert_array_equal(points.value, [0.5, math.nan, math.inf, -math.inf])


def test_of_a_point_written_twice_the_last_one_written_stays() -> None:
    collector = PointCollector()
    runs, metrics = ["late", "early", "early", "early"], ["b", "b", "a", "b"]
    collector.add(runs, metrics, [1, 2, 1, 2], [5, 30, 7, 20], [0.1, 0.2, 0.3, 0.4])
    points = collector.points().sorted_unique({"early": 0, "late": 1})
    found = [
        (points.runs[run], points.metrics[metric], epoch, value)
        for run, metric, epoch, value in zip(points.run, points.metric, points.epoch, points.value, strict=True)
    ]
    assert found == [("early", "a", 1, 0.3), ("early", "b", 2, 0.2), ("late", "b", 1, 0.1)]


def test_no_point_at_all() -> None:
    points = PointCollector().points().sorted_unique({})
    assert (len(points.value), points.runs) == (0, ())


def test_single_values_come_back() -> None:
    assert [restored(value) for value in (0.5, LARGEST, -LARGEST)] == [0.5, math.inf, -math.inf]
    assert math.isnan(restored(None))
