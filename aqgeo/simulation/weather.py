"""Daily weather, the same for the whole domain."""

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import numpy as np

from aqgeo.simulation import noise, sun

MAX_WIND = 8.0
"""Upper limit of the wind in m/s; the transport grid's rim is sized for it."""


@dataclass(frozen=True, slots=True)
class Weather:
    """Wind, mixing height and cloudiness over one place, from a seed and the date alone."""

    seed: int
    """Seed of the world."""
    lon: float
    """Longitude of the domain's centre in degrees."""
    lat: float
    """Latitude of the domain's centre in degrees."""

    def wind(self, when: datetime) -> tuple[float, float]:
        """Return eastward and northward wind in m/s, interpolated between the days' noons."""
        before = (when - timedelta(hours=12)).date()
        noon = datetime(before.year, before.month, before.day, 12, tzinfo=UTC)
        share = (when - noon) / timedelta(days=1)
        u0, v0 = self._noon_wind(before)
        u1, v1 = self._noon_wind(before + timedelta(days=1))
        # Surface friction and a stable layer slow the wind at night: factor illustrative.
        slow = 1.0 - 0.3 * (1 - self.convection(when))
        return ((1 - share) * u0 + share * u1) * slow, ((1 - share) * v0 + share * v1) * slow

    def convection(self, when: datetime) -> float:
        """Return how far the mixed layer has grown, 0 at night to 1 in the afternoon.

        Growth until 13 h, collapse 18-20 h local solar time (simulation-facts, 5; recalled).
        """
        hour = sun.solar_hour(when, self.lon)
        return min(_ramp(hour, 7, 13), 1 - _ramp(hour, 18, 20))

    def mixing_height(self, when: datetime) -> float:
        """Return the height of the boundary layer in m.

        Inland Europe at 13 h: winter 400-700 m, spring 1200-1500 m, summer 1500-2000 m; night
        100-300 m (simulation-facts, section 5; recalled). The night takes the upper end, since part
        of the column stays aloft in the residual layer; summer is a little lower than inland.
        """
        season = math.cos(math.tau * (when.timetuple().tm_yday - 196) / 365)
        season *= math.copysign(1, self.lat)
        rng = noise.stream(self.seed, "mixing height", when.toordinal())
        day = (950 + 450 * season) * float(rng.lognormal(0, 0.15))
        night = 300 * float(rng.lognormal(0, 0.2))
        return night + (day - night) * self.convection(when)

    def cloud_cover(self, day: date) -> float:
        """Return the fraction of the domain under cloud, 0 to 1.

        U-shaped, as skies over land are (simulation-facts, section 3); the parameters are less
        extreme than those measured on frames of 1 km, since the domain is larger.
        """
        return float(noise.stream(self.seed, "cloud cover", day.toordinal()).beta(0.45, 0.55))

    def _noon_wind(self, day: date) -> tuple[float, float]:
        """Westerly on average; 3-8 m/s is typical of plume studies (simulation-facts, 5)."""
        rng = noise.stream(self.seed, "wind", day.toordinal())
        speed = float(np.clip(rng.lognormal(math.log(3.8), 0.4), 1.0, MAX_WIND))
        angle = float(rng.normal(0.3, 1.0))
        return speed * math.cos(angle), speed * math.sin(angle)


def _ramp(value: float, low: float, high: float) -> float:
    """Return 0 below `low`, 1 above `high` and a smooth step between."""
    t = min(max((value - low) / (high - low), 0.0), 1.0)
    return t * t * (3 - 2 * t)
