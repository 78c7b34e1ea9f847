"""What goes with an average: threads, fields, faults by name, errors, types of counts."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox

from aqgeo.errors import GridError
from aqgeo.gridding import binning

GRID = GeoBox((150, 120), Affine(0.05, 0, 5, 0, -0.05, 52), "EPSG:4326")
UTM = GeoBox((150, 120), Affine(4000, 0, 200_000, 0, -4000, 5_700_000), "EPSG:32632")
NAMES = ("weight", "total", "pixels", "count", "value_square", "weight_square")
SQUARE = np.array([(0.0, 0.0), (0.1, 0.0), (0.1, 0.1), (0.0, 0.1)])


def pixels(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return values and corners in float32, as in the files, of pixels of many sizes."""
    rng = np.random.default_rng(seed)
    size = 10 ** rng.uniform(-2, 0.3, (n, 1))
    lon = rng.uniform(4, 12, (n, 1)) + size * np.array([0, 1, 1.2, 0.1]) * rng.uniform(0.5, 2)
    lat = rng.uniform(44, 53, (n, 1)) + size * np.array([0, 0.2, 1.1, 0.8])
    return rng.normal(3e-5, 4e-5, n).astype("float32"), lon.astype("float32"), lat.astype("float32")


def square(value: float, lon: float, lat: float, size: float = 1.0) -> tuple[np.ndarray, ...]:
    return (
        np.array([value]),
        lon + size * SQUARE[None, :, 0],
        lat + size * SQUARE[None, :, 1],
    )


# Threads


@pytest.mark.parametrize("grid", [GRID, UTM], ids=["degrees", "metres"])
def test_any_number_of_threads_gives_the_same_bits(grid: GeoBox, monkeypatch) -> None:
    monkeypatch.setattr(binning, "_CHUNK", 500)
    monkeypatch.setattr(binning, "_BLOCK", 2000)
    values, lon, lat = pixels(5000)
    more = {"kernel": np.random.default_rng(1).uniform(size=(5000, 3))}
    one, two, five = (
        binning.average(values, lon, lat, grid, fields=more, scatter=True, threads=n)
        for n in (1, 2, 5)
    )
    assert one.weight.any()
    for other in (two, five):
        for name in NAMES:
            assert getattr(one, name).tobytes() == getattr(other, name).tobytes(), name
        assert one.fields["kernel"].tobytes() == other.fields["kernel"].tobytes()


def test_the_size_of_blocks_changes_nothing(monkeypatch) -> None:
    values, lon, lat = pixels(3000)
    one = binning.average(values, lon, lat, GRID)
    monkeypatch.setattr(binning, "_CHUNK", 64)
    monkeypatch.setattr(binning, "_BLOCK", 128)
    two = binning.average(values, lon, lat, GRID)
    assert one.total.tobytes() == two.total.tobytes()


@pytest.mark.parametrize("grid", [GRID, UTM], ids=["degrees", "metres"])
def test_a_mean_by_strips_is_that_of_the_whole_grid(grid: GeoBox) -> None:
    values, lon, lat = pixels(3000)
    whole = binning.average(values, lon, lat, grid).mean()
    parts = list(binning.strips(grid, cells=40 * 120))
    assert [rows.start for rows, _ in parts] == [0, 32, 64, 96, 128] and len(whole) == 150
    found = [binning.average(values, lon, lat, part).mean() for _, part in parts]
    np.testing.assert_allclose(np.concatenate(found), whole, rtol=1e-10, atol=1e-16)


def test_corners_in_float64_and_in_other_layouts_give_the_same_bits() -> None:
    values, lon, lat = pixels(1000)
    one = binning.average(values, lon, lat, GRID)
    two = binning.average(values.astype("float64"), lon.astype("float64"), lat, GRID)
    three = binning.average(values, np.asfortranarray(lon), lat[:, ::-1][:, ::-1], GRID)
    assert one.total.tobytes() == two.total.tobytes() == three.total.tobytes()


# Fields


