"""Columns from satellite pixels: each pixel keeps its mean, on whatever grid, however it lies."""

from pathlib import Path

import numpy as np
import pyproj
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox

from aqgeo.gridding import binning
from aqgeo.processing import superres_footprints as footprints
from tests.standins import column_scenes

GRID = GeoBox((60, 70), Affine(1000, 0, 400_000, 0, -1000, 5_000_000), "EPSG:32633")


def swath(turn: float = 0.2, *, overlap: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Return (n, 4) corners, lon and lat, of turned pixels of 5.5 km x 4 km over the grid."""
    at = np.stack(np.meshgrid(np.arange(-12, 13) * 5500.0, np.arange(-16, 17) * 4000.0), -1)
    half = overlap * np.array([2750.0, 2000.0])
    corners = at.reshape(-1, 1, 2) + half * np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]])
    c, s = np.cos(turn), np.sin(turn)
    turned = corners @ np.array([[c, s], [-s, c]]) + (435_000, 4_970_000)
    back = pyproj.Transformer.from_crs("EPSG:32633", "EPSG:4326", always_xy=True)
    lon, lat = back.transform(turned[..., 0], turned[..., 1])
    return np.asarray(lon), np.asarray(lat)


def seen(seed: int = 0, *, low: float = 3e-5, **how: float) -> footprints.Pixels:
    lon, lat = swath(**how)
    values = np.random.default_rng(seed).normal(low, 2e-5, len(lon))
    return footprints.place(values, lon, lat, GRID)


def test_shares_are_those_that_means_are_made_with() -> None:
    lon, lat = swath()
    values = np.random.default_rng(0).normal(size=len(lon))
    shares = binning.shares(lon, lat, GRID)
    sums = binning.average(values, lon, lat, GRID)
    np.testing.assert_allclose(shares.sum(axis=0), sums.weight.ravel(), atol=1e-9)
    np.testing.assert_allclose(values @ shares, sums.total.ravel(), atol=1e-9)


def test_pixels_that_reach_beyond_the_grid_are_left_out() -> None:
    pixels = seen()
    area = 5500 * 4000 / 1e6
    assert 60 < len(pixels.values) < GRID.shape[0] * GRID.shape[1] / area
    np.testing.assert_allclose(pixels.means.sum(axis=1), 1, rtol=1e-12)
    lon, lat = swath()
    none = footprints.place(np.full(len(lon), np.nan), lon, lat, GRID)
    assert not len(none.values) and not none.seen.any()


@pytest.mark.parametrize("overlap", [1.0, 1.2])
@pytest.mark.parametrize("low", [3e-5, 0.0])
def test_every_pixel_keeps_its_mean_though_noise_makes_some_negative(
    low: float, overlap: float
) -> None:
    pixels = seen(low=low, overlap=overlap)
    assert (pixels.values < 0).any()
    rng = np.random.default_rng(1)
    fine = footprints.conserve(rng.normal(3e-5, 3e-5, GRID.shape.yx), pixels)
    np.testing.assert_array_equal(np.isfinite(fine).ravel(), pixels.seen)
    mean = pixels.means @ np.nan_to_num(fine.ravel())
    np.testing.assert_allclose(mean, pixels.values, rtol=1e-6, atol=1e-12)


def test_pixels_side_by_side_leave_nothing_below_what_was_seen() -> None:
    pixels = seen(low=4e-5)
    fine = footprints.conserve(np.random.default_rng(1).normal(0, 9e-5, GRID.shape.yx), pixels)
    assert np.nanmin(fine) >= min(pixels.values.min(), 0) - 1e-10


def test_what_is_right_already_is_not_changed() -> None:
    truth = np.random.default_rng(3).exponential(3e-5, GRID.shape.yx)
    pixels = seen()
    exact = footprints.Pixels(pixels.means @ truth.ravel(), pixels.means, pixels.shape)
    fine = footprints.conserve(truth, exact)
    known = np.isfinite(fine)
    np.testing.assert_allclose(fine[known], truth[known], rtol=1e-6)


def test_the_interpolation_is_smooth_and_keeps_constants() -> None:
    pixels = seen()
    flat = footprints.Pixels(np.full(len(pixels.values), 4e-5), pixels.means, pixels.shape)
    fine = footprints.interpolate(flat)
    np.testing.assert_allclose(fine[np.isfinite(fine)], 4e-5, rtol=1e-6)
    rough = footprints.interpolate(pixels)
    mean = pixels.means @ np.nan_to_num(rough.ravel())
    np.testing.assert_allclose(mean, pixels.values, rtol=1e-6, atol=1e-12)


def test_a_network_keeps_them_too(tmp_path: Path) -> None:
    weights = column_scenes.network(tmp_path / "columns.safetensors")
    pixels = seen()
    roads = np.random.default_rng(2).exponential(2e3, GRID.shape.yx)
    fine, sigma = footprints.estimate(pixels, {"roads": roads}, weights)
    mean = pixels.means @ np.nan_to_num(fine.ravel())
    np.testing.assert_allclose(mean, pixels.values, rtol=1e-6, atol=1e-12)
    np.testing.assert_array_equal(np.isfinite(sigma), np.isfinite(fine))
    smooth = footprints.interpolate(pixels)
    assert np.nanstd(fine - smooth) > 0.02 * np.nanstd(smooth)
