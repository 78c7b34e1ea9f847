"""Where the sun stands when a satellite passes."""

import math
from datetime import UTC, date, datetime, timedelta


def overpass(day: date, lon: float, lat: float, *, satellite: str) -> datetime:
    """Return the instant at which a sun-synchronous satellite passes a place, in UTC.

    Local solar time follows from the node and the inclination (simulation-facts, sections 1 and
    4, derived): Sentinel-2 descends at 10:30, Sentinel-5P ascends at 13:30.
    """
    tan = math.tan(math.radians(lat))
    if satellite == "sentinel-2":
        hours = 10.5 + math.degrees(math.asin(tan / 6.60)) / 15
    else:
        hours = 13.5 - math.degrees(math.asin(tan / 6.51)) / 15
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return midnight + timedelta(seconds=round((hours - lon / 15) * 3600))


def solar_hour(when: datetime, lon: float) -> float:
    """Return local solar time in hours, 0 to 24; the equation of time (16 min) is left out."""
    return (when.hour + when.minute / 60 + when.second / 3600 + lon / 15) % 24


def position(when: datetime, lon: float, lat: float) -> tuple[float, float]:
    """Return zenith angle and azimuth (clockwise from north) of the sun in degrees.

    Formulas: simulation-facts, section 1.
    """
    day = when.timetuple().tm_yday
    declination = math.radians(23.45) * math.sin(math.tau * (284 + day) / 365)
    hour = math.radians(15 * (solar_hour(when, lon) - 12))
    phi = math.radians(lat)
    up = math.sin(phi) * math.sin(declination)
    up += math.cos(phi) * math.cos(declination) * math.cos(hour)
    east = -math.sin(hour) * math.cos(declination)
    north = math.cos(phi) * math.sin(declination)
    north -= math.sin(phi) * math.cos(declination) * math.cos(hour)
    return math.degrees(math.acos(up)), math.degrees(math.atan2(east, north)) % 360
