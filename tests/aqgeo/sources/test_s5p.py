"""Sentinel-5P granules: the official layout read pixel by pixel, with corners that fit."""

from pathlib import Path

import netCDF4
import numpy as np
import pytest
import shapely

from aqgeo.errors import SourceError
from aqgeo.period import Period
from aqgeo.simulation import granule, swath, tropomi
from aqgeo.sources import s5p

FILL = {"f4": np.float32(9.96921e36), "u1": np.uint8(255)}
PLACE = "PRODUCT/SUPPORT_DATA/GEOLOCATIONS"


def write(path: Path, column, qa, *, corners: bool = True, unit: str = s5p.UNIT) -> Path:
    """Write (scanline, ground_pixel) columns and qa values in hundredths; NaN becomes the fill."""
    column = np.asarray(column, "float64")
    lines, pixels = column.shape
    lon, lat = np.meshgrid(15 + 0.05 * np.arange(pixels), 47 + 0.05 * np.arange(lines))
    with netCDF4.Dataset(path, "w") as nc:
        product = nc.createGroup("PRODUCT")
        sizes = {"time": 1, "scanline": lines, "ground_pixel": pixels, "corner": 4}
        for name, size in sizes.items():
            product.createDimension(name, size)
        add(product, s5p.COLUMN, "f4", column).units = unit
        found = add(product, "qa_value", "u1", qa)
        found.scale_factor, found.add_offset = np.float32(0.01), np.float32(0)
        add(product, "longitude", "f4", lon)
        add(product, "latitude", "f4", lat)
        if corners:
            place = nc.createGroup(PLACE)
            signs = np.array([-1, 1, 1, -1]), np.array([-1, -1, 1, 1])
            add(place, "longitude_bounds", "f4", lon[..., None] + 0.025 * signs[0])
            add(place, "latitude_bounds", "f4", lat[..., None] + 0.025 * signs[1])
    return path


def add(group, name: str, kind: str, values) -> netCDF4.Variable:
    dims = ("time", "scanline", "ground_pixel", "corner")[: np.ndim(values) + 1]
    variable = group.createVariable(name, kind, dims, fill_value=FILL[kind])
    variable.set_auto_maskandscale(False)
    values = np.asarray(values, "float64")
    variable[0] = np.where(np.isfinite(values), values, FILL[kind]).astype(kind)
    return variable


def refusal(path: Path) -> str:
    with pytest.raises(SourceError) as caught:
        s5p.read(path)
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    return str(caught.value)


