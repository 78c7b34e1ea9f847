"""Area weights: mass is kept, order and parts do not matter, and shapely alone agrees."""

from pathlib import Path

import numpy as np
import pytest
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from aqgeo.gridding import binning
from aqgeo.sources import s5p

REAL = Path(__file__).parents[3].parent / "shared/data/s5p_l2_delhi"
CELL = 4000.0
GRID = GeoBox((30, 25), Affine(CELL, 0, 500_000, 0, -CELL, 5_320_000), "EPSG:32633")


def lonlat(xy: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    back = Transformer.from_crs("EPSG:32633", "EPSG:4326", always_xy=True)
    return back.transform(xy[..., 0], xy[..., 1])


def swath(lines: int, pixels: int, x: float, y: float, tilt: float = 0.2) -> np.ndarray:
    """Return corners (n, 4, 2) in metres of a gapless swath of 5.5 km x 3.6 km and wider pixels."""
    across, along = np.cumsum(np.linspace(3600, 7000, pixels + 1)), 5500.0 * np.arange(lines + 1)
    a, b = np.meshgrid(across - across[0], along)
    cos, sin = np.cos(tilt), np.sin(tilt)
    p = np.stack([x + a * cos + b * sin, y + b * cos - a * sin], axis=-1)
    return np.stack([p[:-1, :-1], p[:-1, 1:], p[1:, 1:], p[1:, :-1]], axis=2).reshape(-1, 4, 2)


def bin_(values: np.ndarray, corners: np.ndarray, grid: GeoBox = GRID) -> binning.Sums:
    return binning.average(values, *lonlat(corners), grid)


def brute_force(values: np.ndarray, corners: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return weight and total by clipping every pixel with every cell, in metres."""
    weight, total = np.zeros(GRID.shape), np.zeros(GRID.shape)
    for row, col in np.ndindex(*GRID.shape):
        left, top = GRID.affine @ (col, row)
        cell = shapely.box(left, top - CELL, left + CELL, top)
        for value, pixel in zip(values, corners, strict=True):
            area = shapely.Polygon(pixel).intersection(cell).area / CELL**2
            weight[row, col] += area
            total[row, col] += area * value
    return weight, total


INSIDE = swath(12, 12, 512_000, 5_230_000)
NOISE = np.random.default_rng(3).normal(3e-5, 4e-5, len(INSIDE))


def test_mass_is_kept_for_pixels_wholly_inside() -> None:
    sums = bin_(NOISE, INSIDE)
    area = shapely.area(shapely.polygons(INSIDE))
    assert (NOISE < 0).any()
    assert sums.weight.sum() * CELL**2 == pytest.approx(area.sum(), rel=1e-9)
    assert sums.total.sum() * CELL**2 == pytest.approx((NOISE * area).sum(), rel=1e-9)
    mean = np.nan_to_num(sums.mean())
    assert (mean * sums.weight).sum() * CELL**2 == pytest.approx((NOISE * area).sum(), rel=1e-9)


def test_every_pixel_keeps_its_own_mass() -> None:
    for pixel in INSIDE[::29]:
        sums = bin_(np.array([2.0]), pixel[None])
        assert sums.total.sum() * CELL**2 == pytest.approx(2 * shapely.Polygon(pixel).area, 1e-9)


def test_cells_agree_with_clipping_pixel_by_pixel() -> None:
    corners = swath(5, 5, 493_000, 5_303_000, -0.3)  # reaches over the grid's corner
    values = np.random.default_rng(4).normal(3e-5, 4e-5, len(corners))
    sums, (weight, total) = bin_(values, corners), brute_force(values, corners)
    assert 0 < weight.sum() * CELL**2 < shapely.area(shapely.polygons(corners)).sum()
    np.testing.assert_allclose(sums.weight, weight, atol=1e-9)
    np.testing.assert_allclose(sums.total, total, atol=1e-9 * np.abs(values).max())
    assert ((sums.weight > 0) == (weight > 0)).all()


def test_a_constant_field_stays_constant() -> None:
    sums = bin_(np.full(len(INSIDE), 7.25e-5), INSIDE)
    seen = sums.weight > 0
    np.testing.assert_allclose(sums.mean()[seen], 7.25e-5, rtol=1e-12)
    assert np.isnan(sums.mean()[~seen]).all() and not seen.all()


def test_cells_under_a_gapless_swath_are_covered_once() -> None:
    weight = bin_(NOISE, INSIDE).weight
    assert weight.max() <= 1 + 1e-7 and (np.abs(weight - 1) < 1e-7).sum() > 100


def test_the_order_of_pixels_does_not_matter() -> None:
    first = bin_(NOISE, INSIDE)
    order = np.random.default_rng(5).permutation(len(INSIDE))
    again = bin_(NOISE[order], INSIDE[order])
    np.testing.assert_allclose(again.weight, first.weight, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(again.total, first.total, rtol=1e-12, atol=1e-17)


def test_the_sense_in_which_corners_run_does_not_matter() -> None:
    turned = np.roll(INSIDE[:, ::-1], 1, axis=1)
    one, two = bin_(NOISE, INSIDE), bin_(NOISE, turned)
    np.testing.assert_allclose(two.total, one.total, rtol=1e-12, atol=1e-17)


def test_parts_of_an_orbit_hold_the_mass_of_the_whole() -> None:
    whole = bin_(NOISE, INSIDE)
    parts = bin_(NOISE[:50], INSIDE[:50]) + bin_(NOISE[50:], INSIDE[50:])
    np.testing.assert_allclose(parts.weight, whole.weight, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(parts.mean(), whole.mean(), rtol=1e-9)


def test_orbits_add_up_in_any_order_and_grouping() -> None:
    a, b, c = (bin_(NOISE * k, INSIDE + np.array([k * 700, 0])) for k in (1, 2, 3))
    one, two = (a + b) + c, c + (b + a)
    for name in ("weight", "total", "square", "count"):
        np.testing.assert_allclose(getattr(one, name), getattr(two, name), rtol=1e-12)
    np.testing.assert_allclose(one.standard_error(), two.standard_error(), rtol=1e-9)


def test_a_pixel_larger_than_the_grid_fills_every_cell() -> None:
    box = np.array([[[4e5, 5.1e6], [7e5, 5.1e6], [7e5, 5.4e6], [4e5, 5.4e6]]])
    sums = bin_(np.array([-5e-6]), box)
    np.testing.assert_allclose(sums.weight, 1, rtol=1e-12)
    np.testing.assert_allclose(sums.mean(), -5e-6, rtol=1e-12)


@pytest.mark.parametrize("shift", [(-2e5, 0), (2e5, 0), (0, 2e5), (0, -2e5), (-2e5, -2e5)])
def test_pixels_outside_leave_no_trace(shift: tuple[float, float]) -> None:
    sums = bin_(NOISE, INSIDE + np.array(shift))
    assert not sums.weight.any() and not sums.count.any()
    assert np.isnan(sums.mean()).all() and np.isnan(sums.standard_error()).all()


def test_no_pixel_at_all_is_nothing_seen() -> None:
    sums = binning.average(np.empty(0), np.empty((0, 4)), np.empty((0, 4)), GRID)
    assert sums.mean().shape == GRID.shape and np.isnan(sums.mean()).all()


def test_a_geographic_grid_is_binned_in_degrees() -> None:
    grid = GeoBox((4, 4), Affine(0.5, 0, 3, 0, -0.5, 51), "EPSG:4326")
    lon, lat = np.array([[3.25, 4.0, 4.0, 3.25]]), np.array([[50.0, 50.0, 50.5, 50.5]])
    weight = binning.average(np.ones(1), lon, lat, grid).weight
    np.testing.assert_allclose(weight[1, :3], [0.5, 1, 0], atol=1e-12)
    assert weight.sum() == pytest.approx(1.5)


def cell(value: float, share: float = 1.0) -> binning.Sums:
    """Return the sums of an orbit that sees one value in a share of the first cell."""
    left, top = GRID.affine @ (0, 0)
    right = left + share * CELL
    box = [(left, top - CELL), (right, top - CELL), (right, top), (left, top)]
    return bin_(np.array([value]), np.array([box]))


def test_the_standard_error_is_that_of_numpy_for_orbits_of_equal_weight() -> None:
    values = np.array([1.0, 4.0, 2.0, 8.0, -3.0])
    sums = sum((cell(v) for v in values[1:]), start=cell(values[0]))
    assert sums.mean()[0, 0] == pytest.approx(values.mean(), rel=1e-6)
    wanted = values.std(ddof=1) / np.sqrt(values.size)
    assert sums.standard_error()[0, 0] == pytest.approx(wanted, rel=1e-6)
    assert sums.count[0, 0] == 5


def test_the_standard_error_of_unequal_weights_is_the_weighted_one() -> None:
    values, weights = np.array([1.0, 4.0, 2.0]), np.array([1.0, 0.25, 0.5])
    a, b, c = (cell(v, w) for v, w in zip(values, weights, strict=True))
    mean = np.average(values, weights=weights)
    variance = np.average((values - mean) ** 2, weights=weights) / (values.size - 1)
    sums = a + b + c
    assert sums.mean()[0, 0] == pytest.approx(mean, rel=1e-6)
    assert sums.standard_error()[0, 0] == pytest.approx(np.sqrt(variance), rel=1e-6)


def test_one_orbit_has_no_standard_error_and_equal_ones_have_none_to_speak_of() -> None:
    one = cell(3e-5)
    assert np.isnan(one.standard_error()).all()
    assert (one + one + one).standard_error()[0, 0] < 1e-6 * 3e-5


def test_the_map_over_delhi_is_the_mean_of_the_real_granules_there() -> None:
    if not REAL.is_dir():
        pytest.skip("no real Sentinel-5P files beside the repository: ../shared/data/s5p_l2_delhi")
    utm = Transformer.from_crs("EPSG:4326", "EPSG:32643", always_xy=True)
    x, y = utm.transform([77.10, 77.16, 77.16, 77.10], [28.64, 28.64, 28.71, 28.71])
    # The city's box in whole cells of 250 m, so that map and polygon are the same ground.
    left, bottom, right, top = (round(v / 250) * 250 for v in (min(x), min(y), max(x), max(y)))
    rows, cols = int((top - bottom) / 250), int((right - left) / 250)
    grid = GeoBox((rows, cols), Affine(250, 0, left, 0, -250, top), "EPSG:32643")
    city, total, weight, sums = shapely.box(left, bottom, right, top), 0.0, 0.0, None
    for path in sorted(REAL.glob("*.nc4")):
        granule = s5p.read(path)
        pixels = np.stack(utm.transform(granule.lon, granule.lat), axis=-1)
        areas = np.array([shapely.Polygon(p).intersection(city).area for p in pixels])
        total, weight = total + (areas * granule.column).sum(), weight + areas.sum()
        orbit = binning.average(granule.column, granule.lon, granule.lat, grid)
        sums = orbit if sums is None else sums + orbit
    assert sums is not None and weight > 5 * city.area
    assert sums.total.sum() / sums.weight.sum() == pytest.approx(total / weight, rel=1e-9)
    shown = np.average(sums.mean(), weights=sums.weight)
    assert shown == pytest.approx(total / weight, rel=0.01)
    assert 5e-5 < shown < 3e-4  # a polluted city: 50 to 300 µmol m-2


@pytest.mark.parametrize(
    "corners",
    [
        # UTM folds the far side of the globe back onto its own.
        [(-165.0, 0.0), (-164.9, 0.0), (-164.9, 0.1), (-165.0, 0.1)],
        [(179.95, 48.0), (-179.95, 48.0), (-179.95, 48.1), (179.95, 48.1)],
        [(15.0, 47.9), (15.3, 47.9), (15.0, 48.1), (15.3, 48.1)],
    ],
    ids=["far side", "date line", "crossing corners"],
)
def test_pixels_that_a_projection_would_smear_leave_no_trace(corners: list) -> None:
    lon, lat = np.array(corners).T[:, None]
    assert not binning.average(np.array([1.0]), lon, lat, GRID).weight.any()
