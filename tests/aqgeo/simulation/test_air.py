"""Physics of the air: transport, chemistry, budget, and the literature's sizes."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pytest
import scipy.optimize
import scipy.special
from affine import Affine
from odc.geo.geobox import GeoBox

from aqgeo.period import Period
from aqgeo.simulation import activity, air, chemistry
from aqgeo.simulation.emission import Inventory
from aqgeo.simulation.presets import PRESETS
from aqgeo.simulation.transport import HOUR_S, Flow
from aqgeo.simulation.weather import Weather

PIXELS, PIXEL_M = 320, 250
WEATHER = Weather(0, 15, 47, PRESETS["city"])


class SteadyWeather(Weather):
    """Each day is like the other; the wind always blows to the east."""

    def wind(self, when: datetime) -> tuple[float, float]:
        return 5.0, 0.0

    def _drift(self, purpose: str, when: datetime, step_h: int) -> float:
        return 0.0


def grid(rows: int = PIXELS, cols: int = PIXELS) -> GeoBox:
    return GeoBox((rows, cols), Affine(PIXEL_M, 0, 4e5, 0, -PIXEL_M, 5.2e6), "EPSG:32633")


def people(size: int = PIXELS) -> np.ndarray:
    """A city of 1.5 million by Clark's law, b = .35 per km, on open land with 30 a km2."""
    y, x = np.mgrid[:size, :size] - size / 2 + 0.5
    return 30 + 1.5e6 * 0.35**2 / (2 * np.pi) * np.exp(-0.35 * 0.25 * np.hypot(x, y))


