"""Chemistry of nitrogen oxides as two numbers an hour: their lifetime, the share that is NO2."""

import math
from datetime import datetime

from aqgeo.simulation.weather import Weather

_LONGEST_H = 12.0  # at night 10-20 h (simulation-facts, section 5; recalled)
# [NO]/[NO2] = J / (k [O3]) with k = 3e-12 exp(-1500 / T) cm3 s-1 (simulation-facts, section 5;
# recalled). J = A exp(-B / cos(zenith)) through .008 s-1 at summer noon and .003 in winter (same
# place), zeniths of 24 and 70 degrees.
_J_TOP, _J_PATH = 0.0143, 0.53
_PER_PPB = 2.5e10  # molecules cm-3 in 1 ppb: 40 ppb are 1e12 (same place)
_FRESH_NO = 0.05  # NO that has not met ozone yet, by NO2; illustrative


def lifetime_s(when: datetime, weather: Weather) -> float:
    """Return the lifetime of NOx in s.

    2.5 h e^((|lat| - 20)/28) by day, winter 1.6 times summer, 4 times as long at night
    (simulation-facts, section 5; after Lange 2022; recalled, illustrative); at most 12 h.
    """
    day = 2.5 * math.exp((abs(weather.lat) - 20) / 28) * (1 + 0.23 * weather.season(when))
    night = min(4 * day, _LONGEST_H)
    # Light that lacks only near sunrise and sunset: two thirds of the day have nearly all.
    light = min(3 * weather.sun_height(when), 1.0)
    return 3600 / (light / day + (1 - light) / night)


def nox_per_no2(when: datetime, weather: Weather) -> float:
    """Return NOx / NO2 in the photostationary state; 1.32 in summer at 13:30 (Beirle 2011)."""
    height = weather.sun_height(when)
    if height < 0.02:
        return 1 + _FRESH_NO
    kelvin = 273.15 + weather.climate(weather.season(when))
    k = 3e-12 * math.exp(-1500 / kelvin)
    ratio = _J_TOP * math.exp(-_J_PATH / height) / (k * _ozone_ppb(when, weather) * _PER_PPB)
    return 1 + _FRESH_NO + ratio


def _ozone_ppb(when: datetime, weather: Weather) -> float:
    """Return ozone in ppb: 55 in the afternoon of summer, 29 in that of winter; illustrative."""
    season = weather.season(when)
    return 42 - 13 * season - 8 * (1 - weather.convection(when))