def test_fields_have_the_weights_of_the_value() -> None:
    values, lon, lat = pixels(2000)
    more = {
        "same": values,
        "kernel": values[:, None] * np.array([1.0, -2.0]),
        "one": values * 0 + 1,
    }
    sums = binning.average(values, lon, lat, GRID, fields=more)
    seen = sums.weight > 0
    assert (sums.fields["same"] == sums.total).all()
    assert sums.mean("kernel").shape == (*GRID.shape, 2)
    np.testing.assert_allclose(sums.mean("kernel")[..., 1], -2 * sums.mean(), rtol=1e-9)
    np.testing.assert_allclose(sums.mean("one")[seen], 1, rtol=1e-12)
    assert np.isnan(sums.mean("kernel")[~seen]).all()
    twice = sums + sums
    np.testing.assert_allclose(twice.mean("kernel"), sums.mean("kernel"), rtol=1e-12)


@pytest.mark.parametrize("gap", [np.nan, np.inf, -np.inf])
def test_a_cell_is_blank_in_a_field_that_one_of_its_pixels_lacks(gap: float) -> None:
    values, lon, lat = (
        np.concatenate(a) for a in zip(square(1, 6, 50), square(2, 6.05, 50), strict=True)
    )
    field = np.array([3.0, gap])
    sums = binning.average(values, lon, lat, GRID, fields={"field": field})
    first = binning.average(values[:1], lon[:1], lat[:1], GRID).weight > 0
    second = binning.average(values[1:], lon[1:], lat[1:], GRID).weight > 0
    mean = sums.mean("field")
    assert np.isnan(mean[second]).all() and (mean[first & ~second] == 3).all()
    assert np.isfinite(sums.mean()[first | second]).all()


def test_fields_of_another_length_are_refused() -> None:
    values, lon, lat = pixels(10)
    with pytest.raises(ValueError, match="'short'"):
        binning.average(values, lon, lat, GRID, fields={"short": values[:9]})
    with pytest.raises(ValueError, match="corners"):
        binning.average(values, lon[:9], lat, GRID)


def test_sums_with_other_fields_do_not_add_up() -> None:
    values, lon, lat = pixels(10)
    one = binning.average(values, lon, lat, GRID)
    with pytest.raises(GridError, match="do not add up"):
        one + binning.average(values, lon, lat, GRID, fields={"more": values})


def test_a_grid_without_a_crs_is_refused() -> None:
    values, lon, lat = pixels(10)
    with pytest.raises(GridError, match="no CRS"):
        binning.average(values, lon, lat, GeoBox((4, 4), Affine.identity(), None))


# Faults

BOW_TIE = [(6.0, 50.0), (6.2, 50.0), (6.0, 50.2), (6.2, 50.2)]
FAULTY = {
    "corner not finite": (1.0, [(6.0, 50.0), (np.nan, 50.0), (6.1, 50.1), (6.0, 50.1)]),
    "corner off the globe": (1.0, [(6.0, 50.0), (6.1, 90.1), (6.1, 50.1), (6.0, 50.1)]),
    "value not finite": (np.nan, [(6.0, 50.0), (6.1, 50.0), (6.1, 50.1), (6.0, 50.1)]),
    "no area": (1.0, [(6.0, 50.0), (6.1, 50.1), (6.2, 50.2), (6.1, 50.1)]),
    "edges cross": (1.0, BOW_TIE),
}


@pytest.mark.parametrize("grid", [GRID, UTM], ids=["degrees", "metres"])
@pytest.mark.parametrize("fault", FAULTY)
def test_a_faulty_pixel_is_counted_by_name_and_leaves_no_trace(fault: str, grid: GeoBox) -> None:
    if fault == "no area" and grid is UTM:
        pytest.skip("a straight line in degrees is none in metres")
    good, lon, lat = pixels(50)
    value, corners = FAULTY[fault]
    x, y = np.array(corners).T[:, None]
    alone = binning.average(good, lon, lat, grid)
    both = binning.average(
        np.append(good, value), np.append(lon, x, axis=0), np.append(lat, y, axis=0), grid
    )
    assert both.skipped == {fault: 1} and not alone.skipped
    np.testing.assert_array_equal(both.weight, alone.weight)
    assert (both + both).skipped == {fault: 2}