def test_a_quality_of_75_is_not_above_the_bound_and_76_is(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nc", [[1e-5, 2e-5, 3e-5, 4e-5]], [[74, 75, 76, 100]])
    granule = s5p.read(path)
    np.testing.assert_allclose(granule.column, [3e-5, 4e-5], rtol=1e-6)
    assert (granule.pixels, granule.best_qa) == (4, pytest.approx(1.0))


@pytest.mark.parametrize("bound", [0, 29, 33, 50, 58, 67, 74, 90, 99])
def test_the_bound_is_strict_in_hundredths_whatever_it_is(bound: int, tmp_path: Path) -> None:
    path = write(tmp_path / "a.nc", [[1e-5] * 3], [[max(bound - 1, 0), bound, bound + 1]])
    assert s5p.read(path, min_qa=bound / 100).column.size == 1


def test_fill_values_of_any_variable_are_no_pixels(tmp_path: Path) -> None:
    column = [[1e-5, np.nan, 3e-5, 4e-5]]
    path = write(tmp_path / "a.nc", column, [[100, 100, np.nan, 100]])
    with netCDF4.Dataset(path, "a") as nc:
        nc[PLACE]["longitude_bounds"][0, 0, 3, 2] = np.ma.masked
    granule = s5p.read(path)
    np.testing.assert_allclose(granule.column, [1e-5], rtol=1e-6)
    assert granule.pixels == 3
    assert np.isfinite(granule.lon).all() and np.isfinite(granule.lat).all()


def test_a_granule_without_a_usable_pixel_is_empty_and_tells_its_best_quality(tmp_path) -> None:
    granule = s5p.read(write(tmp_path / "a.nc", [[1e-5, 2e-5]], [[33, 74]]))
    assert granule.column.size == 0 and granule.best_qa == pytest.approx(0.74)
    nothing = s5p.read(write(tmp_path / "b.nc", [[np.nan, np.nan]], [[100, 100]]))
    assert nothing.pixels == 0 and np.isnan(nothing.best_qa)


def test_negative_columns_are_noise_and_kept(tmp_path: Path) -> None:
    path = write(tmp_path / "a.nc", [[-2e-5, 1e-5, 0]], [[100, 100, 100]])
    np.testing.assert_allclose(s5p.read(path).column, [-2e-5, 1e-5, 0], rtol=1e-6)


def test_corners_are_those_of_the_file_and_enclose_their_pixel(tmp_path: Path) -> None:
    granule = s5p.read(write(tmp_path / "a.nc", [[1e-5, 2e-5], [3e-5, 4e-5]], [[100] * 2] * 2))
    assert not granule.rebuilt
    np.testing.assert_allclose(granule.lon[0], [14.975, 15.025, 15.025, 14.975], atol=1e-5)
    np.testing.assert_allclose(granule.lat[2], [47.025, 47.025, 47.075, 47.075], atol=1e-5)


def test_without_corners_they_are_rebuilt_and_that_is_told(tmp_path: Path) -> None:
    values = np.arange(12).reshape(3, 4) * 1e-6
    given, rebuilt = (
        s5p.read(write(tmp_path / f"{c}.nc", values, np.full((3, 4), 100), corners=c))
        for c in (True, False)
    )
    assert rebuilt.rebuilt
    one, two = (shapely.polygons(np.stack([g.lon, g.lat], -1)) for g in (given, rebuilt))
    assert (shapely.area(shapely.symmetric_difference(one, two)) < 3e-4 * shapely.area(one)).all()


@pytest.mark.parametrize("unit", ["umol m-2", "mol cm-2", "molecules m-2", "1e15", "DU", ""])
def test_another_unit_is_refused_and_both_are_named(unit: str, tmp_path: Path) -> None:
    line = refusal(write(tmp_path / "a.nc", [[1e-5]], [[100]], unit=unit))
    assert repr(unit) in line and "'mol m-2'" in line


@pytest.fixture(scope="module")
def view() -> swath.Swath:
    return swath.passes((14.4, 46.7, 15.8, 47.5), Period.parse("2024-06-07").start.date())[0]


@pytest.fixture(scope="module")
def files(view, tmp_path_factory) -> dict[str, Path]:
    """A granule of the simulation, in each form that is less than an orbit."""
    folder = tmp_path_factory.mktemp("s5p")
    ground = np.ones(view.shape, bool)
    truth = tropomi.Footprints(
        column=np.full(view.shape, 1e-4, "float32"),
        cloud_fraction=np.full(view.shape, 0.05, "float32"),
        cloud_height_m=np.full(view.shape, 1500, "float32"),
        elevation_m=np.full(view.shape, 300, "float32"),
        land=ground,
        snow=~ground,
        albedo=np.full(view.shape, 0.05, "float32"),
    )
    seen = tropomi.observe(view, 7, truth)
    return {form: granule.write(view, seen, folder, form=form) for form in ("piece", "subset")}


def test_a_granule_of_the_simulation_reads_with_its_own_corners(view, files) -> None:
    granule = s5p.read(files["piece"])
    assert not granule.rebuilt and 0.5 * view.centres[..., 0].size < granule.column.size
    assert granule.lon.shape == granule.lat.shape == (granule.column.size, 4)


def test_a_subset_of_the_simulation_reads_like_its_piece_but_for_the_corners(files) -> None:
    full, part = s5p.read(files["piece"]), s5p.read(files["subset"])
    assert part.rebuilt and not full.rebuilt
    assert np.array_equal(part.column, full.column) and part.best_qa == full.best_qa
    assert np.abs(part.lon - full.lon).max() < 2e-4 and np.abs(part.lat - full.lat).max() < 1e-4
