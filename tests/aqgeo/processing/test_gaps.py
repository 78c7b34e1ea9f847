"""Gaps in time: what was seen stays, what was not is linear between dates, or stays unknown."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aqgeo.processing import gaps


def series(seed: int, dates: int = 7, share: float = 0.5) -> tuple[np.ndarray, ...]:
    """Return values, mask and uneven days; values under gaps are cloud-bright or NaN."""
    rng = np.random.default_rng(seed)
    days = np.cumsum(rng.integers(1, 12, dates)).astype("float64")
    values = rng.uniform(0, 0.4, (dates, 6, 5)).astype("float32")
    valid = rng.random(values.shape) < share
    valid[:, 0, 0], valid[:, 0, 1] = False, True
    values[~valid] = rng.choice([0.9, np.nan], (~valid).sum())
    return values, valid, days


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 9), st.sampled_from([0.1, 0.5, 0.9]))
def test_valid_pixels_are_unchanged_and_others_lie_between_them(
    seed: int, dates: int, share: float
) -> None:
    values, valid, days = series(seed, dates, share)
    filled = gaps.fill(values, valid, days)
    np.testing.assert_array_equal(filled[valid], values[valid])
    ever = valid.any(axis=0)
    assert np.isnan(filled[:, ~ever]).all() and np.isfinite(filled[:, ever]).all()
    low = np.where(valid, values, np.inf).min(axis=0)
    high = np.where(valid, values, -np.inf).max(axis=0)
    inside = (filled >= low - 1e-6) & (filled <= high + 1e-6)
    assert inside[:, ever].all()


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_filling_equals_numpys_interpolation_pixel_by_pixel(seed: int) -> None:
    values, valid, days = series(seed)
    filled = gaps.fill(values, valid, days)
    for row, col in zip(*np.nonzero(valid.any(axis=0)), strict=True):
        seen = valid[:, row, col]
        wanted = np.interp(days, days[seen], values[seen, row, col])
        np.testing.assert_allclose(filled[:, row, col], wanted, atol=1e-6)


def test_a_trend_linear_in_time_is_restored() -> None:
    days = np.array([0, 1, 5, 6, 20, 50.0])
    slope = np.array([[0.0, 0.001], [-0.002, 0.004]])
    truth = (0.2 + slope * days[:, None, None]).astype("float32")
    valid = np.random.default_rng(0).random(truth.shape) < 0.4
    valid[[0, -1]] = True
    np.testing.assert_allclose(
        gaps.fill(np.where(valid, truth, 0.9), valid, days), truth, atol=3e-8
    )


@pytest.mark.parametrize("at", range(5))
def test_one_valid_date_is_kept_for_all_dates(at: int) -> None:
    values, valid = np.full((5, 1, 1), np.nan), np.zeros((5, 1, 1), bool)
    values[at], valid[at] = 0.3, True
    filled = gaps.fill(values, valid, np.arange(5.0))
    np.testing.assert_array_equal(filled, np.full((5, 1, 1), 0.3, "float32"))


@settings(deadline=None)
@given(st.integers(0, 10_000))
def test_time_run_backwards_gives_the_same_pictures(seed: int) -> None:
    values, valid, days = series(seed)
    there = gaps.fill(values, valid, days)
    back = gaps.fill(values[::-1], valid[::-1], -days[::-1])[::-1]
    np.testing.assert_allclose(back, there, atol=1e-7)


def test_the_unit_and_origin_of_time_do_not_matter() -> None:
    values, valid, days = series(1)
    np.testing.assert_allclose(
        gaps.fill(values, valid, days), gaps.fill(values, valid, 19_875 + days), atol=1e-6
    )


def test_what_lies_under_a_cloud_does_not_matter() -> None:
    values, valid, days = series(2)
    other = np.where(valid, values, 0.123).astype("float32")
    np.testing.assert_array_equal(gaps.fill(values, valid, days), gaps.fill(other, valid, days))
    np.testing.assert_array_equal(gaps.composite(values, valid), gaps.composite(other, valid))


def test_filling_leaves_its_input_alone_and_returns_float32() -> None:
    values, valid, days = series(3)
    before = values.copy(), valid.copy()
    assert gaps.fill(values, valid, days).dtype == np.float32
    np.testing.assert_array_equal(values, before[0])
    np.testing.assert_array_equal(valid, before[1])


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 9), st.sampled_from([0.1, 0.5, 0.9]))
@pytest.mark.filterwarnings("ignore:All-NaN slice:RuntimeWarning")
def test_the_composite_is_numpys_median_of_valid_dates(seed: int, dates: int, share: float) -> None:
    values, valid, _ = series(seed, dates, share)
    wanted = np.nanmedian(np.where(valid, values, np.nan), axis=0)
    found = gaps.composite(values, valid)
    assert found.dtype == np.float32 and found.shape == values.shape[1:]
    np.testing.assert_array_equal(found, wanted.astype("float32"))


def test_the_composite_does_not_know_the_order_of_dates() -> None:
    values, valid, _ = series(4)
    order = np.random.default_rng(0).permutation(len(values))
    np.testing.assert_array_equal(
        gaps.composite(values, valid), gaps.composite(values[order], valid[order])
    )
