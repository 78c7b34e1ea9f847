"""Refined columns: coarse means kept, nothing invented from no data, no direction preferred."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aqgeo.models import conserve
from aqgeo.processing import superres

FACTORS = st.sampled_from([1, 2, 3, 4, 5])


def field(seed: int, rows: int, cols: int, gaps: float = 0.2) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.normal(3e-5, 4e-5, (rows, cols))
    coarse[rng.random(coarse.shape) < gaps] = np.nan
    return coarse


def block_mean(fine: np.ndarray, factor: int) -> np.ndarray:
    rows, cols = (n // factor for n in fine.shape)
    return fine.reshape(rows, factor, cols, factor).mean(axis=(1, 3))


@settings(deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 12), FACTORS)
def test_the_mean_of_every_coarse_cell_is_kept(
    seed: int, rows: int, cols: int, factor: int
) -> None:
    coarse = field(seed, rows, cols)
    fine = superres.refine(coarse, factor)
    assert fine.shape == (rows * factor, cols * factor)
    scale = np.nanmax(np.abs(coarse)) if np.isfinite(coarse).any() else 1
    np.testing.assert_allclose(block_mean(fine, factor), coarse, rtol=0, atol=1e-9 * scale)


@settings(deadline=None)
@given(st.integers(0, 10_000), FACTORS)
def test_no_data_stay_where_they_are_and_do_not_spread(seed: int, factor: int) -> None:
    coarse = field(seed, 9, 7, gaps=0.5)
    fine = superres.refine(coarse, factor)
    np.testing.assert_array_equal(
        np.isnan(fine), np.isnan(coarse).repeat(factor, 0).repeat(factor, 1)
    )


@pytest.mark.parametrize("gaps", [0.0, 0.3])
@pytest.mark.parametrize("value", [-2e-6, 5e-5])
def test_a_constant_field_stays_constant(value: float, gaps: float) -> None:
    coarse = field(1, 9, 8, gaps) * 0 + value
    fine = superres.refine(coarse, 4)
    np.testing.assert_allclose(fine[np.isfinite(fine)], value, rtol=1e-12)


def test_gaps_lend_nothing_to_their_neighbours() -> None:
    coarse = np.full((7, 7), 5e-5)
    coarse[3, 3] = coarse[0, :3] = np.nan
    fine = superres.refine(coarse, 4)
    np.testing.assert_allclose(fine[np.isfinite(fine)], 5e-5, rtol=1e-12)


@pytest.mark.parametrize(
    "turn", [np.flipud, np.fliplr, np.transpose, np.rot90], ids=lambda f: f.__name__
)
@pytest.mark.parametrize("factor", [2, 3, 4])
def test_turning_first_or_last_is_the_same(turn, factor: int) -> None:
    coarse = field(2, 9, 7)
    np.testing.assert_allclose(
        superres.refine(turn(coarse), factor), turn(superres.refine(coarse, factor)), atol=1e-18
    )


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 14), st.integers(0, 14), st.integers(0, 99), st.sampled_from([2, 3, 4]))
def test_a_cell_is_felt_no_farther_than_the_reach(
    row: int, col: int, seed: int, factor: int
) -> None:
    coarse = field(seed, 15, 15)
    coarse[row, col] = 3e-5
    for other in (3e-4, np.nan):
        changed = coarse.copy()
        changed[row, col] = other
        one, two = superres.refine(coarse, factor), superres.refine(changed, factor)
        cells = np.argwhere(~np.isclose(one, two, rtol=1e-12, atol=0, equal_nan=True)) // factor
        assert np.abs(cells - (row, col)).max() <= conserve.REACH


def test_a_window_with_a_rim_of_the_reach_gives_the_same_pixels() -> None:
    coarse, rim = field(5, 24, 24), conserve.REACH
    whole = superres.refine(coarse, 4)
    part = superres.refine(coarse[8 - rim : 16 + rim, 8 - rim : 16 + rim], 4)
    np.testing.assert_allclose(
        part[4 * rim : -4 * rim, 4 * rim : -4 * rim], whole[32:64, 32:64], rtol=1e-12
    )


def test_scaling_and_shifting_the_field_scale_and_shift_the_result() -> None:
    coarse = field(6, 8, 8)
    np.testing.assert_allclose(
        superres.refine(1e6 * coarse + 20, 4), 1e6 * superres.refine(coarse, 4) + 20, rtol=1e-10
    )


def test_a_slope_is_restored_inside_the_field() -> None:
    y, x = np.mgrid[0:48, 0:48] + 0.5
    truth = 1e-6 * (3 * x - y)
    fine = superres.refine(block_mean(truth, 4), 4)
    np.testing.assert_allclose(fine[16:-16, 16:-16], truth[16:-16, 16:-16], atol=1e-12)


def test_a_smooth_plume_is_closer_to_the_truth_than_repeated_cells_are() -> None:
    y, x = np.mgrid[0:64, 0:64] + 0.5
    truth = 1e-4 * np.exp(-((x - 30) ** 2 + (y - 35) ** 2) / 2 / 10**2)
    coarse = block_mean(truth, 4)
    error, plain = (
        np.sqrt(np.mean((made - truth) ** 2))
        for made in (superres.refine(coarse, 4), coarse.repeat(4, 0).repeat(4, 1))
    )
    assert error < 0.2 * plain
