"""The procedural globe: plausible shares, plumes that keep their mass, one place one value."""

import math
from datetime import date, timedelta

import netCDF4
import numpy as np
import pytest

from aqgeo.simulation import globe, granule, swath, tropomi

SEED = 3


@pytest.fixture(scope="module")
def view() -> swath.Swath:
    return next(p for p in swath.passes((60, 0, 90, 50), date(2020, 9, 30)) if p.orbit == 15364)


@pytest.fixture(scope="module")
def truth(view):
    return globe.truth(view, SEED)


def cell_m2(view: swath.Swath) -> np.ndarray:
    lon, lat = np.moveaxis(view.corners, -1, 0)
    east = (lon - lon[..., :1] + 180) % 360 - 180
    x = np.radians(east) * 6.371e6 * np.cos(np.radians(view.centres[..., 1]))[..., None]
    y = np.radians(lat) * 6.371e6
    return abs(sum(x[..., i] * y[..., i - 3] - x[..., i - 3] * y[..., i] for i in range(4))) / 2


def test_the_sky_and_the_ground_are_plausible(truth) -> None:
    assert 4.9e-6 < truth.column.min() and 1e-4 < truth.column.max() < 3e-3
    assert 5e-6 < np.median(truth.column) < 4e-5
    assert 0.2 < truth.cloud_fraction.mean() < 0.7
    assert (truth.cloud_fraction == 0).mean() > 0.15 and (truth.cloud_fraction == 1).mean() > 0.02
    assert 0.05 < truth.land.mean() < 0.95
    assert (truth.elevation_m[~truth.land] == 0).all() and truth.elevation_m.max() < 5000
    assert 300 <= truth.cloud_height_m.min() and truth.cloud_height_m.max() <= 12_000
    assert {0.05} == {round(float(v), 3) for v in np.unique(truth.albedo[truth.land])}


def test_a_third_of_the_globe_is_land_and_all_cities_stand_on_it() -> None:
    found = [globe.cities(seed, swath.scan_start(15364)) for seed in range(8)]
    assert 0.2 < np.mean([len(cities) for cities in found]) / globe.CITIES < 0.45
    sizes = np.array([city.kt_a_year for cities in found for city in cities])
    assert 10 < np.median(sizes) < 14 and 100 < sizes.max() < 1500


def test_a_plume_holds_what_its_city_emits_in_a_lifetime(view) -> None:
    place = view.centres[view.shape[0] // 2, view.shape[1] // 2]
    city = globe.City(place, 100.0, np.array([3.0, 0.0]))
    plume = globe._plume(city, view.centres, view.scan_start)
    seconds = 9000 * math.exp((abs(place[1]) - 20) / 28)
    burden = 100 * 0.69 * seconds / 1.32  # mol, winter aside
    assert (plume * cell_m2(view)).sum() == pytest.approx(burden, rel=0.05)
    assert 1e-4 < plume.max() < 1e-3
    down = plume[:, view.shape[1] // 2 + 5 :].sum()
    assert down > 2 * plume[:, : view.shape[1] // 2 - 5].sum()  # the wind goes east


def test_a_place_has_its_truth_whatever_is_cut(view, truth) -> None:
    centre = view.centres[view.shape[0] // 2, view.shape[1] // 2]
    box = (centre[0] - 2, centre[1] - 2, centre[0] + 2, centre[1] + 2)
    small = next(p for p in swath.passes(box, date(2020, 9, 30)) if p.orbit == 15364)
    line, pixel = small.first_line - view.first_line, small.first_pixel - view.first_pixel
    cut = slice(line, line + small.shape[0]), slice(pixel, pixel + small.shape[1])
    ours = globe.truth(small, SEED)
    for name in ("column", "cloud_fraction", "cloud_height_m", "land"):
        assert np.allclose(getattr(ours, name), getattr(truth, name)[cut], rtol=1e-4), name
    assert not np.allclose(globe.truth(small, SEED + 1).cloud_fraction, ours.cloud_fraction)


def test_snow_lies_where_it_is_winter() -> None:
    box = (20.0, 55.0, 30.0, 60.0)
    january, july = (
        globe.truth(swath.passes(box, date(2024, month, 10))[0], SEED) for month in (1, 7)
    )
    assert january.snow[january.land].mean() > 0.5 and not july.snow.any()
    assert july.albedo.max() < 0.1


def test_a_granule_over_the_globe_has_every_quality(view, truth, tmp_path) -> None:
    path = granule.write(view, tropomi.observe(view, SEED, truth), tmp_path)
    with netCDF4.Dataset(path) as nc:
        quality = np.round(100 * nc["PRODUCT/qa_value"][0])
        assert {0, 74, 90, 100} <= set(np.unique(quality).tolist())
        assert 0.15 < (quality > 75).mean() < 0.8
        column = nc["PRODUCT/nitrogendioxide_tropospheric_column"][0]
        good = quality > 75
        assert np.corrcoef(column[good], truth.column[good])[0, 1] > 0.6


def test_a_day_is_14_or_15_orbits_and_none_is_missed() -> None:
    counts = [len(swath.orbits_of(date(2024, 6, 1) + timedelta(n))) for n in range(16)]
    assert set(counts) == {14, 15} and sum(counts) == 227
