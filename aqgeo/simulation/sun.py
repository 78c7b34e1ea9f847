"""Where the sun stands when a satellite passes."""

import math
from datetime import UTC, date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


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


def declination(when: datetime) -> float:
    """Return the declination of the sun in radians (simulation-facts, section 1)."""
    return math.radians(23.45) * math.sin(math.tau * (284 + when.timetuple().tm_yday) / 365)


def position(when: datetime, lon: float, lat: float) -> tuple[float, float]:
    """Return zenith angle and azimuth (clockwise from north) of the sun in degrees.

    Formulas: simulation-facts, section 1.
    """
    delta = declination(when)
    hour = math.radians(15 * (solar_hour(when, lon) - 12))
    phi = math.radians(lat)
    up = math.sin(phi) * math.sin(delta)
    up += math.cos(phi) * math.cos(delta) * math.cos(hour)
    east = -math.sin(hour) * math.cos(delta)
    north = math.cos(phi) * math.sin(delta)
    north -= math.sin(phi) * math.cos(delta) * math.cos(hour)
    return math.degrees(math.acos(up)), math.degrees(math.atan2(east, north)) % 360


def positions(when: datetime, seconds: Array, lon: Array, lat: Array) -> tuple[Array, Array]:
    """Return zenith angles and azimuths (clockwise from north) in degrees, as `position` does.

    Args:
        when: an instant; the sun's declination is that of its day.
        seconds: time after that instant; broadcasts against lon and lat.
        lon: longitudes in degrees.
        lat: latitudes in degrees.
    """
    delta, phi = declination(when), np.radians(lat)
    hour = np.radians(15 * (solar_hour(when, 0) - 12) + seconds / 240 + lon)
    up = np.sin(phi) * math.sin(delta) + np.cos(phi) * math.cos(delta) * np.cos(hour)
    east = -np.sin(hour) * math.cos(delta)
    north = np.cos(phi) * math.sin(delta) - np.sin(phi) * math.cos(delta) * np.cos(hour)
    zenith = np.degrees(np.arccos(np.clip(up, -1, 1)))
    return np.asarray(zenith), np.asarray(np.degrees(np.arctan2(east, north)) % 360)
