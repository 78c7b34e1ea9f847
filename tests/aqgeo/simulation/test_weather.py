"""Weather: coherent in time, plausible by season, the same for domains of any size."""

import math
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from aqgeo.simulation.presets import PRESETS
from aqgeo.simulation.weather import MAX_WIND, REGIMES, Weather

HOURS = [datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=h) for h in range(8784)]
DAYS = [date(2021, 1, 1) + timedelta(days=d) for d in range(1461)]


def make(preset: str = "city", *, seed: int = 3, lon: float = 15, lat: float = 47) -> Weather:
    return Weather(seed, lon, lat, PRESETS[preset])


def test_a_larger_domain_about_the_same_place_has_the_same_weather() -> None:
    when, other = HOURS[4000], make(lon=15.4, lat=46.6)
    assert make().wind(when) == other.wind(when) != make(seed=4).wind(when)
    for name in ("mixing_height", "temperature", "convection", "sun_height"):
        assert getattr(make(), name)(when) == getattr(other, name)(when)
    assert make().aerosol(when.date()) == other.aerosol(when.date())


def test_wind_turns_slowly_and_calms_at_night() -> None:
    wind = np.array([make().wind(h) for h in HOURS])
    speed = np.hypot(*wind.T)
    assert 3 < speed.mean() < 6
    assert speed.max() <= MAX_WIND and (speed < 1).mean() < 0.1
    assert np.corrcoef(wind[1:, 0], wind[:-1, 0])[0, 1] > 0.95
    assert 0.1 < np.corrcoef(wind[24:, 0], wind[:-24, 0])[0, 1] < 0.7
    by_hour = speed.reshape(-1, 24).mean(axis=0)
    assert by_hour[1] < 0.85 * by_hour[12]
    coast = [math.hypot(*make("coast").wind(h)) for h in HOURS[:2000]]
    assert np.mean(coast) > 1.05 * speed[:2000].mean() and max(coast) <= MAX_WIND


# simulation-facts, section 5: inland Europe at 13 h, and at night.
@pytest.mark.parametrize(
    ("month", "low", "high"), [(1, 400, 800), (4, 1000, 1500), (7, 1400, 2000)]
)
def test_mixed_layer_grows_by_day_and_season(month: int, low: float, high: float) -> None:
    days = [datetime(2024, month, d, tzinfo=UTC) for d in range(1, 29)]
    noon = [make().mixing_height(d + timedelta(hours=12)) for d in days]
    night = [make().mixing_height(d + timedelta(hours=1)) for d in days]
    assert low < np.mean(noon) < high
    assert 100 < min(night) and max(night) < 360 and 150 < np.mean(night) < 300


def test_skies_are_clear_or_overcast_more_often_than_between() -> None:
    cover = np.array([make().cloud_cover(d) for d in DAYS])
    shares = np.histogram(cover, bins=[0, 0.2, 0.4, 0.6, 0.8, 1.0])[0] / cover.size
    assert shares[0] > 1.5 * shares[2] < shares[4]
    assert 0.35 < cover.mean() < 0.6
    assert 0.25 < np.corrcoef(cover[1:], cover[:-1])[0, 1] < 0.7


def test_regimes_agree_with_cover_and_last() -> None:
    kinds = np.array([make().regime(d) for d in DAYS])
    cover = np.array([make().cloud_cover(d) for d in DAYS])
    assert set(kinds) == set(REGIMES)
    assert cover[kinds == "clear"].max() < 0.1 and cover[kinds == "overcast"].min() > 0.9
    by_chance = sum((kinds == k).mean() ** 2 for k in REGIMES)
    assert (kinds[1:] == kinds[:-1]).mean() > 1.4 * by_chance


def test_seasons_follow_the_hemisphere_and_the_preset() -> None:
    july = datetime(2024, 7, 15, 12, tzinfo=UTC)
    assert make().season(july) == pytest.approx(-1, abs=0.01)
    assert make(lat=-40).season(july) == pytest.approx(1, abs=0.01)
    assert abs(make(lat=2).season(july)) < 0.1
    assert make("winter").season(july) == 1
    assert make().sun_height(july) > 2 * make("winter").sun_height(july) > 0
    assert make().day_height(july) > 2 * make("winter").day_height(july)
    assert make().temperature(july) > make("winter").temperature(july) + 10


def test_days_are_warmer_than_nights_and_europe_colder_than_the_tropics() -> None:
    year = np.array([make().temperature(h) for h in HOURS]).reshape(-1, 24).mean(axis=0)
    assert year[14] > year[3] + 3
    assert 8 < year.mean() < 14 < 23 < np.mean([make(lat=15).temperature(h) for h in HOURS])


def test_haze_gathers_on_calm_days() -> None:
    haze = np.array([make().aerosol(d) for d in DAYS])
    noons = [datetime(d.year, d.month, d.day, 12, tzinfo=UTC) for d in DAYS]
    speed = np.array([math.hypot(*make().wind(t)) for t in noons])
    assert 0.08 < np.median(haze) < 0.25 and 0.02 < haze.min() and haze.max() < 1.5
    assert haze[speed < 3].mean() > 1.2 * haze[speed > 6].mean()
    assert make("fires").aerosol(DAYS[0]) > make().aerosol(DAYS[0])
