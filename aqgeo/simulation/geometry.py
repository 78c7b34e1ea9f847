"""Where sun and satellite stand when Sentinel-2 passes a world."""

import math
from dataclasses import dataclass
from datetime import date, datetime

import numpy as np
import pyproj
from numpy.typing import NDArray

from aqgeo.simulation import noise, sun
from aqgeo.simulation.world import World

_ALTITUDE_M = 786_000.0  # simulation-facts, section 1
_WIDEST = 10.0  # degrees off nadir on the ground, of 11.6 at the swath's edge
_LOWEST_SUN = 84.0
_ACROSS = 103.0  # azimuth towards a satellite that passes in the east (section 1; recalled)


@dataclass(frozen=True, slots=True)
class Geometry:
    """Angles of one scene in degrees, azimuths clockwise from north."""

    sun: tuple[float, float]
    """Zenith angle and azimuth of the sun."""
    view: tuple[float, float]
    """Zenith angle and azimuth towards the satellite."""
    track_x: float
    """x in m of the CRS at which the satellite stands in the zenith."""

    @property
    def mu(self) -> float:
        """Cosine of the sun's zenith angle."""
        return math.cos(math.radians(self.sun[0]))

    def view_slant(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the view's angle off nadir in degrees at an x, positive west of the track."""
        return np.asarray(np.degrees(np.arctan((self.track_x - x) / _ALTITUDE_M)))


def overpass(world: World, day: date) -> datetime:
    """Return the instant that sun and clouds are taken at, UTC: the nearest crossing's."""
    return sun.overpass(day, *_crossing(world), satellite="sentinel-2")


def geometry(world: World, day: date) -> Geometry:
    """Return the angles of a scene.

    Angles are those at the nearest crossing of whole degrees, so domains around one place share
    them; within a tile the sun moves by less than a degree. A place is seen from one of five
    tracks, which repeat every five days (two satellites, ten days each).

    Raises:
        ValueError: the sun stands too low.
    """
    lon, lat = _crossing(world)
    angles = sun.position(overpass(world, day), lon, lat)
    if angles[0] > _LOWEST_SUN:
        raise ValueError(
            f"the sun is {angles[0]:.0f} degrees from the zenith on {day} at latitude {lat:.0f}: "
            f"Sentinel-2 needs {_LOWEST_SUN:.0f} or less, choose another date or place"
        )
    to_crs = pyproj.Transformer.from_crs("EPSG:4326", str(world.grid.crs), always_xy=True)
    x, _ = to_crs.transform(lon, lat)
    track = day.toordinal() % 5
    slant = float(noise.stream(world.seed, "track", track).uniform(-_WIDEST, _WIDEST))
    azimuth = _ACROSS if slant > 0 else _ACROSS + 180
    return Geometry(angles, (abs(slant), azimuth), x + _ALTITUDE_M * math.tan(math.radians(slant)))


def _crossing(world: World) -> tuple[float, float]:
    """Return the crossing of whole degrees of longitude and latitude nearest to a world."""
    lon, lat = world.lonlat
    return float(round(lon)), float(round(lat))
