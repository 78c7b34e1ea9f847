"""Scores of fields obey their laws."""

import numpy as np
import pytest

from aqgeo.scoring import fields

TRUTH = np.random.default_rng(1).gamma(3, 5, (40, 50))


def test_a_perfect_field_has_perfect_scores() -> None:
    assert fields.compare(TRUTH, TRUTH) == fields.FieldScores(2000, 1, pytest.approx(1), 0, 0, 0, 1)


def test_a_scaled_and_shifted_field_keeps_its_correlation_only() -> None:
    one = fields.compare(TRUTH, 2 * TRUTH + 3)
    assert one.r == pytest.approx(1)
    assert one.bias == one.mae == pytest.approx(TRUTH.mean() + 3)
    assert one.mass == pytest.approx(2 + 3 / TRUTH.mean())
    assert one.rmse**2 == pytest.approx(one.bias**2 + TRUTH.var())
    assert one.r2 == pytest.approx(1 - one.rmse**2 / TRUTH.var())


def test_the_true_mean_everywhere_has_an_r2_of_zero_and_no_correlation() -> None:
    one = fields.compare(TRUTH, np.full_like(TRUTH, TRUTH.mean()))
    assert one.r2 == pytest.approx(0)
    assert np.isnan(one.r)


def test_no_data_on_either_side_counts_for_nothing() -> None:
    truth, found = TRUTH.copy(), 2 * TRUTH
    truth[::3], found[:, ::5] = np.nan, np.nan
    kept = np.isfinite(truth) & np.isfinite(found)
    assert fields.compare(truth, found) == fields.compare(truth[kept], found[kept])
    nothing = fields.compare(truth, np.full_like(truth, np.nan))
    assert nothing.n == 0
    assert np.isnan([nothing.r2, nothing.r, nothing.mae, nothing.bias, nothing.rmse]).all()


def test_normal_errors_lie_within_their_sigma_as_often_as_they_should() -> None:
    rng = np.random.default_rng(2)
    sigma = rng.uniform(0.5, 4, 100_000)
    found = rng.normal(10, sigma)
    n, one, two = fields.within_sigma(np.full(sigma.size, 10.0), found, sigma)
    assert n == sigma.size
    # Three standard errors of a share of 100 000.
    assert one == pytest.approx(0.6827, abs=0.0044)
    assert two == pytest.approx(0.9545, abs=0.002)
    sigma[:] = np.nan
    assert fields.within_sigma(found, found, sigma)[0] == 0
