"""Where and when TROPOMI looks: the swaths of its orbit."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from aqgeo.simulation import sun

Array = NDArray[np.float64]
BBox = tuple[float, float, float, float]

PIXELS = 450
"""Ground pixels across the swath."""
MARGIN_KM = 20.0
"""How far a pass reaches beyond the box that was asked for, where the swath does."""
ALTITUDE_KM = 824.0  # simulation-facts, section 4
PERIOD_S = 16 * 86_400 / 227  # 227 orbits in 16 days (section 4)
SCAN_S, LEAD_S = 3503.6, 1295.0  # scan, and time from the begin of the orbit to it (real files)
_EARTH_KM, _INCLINATION, _VIEW_DEG = 6371.0, math.radians(98.74), 54.0  # section 4
# Ascending node of orbit 15364: least squares over 13 overpasses of Delhi (real files).
_ANCHOR, _NODE = 15364, datetime(2020, 9, 30, 8, 16, 17, 190_000, tzinfo=UTC)
_NODE_LON = 78.444
_DEG_PER_ORBIT = 360 * PERIOD_S / 86_400  # the orbit keeps its angle to the mean sun
# Argument of latitude, degrees, where the scan begins: moves with the sun (fit to the same files).
_SCAN_BEGIN, _SCAN_PER_DECLINATION = -100.5, 1.03
_SHORT_LINES = datetime(2019, 8, 6, tzinfo=UTC)  # .84 s since then, 1.08 s before (section 4)
_MAKING = timedelta(days=2, hours=9)  # from the begin of an orbit to its product
_DARK = 88.0  # zenith angle of the sun above which there is no product (processing.szaMax)
_LATTICE = 17  # points along the side of a box when orbits are searched


@dataclass(frozen=True, slots=True)
class Swath:
    """A rectangle of pixels out of one orbit; (s, p) are scanlines and ground pixels."""

    orbit: int
    """Orbit number."""
    first_line: int
    """Index of the first scanline in the orbit."""
    first_pixel: int
    """Index of the first ground pixel, 0 to 449."""
    start: datetime
    """Begin of the first scanline, UTC."""
    line_s: float
    """Seconds from scanline to scanline."""
    edges: Array
    """(s + 1, p + 1, 2) lon and lat of the pixel edges' crossings, which neighbours share."""
    centres: Array
    """(s, p, 2) lon and lat of the pixel centres."""

    @property
    def shape(self) -> tuple[int, int]:
        """Scanlines and ground pixels."""
        return self.centres.shape[0], self.centres.shape[1]

    @property
    def corners(self) -> Array:
        """(s, p, 4, 2) lon and lat counter-clockwise from the south-west on the ascending side.

        Longitudes are within -180 to 180, as in the files: beside the date line, those of one
        pixel may differ by 360.
        """
        e = self.edges
        return np.stack([e[:-1, :-1], e[:-1, 1:], e[1:, 1:], e[1:, :-1]], axis=2)

    @property
    def seconds(self) -> Array:
        """(s,) seconds from the start to the begin of each scanline."""
        return np.asarray(self.line_s * np.arange(self.shape[0]), "float64")

    @property
    def lines(self) -> int:
        """Scanlines of the whole orbit."""
        return lines(self.line_s)

    @property
    def scan_start(self) -> datetime:
        """Begin of the orbit's first scanline."""
        return scan_start(self.orbit)

    @property
    def orbit_start(self) -> datetime:
        """Begin of the orbit, on the night side."""
        return orbit_start(self.orbit)

    @property
    def orbit_end(self) -> datetime:
        """End of the orbit, which is the begin of the next."""
        return orbit_start(self.orbit + 1)

    @property
    def made(self) -> datetime:
        """When the simulated product would have been made."""
        return self.orbit_start + _MAKING

    @property
    def name(self) -> str:
        """File name in the official form, without suffix."""
        return name(self.orbit)

    @property
    def node_lon(self) -> float:
        """Longitude at which the orbit crosses the equator by day."""
        return (_NODE_LON - _DEG_PER_ORBIT * (self.orbit - _ANCHOR) + 180) % 360 - 180

    @property
    def satellite(self) -> tuple[Array, Array]:
        """(s, 2) lon and lat below the satellite, and (s,) share of the orbit since midnight."""
        at = np.arange(self.shape[0], dtype="float64") + self.first_line + 0.5
        track = _place(self.orbit, at, np.array([PIXELS / 2]))[:, 0]
        share = (LEAD_S + at * self.line_s) / PERIOD_S
        return track, np.asarray(share % 1, "float64")

    @property
    def sun(self) -> tuple[Array, Array]:
        """(s, p) zenith angle and azimuth of the sun in degrees, azimuth clockwise from north."""
        lon, lat = self.centres[..., 0], self.centres[..., 1]
        # From the scan's start, so that a piece has the declination of the whole.
        seconds = self.seconds + self.first_line * self.line_s
        return sun.positions(self.scan_start, seconds[:, None], lon, lat)

    @property
    def view(self) -> tuple[Array, Array]:
        """(s, p) zenith angle and azimuth of the satellite in degrees, seen from the pixel."""
        at = np.arange(self.shape[1], dtype="float64") + self.first_pixel + 0.5
        # A ray turns by the angle at the earth's centre between satellite and ground.
        zenith = np.degrees(np.abs(_view(at) + _angle(at)))
        azimuth = _bearing(self.centres, self.satellite[0][:, None])
        return np.broadcast_to(zenith, self.shape).copy(), azimuth


