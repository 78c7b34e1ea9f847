"""Pixels brought onto projected grids; those that a projection folds or tears are found."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import CRS, Transformer

from aqgeo.gridding.footprints import (
    CROSSED,
    TORN,
    WGS84,
    Footprints,
    affine,
    bow_ties,
    cells_of,
    settle,
    unwind,
)
from aqgeo.gridding.overlap import compiled

Array = NDArray[Any]
Box = tuple[float, float, float, float]

_OUTLINE = 256
"""Points along each edge of a grid from which its outline in degrees is taken."""
_WHOLE = (-180.0, -90.0, 180.0, 90.0)
# A pixel's centre comes back within so many of its radii; bent edges move it far less than this.
_ASTRAY = 0.5
_CHORD = 1e-9  # rounding of a place on the unit sphere, 6 mm
# Half pixels end 11 µm beside the seam: PROJ takes all within 1e-12 rad of it for one side's.
_BESIDE = 1e-10


@dataclass(frozen=True, slots=True)
class Projected:
    """A grid in metres; pixel edges are straight lines there."""

    shape: tuple[int, int]
    """Rows and columns."""
    to_cells: Array
    """(6,) affine from x, y to column, row."""
    forward: Transformer
    """From lon, lat to x, y."""
    box: Box
    """West, south, east, north around the grid, degrees; east may lie beyond 180."""
    seam: float
    """Longitude opposite the projection's central meridian, where many maps are cut."""
    poles: Array
    """(2, 2) x, y of the south and the north pole; not finite where they have no place."""

    @classmethod
    def of(cls, grid: GeoBox) -> "Projected":
        """Return the placement of a grid."""
        forward = Transformer.from_crs(WGS84, str(grid.crs), always_xy=True)
        (rows, cols), to_cells = grid.shape, cells_of(grid)
        poles = np.stack(forward.transform([0.0, 0.0], [-90.0, 90.0]), axis=-1)
        box = _lonlat_box(grid, forward, poles)
        return cls((rows, cols), to_cells, forward, box, _seam(str(grid.crs)), poles)

    def place(self, lon: Array, lat: Array, usable: Array, faults: Array) -> list[Footprints]:
        """Return the footprints of pixels that reach the grid.

        Args:
            lon: (n, 4) float64 corners, degrees.
            lat: (n, 4) float64 corners, degrees.
            usable: (n,) bool, whether the pixel has a value.
            faults: (n,) uint8, set to the codes of FAULTS, 0 for none.
        """
        turns = np.zeros(len(lon), "int8")
        unrolled = np.empty_like(lon)
        pixel = np.flatnonzero(_near(lon, lat, self.box, unrolled, turns, faults)).astype("int32")
        lon, lat, turns = unrolled[pixel], lat[pixel], turns[pixel]
        rings, sound = self._project(lon, lat)
        sound[turns != 0] &= _hold(rings[turns != 0], self.poles[(lat[turns != 0, 0] > 0) * 1])
        torn = np.flatnonzero(~sound)
        found = [self._settled(rings[sound], pixel[sound], usable, faults)]
        if torn.size:
            faults[pixel[torn]] = TORN
            torn = torn[turns[torn] == 0]
            found += self._halves(lon[torn], lat[torn], pixel[torn], usable, faults)
        return found

    def _project(self, lon: Array, lat: Array) -> tuple[Array, Array]:
        """Return rings (n, vertex, 2) in x, y and whether each comes back to where it was (n,)."""
        x, y = self.forward.transform(lon, lat)
        rings = np.stack([x, y], axis=-1)
        there = np.isfinite(rings).all(axis=(1, 2))
        middle = np.where(there[:, None], rings.mean(axis=1), 0)
        back = self.forward.transform(middle[:, 0], middle[:, 1], direction="INVERSE")
        return rings, there & _comes_back(lon, lat, *back)

    def _halves(
        self, lon: Array, lat: Array, pixel: Array, usable: Array, faults: Array
    ) -> list[Footprints]:
        """Return pixels over the seam in two parts; where both are sound, take back their fault."""
        seam = self.seam + 360 * np.ceil((lon.min(axis=1) - self.seam) / 360)
        tied = bow_ties(np.stack([lon, lat], axis=-1))
        faults[pixel[tied]] = CROSSED
        over = (seam <= lon.max(axis=1)) & ~tied
        lon, lat, pixel, seam = lon[over], lat[over], pixel[over], seam[over]
        parts = []
        for side in (-1.0, 1.0):
            half = _cut(lon, lat, seam, side)
            real = np.ptp(half[..., 0], axis=1) > 0
            rings, sound = self._project(*np.ascontiguousarray(np.moveaxis(half, -1, 0)))
            parts.append((rings, real, sound | ~real))
        whole = parts[0][2] & parts[1][2]
        faults[pixel[whole]] = 0
        return [
            self._settled(rings[whole & real], pixel[whole & real], usable, faults)
            for rings, real, _ in parts
        ]

    def _settled(self, xy: Array, pixel: Array, usable: Array, faults: Array) -> Footprints:
        rings = np.stack(affine(self.to_cells, xy[..., 0], xy[..., 1]), axis=-1)
        count = settle(rings, pixel, usable, self.shape, faults)
        return Footprints(rings[:count], pixel[:count])


def _seam(crs: str) -> float:
    """Return the longitude opposite a projection's central meridian."""
    operation = CRS(crs).coordinate_operation
    params = operation.params if operation is not None else []
    central = [p.value for p in params if p.name.startswith("Longitude of")]
    return float(central[0] if central else 0) + 180


