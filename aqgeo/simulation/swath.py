"""Where and when TROPOMI looks: the piece of an orbit that passes the domain."""

import math
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from aqgeo.simulation import noise, sun
from aqgeo.simulation.noise import FloatArray
from aqgeo.simulation.world import World

REACH_M = 18_000
"""How far a granule reaches beyond the domain on all sides at least."""
ALONG_M = 5500.0  # since 2019-08-06 (simulation-facts, section 4)
LINE_S = 0.84  # time between scanlines (attribute PT0.840S of real files)
_EARTH_KM, _INCLINATION = 6371.0, 98.74


@dataclass(frozen=True, slots=True)
class Granule:
    """When and where one piece of an orbit looks; arrays are (scanline, ground_pixel, ...)."""

    when: datetime
    """Begin of the first scanline, UTC."""
    orbit: int
    """Orbit number."""
    first_line: int
    """Index of the first scanline in the orbit."""
    first_pixel: int
    """Index of the first ground pixel, 0 to 449."""
    corners: NDArray[np.float64]
    """(s, p, 4, 2) eastings and northings in metres: SW, SE, NE, NW."""

    @property
    def name(self) -> str:
        """File name in the official form, without suffix."""
        made = self.orbit_start + timedelta(days=2, hours=9)
        begin, end, made_at = (
            t.strftime("%Y%m%dT%H%M%S") for t in (self.orbit_start, self.orbit_end, made)
        )
        return f"S5P_OFFL_L2__NO2____{begin}_{end}_{self.orbit:05d}_03_020600_{made_at}"

    @property
    def orbit_start(self) -> datetime:
        """Begin of the orbit; measurement starts 21.6 min later (real files of Delhi)."""
        line = timedelta(seconds=round(self.first_line * LINE_S))
        return self.when - line - timedelta(seconds=1296)

    @property
    def orbit_end(self) -> datetime:
        """End of the orbit, 101.5 min after its begin."""
        return self.orbit_start + timedelta(seconds=6089)


def granule(world: World, day: date) -> Granule:
    """Return the geometry of the overpass of a day: the swath's place changes from day to day."""
    lon, lat = world.lonlat
    rng = noise.stream(world.seed, "orbit", day.toordinal())
    edges = _across_edges_m()
    middle = int(rng.integers(90, 360))
    # West of the sub-satellite track the sun is lower: the same hour angle, another longitude.
    track_lon = lon - edges[middle] / 1000 / (111.2 * math.cos(math.radians(lat)))
    when = sun.overpass(day, track_lon, lat, satellite="sentinel-5p")
    along, across = _half_lengths(world, _tilt(lat))
    first = int(np.searchsorted(edges, edges[middle] - across)) - 1
    last = int(np.searchsorted(edges, edges[middle] + across))
    begin = -along - rng.uniform(0, 1) * ALONG_M
    lines = np.arange(begin, along + ALONG_M, ALONG_M)
    corners = _corners(world, lines, edges[first : last + 1] - edges[middle])
    # 15364 passed Delhi on 2020-09-30 (real file); 14.1875 orbits a day (227 in 16 days).
    orbit = 15364 + round(14.1875 * (day - date(2020, 9, 30)).days)
    # Scanline 2636 was at 28.7 degrees north (same file); .84 s are about 5.5 km or .0497 degrees.
    line = round(2636 + (lat - 28.7) / 0.0497 - lines.size / 2)
    return Granule(when, orbit, line, first, corners)


def lonlat(world: World, xy: NDArray[np.float64]) -> tuple[FloatArray, FloatArray]:
    """Return longitudes and latitudes of (..., 2) eastings and northings."""
    lon, lat = world.to_lonlat(xy[..., 0], xy[..., 1])
    return lon.astype("float32"), lat.astype("float32")


def _across_edges_m() -> NDArray[np.float64]:
    """Return distances of the 451 pixel edges from the ground track, west to east.

    s(a) = R (asin(1.1293 sin a) - a) in 450 equal steps of the view angle up to 54 degrees
    (simulation-facts, section 4; derived).
    """
    angle = np.radians(np.linspace(-54, 54, 451))
    return np.asarray(1000 * _EARTH_KM * (np.arcsin(1.1293 * np.sin(angle)) - angle), "float64")


def _tilt(lat: float) -> float:
    """Return the heading of the ascending orbit, radians clockwise from north."""
    return math.asin(math.cos(math.radians(_INCLINATION)) / math.cos(math.radians(lat)))


def _half_lengths(world: World, tilt: float) -> tuple[float, float]:
    """Return half lengths along and across the track that cover the domain and its margin."""
    box = world.grid.extent.boundingbox
    width, height = box.span_x / 2 + REACH_M, box.span_y / 2 + REACH_M
    c, s = math.cos(tilt), abs(math.sin(tilt))
    return height * c + width * s, width * c + height * s


def _corners(
    world: World, lines: NDArray[np.float64], across: NDArray[np.float64]
) -> NDArray[np.float64]:
    box = world.grid.extent.boundingbox
    tilt = _tilt(world.lonlat[1])
    edges = np.append(lines, lines[-1] + ALONG_M)
    east = across[None, :] * math.cos(tilt) + edges[:, None] * math.sin(tilt)
    north = edges[:, None] * math.cos(tilt) - across[None, :] * math.sin(tilt)
    xy = np.stack([east + (box.left + box.right) / 2, north + (box.bottom + box.top) / 2], axis=-1)
    # Counter-clockwise from the south-west on the ascending side (note in the files themselves).
    return np.stack([xy[:-1, :-1], xy[:-1, 1:], xy[1:, 1:], xy[1:, :-1]], axis=2)
