"""What a sweep can detect: against simulation, scipy's distribution, and cases by hand."""

import math

import numpy as np
import pytest
import scipy.stats

from analysis.statistics import paired_difference, sign_flip_p
from analysis.statistics.power import Detectable, detectable_difference, paired_t_power

SIMULATED = 2000


def share_found(difference: float, sd: float, pairs: int) -> float:
    """The share of simulated sweeps whose interval of the paired difference excludes 0, as the table shows it.

    The variants' values share the noise of their seed, which pairing takes out.
    """
    generator = np.random.default_rng(pairs)
    own, seed = (
        generator.normal(0, sd / math.sqrt(2), (SIMULATED, 2, pairs)),
        generator.normal(0, 1, (SIMULATED, pairs)),
    )
    found = [paired_difference(o[0] + s + difference, o[1] + s) for o, s in zip(own, seed, strict=True)]
    return float(np.mean([one.low > 0 or one.high < 0 for one in found]))


@pytest.mark.parametrize("pairs", [3, 5, 10])
def test_the_stated_difference_is_found_in_80_of_100_simulated_sweeps(pairs):
    sd = 0.0071
    stated = detectable_difference(sd, pairs)
    assert share_found(stated, sd, pairs) == pytest.approx(0.8, abs=0.03)
    assert share_found(0.0, sd, pairs) == pytest.approx(0.05, abs=0.015)
    normal = (1.959964 + 0.841621) * sd / math.sqrt(pairs)  # the formula of large samples would claim too much
    assert share_found(normal, sd, pairs) < (0.5, 0.7, 0.77)[(3, 5, 10).index(pairs)]


@pytest.mark.parametrize(("difference", "pairs"), [(0.0, 2), (0.5, 3), (3.0, 3), (1.0, 10), (0.2, 50), (3.0, 2)])
def test_power_is_that_of_scipys_noncentral_t(difference, pairs):
    limit = scipy.stats.t.isf(0.025, pairs - 1)
    expected = scipy.stats.nct(pairs - 1, math.sqrt(pairs) * difference)
    assert paired_t_power(difference, 1.0, pairs) == pytest.approx(expected.sf(limit) + expected.cdf(-limit), abs=1e-6)


def test_a_published_sample_size():
    # G*Power 3.1, means: difference from constant, dz = 0.5, two tails, alpha 0.05, power 0.8: 34 pairs, power 0.8078
    assert paired_t_power(0.5, 1.0, 34) == pytest.approx(0.8078, abs=5e-5)
    assert paired_t_power(0.5, 1.0, 33) < 0.8


def test_the_spread_is_pooled_over_variants_by_degrees_of_freedom():
    # squares around means 1 and 11: 1 + 0 + 1 and 4 + 4, with 2 and 1 degrees of freedom
    found = Detectable.of([[0, 1, 2], [9, 13], [5]], seeds=3)
    assert found is not None
    assert found.sd == pytest.approx(math.sqrt((2 + 8) / (2 + 1)))
    assert found.variants == 2
    assert [size for size, _ in found.differences] == [3, 5, 10]
    assert found.differences[0][1] == detectable_difference(found.sd, 3)


def test_the_numbers_of_seeds_are_those_there_are_and_larger_ones():
    assert [[size for size, _ in Detectable.of([[0, 1, 2]], seeds=n).differences] for n in (2, 10, 60)] == [
        [2, 5, 10],
        [10, 20, 50],
        [60],
    ]


def test_nothing_is_said_without_a_spread():
    assert Detectable.of([], seeds=3) is None
    assert Detectable.of([[0.1], [0.3]], seeds=3) is None
    assert Detectable.of([[0.1, 0.2]], seeds=3) is None  # one degree of freedom
    assert Detectable.of([[0.5, 0.5, 0.5], [0.1, 0.1]], seeds=3) is None
    assert Detectable.of([[0.1, 0.2, 0.4]], seeds=1) is None


def test_the_sentence():
    found = Detectable.of([[0.00, 0.01, 0.02]], seeds=3)
    assert found is not None
    assert found.text() == (
        "detectable with 80% power: 0.033 with 3 seeds, 0.017 with 5 seeds, 0.010 with 10 seeds (one difference,"
        " paired t test at 0.05, two-sided; standard deviation of paired differences 0.010, pooled over 1 variant)"
    )


def test_the_sign_flip_test_finds_no_more_than_the_t_test():
    """What docs/tables.md says of p: at the stated difference it is found less often, with five pairs never."""
    generator = np.random.default_rng(5)
    shares = {}
    for pairs in (5, 6, 10):
        drawn = generator.normal(detectable_difference(1.0, pairs), 1.0, (SIMULATED, pairs))
        shares[pairs] = float(np.mean([sign_flip_p(one) <= 0.05 for one in drawn]))
    assert shares[5] == 0
    assert shares[6] == pytest.approx(0.62, abs=0.03)
    assert shares[10] == pytest.approx(0.79, abs=0.03)
