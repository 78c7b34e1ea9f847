"""How much each source of nitrogen oxides is at work, hour by hour."""

import math
from datetime import datetime, timedelta

import numpy as np

from aqgeo.simulation.weather import Weather

# Traffic by local hour (simulation-facts, section 5; recalled); a weekend has no rush hours. Means
# of Saturday and Sunday are .8 and .65 of a weekday's (same place).
_HOURS = (0, 3, 6, 8, 13, 17, 22, 24)
_WEEKDAY = (0.35, 0.15, 0.8, 1.7, 1.3, 1.8, 0.6, 0.35)
_WEEKEND = (0.6, 0.25, 0.3, 0.7, 1.5, 1.5, 0.9, 0.6)
_DAYS = (1.0, 1.0, 1.0, 1.0, 1.0, 0.8, 0.65)
_HALF_HOURS = np.arange(24) + 0.5
_MEANS = {day: float(np.interp(_HALF_HOURS, _HOURS, day).mean()) for day in (_WEEKDAY, _WEEKEND)}
_HOMES = (0.8, 0.6, 1.0, 1.4, 0.9, 1.1, 1.2, 0.8)  # as _WEEKDAY; illustrative
_WORKS = (0.85, 0.85, 1.0, 1.15, 1.15, 1.05, 0.9, 0.85)  # illustrative, with the week
_WORKS_DAYS = (1.07, 1.07, 1.07, 1.07, 1.07, 0.85, 0.8)
_HEATED_BELOW = 15.0  # degC, a usual bound of heating degree days
_UNHEATED = 4.0  # hot water and cooking, in the unit of those degrees; illustrative


def activity(when: datetime, weather: Weather) -> dict[str, float]:
    """Return what each source emits relative to its mean of the year."""
    local = weather.local(when)
    hour = local.hour + local.minute / 60
    return {
        "traffic": traffic(when, weather),
        "homes": _cycle(hour, _HOMES) * _heating(when, weather),
        "industry": _cycle(hour, _WORKS) * _WORKS_DAYS[local.weekday()],
        # Base load; a flat day (illustrative).
        "stacks": 1 + 0.08 * math.cos(math.tau * (hour - 15) / 24),
        # Fires flare up in the afternoon (illustrative).
        "fires": math.exp(1.5 * math.cos(math.tau * (hour - 15) / 24)) / float(np.i0(1.5)),
    }


def traffic(when: datetime, weather: Weather) -> float:
    """Return traffic relative to its mean of the week."""
    local = weather.local(when)
    day = _WEEKDAY if local.weekday() < 5 else _WEEKEND
    share = float(np.interp(local.hour + local.minute / 60, _HOURS, day)) / _MEANS[day]
    return share * _DAYS[local.weekday()] / float(np.mean(_DAYS))


def _cycle(hour: float, values: tuple[float, ...]) -> float:
    """Return a cycle's value relative to its mean."""
    return float(np.interp(hour, _HOURS, values) / np.interp(_HALF_HOURS, _HOURS, values).mean())


def _heating(when: datetime, weather: Weather) -> float:
    """Return heating and other burning of a day relative to the year's mean."""
    year = [weather.climate(weather.swing * math.cos(math.tau * m / 12)) for m in range(12)]
    mean = sum(max(_HEATED_BELOW - t, 0.0) for t in year) / 12
    # At 9 h local time it is as warm as in the mean of the day.
    nine = when - timedelta(hours=weather.local(when).hour - 9)
    today = max(_HEATED_BELOW - weather.temperature(nine), 0.0)
    return (_UNHEATED + today) / (_UNHEATED + mean)