def inventory() -> Inventory:
    """8 kg of NOx per head and year; a plant of .06 kg/s in the south-west."""
    nox = people() * 8e-6 / 3.156e7 / 0.046
    stacks = np.zeros_like(nox)
    stacks[PIXELS // 2 + 45, PIXELS // 2 - 40] = 0.06 / 0.046 / PIXEL_M**2
    sources = {"traffic": 0.6 * nox, "homes": 0.22 * nox, "industry": 0.18 * nox, "stacks": stacks}
    fields = {name: v.astype("float32") for name, v in sources.items()}
    return Inventory(grid(), fields, np.zeros((PIXELS, PIXELS), "float32"))


class Season(NamedTuple):
    """(day, hour, place) means over the city's core, its suburbs and the country upwind."""

    column: np.ndarray
    concentration: np.ndarray


@pytest.fixture(scope="module")
def seasons() -> dict[int, Season]:
    density = people()
    country = np.zeros(density.shape, bool)
    country[90:230, 84:94] = True  # 17-19 km to the west
    places = (density > 4000, (density > 800) & (density < 3000), country)
    found = {}
    for month in (1, 4, 7, 10):
        hours = list(
            air.hours(
                inventory(), WEATHER, Period.parse(f"2024-{month:02d}-08/2024-{month:02d}-14")
            )
        )
        means = [
            np.array([[getattr(h, name)[p].mean() for p in places] for h in hours])
            for name in ("column", "concentration")
        ]
        found[month] = Season(*(m.reshape(-1, 24, 3) for m in means))
    return found


def test_columns_have_the_size_of_real_ones(seasons: dict[int, Season]) -> None:
    city = np.array([s.column[:, 12, 0].mean() for s in seasons.values()])
    country = np.array([s.column[:, 12, 2].mean() for s in seasons.values()])
    assert np.all((city > 5e-5) & (city < 3e-4))
    assert 1.7e-5 < country.min() and 2e-5 < country.mean() < 4e-5
    assert np.all(city > 1.5 * country)


def test_concentrations_have_the_size_of_real_ones(seasons: dict[int, Season]) -> None:
    # EEA means, p10-p90: urban 12-31, suburban 9-26, rural 3-17 ug m-3 (section 6; measured).
    urban, suburban, rural = np.mean([s.concentration.mean((0, 1)) for s in seasons.values()], 0)
    assert 3 < rural < 17 and 9 < suburban < 26 and 12 < urban < 45
    assert rural < suburban < urban


def test_winter_air_holds_more(seasons: dict[int, Season]) -> None:
    column = seasons[1].column[:, 12].mean(0) / seasons[7].column[:, 12].mean(0)
    surface = seasons[1].concentration.mean((0, 1)) / seasons[7].concentration.mean((0, 1))
    assert np.all((column > 1.3) & (column < 2.6))
    assert np.all((surface > 1.3) & (surface < 3))


def test_day_has_two_peaks(seasons: dict[int, Season]) -> None:
    # Background x daily mean at 03, 08, 13, 19, 23 h (section 5; recalled).
    day = np.mean([s.concentration.mean(0) for s in seasons.values()], axis=0)[:, 1]
    cycle = np.interp([3, 8, 13, 19, 23], (np.arange(24) + 0.5 + 1), day / day.mean())
    assert cycle == pytest.approx([0.9, 1.3, 0.65, 1.3, 1.15], abs=0.2)


def test_ground_and_column_are_tied_as_measured(seasons: dict[int, Season]) -> None:
    # 24-h mean per 1e-5 mol m-2 at 13:30, no traffic: 1.65-4.9 ug m-3 (section 5; measured).
    column = np.mean([s.column[:, 12].mean(0) for s in seasons.values()], axis=0)
    mean = np.mean([s.concentration.mean((0, 1)) for s in seasons.values()], axis=0)
    assert np.all((mean / column > 1.65e5) & (mean / column < 4.9e5))


@pytest.mark.parametrize(("lat", "month"), [(25, 7), (25, 1), (47, 7), (47, 1), (-34, 7)])
def test_lifetimes_and_ratios_are_those_of_the_literature(lat: float, month: int) -> None:
    weather = replace(WEATHER, lat=lat)
    noon, night = (datetime(2024, month, 15, h, tzinfo=UTC) for h in (11, 0))
    hours = chemistry.lifetime_s(noon, weather) / 3600
    assert 1 < hours < 10
    assert hours < chemistry.lifetime_s(night, weather) / 3600 <= 20
    assert 1 / 0.85 < chemistry.nox_per_no2(noon, weather) < 1 / 0.6
    assert chemistry.nox_per_no2(night, weather) < 1.15
    if (lat, month) == (47, 7):
        assert chemistry.nox_per_no2(noon, weather) == pytest.approx(1.32, abs=0.06)


def steady(wind: tuple[float, float], loss: float, row: int, col: int, strength: float = 1e-5):
    """Air below a point source after 30 hours, on 80 x 160 km."""
    source = np.zeros((320, 640), "float32")
    source[row, col] = strength
    flow = Flow(grid(320, 640), {"traffic": source})
    held = flow.calm()
    for _ in range(30):
        held, _ = flow.step(held, {"traffic": 1.0}, wind, loss)
    return held[0]


def test_plume_decays_downwind_with_wind_times_lifetime() -> None:
    wind, lifetime, strength = 4.0, 2.0 * HOUR_S, 1e-5
    density = steady((wind, 0), 1 / lifetime, 160, 150, strength).sum(axis=0) * PIXEL_M
    x = (np.arange(640) - 149.5) * PIXEL_M / 1000
    use = (x > -15) & (x < 95)

    # Exponentially modified Gaussian (section 5; Beirle 2011), x in km.
    def emg(x, burden, x0, sigma):
        shape = scipy.special.erfc(-(x / sigma - sigma / x0) / np.sqrt(2))
        return burden / (2 * x0) * np.exp(sigma**2 / (2 * x0**2) - x / x0) * shape

    fit, _ = scipy.optimize.curve_fit(emg, x[use], density[use], p0=(density.sum(), 20, 2))
    assert fit[1] == pytest.approx(wind * lifetime / 1000, rel=0.05)
    found = fit[0] * 1000 / lifetime  # mol s-1
    assert found == pytest.approx(strength * PIXEL_M**2, rel=0.05)


def test_plume_goes_where_the_wind_goes() -> None:
    field = steady((3.0, 4.0), 4 / HOUR_S, 160, 320)
    y, x = np.mgrid[:320, :640]
    east, north = ((field * v).sum() / field.sum() for v in (x - 320, 160 - y))
    # Mean age of what decays is its lifetime.
    assert east * PIXEL_M == pytest.approx(3 * HOUR_S / 4, rel=0.05)
    assert north * PIXEL_M == pytest.approx(4 * HOUR_S / 4, rel=0.05)
    assert field.min() > -1e-3 * field.max()


def test_air_moves_with_its_source_and_grows_in_proportion() -> None:
    field = steady((3.0, -2.0), 1 / HOUR_S, 160, 300)
    moved = steady((3.0, -2.0), 1 / HOUR_S, 150, 320, 2e-5)
    inner = (slice(100, 220), slice(200, 440))
    expected = 2 * np.roll(field, (-10, 20), (0, 1))
    assert moved[inner] == pytest.approx(expected[inner], abs=1e-5 * float(field.max()))


def test_twice_the_sources_make_twice_the_excess() -> None:
    period = Period.parse("2024-06-05T06:00Z/2024-06-05T08:00Z")
    once = inventory()
    none = Inventory(once.grid, {"traffic": once.sources["traffic"] * 0}, *list_rest(once))
    twice = Inventory(once.grid, {k: 2 * v for k, v in once.sources.items()}, *list_rest(once))
    zero, one, two = (list(air.hours(i, WEATHER, period))[-1] for i in (none, once, twice))
    for name in ("column", "concentration"):
        base = getattr(zero, name)
        assert np.ptp(base) < 1e-6 * base.max()
        excess = getattr(one, name) - base
        assert getattr(two, name) - base == pytest.approx(
            2 * excess, abs=1e-4 * float(excess.max())
        )
    assert (one.column >= 0.99 * zero.column).all()
    assert one.column.dtype == one.concentration.dtype == np.float32


def list_rest(found: Inventory) -> list[object]:
    """The fields of an inventory after its sources."""
    return [getattr(found, name) for name in found.__slots__[2:]]


def test_mass_closes() -> None:
    hours = list(air.hours(inventory(), WEATHER, Period.parse("2024-06-05/2024-06-07")))
    budgets = [h.budget for h in hours]
    for b in budgets:
        assert b.before + b.emitted == pytest.approx(b.after + b.decayed + b.blown_out, rel=1e-4)
    for one, two in pairwise(budgets):
        assert two.before == pytest.approx(one.after, rel=1e-4)
    emitted = sum(b.emitted for b in budgets)
    gone = sum(b.decayed + b.blown_out for b in budgets)
    assert budgets[0].before + emitted - gone == pytest.approx(budgets[-1].after, rel=0.01)
    # Each for itself: two days of the inventory, and what is held over its lifetime.
    year = sum(float(v.sum()) for v in inventory().sources.values()) * PIXEL_M**2
    assert 0.5 < emitted / (48 * HOUR_S * year) < 1.1  # the rim emits nothing; June heats little
    held = [(b.before + b.after + b.blown_out) / 2 for b in budgets]
    loss = [1 / chemistry.lifetime_s(h.start + timedelta(minutes=30), WEATHER) for h in hours]
    assert sum(b.decayed for b in budgets) == pytest.approx(HOUR_S * np.dot(held, loss), rel=0.05)
    assert all(b.decayed > 0 and b.blown_out > -1e-3 * b.after for b in budgets)


def test_weekend_air_is_cleaner() -> None:
    weather = SteadyWeather(0, 15, 47, PRESETS["city"])
    core = people() > 4000
    hours = list(air.hours(inventory(), weather, Period.parse("2024-06-05/2024-06-10")))
    days = np.array([[h.column[core].mean(), h.concentration[core].mean()] for h in hours])
    week, sunday = days.reshape(5, 24, 2)[0], days.reshape(5, 24, 2)[4]
    # Column: Sunday .72-.88 of the mean, city weekends -40 % to -10 % (section 5).
    assert 0.6 < sunday[12, 0] / week[12, 0] < 0.9
    # Stations: .65-.83 by day, about .89 at night (section 5; measured).
    assert 0.6 < sunday[6:18, 1].mean() / week[6:18, 1].mean() < 0.87


def test_traffic_and_all_else_is_one_in_the_mean() -> None:
    start = datetime(2024, 6, 3, tzinfo=UTC)
    week = [activity.activity(start + timedelta(minutes=30 + 60 * h), WEATHER) for h in range(168)]
    for name in ("traffic", "industry", "stacks", "fires"):
        assert np.mean([w[name] for w in week]) == pytest.approx(1, abs=0.02)
    year = [activity.activity(start + timedelta(days=d, hours=11), WEATHER) for d in range(365)]
    homes = np.array([y["homes"] for y in year])
    assert homes.mean() == pytest.approx(1, abs=0.15)
    assert homes[190:250].mean() > 2 * homes[:60].mean()
    cold = replace(WEATHER, preset=PRESETS["winter"])
    assert activity.activity(start, cold)["homes"] > 2 * activity.activity(start, WEATHER)["homes"]


def test_winter_preset_has_winter_air() -> None:
    period = Period.parse("2024-06-05T11:00Z/2024-06-05T12:00Z")
    cold = replace(WEATHER, preset=PRESETS["winter"])
    (summer,), (winter,) = (list(air.hours(inventory(), w, period)) for w in (WEATHER, cold))
    assert winter.column.mean() > 1.4 * summer.column.mean()
    assert winter.concentration.mean() > 1.5 * summer.concentration.mean()


def test_area_mean_of_a_slope_is_its_value_at_the_centre() -> None:
    slope = np.broadcast_to(np.arange(PIXELS, dtype="float32"), (PIXELS, PIXELS))
    x, y = grid().affine * (50.0, 60.0)
    corners = np.array(
        [[x - 900, y - 400], [x + 900, y - 400], [x + 900, y + 400], [x - 900, y + 400]]
    )
    assert air.area_mean(slope, grid(), corners) == pytest.approx(49.5, abs=1e-3)