@pytest.mark.parametrize(
    "corners",
    [
        [(6.0, np.inf), (6.1, 50.0), (6.1, 50.1), (6.0, 50.1)],
        [(9.97e36, 9.97e36)] * 4,
        [(9.97e36, 50.0)] * 4,
        [(6.0, 50.0)] * 4,
        [(6.0, 50.0), (6.1, 50.0), (6.1, 50.0), (6.0, 50.0)],
        [(6.0, 50.0), (6.2, 50.2), (6.2, 50.0), (6.0, 50.2)],
    ],
)
def test_other_broken_corners_count_once_and_leave_no_trace(corners: list) -> None:
    lon, lat = np.array(corners).T[:, None]
    for grid in (GRID, UTM):
        sums = binning.average(np.ones(1), lon, lat, grid)
        assert sum(sums.skipped.values()) == 1 and not sums.weight.any()


def test_pixels_far_away_are_no_fault() -> None:
    for grid in (GRID, UTM):
        values, lon, lat = square(np.nan, 100, -20)
        assert not binning.average(values, lon, lat, grid).skipped


def test_negative_values_are_kept() -> None:
    sums = binning.average(*square(-4e-5, 6, 50), GRID)
    assert sums.mean()[sums.weight > 0] == pytest.approx(-4e-5, rel=1e-12)


# Errors


def test_the_error_over_pixels_is_that_of_numpy_for_equal_weights() -> None:
    values = np.array([1.0, 4.0, 2.0, 8.0, -3.0])
    _, lon, lat = square(1, 6, 50, size=0.5)
    sums = binning.average(values, np.repeat(lon, 5, 0), np.repeat(lat, 5, 0), GRID, scatter=True)
    seen = sums.weight > 0
    wanted = values.std(ddof=1) / np.sqrt(values.size)
    np.testing.assert_allclose(sums.pixel_error()[seen], wanted, rtol=1e-9)
    assert (sums.pixels[seen] == 5).all() and (sums.count[seen] == 1).all()
    assert np.isnan(sums.pixel_error()[~seen]).all()
    assert np.isnan(sums.standard_error()).all()


def test_one_pixel_or_a_trace_of_a_second_has_no_error() -> None:
    one = binning.average(*square(1, 6, 50), GRID, scatter=True)
    assert np.isnan(one.pixel_error()).all()
    again = one + binning.average(*square(3, 6, 50), GRID, scatter=True)
    np.testing.assert_allclose(again.pixel_error()[again.weight > 0], 1, rtol=1e-9)


def test_squares_are_kept_only_where_asked_for() -> None:
    sums = binning.average(*square(1, 6, 50), GRID)
    assert sums.value_square is None and (sums + sums).weight_square is None
    with pytest.raises(ValueError, match="scatter=True"):
        sums.pixel_error()


def test_counts_grow_into_a_wider_type_before_they_overflow() -> None:
    _, lon, lat = square(1, 6, 50)
    n = 300
    sums = binning.average(np.ones(n), np.repeat(lon, n, 0), np.repeat(lat, n, 0), GRID)
    assert sums.pixels.max() == n and sums.count.max() == 1
    for _ in range(9):
        sums = sums + sums
    assert sums.count.max() == 512 and sums.pixels.max() == n * 512


# The cache of compiled code


def test_it_works_where_no_cache_can_be_written(tmp_path: Path, root: Path) -> None:
    code = (
        "import numpy as np\n"
        "from numba.core import caching\n"
        "caching.CacheImpl._locator_classes = []\n"  # as where no folder can be written
        "from aqgeo.gridding import binning, overlap\n"  # compiles one of all, for time's sake
        "print(overlap.extent(np.array([[1., 5], [3, 2]])), overlap.extent.stats.cache_path)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(root)}
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert run.stdout.strip() == "(1.0, 3.0, 2.0, 5.0) None", run.stderr