def _lonlat_box(grid: GeoBox, forward: Transformer, poles: Array) -> Box:
    """Return the box in degrees around a grid; the globe where its outline has no place there."""
    rows, cols = grid.shape
    t = np.linspace(0, 1, _OUTLINE, endpoint=False)
    col = np.concatenate([t, np.ones_like(t), 1 - t, np.zeros_like(t)]) * cols
    row = np.concatenate([np.zeros_like(t), t, np.ones_like(t), 1 - t]) * rows
    x, y = affine(np.array(list(grid.affine)[:6]), col, row)
    lon, lat = forward.transform(x, y, direction="INVERSE")
    if not (np.isfinite(lon).all() and np.isfinite(lat).all()):
        return _WHOLE
    # Between two points the outline may reach further by as much as it goes from one to the next.
    step = np.abs(np.diff(lat, append=lat[0])).max()
    south, north = lat.min() - step, lat.max() + step
    west, east = _arc(lon)
    col, row = affine(cells_of(grid), poles[:, 0], poles[:, 1])
    inside = (col >= -1) & (col <= cols + 1) & (row >= -1) & (row <= rows + 1)
    if inside.any():
        west, east = _WHOLE[0], _WHOLE[2]
    return (west, -90.0 if inside[0] else south, east, 90.0 if inside[1] else north)


def _arc(lon: Array) -> tuple[float, float]:
    """Return the ends of the shortest arc that holds all longitudes of a closed line."""
    step = np.abs((np.diff(lon, append=lon[0]) + 180) % 360 - 180).max()
    ends = np.sort(lon % 360)
    gaps = np.diff(ends, append=ends[0] + 360)
    widest = int(gaps.argmax())
    if gaps[widest] <= 2 * step:
        return _WHOLE[0], _WHOLE[2]
    west = ends[(widest + 1) % ends.size]
    return west - step, west + 360 - gaps[widest] + step


@compiled
def _near(lon: Array, lat: Array, box: Box, unrolled: Array, turns: Array, faults: Array) -> Array:
    """Unroll longitudes and tell which pixels may reach a box."""
    near = np.zeros(lon.shape[0], np.bool_)
    for at in range(lon.shape[0]):
        faults[at], turns[at] = unwind(lon[at], lat[at], unrolled[at])
        if faults[at]:
            continue
        south, north = lat[at].min(), lat[at].max()
        if turns[at]:
            north, south = (90.0, south) if north > 0 else (north, -90.0)
        if south > box[3] or north < box[1]:
            continue
        x = unrolled[at]
        copy = math.ceil((box[0] - x.max()) / 360)
        near[at] = turns[at] != 0 or x.min() + 360 * copy <= box[2]
    return near


@compiled
def _comes_back(lon: Array, lat: Array, lon_back: Array, lat_back: Array) -> Array:
    """Tell which rings' middles, projected and back, lie near the middle of their corners."""
    found = np.zeros(lon.shape[0], np.bool_)
    corners = np.empty((lon.shape[1], 3))
    for at in range(lon.shape[0]):
        for k in range(lon.shape[1]):
            corners[k] = _on_sphere(lon[at, k], lat[at, k])
        centre = np.array([corners[:, 0].mean(), corners[:, 1].mean(), corners[:, 2].mean()])
        centre /= np.sqrt((centre**2).sum())
        radius = 0.0
        for k in range(lon.shape[1]):
            radius = max(radius, np.sqrt(((corners[k] - centre) ** 2).sum()))
        there = np.array(_on_sphere(lon_back[at], lat_back[at]))
        # Not finite compares as false.
        found[at] = np.sqrt(((there - centre) ** 2).sum()) <= _ASTRAY * radius + _CHORD
    return found


@compiled
def _on_sphere(lon: float, lat: float) -> tuple[float, float, float]:
    lon, lat = math.radians(lon), math.radians(lat)
    return math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat)


def _hold(rings: Array, points: Array) -> Array:
    """Tell which quads (n, 4, 2) hold their point (n, 2), by the turn of their corners round it."""
    with np.errstate(invalid="ignore"):
        away = rings - points[:, None]
        angle = np.unwrap(np.arctan2(away[..., 1], away[..., 0]), axis=1)
        turn = np.round((angle[:, 3] - angle[:, 0]) / (2 * np.pi))
    return np.asarray(np.isfinite(away).all(axis=(1, 2)) & (turn != 0))


@compiled
def _cut(lon: Array, lat: Array, seam: Array, side: float) -> Array:
    """Return the parts (n, 6, 2) of quads on one side of a meridian; of no width if there is none.

    A bent quad's part may be two pieces joined along the meridian; the joint has no area.
    """
    found = np.empty((lon.shape[0], 6, 2))
    for at in range(lon.shape[0]):
        count, edge = 0, seam[at] + side * _BESIDE
        for k in range(4):
            x0, y0, x1, y1 = lon[at, k - 1], lat[at, k - 1], lon[at, k], lat[at, k]
            if (x0 - edge) * (x1 - edge) < 0:
                found[at, count, 0] = edge
                found[at, count, 1] = y0 + (y1 - y0) * (edge - x0) / (x1 - x0)
                count += 1
            if (x1 - edge) * side >= 0:
                found[at, count, 0], found[at, count, 1] = x1, y1
                count += 1
        if count == 0:
            found[at, 0, 0], found[at, 0, 1] = edge, lat[at, 0]
            count = 1
        for k in range(count, 6):
            found[at, k] = found[at, count - 1]
    return found
