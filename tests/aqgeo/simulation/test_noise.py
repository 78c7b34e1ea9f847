"""Laws of noise: a value belongs to its place, its spectrum is the one asked for."""

from itertools import pairwise

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

from aqgeo.simulation import noise, zoom


def grid(pixel: float, left: float, top: float, rows: int, cols: int) -> GeoBox:
    return GeoBox((rows, cols), Affine(pixel, 0, left, 0, -pixel, top), "EPSG:32633")


WIDE = grid(20, 400_000, 4_400_000, 300, 300)
FIELD = noise.field(WIDE, 1, "test", slope=3, outer_m=5000, inner_m=200)


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 250), st.integers(0, 250), st.integers(1, 50), st.integers(1, 50))
def test_a_window_shows_what_the_whole_shows(row: int, col: int, rows: int, cols: int) -> None:
    window = (slice(row, row + rows), slice(col, col + cols))
    again = noise.field(WIDE[window], 1, "test", slope=3, outer_m=5000, inner_m=200)
    np.testing.assert_array_equal(again, FIELD[window])


def test_windows_may_lie_west_and_south_of_the_origin() -> None:
    whole = grid(10, -700, 500, 90, 130)
    part = (slice(33, 77), slice(41, 99))
    one, two = (
        noise.refined(g, 80, lambda c: noise.field(c, 3, "far", slope=4, outer_m=2000))
        for g in (whole, whole[part])
    )
    np.testing.assert_array_equal(one[part], two)
    np.testing.assert_array_equal(
        noise.white(whole, 3, "far")[part], noise.white(whole[part], 3, "far")
    )


def test_twice_the_pixel_shows_the_same_field() -> None:
    coarse = grid(40, 400_000, 4_400_000, 150, 150)
    found = noise.field(coarse, 1, "test", slope=3, outer_m=5000, inner_m=200)
    assert np.corrcoef(found.ravel(), zoom.shrink(FIELD, 2).ravel())[0, 1] > 0.99


def test_mean_and_deviation_over_worlds() -> None:
    small = grid(40, 0, 0, 40, 40)
    many = np.stack(
        [noise.field(small, seed, "many", slope=3, outer_m=1500) for seed in range(200)]
    )
    assert abs(many.mean()) < 0.05
    assert many.std() == pytest.approx(1, abs=0.06)


@pytest.mark.parametrize("slope", [2.67, 3.6])
def test_power_falls_as_asked(slope: float) -> None:
    size = 512
    box = grid(20, 0, 0, size, size)
    found = np.mean(
        [
            _power(noise.field(box, seed, "p", slope=slope, outer_m=20_000), size)
            for seed in range(4)
        ],
        axis=0,
    )
    k = np.hypot(*np.meshgrid(np.fft.fftfreq(size), np.fft.fftfreq(size)))
    bounds = np.geomspace(0.01, 0.2, 8)
    rings = [found[(k >= a) & (k < b)].mean() for a, b in pairwise(bounds)]
    middle = np.sqrt(bounds[1:] * bounds[:-1])
    fitted = np.polyfit(np.log(middle), np.log(rings), 1)[0]
    assert fitted == pytest.approx(-slope, abs=0.3)


def _power(field: np.ndarray, size: int) -> np.ndarray:
    taper = np.outer(np.hanning(size), np.hanning(size))
    return np.abs(np.fft.fft2((field - field.mean()) * taper)) ** 2


@pytest.mark.parametrize("bad", [grid(15, 0, 0, 4, 4), grid(10, 5, 0, 4, 4), grid(5, 0, 0, 4, 4)])
def test_other_lattices_are_refused(bad: GeoBox) -> None:
    with pytest.raises(ValueError, match="power of two"):
        noise.white(bad, 0, "bad")