def passes(bbox: BBox, day: date) -> list[Swath]:
    """Return the daylit passes over a box on a UTC day, in order of time.

    Each is cut to the lines and pixels that touch the box and a margin around it. A pass belongs to
    the day on which the satellite is abeam of the box's centre.

    Args:
        bbox: west, south, east, north in degrees; west is above east across the date line.
        day: day in UTC.
    """
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    first = _ANCHOR + math.floor((midnight - _NODE).total_seconds() / PERIOD_S) - 1
    orbits = np.arange(first, first + 18)
    inner, outer = _lattice(bbox, 0.0), _lattice(bbox, MARGIN_KM)
    places = [np.stack(_locate(orbits, points), axis=-1) for points in (inner, outer)]
    found = []
    for n, near, far in zip(orbits.tolist(), *places, strict=True):
        end = np.array([lines(line_s(n)), PIXELS])
        abeam = scan_start(n) + timedelta(seconds=float(near[len(near) // 2, 0]) * line_s(n))
        if abeam.date() != day or not ((near > 0) & (near < end)).all(axis=-1).any():
            continue
        far = far[(far[:, 0] > 0) & (far[:, 0] < end[0])]
        low, high = np.maximum(np.floor(far.min(axis=0)), 0), np.ceil(far.max(axis=0))
        piece = _cut(n, low.astype(int), np.minimum(high, end).astype(int))
        found += [piece] if piece.sun[0].min() < _DARK else []
    return found


def whole(orbit: int) -> Swath:
    """Return all scanlines and pixels of an orbit."""
    return _cut(orbit, np.zeros(2, int), np.array([lines(line_s(orbit)), PIXELS]))


def locate(orbit: int, points: Array) -> tuple[Array, Array]:
    """Return lines and pixels (n,) of an orbit at (n, 2) lon and lat; 0.5 is a centre.

    Lines are outside the scan, or pixels outside 0 to 450, where the orbit does not see a point.
    """
    at, pixels = _locate(np.array([orbit]), points)
    return at[0], pixels[0]


def orbits_of(day: date) -> range:
    """Return the orbits whose scan begins on a UTC day: 14 or 15."""
    return _orbits(day, scan_start, scan_start)


def orbits_seen(day: date) -> range:
    """Return the orbits of which any part is on a UTC day: 15 or 16."""
    return _orbits(day, orbit_start, lambda n: orbit_start(n + 1))


def name(orbit: int) -> str:
    """Return the file name of an orbit in the official form, without suffix."""
    begin = orbit_start(orbit)
    moments = (begin, orbit_start(orbit + 1), begin + _MAKING)
    start, end, made = (t.strftime("%Y%m%dT%H%M%S") for t in moments)
    return f"S5P_OFFL_L2__NO2____{start}_{end}_{orbit:05d}_03_020600_{made}"


def orbit_start(orbit: int) -> datetime:
    """Return the begin of an orbit, on the night side."""
    return scan_start(orbit) - timedelta(seconds=LEAD_S)


def node_time(orbit: int) -> datetime:
    """Return when an orbit crosses the equator by day."""
    return _NODE + timedelta(seconds=(orbit - _ANCHOR) * PERIOD_S)


def scan_start(orbit: int) -> datetime:
    """Return the begin of the first scanline of an orbit."""
    node = node_time(orbit)
    begin = _SCAN_BEGIN + _SCAN_PER_DECLINATION * math.degrees(sun.declination(node))
    return node + timedelta(seconds=begin / 360 * PERIOD_S)


def scan_end(orbit: int) -> datetime:
    """Return the end of the last scanline of an orbit."""
    seconds = line_s(orbit)
    return scan_start(orbit) + timedelta(seconds=lines(seconds) * seconds)


def line_s(orbit: int) -> float:
    """Return the seconds from scanline to scanline of an orbit."""
    return 0.84 if scan_start(orbit) >= _SHORT_LINES else 1.08


def lines(seconds: float) -> int:
    """Return the scanlines of a whole orbit (simulation-facts, section 4)."""
    return 4172 if seconds < 1 else 3244


def _orbits(day: date, begin: Callable[[int], datetime], end: Callable[[int], datetime]) -> range:
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    near = _ANCHOR + math.floor((midnight - _NODE).total_seconds() / PERIOD_S)
    numbers = range(near - 2, near + 18)
    on = [n for n in numbers if begin(n).date() <= day <= end(n).date()]
    return range(on[0], on[-1] + 1)


def _cut(orbit: int, low: NDArray[Any], high: NDArray[Any]) -> Swath:
    """Return the lines and pixels from one (line, pixel) to below another."""
    (line, pixel), seconds = low.tolist(), line_s(orbit)
    at, across = (np.arange(a, b + 1.0) for a, b in zip(low, high, strict=True))
    return Swath(
        orbit=orbit,
        first_line=line,
        first_pixel=pixel,
        start=scan_start(orbit) + timedelta(seconds=line * seconds),
        line_s=seconds,
        edges=_place(orbit, at, across),
        centres=_place(orbit, at[:-1] + 0.5, across[:-1] + 0.5),
    )


def _place(orbit: int, at: Array, pixels: Array) -> Array:
    """Return (line, pixel, 2) lon and lat of positions in an orbit, in lines and pixels.

    The scan plane holds the satellite, the earth's centre and the pole of the orbit; the earth
    turns below an orbit that follows the mean sun.
    """
    after_node = (scan_start(orbit) - node_time(orbit)).total_seconds() + at * line_s(orbit)
    u, psi = 2 * math.pi * after_node / PERIOD_S, _angle(pixels)
    ahead, pole = _axes()
    below = np.stack([np.cos(u), *(np.sin(u) * a for a in ahead[1:])])
    # East of the track is away from the pole of an orbit that ascends westward.
    xyz = [np.outer(b, np.cos(psi)) - p * np.sin(psi) for b, p in zip(below, pole, strict=True)]
    turned = _NODE_LON - _DEG_PER_ORBIT * (orbit - _ANCHOR) - 360 * after_node / 86_400
    lon = _wrap(np.degrees(np.arctan2(xyz[1], xyz[0])) + turned[:, None])
    return np.stack([lon, np.degrees(np.arcsin(np.clip(xyz[2], -1, 1)))], axis=-1)


def _locate(orbits: NDArray[Any], points: Array) -> tuple[Array, Array]:
    """Return (orbit, point) positions in lines and pixels of (point, 2) lon and lat.

    The inverse of `_place`. The time at which the satellite is abeam follows from the earth's turn
    and the other way round: each round gains a factor of 14. Pixels are outside 0 to 450 where a
    point is not in the swath.
    """
    lon, lat = np.radians(points).T
    ahead, pole = _axes()
    node = np.radians(_NODE_LON - _DEG_PER_ORBIT * (orbits - _ANCHOR))[:, None]
    begin = [(scan_start(n) - node_time(n)).total_seconds() for n in orbits.tolist()]
    middle = (np.array(begin)[:, None] + SCAN_S / 2) * 2 * math.pi / PERIOD_S
    u = np.broadcast_to(middle, (orbits.size, lon.size))
    for _ in range(8):
        turned = lon - node + u * PERIOD_S / 86_400
        x, y = np.cos(lat) * np.cos(turned), np.cos(lat) * np.sin(turned)
        u = np.arctan2(y * ahead[1] + np.sin(lat) * ahead[2], x)
        u = (u - middle + math.pi) % (2 * math.pi) - math.pi + middle
    sine = -(y * pole[1] + np.sin(lat) * pole[2])
    distance, cosine = 1 + ALTITUDE_KM / _EARTH_KM, np.sqrt(1 - sine**2)
    angle = np.degrees(np.arctan2(sine, distance - cosine))
    angle = np.where(cosine < 1 / distance, 90 * np.sign(sine), angle)  # beyond the horizon
    length = np.array([line_s(n) for n in orbits.tolist()])[:, None]
    at = (u * PERIOD_S / (2 * math.pi) - np.array(begin)[:, None]) / length
    return at, (angle / _VIEW_DEG + 1) * PIXELS / 2


def _axes() -> tuple[Array, Array]:
    """Return unit vectors 90 degrees after the node and of the orbit's pole; x is the node."""
    c, s = math.cos(_INCLINATION), math.sin(_INCLINATION)
    return np.array([0.0, c, s]), np.array([0.0, -s, c])


def _angle(pixels: Array) -> Array:
    """Return angles at the earth's centre, radians, from the track to positions in pixels.

    asin(1.1293 sin a) - a in 450 equal steps of the view angle a (simulation-facts, section 4).
    """
    view = _view(pixels)
    return np.asarray(np.arcsin((1 + ALTITUDE_KM / _EARTH_KM) * np.sin(view)) - view, "float64")


def _view(pixels: Array) -> Array:
    """Return angles at the satellite, radians, from the nadir to positions in pixels."""
    return np.asarray(np.radians(_VIEW_DEG * (2 * pixels / PIXELS - 1)), "float64")


def _lattice(bbox: BBox, margin_km: float) -> Array:
    """Return (n, 2) lon and lat of points all over a box and its margin, its centre half way."""
    west, south, east, north = bbox
    up = margin_km / 111.2
    south, north = max(south - up, -90.0), min(north + up, 90.0)
    out = up / max(math.cos(math.radians(max(abs(south), abs(north)))), 0.01)
    lon = np.linspace(west - out, east + (360 if east < west else 0) + out, _LATTICE)
    grid = np.meshgrid(lon, np.linspace(south, north, _LATTICE))
    return np.stack([g.ravel() for g in grid], axis=-1)


def _bearing(start: Array, end: Array) -> Array:
    """Return azimuths, degrees clockwise from north, from (..., 2) lon and lat to others."""
    (lon, lat), (to_lon, to_lat) = (np.moveaxis(np.radians(a), -1, 0) for a in (start, end))
    east = np.sin(to_lon - lon) * np.cos(to_lat)
    north = np.cos(lat) * np.sin(to_lat) - np.sin(lat) * np.cos(to_lat) * np.cos(to_lon - lon)
    return np.asarray(np.degrees(np.arctan2(east, north)) % 360, "float64")


def _wrap(lon: Array) -> Array:
    return np.asarray((lon + 180) % 360 - 180, "float64")
