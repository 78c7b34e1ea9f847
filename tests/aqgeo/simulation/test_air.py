"""Physics of the world and its air."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox

from aqgeo.period import Period
from aqgeo.simulation import air, noise, sun, world
from aqgeo.simulation.weather import MAX_WIND, Weather
from aqgeo.simulation.world import World

from .conftest import SEED


class SteadyWind(Weather):
    """A wind that always blows to the east."""

    def wind(self, when: datetime) -> tuple[float, float]:
        return 5.0, 0.0


@pytest.fixture(scope="module")
def big() -> World:
    """A domain of 50 km with a city of its full size."""
    affine = Affine(20, 0, 399_960, 0, -20, 4_400_040)
    return world.build(GeoBox((2502, 2502), affine, "EPSG:32633"), 0)


@pytest.fixture(scope="module")
def hours(big: World) -> list[air.Hour]:
    return list(air.hours(big, Weather(0, *big.lonlat), Period.parse("2024-06-03/2024-06-08")))


def inside(place: World, field: np.ndarray) -> np.ndarray:
    pad = world.AIR_MARGIN_M // world.AIR_PIXEL_M
    return field[pad:-pad, pad:-pad]


def test_columns_have_the_size_of_real_ones(big: World, hours: list[air.Hour]) -> None:
    column = inside(big, np.mean([h.column for h in hours if h.start.hour == 12], axis=0))
    people = inside(big, world.to_air(big, big.population))
    assert 5e-5 < column[people > 4000].mean() < 3e-4
    assert 2e-5 < np.median(column[people < 150]) < 4.5e-5
    assert column.max() < 5e-4
    assert column.min() >= 0.99 * (air.BACKGROUND + air.FREE_TROPOSPHERE)


def test_concentrations_have_the_size_of_real_ones(big: World, hours: list[air.Hour]) -> None:
    mean = inside(big, np.mean([h.concentration for h in hours], axis=0))
    people = inside(big, world.to_air(big, big.population))
    street = inside(big, world.to_air(big, big.street))
    assert 4 < mean[people < 150].mean() < 10
    assert 15 < (mean + street)[people > 4000].mean() < 35
    assert 8 < np.percentile(big.street[big.land_cover == world.ROAD], 90) < 45


def test_weekend_air_is_cleaner(place: World) -> None:
    weather = SteadyWind(SEED, *place.lonlat)
    period = Period.parse("2024-06-05/2024-06-10")  # Wednesday to Sunday
    found = {
        h.start.date().isoformat(): inside(place, h.column).mean()
        for h in air.hours(place, weather, period)
        if h.start.hour == 12
    }
    background = air.BACKGROUND + air.FREE_TROPOSPHERE
    ratio = (found["2024-06-09"] - background) / (found["2024-06-05"] - background)
    # Sunday/weekday of emissions down to .5 (Lange 2022); here traffic is 60 % of low sources.
    assert 0.6 < ratio < 0.95


def test_plume_decays_downwind_with_the_lifetime(place: World) -> None:
    weather = SteadyWind(SEED, *place.lonlat)
    noon = datetime(2024, 6, 7, 11, tzinfo=UTC)
    period = Period(noon, noon + timedelta(hours=1))
    (hour,) = air.hours(place, weather, period)
    background = air.BACKGROUND + air.FREE_TROPOSPHERE
    line_density = (hour.column - background).sum(axis=0)  # sum across the wind
    col, _ = (int(v) for v in ~place.air_grid.affine * place.city)
    east = line_density[col + 20 : col + 40]
    assert line_density[col + 30] > 3 * line_density[col - 30]
    assert np.all(np.diff(east) < 0)


def test_a_closed_box_keeps_emission_times_lifetime(place: World) -> None:
    # Without rim losses the burden of a steady source is E tau; the rim only takes away.
    weather = SteadyWind(SEED, *place.lonlat)
    hour = list(air.hours(place, weather, Period.parse("2024-06-07")))[12]
    background = air.BACKGROUND + air.FREE_TROPOSPHERE
    burden = float((hour.column - background).clip(0).sum()) * air.NOX_PER_NO2
    emission = float(sum(field.sum() for field in place.emission.values()))
    lifetime = air.lifetime_s(hour.start, weather)
    assert 0.1 * emission * lifetime < burden < 1.5 * emission * lifetime


def test_traffic_is_one_in_the_mean_of_a_week() -> None:
    start = datetime(2024, 6, 3, tzinfo=UTC)
    week = [air.traffic(start + timedelta(minutes=30 + 60 * h), 0.0) for h in range(168)]
    assert np.mean(week) == pytest.approx(1.0, abs=1e-3)


def test_area_mean_of_a_slope_is_its_value_at_the_centre(place: World) -> None:
    rows, cols = place.air_grid.shape
    slope = np.broadcast_to(np.arange(cols, dtype="float32"), (rows, cols))
    x, y = place.air_grid.affine * (50.0, 60.0)
    corners = np.array(
        [[x - 900, y - 400], [x + 900, y - 400], [x + 900, y + 400], [x - 900, y + 400]]
    )
    assert air.area_mean(slope, place.air_grid, corners) == pytest.approx(49.5, abs=1e-3)


def test_world_has_all_classes_and_denser_towns(place: World) -> None:
    shares = np.bincount(place.land_cover.ravel(), minlength=9)[1:] / place.land_cover.size
    assert (shares > 0.0005).all()
    col, row = (int(v) for v in ~place.grid.affine * place.city)
    centre = place.population[row - 20 : row + 20, col - 20 : col + 20].mean()
    assert centre > 5 * np.median(place.population)


def test_weather_depends_on_seed_and_date_alone() -> None:
    when = datetime(2024, 6, 3, 9, tzinfo=UTC)
    first, same, other = Weather(1, 15, 47), Weather(1, 15, 47), Weather(2, 15, 47)
    assert first.wind(when) == same.wind(when) != other.wind(when)
    days = [date(2024, 1, 1) + timedelta(days=i) for i in range(366)]
    covers = np.array([first.cloud_cover(day) for day in days])
    assert (covers < 0.1).mean() > 0.1 and (covers > 0.9).mean() > 0.1
    noons = [datetime(d.year, d.month, d.day, 12, tzinfo=UTC) for d in days]
    assert max(np.hypot(*first.wind(t)) for t in noons) <= MAX_WIND
    heights = [first.mixing_height(t) for t in noons]
    assert np.mean(heights[150:240]) > 2 * np.mean(heights[:60])


def test_fractal_fields_have_the_asked_spectrum() -> None:
    field = noise.fractal((512, 512), noise.stream(0, "test"), slope=8 / 3)
    power = np.abs(np.fft.fft2(field)) ** 2
    k = np.hypot(np.fft.fftfreq(512)[:, None], np.fft.fftfreq(512)[None, :])
    bands = [(0.02, 0.03), (0.2, 0.3)]
    low, high = (power[(k >= a) & (k < b)].mean() for a, b in bands)
    assert np.log10(low / high) == pytest.approx(8 / 3, abs=0.3)
    assert field.std() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(("month", "zenith"), [(6, 21), (12, 65)])
def test_sun_stands_as_in_the_table(month: int, zenith: float) -> None:
    # simulation-facts, section 1, 40 degrees north.
    when = sun.overpass(date(2024, month, 15), 15.0, 40.0, satellite="sentinel-2")
    found, azimuth = sun.position(when, 15.0, 40.0)
    assert found == pytest.approx(zenith, abs=1.5)
    assert 90 < azimuth < 180
