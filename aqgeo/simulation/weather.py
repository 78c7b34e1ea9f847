"""Weather of one place, hour by hour, the same for the whole domain."""

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache

import scipy.special

from aqgeo.simulation import noise, sun
from aqgeo.simulation.presets import Preset

MAX_WIND = 8.0
"""Upper limit of the wind in m/s; the transport grid's rim is sized for it."""
REGIMES = ("clear", "cumulus", "stratus", "cirrus", "overcast")
_PLACE_DEG = 5.0  # domains of any size about one place share their clock and climate
_CLEAR, _OVERCAST = 0.08, 0.92  # covers that bound those two regimes; illustrative
# Local hours; 9-13 h and 18-20 h in simulation-facts, section 5 (recalled), sooner here: what
# counts is when the ground is cut off from the air above.
_GROWTH, _COLLAPSE = (8.0, 12.5), (15.5, 18.5)
_NIGHT_M = 230.0  # 100-300 m (same place); higher in wind
# Cover is U-shaped: Beta(.15, .20) on frames of 1 km (simulation-facts, section 3; measured); less
# so on a whole domain, illustrative.
_COVER = (0.4, 0.45)


@dataclass(frozen=True, slots=True)
class Weather:
    """Wind, mixing, temperature and sky from a seed and the date; place sets clock and climate."""

    seed: int
    """Seed of the world."""
    lon: float
    """Longitude of the domain's centre in degrees."""
    lat: float
    """Latitude of the domain's centre in degrees."""
    preset: Preset
    """Kind of world."""

    def local(self, when: datetime) -> datetime:
        """Return local solar time, true to 10 minutes; its offset is still said to be UTC's."""
        return when + timedelta(hours=_coarse(self.lon) / 15)

    @property
    def swing(self) -> float:
        """How far seasons go, 0 at the equator to 1 from 35 degrees north on, -1 in the south."""
        return min(max(_coarse(self.lat) / 35, -1.0), 1.0)

    def season(self, when: date) -> float:
        """Return -1 in mid-summer to +1 in mid-winter, less in the tropics; 1 in winter presets."""
        if self.preset.winter:
            return 1.0
        return self.swing * math.cos(math.tau * (when.timetuple().tm_yday - 15) / 365)

    def sun_height(self, when: datetime) -> float:
        """Return the cosine of the sun's zenith angle, 0 at night; as of 22 December in winter."""
        lon, lat = _coarse(self.lon), _coarse(self.lat)
        if self.preset.winter:
            when = when.replace(month=12 if lat >= 0 else 6, day=22)
        return max(math.cos(math.radians(sun.position(when, lon, lat)[0])), 0.0)

    def wind(self, when: datetime) -> tuple[float, float]:
        """Return eastward and northward wind in the mixed layer in m/s.

        Speed is log-normal about 4.2 m/s, typical of plume studies (3-8, simulation-facts, section
        5; recalled); westerly on average. Days are alike, hours vary about them, nights are slower
        by 30 % (both illustrative).
        """
        swing = 0.42 * self._drift("wind speed", when, 24) + 0.12 * self._drift("gusts", when, 3)
        slow = 1 - 0.3 * (1 - self.convection(when))
        speed = min(4.2 * math.exp(swing) * slow * self.preset.wind, MAX_WIND)
        angle = 0.3 + 1.1 * self._drift("wind from", when, 24) + 0.15 * self._drift("veer", when, 3)
        return speed * math.cos(angle), speed * math.sin(angle)

    def convection(self, when: datetime) -> float:
        """Return how far the mixed layer has grown, 0 at night to 1 in the afternoon.

        Half an hour sooner and until half an hour later in summer, the reverse in winter.
        """
        local, shift = self.local(when), 0.5 * self.season(when)
        hour = local.hour + local.minute / 60 + local.second / 3600
        return min(_ramp(hour - shift, *_GROWTH), 1 - _ramp(hour + shift, *_COLLAPSE))

    def mixing_height(self, when: datetime) -> float:
        """Return the height of the boundary layer in m."""
        night = self.night_height(when)
        return night + (self.day_height(when) - night) * self.convection(when)

    def day_height(self, when: datetime) -> float:
        """Return the height in m that the layer has in the afternoon.

        Inland Europe at 13 h: winter 400-700, spring 1200-1500, summer 1500-2000 m
        (simulation-facts, section 5; recalled); a third lower under cloud (illustrative).
        """
        noon = datetime.combine(self.local(when).date(), time(12), UTC)
        season = self.season(noon)
        usual = 1300 - 550 * season - 100 * season**2
        sky = 1.12 - 0.32 * self.cloud_cover(noon.date())
        return usual * sky * math.exp(0.15 * self._drift("day height", noon, 24))

    def night_height(self, when: datetime) -> float:
        """Return the height of the layer at night in m."""
        windy = math.exp(0.21 * self._drift("wind speed", when, 24)) * math.sqrt(self.preset.wind)
        return min(max(_NIGHT_M * windy, 120.0), 350.0)

    def temperature(self, when: datetime) -> float:
        """Return the temperature near the ground in degC."""
        local = self.local(when)
        hour = local.hour + local.minute / 60
        sky = 1 - 0.7 * self.cloud_cover(local.date())
        day = (4 - 2 * self.season(when)) * sky * math.cos(math.tau * (hour - 15) / 24)
        return self.climate(self.season(when)) + day + 3 * self._drift("temperature", when, 48)

    def climate(self, season: float) -> float:
        """Return the usual temperature of a season in degC.

        Fits Europe's plains to a few degrees; illustrative.
        """
        lat = abs(_coarse(self.lat))
        return 27.5 - 0.0075 * lat**2 - min(0.21 * lat, 12) * season

    def cloud_cover(self, day: date) -> float:
        """Return the fraction of the domain under cloud, 0 to 1; one day resembles the next."""
        share = scipy.special.ndtr(self._drift("cloud cover", _noon(day), 24))
        return float(scipy.special.betaincinv(*_COVER, share))

    def regime(self, day: date) -> str:
        """Return the kind of sky, one of REGIMES.

        Broken skies are cumulus rather in summer, stratus rather in winter; illustrative.
        """
        cover = self.cloud_cover(day)
        if cover < _CLEAR:
            return "clear"
        if cover > _OVERCAST:
            return "overcast"
        kind = self._drift("cloud kind", _noon(day), 24)
        if kind > 0.8:
            return "cirrus"
        return "stratus" if kind + 1.2 * (cover - 0.5) + 0.5 * self.season(day) > 0.3 else "cumulus"

    def aerosol(self, day: date) -> float:
        """Return the optical thickness of aerosol at 550 nm.

        Log-normal with median .14 and sigma .45, as over Europe (recalled); haze gathers while
        the wind is weak, smoke where there are fires.
        """
        drift = self._drift("aerosol", _noon(day), 48)
        calm = 4.2 / max(math.hypot(*self.wind(_noon(day))), 1.0)
        smoke = 1 + 0.06 * self.preset.fires
        return min(0.14 * smoke * math.exp(0.4 * drift + 0.4 * math.log(calm)), 1.5)

    def _drift(self, purpose: str, when: datetime, step_h: int) -> float:
        """Return a standard normal number that changes smoothly: random knots under a B-spline.

        After one step the correlation is .44, after two .06.
        """
        at = when.timestamp() / 3600 / step_h
        first, t = math.floor(at), at % 1
        weights = (
            (1 - t) ** 3 / 6,
            (3 * t**3 - 6 * t**2 + 4) / 6,
            (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6,
            t**3 / 6,
        )
        knots = [_knot(self.seed, purpose, first + i) for i in range(-1, 3)]
        total = sum(w * k for w, k in zip(weights, knots, strict=True))
        return float(total / math.sqrt(sum(w * w for w in weights)))


@lru_cache(maxsize=1024)
def _knot(seed: int, purpose: str, number: int) -> float:
    return float(noise.stream(seed, purpose, number).standard_normal())


def _coarse(degrees: float) -> float:
    return _PLACE_DEG * round(degrees / _PLACE_DEG)


def _noon(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, 12, tzinfo=UTC)


def _ramp(value: float, low: float, high: float) -> float:
    """Return 0 below `low`, 1 above `high` and a smooth step between."""
    t = min(max((value - low) / (high - low), 0.0), 1.0)
    return t * t * (3 - 2 * t)
