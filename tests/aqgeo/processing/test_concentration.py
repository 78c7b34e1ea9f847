"""Surface concentration: honest held-out errors, a calibrated sigma, and no guess without data."""

import numpy as np
import pytest

from aqgeo.errors import EstimateError
from aqgeo.processing import concentration

SLOPES = np.array([4.0, -2.0, 0.5])


def stations(count: int, seed: int = 0, noise: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Return covariates in unlike units and concentrations linear in them but for noise."""
    rng = np.random.default_rng(seed)
    plain = rng.normal(size=(count, 3))
    truth = 18 + plain @ SLOPES
    return plain * [1e-5, 0.1, 300] + [4e-5, 0.3, 500], truth + noise * rng.normal(size=count)


@pytest.mark.parametrize("station", [0, 7, 19])
@pytest.mark.parametrize("change", [-15.0, 3.0, 500.0])
def test_a_held_out_prediction_never_saw_its_station(station: int, change: float) -> None:
    covariates, values = stations(20)
    changed = values.copy()
    changed[station] += change
    one, two = (concentration.fit(covariates, v) for v in (values, changed))
    assert two.held_out[station] == one.held_out[station]
    assert two.held_out_sigma[station] == one.held_out_sigma[station]
    assert (two.held_out != one.held_out).sum() == 18  # it does speak for all other folds


def test_a_held_out_prediction_is_that_of_a_model_of_the_other_folds() -> None:
    covariates, values = stations(20)
    rest = np.arange(20) % concentration.FOLDS != 4
    alone = concentration.fit(covariates[rest], values[rest])
    mean, sigma = alone.predict(covariates[[4]])
    whole = concentration.fit(covariates, values)
    assert whole.held_out[4] == pytest.approx(mean[0], rel=1e-12)
    assert whole.held_out_sigma[4] == pytest.approx(sigma[0], rel=1e-12)


def test_a_linear_truth_is_recovered() -> None:
    covariates, values = stations(40, noise=0.0)
    model = concentration.fit(covariates, values)
    new, truth = stations(200, seed=1, noise=0.0)
    mean, sigma = model.predict(new)
    np.testing.assert_allclose(mean, truth, atol=1e-3)
    assert (sigma < 1e-2).all()
    np.testing.assert_allclose(model.held_out, values, atol=1e-3)


def test_noise_averages_out_with_many_stations() -> None:
    covariates, values = stations(300, noise=3.0)
    new, truth = stations(200, seed=1, noise=0.0)
    mean, _ = concentration.fit(covariates, values).predict(new)
    assert np.sqrt(np.mean((mean - truth) ** 2)) < 3.0 * 2 * np.sqrt(4 / 300)


@pytest.mark.parametrize("noise", [0.5, 2.0, 8.0])
def test_one_sigma_holds_two_thirds_of_new_measurements(noise: float) -> None:
    covariates, values = stations(150, seed=2, noise=noise)
    model = concentration.fit(covariates, values)
    new, measured = stations(2000, seed=3, noise=noise)
    mean, sigma = model.predict(new)
    assert 0.6 < (np.abs(measured - mean) < sigma).mean() < 0.75
    assert sigma == pytest.approx(np.full(2000, noise), rel=0.2)


def test_held_out_errors_fit_their_held_out_sigma() -> None:
    shares = []
    for seed in range(4):
        covariates, values = stations(60, seed=seed)
        model = concentration.fit(covariates, values)
        shares.append(np.abs(values - model.held_out) < model.held_out_sigma)
    assert 0.6 < np.mean(shares) < 0.75


def test_sigma_grows_away_from_what_the_stations_saw() -> None:
    covariates, values = stations(30)
    model = concentration.fit(covariates, values)
    centre, spread = covariates.mean(axis=0), covariates.std(axis=0)
    _, sigma = model.predict(centre + np.array([[0], [3], [10]]) * spread)
    assert sigma[0] < sigma[1] < sigma[2]


def test_units_of_covariates_do_not_matter() -> None:
    covariates, values = stations(25)
    plain = concentration.fit(covariates, values)
    other = concentration.fit(covariates * [1e6, 1, 1e-3] + [0, 5, 0], values)
    np.testing.assert_allclose(other.held_out, plain.held_out, rtol=1e-6)
    np.testing.assert_allclose(other.held_out_sigma, plain.held_out_sigma, rtol=1e-6)
    assert other.sigma_factor == pytest.approx(plain.sigma_factor, rel=1e-6)


@pytest.mark.parametrize("count", [0, 1, 9])
def test_too_few_stations_are_told_with_their_number_and_the_least(count: int) -> None:
    with pytest.raises(EstimateError, match=rf"^{count} stations .*at least 10"):
        concentration.fit(*stations(count))


def test_the_least_number_of_stations_suffices() -> None:
    model = concentration.fit(*stations(concentration.MIN_STATIONS))
    assert np.isfinite(model.held_out).all() and model.sigma_factor > 0


def test_unknown_covariates_give_no_concentration_and_no_sigma() -> None:
    covariates, values = stations(20)
    model = concentration.fit(covariates, values)
    new = np.repeat(covariates[:1], 5, axis=0)
    new[1, 0] = new[2, 2] = np.nan
    new[3, 1] = np.inf
    mean, sigma = model.predict(new)
    assert np.isnan(mean).tolist() == np.isnan(sigma).tolist() == [False, True, True, True, False]
    assert mean[0] == mean[4]
    nothing = model.predict(np.full((3, 3), np.nan))
    assert np.isnan(nothing).all() and nothing[0].shape == (3,)


def test_baselines_never_saw_their_station_either() -> None:
    _, values = stations(12)
    at = np.random.default_rng(0).uniform(0, 50_000, (12, 2))
    changed = values.copy()
    changed[5] += 100
    for name, found in concentration.baselines(values, at).items():
        other = concentration.baselines(changed, at)[name]
        assert other[5] == pytest.approx(found[5], rel=1e-12), name
        assert (other != found).sum() == 11


def test_baselines_by_hand() -> None:
    values, at = np.array([10.0, 20.0, 40.0]), np.array([[0, 0], [1000, 0], [0, 2000.0]])
    found = concentration.baselines(values, at)
    np.testing.assert_allclose(found["mean of the other stations"], [30, 25, 15])
    assert found["inverse squared distance"][0] == pytest.approx((20 + 40 / 4) / (1 + 1 / 4))


def test_stations_at_one_place_speak_for_each_other() -> None:
    values, at = np.array([10.0, 20.0, 40.0]), np.array([[0, 0], [0, 0], [9e4, 0.0]])
    found = concentration.baselines(values, at)["inverse squared distance"]
    np.testing.assert_allclose(found[:2], [20, 10], rtol=1e-6)
