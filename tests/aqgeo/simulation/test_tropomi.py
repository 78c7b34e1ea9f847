"""Granules: the official layout, geometry of the swath, values within noise of the truth."""

import re
from datetime import date
from pathlib import Path

import netCDF4
import numpy as np
import pytest
import shapely

from aqgeo.simulation import air, swath, tropomi
from aqgeo.simulation.weather import Weather

from .conftest import PERIOD, SEED, Archive

REAL = Path(__file__).parents[3].parent / "shared/data/s5p_l2_delhi"
EXTRAS = ("PointRadius", "time_idx", "scanline_idx", "ground_pixel_idx")


@pytest.fixture(scope="module")
def files(small: Archive) -> list[Path]:
    return sorted((small.folder / "data/sentinel5p").iterdir())


@pytest.fixture(scope="module")
def seen(place):
    """One clear and one overcast look at the same air."""
    weather = Weather(SEED, *place.lonlat)
    hour = next(h for h in air.hours(place, weather, PERIOD) if h.start.hour == 12)
    view = swath.granule(place, PERIOD.start.date())
    truth = air.area_mean(hour.column, place.air_grid, view.corners)
    return truth, [tropomi.observe(place, view, hour.column, cover) for cover in (0.0, 1.0)]


def variables(group: netCDF4.Group) -> dict[str, netCDF4.Variable]:
    found = {f"{group.path}/{n}": v for n, v in group.variables.items() if n not in EXTRAS}
    for child in group.groups.values():
        found |= variables(child)
    return found


def test_layout_is_that_of_the_real_product(files) -> None:
    if not REAL.is_dir():
        pytest.skip("no real Sentinel-5P files beside the repository: ../shared/data/s5p_l2_delhi")
    with netCDF4.Dataset(sorted(REAL.glob("*.nc4"))[-1]) as real, netCDF4.Dataset(files[0]) as ours:
        expected, found = variables(real["PRODUCT"]), variables(ours["PRODUCT"])
        assert set(expected) <= set(found)
        assert set(real.groups) <= set(ours.groups)
        assert set(real["METADATA"].groups) <= set(ours["METADATA"].groups)
        assert ours.data_model == real.data_model
        for name, dimension in real["PRODUCT"].dimensions.items():
            if name in ("time", "layer"):
                assert ours["PRODUCT"].dimensions[name].size == dimension.size
        for path, variable in expected.items():
            same_variable(variable, found[path])


def same_variable(real: netCDF4.Variable, ours: netCDF4.Variable) -> None:
    assert ours.dimensions == real.dimensions, real.name
    assert ours.dtype == real.dtype, real.name
    expected, found = ({k: v.getncattr(k) for k in v.ncattrs()} for v in (real, ours))
    if real.name == "delta_time":  # names the day of the file
        expected["units"], found["units"] = expected["units"][:19], found["units"][:19]
    assert set(found) == set(expected), real.name
    for key, value in expected.items():
        assert type(found[key]) is type(value), (real.name, key)
        if isinstance(value, str):
            assert found[key] == value, (real.name, key)
        else:
            assert np.isclose(found[key], value, rtol=1e-6), (real.name, key)


def test_full_product_has_the_pixel_corners(files) -> None:
    with netCDF4.Dataset(files[0]) as nc:
        place = nc["PRODUCT/SUPPORT_DATA/GEOLOCATIONS"]
        for name, units in (("latitude", "degrees_north"), ("longitude", "degrees_east")):
            bounds = place[f"{name}_bounds"]
            assert bounds.dimensions == ("time", "scanline", "ground_pixel", "corner")
            assert (bounds.dtype, bounds.units) == (np.dtype("float32"), units)
            assert np.allclose(bounds[:].mean(axis=-1), nc["PRODUCT"][name][:], atol=2e-3)


def test_corners_run_counter_clockwise_from_the_south_west(files) -> None:
    with netCDF4.Dataset(files[0]) as nc:
        place = nc["PRODUCT/SUPPORT_DATA/GEOLOCATIONS"]
        lon, lat = (place[f"{n}_bounds"][0] for n in ("longitude", "latitude"))
        area = sum(
            lon[..., i] * lat[..., (i + 1) % 4] - lon[..., (i + 1) % 4] * lat[..., i]
            for i in range(4)
        )
        assert (area > 0).all()
        assert (lat[..., 0] < lat[..., 2]).all() and (lon[..., 0] < lon[..., 1]).all()
        assert np.allclose(lon[:-1, :, 3], lon[1:, :, 0], atol=1e-5)  # no gap along the track


def test_swath_reaches_15_km_beyond_the_domain(place) -> None:
    inner = shapely.box(*place.grid.extent.boundingbox.bbox).buffer(15_000, join_style="mitre")
    for day in range(7, 13):
        c = swath.granule(place, date(2024, 6, day)).corners
        assert shapely.Polygon([c[0, 0, 0], c[0, -1, 1], c[-1, -1, 2], c[-1, 0, 3]]).contains(inner)
        sides = np.linalg.norm(c[:, :, 1] - c[:, :, 0], axis=-1)
        assert 3400 < sides.min() and sides.max() < 8000
        assert np.allclose(np.linalg.norm(c[:, :, 3] - c[:, :, 0], axis=-1), 5500)
        tilt = c[1, 0, 0] - c[0, 0, 0]
        assert -14 < np.degrees(np.arctan2(tilt[0], tilt[1])) < -10


def test_names_and_times_are_official(files) -> None:
    pattern = r"S5P_OFFL_L2__NO2____(\d{8}T\d{6})_(\d{8}T\d{6})_\d{5}_03_020600_\d{8}T\d{6}\.nc"
    for path in files:
        match = re.fullmatch(pattern, path.name)
        assert match
        with netCDF4.Dataset(path) as nc:
            assert nc.id == path.stem
            utc = nc["PRODUCT/time_utc"][0, 0]
            assert match[1] < utc.replace("-", "").replace(":", "") < match[2]
            assert 10.5 < nc["PRODUCT/delta_time"][0, 0] / 3.6e6 < 14
            days = (date.fromisoformat(utc[:10]) - date(2010, 1, 1)).days
            assert nc["PRODUCT/time"][0] == 86_400 * days


def test_footprint_means_equal_the_truth_within_the_stated_noise(seen) -> None:
    truth, (clear, _) = seen
    good = clear["qa"] > 75
    score = (clear["column"] - truth)[good] / clear["precision"][good]
    assert good.mean() > 0.9
    assert abs(score.mean()) < 4 / np.sqrt(score.size)
    assert 0.85 < score.std() < 1.15
    assert 4e-6 < np.median(clear["precision"][good]) < 1e-5


def test_clouds_lower_the_quality_and_raise_the_noise(seen) -> None:
    _, (clear, cloudy) = seen
    assert (clear["qa"] > 75).mean() > 0.9
    assert (cloudy["qa"] <= 75).mean() > 0.5
    assert np.nanmedian(cloudy["precision"]) > 2 * np.nanmedian(clear["precision"])
    assert np.nanmin(cloudy["column"]) < 0  # negative values are kept
    assert set(np.unique(cloudy["qa"])) <= {0, 30, 33, 67, 74, 90, 100}
    assert np.isnan(cloudy["column"][cloudy["qa"] == 0]).all()


def test_kernel_has_34_smooth_layers(files) -> None:
    with netCDF4.Dataset(files[0]) as nc:
        kernel = nc["PRODUCT/averaging_kernel"][:]
        assert kernel.shape[-1] == 34
        assert 0 < kernel.min() and kernel.max() < 6
